"""An estimator as an ONNX graph: its columns, its steps, its nets, and the labels.

Names are those that users of scikit-learn's own converter know: ``label`` and ``probabilities``, or
``variable``.  This file must not know single transformers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.errors import ConfigurationError
from fastnn.export.estimators import Fitted, check_text, fitted_of, joined, plain_labels
from fastnn.export.forward import Forward
from fastnn.export.onnx import Writer
from fastnn.export.onnx_steps import write_step
from fastnn.export.onnx_table import Piece, Table
from fastnn.export.scalers import is_of

__all__ = ["estimator_as_onnx"]

_RESULTS = ("label", "probabilities", "variable")


def estimator_as_onnx(estimator: Any) -> Any:
    """Return an estimator, or a Pipeline that ends in one, as an `onnx.ModelProto`.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Fitted.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ConfigurationError
        If it is not fitted, or there is something without a counterpart.
    """
    fitted = fitted_of(estimator)
    forward = joined(fitted.exported)
    first = fitted.steps[0][1] if fitted.steps else fitted.estimator
    names = getattr(first, "feature_names_in_", None)
    width = _width(first, forward)
    named = [f"x{number}" for number in range(width)] if names is None else list(map(str, names))
    if not (is_of("sklearn", first, "ColumnTransformer") and names is not None):
        # What the steps read says whether one matrix holds all.
        shown = [name.encode("utf-8", "replace").decode() for name in named]
        contents = {piece.content or "numbers" for piece in _Graph(fitted, forward, _singles(shown)).pieces}
        if len(contents) == 1:
            return _Graph(fitted, forward, [Piece("X", width)]).model()
    for name, count in Counter(named).items():
        if not check_text(name, "the column", "ONNX") or count > 1:
            raise ConfigurationError(
                f"the column {name!r} has no name of its own, which an input of ONNX needs; "
                "rename the columns"
            )
    return _Graph(fitted, forward, _singles(named)).model()


def _width(first: Any, forward: Forward) -> int:
    """Return how many columns rows have."""
    if hasattr(first, "_exported"):
        return forward.inputs[0][1].columns
    if not hasattr(first, "n_features_in_"):
        raise ConfigurationError(
            f"the step {type(first).__name__} is not fitted; fit the Pipeline, then export it"
        )
    return int(first.n_features_in_)


def _singles(names: Sequence[str]) -> list[Piece]:
    """Return one piece a column."""
    return [Piece(name, 1) for name in names]


class _Graph:
    """The nodes of an estimator, of rows that come in these pieces."""

    def __init__(self, fitted: Fitted, forward: Forward, pieces: list[Piece]) -> None:
        self.pieces, self._exported = pieces, fitted.exported
        self._w = Writer(forward, [*(piece.value for piece in pieces), *_RESULTS])
        table = Table(self._w, pieces)
        for name, step in fitted.steps:
            table = write_step(self._w, name, step, table)
        self._width = forward.outputs[0][1].columns
        (self._result,) = self._w.predicted([table.numbers()])

    def model(self) -> Any:
        """Return the `onnx.ModelProto`."""
        from onnx import TensorProto

        w = self._w
        inputs = [
            (
                piece.value,
                TensorProto.STRING if piece.content == "texts" else w.real,
                ["rows", piece.width],
            )
            for piece in self.pieces
            if piece.content is not None or len(self.pieces) == 1  # others are read by none
        ]
        if self._exported.task == "numbers":
            return w.finish(inputs, [("variable", self._result, w.real, ["rows", self._width])])
        label, kind, shape = self._label()
        return w.finish(
            inputs,
            [
                ("label", label, kind, shape),
                ("probabilities", self._result, w.real, ["rows", self._width]),
            ],
        )

    def _label(self) -> tuple[str, int, list[Any]]:
        """Return value, type and shape of the labels."""
        from onnx import TensorProto, helper

        w = self._w
        if self._exported.task == "labels":
            above = w.node("Greater", self._result, 0.5)
            return w.node("Cast", above, to=TensorProto.INT64), TensorProto.INT64, ["rows", self._width]
        assert self._exported.classes is not None
        classes = plain_labels(self._exported.classes, "ONNX")
        text = classes.dtype == np.dtype(object)
        kind = TensorProto.STRING if text else helper.np_dtype_to_tensor_dtype(classes.dtype)
        place = w.node("ArgMax", self._result, axis=1, keepdims=0)
        if len(classes) == 1:  # of which the net has an output, and predictions none
            place = w.node("Mul", place, w.whole(0))
        return w.node("Gather", w.constant("classes", classes), place), kind, ["rows"]
