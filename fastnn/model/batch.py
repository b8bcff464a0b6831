"""Checked arrays of a model's inputs and outputs, by the names that plans know them by.

The border itself is `data.py`; this file knows which array a model wants where.  It must not know programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastnn.border import advice, data
from fastnn.border.numeric import as_numbers
from fastnn.checks import check_count, check_number
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError, TrainingWarning, warn
from fastnn.graph.graph import Graph, Tensor, array_name, kept_rows_name
from fastnn.model.objective import Objective
from fastnn.model.row_weights import KEPT, row_weights

if TYPE_CHECKING:
    from fastnn.model.structure import Structure

__all__ = ["Batch", "batch_of", "features_of", "measured", "with_class_weights"]


class Batch(NamedTuple):
    """Checked arrays by the names that plans know them by.

    Attributes
    ----------
    arrays : dict of str to numpy.ndarray
    rows : int
    """

    arrays: dict[str, np.ndarray]
    rows: int

    @property
    def weighted(self) -> bool:
        """Whether there are sample weights."""
        return "sample_weight" in self.arrays

    def parts(self, rows: int) -> Iterator[Batch]:
        """Yield so many rows after the other, the last time those that are left."""
        for begin in range(0, self.rows, rows):
            end = min(begin + rows, self.rows)
            yield Batch({name: array[begin:end] for name, array in self.arrays.items()}, end - begin)


def features_of(structure: Structure, x: object, empty: bool = False, judge: bool = False) -> Batch:
    """Return features, checked at the border, and judged if that is asked for."""
    graph, dtype = structure.graph, structure.store.dtype
    arrays: dict[str, np.ndarray] = {}
    rows = -1
    given = data.by_name(x, [tensor.title for tensor in graph.inputs], "x", structure.nests[0])
    for tensor, value in zip(graph.inputs, given, strict=True):
        one = len(graph.inputs) == 1
        name = array_name("x", tensor, graph.inputs)
        said = "x" if one else f"x[{tensor.title!r}]"
        real = not tensor.kind.is_whole
        if judge and real:
            value = as_numbers(value, said)
        arrays[name] = data.as_features(
            value,
            tensor.columns,
            dtype,
            name=said,
            empty=empty,
            kind=tensor.kind,
            reader="" if real else _reader(graph, tensor),
        )
        if judge and real:
            _say(advice.on_rounding(np.asarray(value), arrays[name], said))
        if rows >= 0 and arrays[name].shape[0] != rows:
            raise ShapeError(f"{said} has {arrays[name].shape[0]} rows but the inputs before it have {rows}")
        rows = arrays[name].shape[0]
    return Batch(arrays, rows)


def batch_of(
    structure: Structure,
    x: object,
    y: object,
    sample_weight: object,
    class_weight: Mapping[int, float] | str | None = None,
    judge: bool = False,
) -> Batch:
    """Return features, targets and weights, checked at the border, and judged if that is asked for."""
    graph, objective, dtype = structure.graph, structure.need_objective(), structure.store.dtype
    measured_ = {one.output for one in objective.beside}
    features = features_of(structure, x, judge=judge)
    rows, arrays = features.rows, features.arrays
    titles = [tensor.title for tensor in graph.outputs]
    if isinstance(y, dict) and y.keys() <= set(titles):  # those of outputs without a loss may be left out
        lossless = (title for title, loss in zip(titles, objective.losses, strict=True) if loss.missing)
        y = {title: None for title in lossless if title not in y} | y
    given = data.by_name(y, titles, "y", structure.nests[1])
    for number, (tensor, loss, metrics, weighted, value) in enumerate(
        zip(
            graph.outputs,
            objective.losses,
            objective.metrics,
            objective.weighted_metrics,
            given,
            strict=True,
        )
    ):
        said = "y" if len(graph.outputs) == 1 else f"y[{tensor.title!r}]"
        if not loss.planned:
            unread = loss.missing and value is None and number not in measured_
            targets = np.zeros((rows, 1), dtype) if unread else data.as_any_targets(value, rows, dtype, said)
            arrays[array_name("y", tensor, graph.outputs)] = targets
            continue
        targets = data.as_targets(value, rows, tensor.columns, loss, dtype, name=said)
        arrays[array_name("y", tensor, graph.outputs)] = targets
        if loss.ignored is not None:
            arrays[array_name(KEPT, tensor, graph.outputs)] = data.kept_rows(value, loss.ignored, dtype)
        unknown = loss.unknown_label(tensor.columns)
        left_out = {unknown if m.ignored is None and m.sparse else m.ignored for m in (*metrics, *weighted)}
        for ignored in (label for label in left_out if label is not None):
            labels = value if loss.sparse else targets.argmax(axis=1)
            name = array_name(kept_rows_name(ignored), tensor, graph.outputs)
            arrays[name] = data.kept_rows(labels, ignored, dtype)
        if judge:
            _say(advice.on_accuracy(targets, loss, (*metrics, *weighted)))
            _say(advice.on_targets(targets, loss, said))
    if sample_weight is not None:
        arrays["sample_weight"] = data.as_sample_weight(sample_weight, rows, dtype)
    batch = Batch(arrays, rows)
    if class_weight is not None:
        batch = with_class_weights(batch, class_weight, objective)
    made = row_weights(graph.outputs, objective.losses, batch.arrays, rows)
    return Batch(batch.arrays | made, rows) if made else batch


def with_class_weights(
    batch: Batch, class_weight: Mapping[int, float] | str, objective: Objective, judge: bool = False
) -> Batch:
    """Return a batch whose sample weights are multiplied by those of the rows' classes.

    ``"balanced"`` gives all classes that there are the same sum of weights, and each row 1 in the mean, as in
    scikit-learn.
    """
    if class_weight != "balanced" and not isinstance(class_weight, Mapping):
        raise DTypeError(
            f"class_weight must be a dict of label to weight, or 'balanced', got {class_weight!r}"
        )
    if len(objective.losses) != 1:
        raise ConfigurationError("class_weight is for models with one output; use sample_weight")
    targets = batch.arrays["y"]
    labels = targets if objective.losses[0].sparse or targets.shape[1] == 1 else targets.argmax(1)[:, None]
    weights = np.ones((batch.rows, 1), targets.dtype)
    if isinstance(class_weight, Mapping):
        for label, weight in class_weight.items():
            weights[labels == _label(label)] = check_number(weight, f"class_weight[{label}]")
        if judge:
            _say(advice.on_absent_labels(labels, class_weight))
    else:
        if (labels != np.floor(labels)).any():
            raise DataError("class_weight='balanced' needs classes, and the targets are other numbers")
        kept = batch.arrays.get(KEPT, np.ones_like(weights)) != 0
        found, places, counts = np.unique(labels[kept], return_inverse=True, return_counts=True)
        weights[kept] = (kept.sum() / (len(found) * counts))[places.reshape(-1)]
    if batch.weighted:
        weights = weights * batch.arrays["sample_weight"]
    return Batch(batch.arrays | {"sample_weight": weights}, batch.rows)


def _reader(graph: Graph, tensor: Tensor) -> str:
    """Return what messages call the layer whose kind an input has."""
    node = next(node for node in graph.nodes if tensor in node.inputs and node.config.takes == tensor.kind)
    return f"{type(node.config).__name__.removesuffix('Config')} {node.layer!r}"


def measured(graph: Graph, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays without those whose numbers are no amounts, but indices."""
    indices = {array_name("x", t, graph.inputs) for t in graph.inputs if t.kind.is_whole}
    return {name: array for name, array in arrays.items() if name not in indices}


def _label(value: object) -> int:
    """Return a label of class weights, which tables with missing values have as floats."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return check_count(value, "a class_weight label", 0)


def _say(sentence: str) -> None:
    if sentence:
        warn(sentence, TrainingWarning)
