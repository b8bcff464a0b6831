"""What `compile` froze: losses, metrics and their shares for each output; the optimiser's life.

This file must not know epochs, batches or programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import data
from fastnn import losses as losses_
from fastnn import metrics as metrics_
from fastnn.checks import check_number
from fastnn.errors import ConfigurationError
from fastnn.graph import Graph, metric_name
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.plan import OpCode, Plan
from fastnn.program import aligned_array, aligned_copy
from fastnn.store import Place

__all__ = ["Compiled"]


class Compiled:
    """What `compile` froze, and the optimiser's life: learning rate, step count, state.

    Attributes
    ----------
    description : Optimizer
    losses : tuple of Loss
        One for each output, once the graph is known.
    metrics : tuple of tuple of Metric
        For each output.
    measured : dict of str to Metric
        By the keys that they have in a `History`.
    shares : tuple of float
        The factor of each loss in their sum.
    iterations : int
        Steps made.
    epochs : int
        Epochs begun, which number the orders of rows.
    """

    def __init__(
        self, optimizer: Optimizer, loss: object, loss_weights: object, metrics: object, reference: bool
    ) -> None:
        self.description = optimizer
        self.losses: tuple[Loss, ...] = ()
        self.metrics: tuple[tuple[metrics_.Metric, ...], ...] = ()
        self.measured: dict[str, metrics_.Metric] = {}
        self.shares: tuple[float, ...] = ()
        self.reference = reference
        self.iterations = 0
        self.epochs = 0
        self.state: np.ndarray | None = None
        self.attached = False
        self._learning_rate = optimizer.learning_rate
        self._asked = (loss, loss_weights, metrics)
        # Unknown names are found now, not when the outputs are known.
        several = isinstance(loss, list | tuple | dict)
        chosen = [losses_.get(one) for one in (_values(loss) if several else [loss])]
        for name in _leaves(metrics):
            metrics_.get(name, chosen[0], 2)
        for share in _values(loss_weights) if isinstance(loss_weights, list | tuple | dict) else ():
            check_number(share, "a loss weight", 0.0)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.state is not None:
            self.state = aligned_copy(self.state)

    @property
    def learning_rate(self) -> float:
        """Step size; may be set between calls of `fit` and by callbacks."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = check_number(value, "learning_rate", 0.0)

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's decays, or zeros."""
        if self.description.code is not OpCode.ADAM:
            return 0.0, 0.0
        return float(getattr(self.description, "beta_1", 0.0)), float(
            getattr(self.description, "beta_2", 0.0)
        )

    def attach(self, graph: Graph, size: int, dtype: np.dtype) -> None:
        """Settle what depends on the graph: losses and metrics of each output, the size of the state."""
        loss, loss_weights, metrics = self._asked
        names = [tensor.label for tensor in graph.outputs]
        if isinstance(loss, list | tuple | dict):
            losses = tuple(losses_.get(one) for one in data.by_name(loss, names, "loss"))
        else:
            losses = (losses_.get(loss),) * len(names)
        shares = (1.0,) * len(names)
        if loss_weights is not None:
            given = data.by_name(loss_weights, names, "loss_weights")
            shares = tuple(check_number(share, "a loss weight", 0.0) for share in given)
        chosen: list[tuple[metrics_.Metric, ...]] = []
        for tensor, one, entry in zip(graph.outputs, losses, _per_output(metrics, names), strict=True):
            found = tuple(metrics_.get(name, one, tensor.columns) for name in _leaves(entry))
            _check_metrics(found, one)
            chosen.append(found)
            if one.fuses is not None and one.code is OpCode.CROSSENTROPY and tensor.columns < 2:
                raise ConfigurationError(
                    f"{one.name} needs at least 2 outputs, one per class, and the model has "
                    f"{tensor.columns}; for one output use binary_crossentropy"
                )
        self.measured = {
            metric_name(metric.name, tensor, graph.outputs): metric
            for tensor, found in zip(graph.outputs, chosen, strict=True)
            for metric in found
        }
        self.state = aligned_array(size * len(self.description.states), dtype)
        self.losses, self.shares, self.metrics, self.attached = losses, shares, tuple(chosen), True

    def move(self, before: Mapping[str, Place], old_size: int, after: Mapping[str, Place], size: int) -> None:
        """Take the state along to another store."""
        assert self.state is not None
        old, count = self.state, len(self.description.states)
        self.state = aligned_array(size * count, old.dtype)
        for position in range(count):
            source = old[position * old_size : (position + 1) * old_size]
            target = self.state[position * size : (position + 1) * size]
            for name, place in before.items():
                if name in after and after[name].shape == place.shape:
                    after[name].view(target)[...] = place.view(source)

    def forget(self) -> None:
        """Let the optimiser begin anew."""
        if self.state is not None:
            self.state.fill(0)
        self.iterations = 0

    def detach(self) -> None:
        """Forget what `attach` settled."""
        self.losses, self.shares, self.metrics, self.state, self.attached = (), (), (), None, False

    def values(self, plan: Plan, sums: np.ndarray, rows: int) -> dict[str, float]:
        """Return the loss, penalties included, and the metrics, from sums over `rows` rows."""
        return self._values(plan, sums.tolist(), rows)

    def columns(self, plan: Plan, sums: np.ndarray, rows: int) -> dict[str, list[float]]:
        """Return the same of several epochs, one row of `sums` each, as lists."""
        return {name: column.tolist() for name, column in self._values(plan, list(sums.T), rows).items()}

    def _values(self, plan: Plan, sums: Sequence[Any], rows: int) -> dict[str, Any]:
        loss, found = 0.0, {"loss": 0.0}
        for accumulator, total in zip(plan.accumulators, sums, strict=True):
            value = total / rows
            if accumulator.share is not None:
                loss += accumulator.share * value
            if accumulator.name not in ("loss", "penalty"):
                found[accumulator.name] = value
        found["loss"] = loss
        return found

    def shaped(self, values: dict[str, float], as_dict: bool) -> float | list[float] | dict[str, float]:
        """Return values as Keras does: a dict, the loss alone, or a list."""
        if as_dict:
            return values
        names = list(values)
        if len(self.losses) > 1:  # then Keras has the metrics in alphabetical order
            first = 1 + len(self.losses)
            names[first:] = sorted(names[first:])
        return [values[name] for name in names] if len(names) > 1 else values["loss"]


def _values(several: object) -> list[Any]:
    return list(several.values()) if isinstance(several, dict) else list(several)  # type: ignore[call-overload]


def _leaves(metrics: object) -> list[Any]:
    """Return the metrics in nested lists and dicts as one list."""
    if metrics is None:
        return []
    if isinstance(metrics, list | tuple | dict):
        return [leaf for entry in _values(metrics) for leaf in _leaves(entry)]
    return [metrics]


def _per_output(metrics: object, names: list[str]) -> list[object]:
    """Return the metrics of each output."""
    if len(names) == 1 and not isinstance(metrics, dict):
        return [metrics]
    if isinstance(metrics, dict):
        unknown = set(metrics) - set(names)
        if unknown:
            raise ConfigurationError(f"metrics has the key {unknown.pop()!r}; the outputs are {names}")
        return [metrics.get(name) for name in names]
    if metrics is None:
        return [None] * len(names)
    if not isinstance(metrics, list | tuple) or len(metrics) != len(names):
        raise ConfigurationError(
            f"metrics must be a list with one entry, or list, for each of the outputs {names}, or a dict"
        )
    return list(metrics)


def _check_metrics(metrics: Sequence[metrics_.Metric], loss: Loss) -> None:
    seen: set[str] = set()
    for metric in metrics:
        if metric.name in seen or metric.name in ("loss", "penalty"):
            raise ConfigurationError(f"two metrics are named {metric.name!r}; give one another name=")
        seen.add(metric.name)
        if metric.sparse != loss.sparse:
            kind = "integer labels" if loss.sparse else "one target per output"
            raise ConfigurationError(
                f"metric {metric.name!r} does not suit {loss.name}, which takes {kind}; use 'accuracy'"
            )
