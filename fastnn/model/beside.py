"""Losses and metrics that no plan computes: what they make of outputs, batch by batch, beside the plan.

The outputs of a batch come from one program, what is in Python makes values and gradients of them, and
another program takes the gradients in the place of targets; both draw the same random numbers.  This file
must not know epochs, optimizers or plans' insides.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from fastnn.border import data
from fastnn.border.returned import called, loss_of_batch, metric_of_batch, read_only, reduced
from fastnn.compiler.plan import WEIGHTS
from fastnn.errors import ConfigurationError
from fastnn.graph.graph import array_name
from fastnn.losses import Loss
from fastnn.metrics import SparseCategoricalAccuracy
from fastnn.metrics._own import FunctionMetric
from fastnn.model.batch import Batch
from fastnn.model.objective import Beside, Objective
from fastnn.model.outputs import training_outputs
from fastnn.model.programs import Key, capacity_for
from fastnn.model.row_weights import KEPT
from fastnn.model.structure import Structure
from fastnn.run.measuring import measure

__all__ = ["Pass", "gradients_of", "needs_plan"]

Arrays = dict[str, np.ndarray]


def needs_plan(now: Structure) -> bool:
    """Return whether plans compute anything of the loss and the metrics."""
    regularized = any(p.is_trained and p.regularizer is not None for p in now.graph.parameters)
    return regularized or any(loss.planned for loss in now.need_objective().losses)


def gradients_of(now: Structure, given: Batch, seed: int, step: int, flat: np.ndarray) -> float:
    """Return the loss of checked rows, penalties included, and fill an array with its gradients.

    Parameters
    ----------
    now : Structure
    given : Batch
    seed, step : int
        Of the random numbers.
    flat : numpy.ndarray
        Lies like the store's.

    Returns
    -------
    float
    """
    objective, brought, own = now.need_objective(), {}, None
    if objective.in_python:
        own = Pass(now, measures=False)
        brought = own.add(given, training_outputs(now, given, seed, step), with_gradients=True)
    key = Key("gradients", capacity_for(given.rows), weighted=given.weighted)
    plan, result = now.need_programs().run(
        key, given.arrays | brought, given.rows, gradients=flat, seed=seed, step=step
    )
    if result.exception is not None:
        raise result.exception
    values = objective.values(plan, result.sums[0], given.rows)
    return float((own.values(values, given.rows) if own is not None else values)["loss"])


class Pass:
    """One pass through data, an epoch or an evaluation: sums of what no plan computes.

    Parameters
    ----------
    now : Structure
    measures : bool
        Whether metrics are wanted.

    Attributes
    ----------
    sums : numpy.ndarray of float64
        Metrics that are objects of the user's own have theirs themselves, which begin anew here.
    unfit : str
        What was not finite in the latest batch, and whose fault it is; empty if all was finite.
    """

    def __init__(self, now: Structure, measures: bool = True) -> None:
        self._objective: Objective = now.need_objective()
        metrics = self._objective.beside if measures else ()
        self._outputs = now.graph.outputs
        self.unfit = ""
        self._losses = [n for n, loss in enumerate(self._objective.losses) if loss.in_python]
        widths = [1] * len(self._losses) + [self._width(one) for one in metrics]
        ends = np.cumsum([0, *widths]).tolist()
        places = [slice(*pair) for pair in itertools.pairwise(ends)]
        self._of_loss = dict(zip(self._losses, places, strict=False))
        self._of_metric = list(zip(metrics, places[len(self._losses) :], strict=True))
        self.sums = np.zeros(ends[-1])
        for one in metrics:
            if _is_object(one):
                one.metric.reset_state()

    def _width(self, one: Beside) -> int:
        """Return how many sums a metric has here: its own, and what they are divided by."""
        if _is_object(one):
            return 0
        if isinstance(one.metric, FunctionMetric):
            return 2
        return one.metric.width(self._outputs[one.output].columns) + 1

    def add(self, part: Batch, outputs: list[Any], with_gradients: bool = False) -> Arrays:
        """Add a batch.

        Parameters
        ----------
        part : Batch
        outputs : list of numpy.ndarray
            Its outputs, of the model's dtype or float64.
        with_gradients : bool

        Returns
        -------
        dict of str to numpy.ndarray
            If asked for, gradients of the loss with respect to the outputs, by the names that plans know them
            by.

        Raises
        ------
        ShapeError, DTypeError, ConfigurationError
            If something of the user's own returns what it should not; nothing is added then.
        """
        self.unfit = ""
        arrays, before = part.arrays, self.sums.copy()
        weight = arrays.get(WEIGHTS)
        made: Arrays = {}
        try:
            for number in self._losses:
                tensor, y = self._outputs[number], outputs[number]
                name = array_name("upstream", tensor, self._outputs)
                loss, share = self._objective.losses[number], self._objective.shares[number]
                t = arrays[array_name("y", tensor, self._outputs)]
                value, gradient = self._loss(loss, t, y, weight)
                self.sums[self._of_loss[number]] += value * part.rows
                if with_gradients:
                    with np.errstate(over="ignore"):
                        made[name] = np.ascontiguousarray(share * gradient, y.dtype)
                    if not self.unfit and not data.all_finite(made[name]):
                        self.unfit = f"the gradient of loss {loss.name!r} is too large for {y.dtype}"
            for one, place in self._of_metric:
                self.sums[place] += self._metric(one, arrays, outputs[one.output], weight)
        except BaseException:
            self.sums = before
            raise
        return made

    def _loss(self, loss: Loss, t: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> tuple[float, Any]:
        """Return a loss of a batch, and its gradient; NaN, without a call, of outputs that are not finite."""
        if not data.all_finite(y):
            self.unfit = self.unfit or "the outputs are not finite"
            return np.nan, np.full(y.shape, np.nan)
        found = loss_of_batch(loss, t, y)
        with np.errstate(over="ignore", invalid="ignore"):
            value, factors = reduced(loss, found, weight)
            gradient = found.gradient * factors
        if found.unfit:
            self.unfit = self.unfit or f"of what loss {loss.name!r} returned, the {found.unfit}"
        elif not np.isfinite(value):
            self.unfit = self.unfit or f"the sum of what loss {loss.name!r} returned is {value}"
        return value, gradient

    def _metric(self, one: Beside, arrays: Arrays, y: np.ndarray, weight: np.ndarray | None) -> Any:
        """Return what a batch adds to the sums of a metric."""
        metric, t = one.metric, self._targets(one, arrays)
        counted = weight if one.weighted else None
        if not data.all_finite(np.ascontiguousarray(y)):
            return () if _is_object(one) else np.nan
        if _is_object(one):
            more = () if counted is None else (read_only(counted[:, 0]),)
            called(metric.update_state, f"metric {metric.name!r}", t, y, *more)
            return ()
        if isinstance(metric, FunctionMetric):
            values = metric_of_batch(metric.source, metric.name, t, y)
            if counted is None:
                return float(values.sum()), values.size
            if not values.ndim:
                raise ConfigurationError(
                    f"metric {metric.name!r} returned one number for all rows, and as a weighted metric it "
                    "is to count each row by its weight; let it return one value a row"
                )
            return float(values @ counted[:, 0].astype(np.float64)), float(counted.sum(dtype=np.float64))
        if one.by_targets and t.shape[1] == 1 and y.shape[1] > 1:
            metric = SparseCategoricalAccuracy(metric.name)
        sums, count = measure(metric, t, y, None if counted is None else counted[:, 0])
        return *sums, count

    def _targets(self, one: Beside, arrays: Arrays) -> np.ndarray:
        """Return the targets of an output as they were given."""
        tensor = self._outputs[one.output]
        t = arrays[array_name("y", tensor, self._outputs)]
        ignored = self._objective.losses[one.output].ignored
        if ignored is None:
            return t
        return np.where(arrays[array_name(KEPT, tensor, self._outputs)] != 0, t, t.dtype.type(ignored))

    def values(self, found: dict[str, Any], rows: int) -> dict[str, Any]:
        """Return all losses and metrics of a number of rows.

        Parameters
        ----------
        found : dict of str to float
            Those that plans have computed; the loss is the part that plans know.
        rows : int

        Returns
        -------
        dict of str to float
        """
        objective, found = self._objective, dict(found)
        for number, place in self._of_loss.items():
            value = float(self.sums[place][0]) / rows
            found["loss"] = found.get("loss", 0.0) + objective.shares[number] * value
            if objective.loss_keys[number]:
                found[objective.loss_keys[number]] = value
        for one, place in self._of_metric:
            found[one.key] = self._value(one, self.sums[place].tolist())
        return {key: found[key] for key in objective.keys if key in found}

    def _value(self, one: Beside, sums: list[float]) -> Any:
        metric = one.metric
        if _is_object(one):
            return _result(metric)
        *sums, count = sums
        if not metric.planned or not metric.counts:
            sums = [total / count if count else 0.0 for total in sums]
        return metric.result(sums) if metric.planned else sums[0]


def _result(metric: Any) -> Any:
    """Return the result of a metric of the user's own as a number, or an array of several."""
    try:
        result = np.asarray(metric.result(), np.float64)
    except Exception as error:
        error.add_note(f"raised by the result of metric {metric.name!r}, which must be a number, or an array")
        raise
    return result if result.ndim else float(result)


def _is_object(one: Beside) -> bool:
    """Return whether a metric keeps sums itself, being of a class of the user's own."""
    return not one.metric.planned and not isinstance(one.metric, FunctionMetric)
