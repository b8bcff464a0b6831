"""The objective: losses, metrics and their factors for each output, once the graph is known.

This file must not know epochs, batches or programs.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fastnn import losses as losses_
from fastnn import metrics as metrics_
from fastnn.border import data
from fastnn.checks import check_number, shown
from fastnn.compiler.plan import KEPT_WEIGHTS, WEIGHTS, Plan
from fastnn.errors import ConfigurationError
from fastnn.graph.graph import PENALTY_OF, Graph, Tensor, metric_name
from fastnn.losses import Loss
from fastnn.losses._own import GivenGradient, NoLoss

__all__ = ["Beside", "Objective", "check_names", "settle"]

_GIVEN, _MISSING = GivenGradient(), NoLoss()
_BY_TARGETS = ("accuracy", "acc")  # metrics that become what suits the targets


class Beside(NamedTuple):
    """A metric that no plan measures: of the user's own, or of an output without a loss that plans compute.

    Attributes
    ----------
    key : str
        In a `History`.
    output : int
        Number of the output.
    metric : Metric
    weighted : bool
        Whether it counts rows by their sample weights.
    by_targets : bool
        Whether it is the accuracy that suits the targets.
    """

    key: str
    output: int
    metric: metrics_.Metric
    weighted: bool
    by_targets: bool


@dataclass(frozen=True)
class Objective:
    """What is minimised and what is measured.

    Attributes
    ----------
    losses : tuple of Loss
        One for each output.
    shares : tuple of float
        The factor of each loss in their sum.
    metrics : tuple of tuple of Metric
        For each output those that plans measure.
    weighted_metrics : tuple of tuple of Metric
        The same of those that count rows by their sample weights.
    measured : dict of str to Metric
        All of them, by the keys that they have in a `History`.
    beside : tuple of Beside
        Those that no plan measures.
    loss_keys : tuple of str
        What a `History` calls the loss of each output; an empty string if it is the only one, or none.
    """

    losses: tuple[Loss, ...]
    shares: tuple[float, ...]
    metrics: tuple[tuple[metrics_.Metric, ...], ...]
    weighted_metrics: tuple[tuple[metrics_.Metric, ...], ...]
    measured: dict[str, metrics_.Metric]
    beside: tuple[Beside, ...] = ()
    loss_keys: tuple[str, ...] = ()

    @property
    def has_loss(self) -> bool:
        """Whether there is anything to minimise."""
        return not all(loss.missing for loss in self.losses)

    @property
    def in_python(self) -> bool:
        """Whether something of it is computed in Python, batch by batch."""
        return bool(self.beside) or any(loss.in_python for loss in self.losses)

    @property
    def planned(self) -> tuple[Loss, ...]:
        """The losses, as plans see them."""
        if all(loss.planned for loss in self.losses):
            return self.losses
        return tuple(one if one.planned else _MISSING if one.missing else _GIVEN for one in self.losses)

    @property
    def keys(self) -> tuple[str, ...]:
        """What a `History` has, in its order."""
        return (*(("loss",) if self.has_loss else ()), *filter(None, self.loss_keys), *self.measured)

    def values(self, plan: Plan, sums: np.ndarray, rows: int) -> dict[str, float]:
        """Return the loss, penalties included, and the metrics, from sums over `rows` rows."""
        return self._values(plan, sums.tolist(), rows)

    def columns(self, plan: Plan, sums: np.ndarray, rows: int) -> dict[str, list[float]]:
        """Return the same of several epochs, one row of `sums` each, as lists."""
        found = self._values(plan, list(sums.T), rows)
        return {
            name: column.tolist() if column.ndim == 1 else list(np.moveaxis(column, -1, 0))
            for name, column in found.items()
        }

    def _values(self, plan: Plan, sums: Sequence[Any], rows: int) -> dict[str, Any]:
        loss, found = 0.0, {"loss": 0.0}
        denominators: dict[str, Any] = {"rows": rows}
        first = 0
        within_steps = {clip.accumulator for clip in plan.clips}
        for number, accumulator in enumerate(plan.accumulators):
            part = sums[first : first + accumulator.width]
            first += accumulator.width
            if number in within_steps:
                continue
            if accumulator.name == WEIGHTS or accumulator.name.startswith(KEPT_WEIGHTS):
                denominators["weights" if accumulator.name == WEIGHTS else "kept"] = part[0]
                continue
            if accumulator.per != "nothing":
                denominator = denominators[accumulator.per]
                part = [_over(total, denominator) for total in part]
            if accumulator.share is not None:
                loss += accumulator.share * part[0]
            if accumulator.name in self.measured or accumulator.name in self.loss_keys:
                metric = self.measured.get(accumulator.name)
                found[accumulator.name] = part[0] if metric is None else metric.result(part)
        found["loss"] = loss
        return found

    def names(self, graph: Graph) -> list[str]:
        """Return what the values of a list are, see `shaped`."""
        if len(graph.outputs) == 1:
            return ["loss", *self.measured]
        return ["loss", *filter(None, self.loss_keys), *sorted(self.measured)]

    def shaped(self, values: dict[str, float], as_dict: bool) -> float | list[float] | dict[str, float]:
        """Return values as Keras does: a dict, the loss alone, or a list."""
        if as_dict:
            return values
        names = list(values)
        if len(self.losses) > 1:  # then Keras has the metrics in alphabetical order
            first = self.has_loss + sum(map(bool, self.loss_keys))
            names[first:] = sorted(names[first:])
        return [values[name] for name in names] if len(names) > 1 else values[names[0]]


def _over(total: Any, denominator: Any) -> Any:
    """Return a quotient, or several; what is divided by 0, when all weights are, is 0, as in Keras."""
    if isinstance(denominator, np.ndarray):
        return np.divide(total, denominator, out=np.zeros_like(total), where=denominator != 0)
    return total / denominator if denominator else 0.0


def check_names(loss: object, loss_weights: object, metrics: object, weighted_metrics: object) -> None:
    """Raise for unknown names: they are found when `compile` is called, not when the outputs are known."""
    if isinstance(loss, str) and loss_weights is metrics is weighted_metrics is None:
        losses_.get(loss)
        return
    several = isinstance(loss, list | tuple | dict)
    given = list(_each(loss)) if several else [loss]
    if not given:
        raise ConfigurationError(f"loss is {shown(loss)}, which is none; leave it out, or give loss='mse'")
    chosen = [_loss(one) for one in given]
    for name in (*_leaves(metrics), *_leaves(weighted_metrics)):
        metrics_.get(name, chosen[0], 2)
    for share in _leaves(loss_weights) if isinstance(loss_weights, list | tuple | dict) else ():
        check_number(share, "a loss weight", 0.0)


@functools.lru_cache(maxsize=64)
def _of_one_loss(loss: str, outputs: tuple[Tensor, ...]) -> Objective:
    """Return the objective that is a loss by its name, and nothing else."""
    return _settle(outputs, loss, None, None, None)


def settle(
    graph: Graph, loss: object, loss_weights: object, metrics: object, weighted_metrics: object
) -> Objective:
    """Return the objective of a graph, from what `compile` was given."""
    if isinstance(loss, str) and loss_weights is metrics is weighted_metrics is None:
        return _of_one_loss(loss, graph.outputs)
    return _settle(graph.outputs, loss, loss_weights, metrics, weighted_metrics)


def _settle(
    outputs: tuple[Tensor, ...],
    loss: object,
    loss_weights: object,
    metrics: object,
    weighted_metrics: object,
) -> Objective:
    names = [tensor.title for tensor in outputs]
    if isinstance(loss, list | tuple | dict):
        titled = _by_title(_in_a_row(loss, names), names)
        if isinstance(titled, dict) and titled and titled.keys() <= set(names):
            titled = dict.fromkeys(names) | titled  # outputs that are not named have no loss, as in Keras
        given = data.by_name(titled, names, "loss")
        losses = tuple(_loss(_only(one)) for one in given)
    else:
        losses = (_loss(loss),) * len(names)
    shares = _shares(loss_weights, losses, names)
    parts: dict[bool, list[tuple[metrics_.Metric, ...]]] = {False: [], True: []}  # by whether they weigh rows
    measured: dict[bool, dict[str, metrics_.Metric]] = {False: {}, True: {}}
    beside: list[Beside] = []
    of_output = zip(
        outputs,
        losses,
        _per_output(metrics, names, "metrics"),
        _per_output(weighted_metrics, names, "weighted_metrics"),
        strict=True,
    )
    for number, (tensor, one, plain, counted) in enumerate(of_output):
        one.check_outputs(tensor.columns)
        if getattr(one, "axis", -1) not in (-1, 1):
            raise ConfigurationError(
                f"{one.name} has axis={getattr(one, 'axis', -1)}, and outputs of a model are (rows, outputs) "
                "with a loss for each row: it must be -1 or 1"
            )
        if one.reduction in (None, "none"):
            raise ConfigurationError(
                f"{one.name} with reduction={one.reduction!r} is one number a row, and training needs one "
                "for all: use 'sum_over_batch_size', 'sum' or 'mean_with_sample_weight'"
            )
        taken: set[str] = set()
        for weighted, chosen in ((False, plain), (True, counted)):
            asked = _leaves(chosen)
            found = [metrics_.get(name, one, tensor.columns) for name in asked]
            if weighted:
                found = [_apart(metric, taken) for metric in found]
            found = _numbered(found, taken)
            _check_metrics(found, one, tensor.columns)
            taken |= {metric.name for metric in found}
            keys = [metric_name(metric.name, tensor, outputs) for metric in found]
            measured[weighted] |= dict(zip(keys, found, strict=True))
            parts[weighted].append(tuple(metric for metric in found if metric.planned and one.planned))
            beside += [
                Beside(key, number, metric, weighted, isinstance(name, str) and name in _BY_TARGETS)
                for key, metric, name in zip(keys, found, asked, strict=True)
                if not (metric.planned and one.planned)
            ]
    objects = [id(one.metric) for one in beside if not one.metric.planned]
    if len(set(objects)) < len(objects):
        raise ConfigurationError("a metric of your own is given twice; give each output an object of its own")
    only_loss = sum(not one.missing for one in losses) == 1
    return Objective(
        losses,
        shares,
        tuple(parts[False]),
        tuple(parts[True]),
        measured[False] | measured[True],
        tuple(beside),
        tuple(
            "" if one.missing or only_loss else metric_name("loss", tensor, outputs)
            for tensor, one in zip(outputs, losses, strict=True)
        ),
    )


def _shares(loss_weights: Any, losses: tuple[Loss, ...], names: list[str]) -> tuple[float, ...]:
    """Return the factor of each output's loss; where there is no loss, none needs to be given."""
    if loss_weights is None:
        return (1.0,) * len(names)
    titled = _by_title(_in_a_row(loss_weights, names), names)
    if isinstance(titled, dict) and titled and titled.keys() <= set(names):
        without = (name for name, loss in zip(names, losses, strict=True) if loss.missing)
        titled = dict.fromkeys(without, 1.0) | titled
    given = [_only(one) for one in data.by_name(titled, names, "loss_weights")]
    return tuple(1.0 if share is None else check_number(share, "a loss weight", 0.0) for share in given)


def _in_a_row(several: Any, names: Sequence[str]) -> Any:
    """Return what lists in one another hold, where that is one thing for each output, else as it was."""
    if not isinstance(several, list | tuple) or len(several) == len(names):
        return several
    flat = _flat(several)
    return flat if len(flat) == len(names) else several


def _flat(several: object) -> list[Any]:
    if isinstance(several, list | tuple):
        return [leaf for one in several for leaf in _flat(one)]
    return [several]


def _loss(loss: object) -> Loss:
    """Return the loss that something stands for; nothing for None."""
    return _MISSING if loss is None else losses_.get(loss)


def _apart(metric: metrics_.Metric, taken: set[str]) -> metrics_.Metric:
    """Return a weighted metric, under another name if a metric without weights has that, as in Keras."""
    return _renamed(metric, f"weighted_{metric.name}") if metric.name in taken else metric


def _numbered(metrics: Sequence[metrics_.Metric], taken: set[str]) -> list[metrics_.Metric]:
    """Return metrics of different names, with a number behind one that was there before, as in Keras."""
    found: list[metrics_.Metric] = []
    names = set(taken)
    for metric in metrics:
        tried = (metric.name, *(f"{metric.name}_{number}" for number in range(1, len(names) + 1)))
        name = next(name for name in tried if name not in names)
        names.add(name)
        found.append(metric if name == metric.name else _renamed(metric, name))
    return found


def _renamed(metric: metrics_.Metric, name: str) -> metrics_.Metric:
    if metric.planned:
        return replace(metric, name=name)
    other = copy.deepcopy(metric)  # with sums of its own
    object.__setattr__(other, "name", name)
    return other


def _only(several: object) -> object:
    """Return the one entry of a list, as an output's loss may stand in one of its own, as in Keras."""
    return several[0] if isinstance(several, list | tuple) and len(several) == 1 else several


def _each(losses: object) -> Iterator[object]:
    """Yield the losses in lists and dicts in one another."""
    if isinstance(losses, list | tuple) or (isinstance(losses, dict) and "class_name" not in losses):
        for one in _values(losses):
            yield from _each(one)
    else:
        yield losses


def _by_title(several: Any, names: Sequence[str], prefix: str = "") -> Any:
    """Return what belongs to outputs in a dict in which there are no others; anything else as it is."""
    if not isinstance(several, dict) or ("class_name" in several and prefix):
        return several
    found: dict[str, Any] = {}
    for key, value in several.items():
        title = f"{prefix}{key}"
        inside = [name for name in names if name.startswith(f"{title}/")]
        if not inside or title in names:
            found[title] = value
        elif isinstance(value, dict) and "class_name" not in value:
            found |= _by_title(value, names, f"{title}/")
        elif isinstance(value, list | tuple) and len(_in_a_row(value, inside)) == len(inside):
            found |= zip(inside, _in_a_row(value, inside), strict=True)
        else:
            found |= dict.fromkeys(inside, value)
    return found


def _values(several: object) -> list[Any]:
    return list(several.values()) if isinstance(several, dict) else list(several)  # type: ignore[call-overload]


def _leaves(metrics: object) -> list[Any]:
    """Return the metrics in nested lists and dicts as one list."""
    if metrics is None:
        return []
    if isinstance(metrics, list | tuple | dict):
        return [leaf for entry in _values(metrics) for leaf in _leaves(entry)]
    return [metrics]


def _per_output(metrics: object, names: list[str], what: str) -> list[object]:
    """Return the metrics of each output."""
    if len(names) == 1 and not isinstance(metrics, dict):
        return [metrics]
    metrics = _by_title(_in_a_row(metrics, names), names)
    if isinstance(metrics, dict):
        unknown = set(metrics) - set(names)
        if unknown:
            raise ConfigurationError(f"{what} has the key {unknown.pop()!r}; the outputs are {names}")
        return [metrics.get(name) for name in names]
    if metrics is None:
        return [None] * len(names)
    if not isinstance(metrics, list | tuple) or len(metrics) != len(names):
        raise ConfigurationError(
            f"{what} must be a list with one entry, or list, for each of the outputs {names}, or a dict"
        )
    return list(metrics)


def _check_places(metric: metrics_.Metric, loss: Loss, outputs: int) -> None:
    """Raise for an axis, or a label, that a model's outputs do not have."""
    if getattr(metric, "axis", -1) not in (-1, 1):
        raise ConfigurationError(
            f"metric {metric.name!r} has axis={getattr(metric, 'axis', -1)}, and outputs of a model are "
            "(rows, outputs): it must be -1 or 1, that of the outputs"
        )
    if metric.ignored not in (None, loss.ignored, *range(outputs)):
        raise ConfigurationError(
            f"metric {metric.name!r} has ignore_class={metric.ignored}, and labels of the model are 0 to "
            f"{outputs - 1}; give the loss the same ignore_class"
        )


def _check_metrics(metrics: Sequence[metrics_.Metric], loss: Loss, outputs: int) -> None:
    for metric in metrics:
        if metric.name.startswith(KEPT_WEIGHTS):
            raise ConfigurationError(f"a metric is named {metric.name!r}; names do not begin so")
        if metric.name in ("loss", "penalty", WEIGHTS) or metric.name.startswith(PENALTY_OF):
            raise ConfigurationError(f"two metrics are named {metric.name!r}; give one another name=")
        if not metric.planned:
            continue
        metric.constants(outputs)  # which says if the metric is not for so many
        _check_places(metric, loss, outputs)
        if loss.traits.heads > 1:
            raise ConfigurationError(
                f"metric {metric.name!r} compares each output with a target, and {loss.name} has "
                f"{loss.traits.heads} outputs for each; compute it from model.predict(x)"
            )
        if metric.sparse != loss.sparse and loss.planned:
            kind = "integer labels" if loss.sparse else "one target per output"
            raise ConfigurationError(
                f"metric {metric.name!r} does not suit {loss.name}, which takes {kind}; use 'accuracy'"
            )
