"""What is allowed but hardly meant, judged before it trains in silence: what is wrong, and what to do.

Functions return sentences; whoever calls them warns.  They look at the graph and the losses, at checked
arrays and the sources of these, and at the losses of the first epochs.  This file must not know models or
programs.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import numpy as np

from fastnn.border import data
from fastnn.graph.graph import (
    ActivationConfig,
    AffineConfig,
    DenseConfig,
    Graph,
    Merge,
    MergeConfig,
    Node,
    Tensor,
    WeightedSumConfig,
)
from fastnn.losses import BinaryCrossentropy, Loss
from fastnn.metrics import BinaryAccuracy, CategoricalAccuracy, Metric
from fastnn.ops import ACTIVATIONS, Activation, Values, name_of

__all__ = [
    "FIRST_EPOCHS",
    "on_absent_labels",
    "on_accuracy",
    "on_first_losses",
    "on_outputs",
    "on_targets",
    "on_rounding",
    "on_scales",
]

FIRST_EPOCHS = 3  # whose losses are judged
_LARGEST_LOSS = 1e12
_STEADY = 1e-7  # relative changes of a loss that come from the order of rows
_LARGE = 100.0  # what to scale when training fails
_SAMPLED_ROWS = 2048
_NARROW = (
    2.0**-10
)  # a column's spread by its magnitude, below which float32 has less than 2**14 values for it
_KEPT = 0.9  # of the distinct values


# -- outputs and losses


class _Kind(enum.Enum):
    PROBABILITIES = "probabilities"
    SCORES = "scores"
    UNKNOWN = "unknown"


_BETWEEN = (Merge.AVERAGE, Merge.MAXIMUM, Merge.MINIMUM, Merge.MULTIPLY, Merge.CONCATENATE)


def _kinds(graph: Graph) -> dict[str, _Kind]:
    """Return what each tensor holds, as far as the layers say so."""
    kinds = {tensor.name: _Kind.UNKNOWN for tensor in graph.inputs}
    makers = {node.output.name: node for node in graph.nodes}
    for node in graph.nodes:
        kinds[node.output.name] = _kind(node, [kinds[tensor.name] for tensor in node.inputs], makers)
    return kinds


def _kind(node: Node, before: Sequence[_Kind], makers: Mapping[str, Node]) -> _Kind:
    config = node.config
    if config.hands_through:
        return before[0]
    if isinstance(config, DenseConfig | ActivationConfig):
        values = ACTIVATIONS[config.activation].values
        if values is Values.PROBABILITIES:
            return _Kind.PROBABILITIES
        if values is Values.OTHER:
            return _Kind.UNKNOWN
        if isinstance(config, DenseConfig) or before[0] is _Kind.SCORES:
            return _Kind.SCORES
        return before[0] if config.activation is Activation.LINEAR else _Kind.UNKNOWN
    if isinstance(config, WeightedSumConfig):
        return _Kind.UNKNOWN
    if isinstance(config, MergeConfig):
        if set(before) == {_Kind.SCORES}:
            return _Kind.SCORES
        if set(before) == {_Kind.PROBABILITIES} and config.merge in _BETWEEN:
            return _Kind.PROBABILITIES
        return _Kind.UNKNOWN
    if isinstance(config, AffineConfig) and before[0] is _Kind.SCORES:
        # (tanh + 1) / 2 lies between 0 and 1.
        maker = makers[node.inputs[0].name].config
        activation = getattr(maker, "activation", Activation.TANH)
        return _Kind.SCORES if ACTIVATIONS[activation].values is Values.SCORES else _Kind.UNKNOWN
    return _Kind.UNKNOWN


def _activation(tensor: Tensor, makers: Mapping[str, Node]) -> Activation | None:
    """Return the activation that makes a tensor, or None."""
    node = makers.get(tensor.name)
    plain = ActivationConfig(Activation.LINEAR)
    while node is not None and (node.config == plain or node.config.hands_through):
        node = makers.get(node.inputs[0].name)
    return getattr(node.config, "activation", None) if node is not None else None


def on_outputs(graph: Graph, losses: Sequence[Loss]) -> list[str]:
    """Return what is said of outputs that do not suit their losses.

    Parameters
    ----------
    graph : Graph
    losses : sequence of Loss
        One for each output.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    >>> print(*on_outputs(model.graph, [BinaryCrossentropy()]))
    binary_crossentropy takes probabilities, but output 'dense' has no activation; give its layer \
activation='sigmoid', or use BinaryCrossentropy(from_logits=True)
    """
    makers = {node.output.name: node for node in graph.nodes}
    kinds = _kinds(graph) if any(loss.fuses is not None for loss in losses) else {}
    said = []
    for tensor, loss in zip(graph.outputs, losses, strict=True):
        sentence = _on_output(tensor, loss, kinds.get(tensor.name), _activation(tensor, makers))
        if sentence:
            said.append(sentence)
    return said


def _on_output(tensor: Tensor, loss: Loss, kind: _Kind | None, activation: Activation | None) -> str:
    one_softmax = activation is Activation.SOFTMAX and tensor.columns == 1
    what = f"output {tensor.title!r}"
    if loss.positive and activation is Activation.LINEAR:
        return (
            f"{loss.name} takes means above 0, but {what} has no activation; give its layer "
            "activation='softplus', or 'exponential'"
        )
    if loss.fuses is None and not one_softmax:
        return ""
    if one_softmax:
        return (
            f"{what} is the softmax of one unit, which is always 1; use activation='sigmoid' with "
            "binary_crossentropy, or one unit for each class"
        )
    if loss.fuses is None:
        return ""
    fused, name = name_of(loss.fuses), type(loss).__name__
    if loss.logits:
        if kind is not _Kind.PROBABILITIES:
            return ""
        source = "probabilities" if activation is None else f"a {name_of(activation)}"
        return (
            f"{name}(from_logits=True) takes scores and applies {fused} itself, but {what} is {source} "
            "already; leave out from_logits=True, or the activation"
        )
    if kind is _Kind.SCORES:
        has = (
            "no activation"
            if activation in (None, Activation.LINEAR)
            else f"activation {name_of(activation)!r}"
        )
        return (
            f"{loss.name} takes probabilities, but {what} has {has}; give its layer "
            f"activation={fused!r}, or use {name}(from_logits=True)"
        )
    if activation is Activation.SOFTMAX and isinstance(loss, BinaryCrossentropy):
        return (
            f"binary_crossentropy is for outputs that do not depend on each other, but {what} is a softmax, "
            "whose columns sum to 1; use categorical_crossentropy, or activation='sigmoid'"
        )
    return ""


# -- data


def on_targets(y: np.ndarray, loss: Loss, name: str) -> str:
    """Return what is said of targets that are no probabilities, though the loss takes them for some.

    Parameters
    ----------
    y : numpy.ndarray, (rows, outputs)
        Checked.
    loss : Loss
    name : str
        Of the array.

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> print(on_targets(np.array([[-1.0], [1.0]]), BinaryCrossentropy(), "y"))
    y is meant to lie in [0, 1] for binary_crossentropy, got values from -1 to 1; for -1 and 1 use \
(y + 1) / 2
    """
    if not loss.probabilities or not y.size or (y.min() >= 0 and y.max() <= 1):
        return ""
    said = f"{name} is meant to lie in [0, 1] for {loss.name}, got values from {y.min():g} to {y.max():g}"
    return said + (_binary_hint(y, name) if y.shape[1] == 1 else "")


def _binary_hint(array: np.ndarray, name: str) -> str:
    """Return what would bring targets of one output into [0, 1], if they look like labels."""
    found = set(np.unique(array).tolist())
    if found <= {1.0, 2.0}:
        return f"; labels begin at 0, so subtract 1: {name} - 1"
    if found <= {-1.0, 1.0}:
        return f"; for -1 and 1 use ({name} + 1) / 2"
    if min(found) >= 0 and all(value.is_integer() for value in found):
        return "; for more than two classes use sparse_categorical_crossentropy and one output for each"
    return ""


def on_accuracy(y: np.ndarray, loss: Loss, metrics: Sequence[Metric]) -> str:
    """Return what is said of the accuracy of a regression, or "".

    Parameters
    ----------
    y : numpy.ndarray, (rows, outputs)
        Checked targets of an output.
    loss : Loss
    metrics : sequence of Metric
        Of that output.

    Returns
    -------
    str

    Examples
    --------
    >>> from fastnn.losses import MeanSquaredError
    >>> y = np.array([[0.5], [2.0]])
    >>> on_accuracy(y, MeanSquaredError(), [BinaryAccuracy("accuracy")])[:43]
    "metric 'accuracy' compares classes, but the"
    """
    named = [m.name for m in metrics if isinstance(m, BinaryAccuracy | CategoricalAccuracy)]
    if not named or loss.fuses is not None or loss.sparse:
        return ""
    if y.shape[1] == 1:
        classes = bool(((y == 0) | (y == 1)).all())
    else:
        classes = bool(((y >= 0) & (y <= 1)).all() or (np.abs(y) == 1).all())
    if classes:
        return ""
    return (
        f"metric {named[0]!r} compares classes, but the targets of {loss.name} are other numbers than 0 "
        "and 1; for a regression leave it out, or use 'mse'"
    )


def on_absent_labels(labels: np.ndarray, class_weight: Mapping[int, float]) -> str:
    """Return what is said of class weights for labels that no row has, or "".

    Parameters
    ----------
    labels : numpy.ndarray
        Those of the rows.
    class_weight : mapping of int to float

    Returns
    -------
    str

    Examples
    --------
    >>> on_absent_labels(np.array([0, 1]), {1: 2.0, 2: 3.0})[:52]
    'class_weight has weights for labels that no training'
    """
    found = np.unique(labels)
    absent = [label for label in class_weight if not (found == label).any()]
    if not absent:
        return ""
    seen = ", ".join(f"{label:g}" for label in found[:10]) + (", ..." if len(found) > 10 else "")
    return (
        f"class_weight has weights for labels that no training row has: {', '.join(map(str, absent[:10]))}; "
        f"the rows have {seen}, take the others out of class_weight or correct them"
    )


def on_rounding(source: np.ndarray, kept: np.ndarray, name: str) -> str:
    """Return what is said of columns whose values float32 cannot tell apart, or "".

    Only columns whose spread is small beside their magnitude, such as Unix times, are looked at, and of
    these about 2000 rows.

    Parameters
    ----------
    source : numpy.ndarray, (rows, columns) or (rows,)
        As it was given.
    kept : numpy.ndarray, (rows, columns)
        The same as the model's dtype.
    name : str

    Returns
    -------
    str

    Examples
    --------
    >>> times = 1.7e9 + np.arange(360.0).reshape(-1, 1)
    >>> print(on_rounding(times, times.astype(np.float32), "x"))
    float32 cannot tell the values in column 0 of x apart: of 360 distinct ones 4 remain; \
subtract the smallest first, as by x - x.min(axis=0), and scale, or use dtype='float64'
    """
    if kept.dtype != np.float32 or not kept.size or source.dtype.itemsize < 4:
        return ""
    step = max(1, kept.shape[0] // _SAMPLED_ROWS)
    for column in data.narrow_columns(kept, step, _NARROW):
        rounded, exact = kept[::step], source.reshape(kept.shape)[::step]
        n_kept, n_exact = len(np.unique(rounded[:, column])), len(np.unique(exact[:, column]))
        low, high = float(rounded[:, column].min()), float(rounded[:, column].max())
        magnitude = max(abs(low), abs(high))
        if exact.dtype == np.float32 and magnitude >= 2**24:
            # Values that fill what float32 has there were rounded before they came here.
            places = (high - low) / float(np.spacing(np.float32(magnitude)))
            lost = 2 < n_kept and places <= 4 * n_kept
            counts = f"between {low:.0f} and {high:.0f} it has only {places + 1:.0f}"
        else:
            lost = n_kept < _KEPT * n_exact
            counts = f"of {n_exact} distinct ones {n_kept} remain"
        if lost:
            return (
                f"float32 cannot tell the values in column {column} of {name} apart: {counts}; subtract the "
                f"smallest first, as by {name} - {name}.min(axis=0), and scale, or use dtype='float64'"
            )
    return ""


# -- losses


def _largest(arrays: Mapping[str, np.ndarray], losses: Sequence[Loss]) -> dict[str, float]:
    """Return the largest magnitudes of what takes part in a loss."""
    targets = [name for name in arrays if name == "y" or name.startswith("y:")]
    labels = {name for name, loss in zip(targets, losses, strict=True) if loss.sparse}
    found = dict.fromkeys(("inputs", "targets", "sample weights"), 0.0)
    for name, array in arrays.items():
        if name not in labels and array.size:
            kind = {"x": "inputs", "y": "targets"}.get(name.split(":")[0], "sample weights")
            found[kind] = max(found[kind], abs(float(array.min())), abs(float(array.max())))
    return found


def on_scales(arrays: Mapping[str, np.ndarray], losses: Sequence[Loss]) -> str:
    """Return how to scale what is large among the arrays of a training, or "".

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        By the names that plans know them by.
    losses : sequence of Loss
        One for each output.

    Returns
    -------
    str

    Examples
    --------
    >>> from fastnn.losses import MeanSquaredError
    >>> on_scales({"x": np.ones((1, 1)), "y": np.full((1, 1), 1e18)}, [MeanSquaredError()])
    'scale the targets, which reach 1e+18'
    """
    found = _largest(arrays, losses)
    bound = max(_LARGE, max(found.values()) / 1000)
    large = [f"the {kind}, which reach {size:.3g}" for kind, size in found.items() if size > bound]
    return f"scale {' and '.join(large)}" if large else ""


def on_first_losses(values: Sequence[float], arrays: Mapping[str, np.ndarray], losses: Sequence[Loss]) -> str:
    """Return what is said of the losses of the first epochs, or "".

    Parameters
    ----------
    values : sequence of float
        Up to `FIRST_EPOCHS`, finite.
    arrays : mapping of str to numpy.ndarray
        By the names that plans know them by.
    losses : sequence of Loss
        One for each output.

    Returns
    -------
    str

    Examples
    --------
    >>> from fastnn.losses import MeanSquaredError
    >>> arrays = {"x": np.ones((1, 1)), "y": np.full((1, 1), 1e9)}
    >>> on_first_losses([1e18], arrays, [MeanSquaredError()])
    'the loss begins at 1e+18; scale the targets, which reach 1e+09'
    """
    if abs(values[0]) > _LARGEST_LOSS:
        scales = on_scales(arrays, losses)
        return f"the loss begins at {values[0]:.3g}; {scales}" if scales else ""
    if len(values) < FIRST_EPOCHS or not values[0]:
        return ""
    if max(values) - min(values) > _STEADY * abs(values[0]):
        return ""
    advice = on_scales(arrays, losses) or (
        "no gradient reaches the weights, or the learning rate is too small for them: other initial weights, "
        "'leaky_relu' instead of 'relu', or another learning rate may help"
    )
    return f"the loss has not moved from {values[0]:.6g} in {len(values)} epochs; {advice}"
