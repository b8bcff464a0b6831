"""What pictures ask of models and of estimators: outputs, classes, names of features, nets.

An estimator is whatever has `predict`, and was fitted: scikit-learn is not imported.  This file must not know
kernels or plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.checks import check_number
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError
from fastnn.export.weights import from_sklearn
from fastnn.ops import Activation

__all__ = [
    "Decision",
    "codes_of",
    "decision_of",
    "feature_names_of",
    "is_model",
    "last_activation",
    "last_step",
    "need_predictor",
    "nets_of",
    "numbers_of",
    "outputs_of",
    "predicted_labels",
    "title_of",
]


def is_model(thing: object) -> bool:
    """Return whether something is a model of fastnn."""
    return hasattr(type(thing), "graph")


def need_predictor(thing: Any, picture: str) -> None:
    """Refuse what is neither a model nor an estimator."""
    if isinstance(thing, type) or not (is_model(thing) or hasattr(thing, "predict")):
        raise DTypeError(f"{picture} needs a model, or an estimator that was fitted, got {thing!r}")


def last_step(estimator: Any) -> Any:
    """Return the last step of a Pipeline, or the estimator itself."""
    steps = getattr(estimator, "steps", None)
    return steps[-1][1] if steps else estimator


def title_of(estimator: Any) -> str:
    """Return what a picture calls a model or an estimator."""
    return str(estimator.name) if is_model(estimator) else type(last_step(estimator)).__name__


def last_activation(model: Any) -> Activation | None:
    """Return the activation of a model's one output; None after a layer that has none."""
    graph = model.graph
    maker = next((node for node in graph.nodes if node.output == graph.outputs[0]), None)
    return getattr(getattr(maker, "config", None), "activation", None)


def outputs_of(model: Any, x: object) -> np.ndarray:
    """Return the outputs of a model with one output tensor, (rows, outputs), in float64."""
    if len(model.graph.outputs) > 1:
        names = ", ".join(tensor.label for tensor in model.graph.outputs)
        raise ShapeError(
            f"model {model.name!r} has several outputs, {names}, and one can be drawn; make a model of that "
            "one, fastnn.Model(inputs, output)"
        )
    return np.asarray(model.predict(x, verbose=0), np.float64)


@dataclass(frozen=True)
class Decision:
    """How the outputs of a model or an estimator become classes.

    Attributes
    ----------
    estimator : Model or estimator
    labels : numpy.ndarray, (classes,)
    limit : float or None
        Where the classes of one output part; None where the largest output wins.
    method : str
        What is called: ``"predict"``, ``"predict_proba"``, ``"decision_function"``.
    """

    estimator: Any
    labels: np.ndarray
    limit: float | None
    method: str

    def outputs(self, x: Any) -> np.ndarray:
        """Return the outputs, (rows, 1) with a limit, else (rows, classes)."""
        if is_model(self.estimator):
            return outputs_of(self.estimator, x)
        found = np.asarray(getattr(self.estimator, self.method)(x))
        if self.method == "predict":
            if self.limit is not None:
                return found.reshape(len(found), -1).astype(np.float64)
            return (found[:, None] == self.labels).astype(np.float64)
        if self.limit is not None:
            found = found[:, 1] if self.method == "predict_proba" else found.reshape(len(found))
            return found[:, None].astype(np.float64)
        return found.astype(np.float64)

    def decide(self, outputs: np.ndarray) -> np.ndarray:
        """Return the number of the class of each row of outputs, as the accuracies count it."""
        if self.limit is None:
            return outputs.argmax(axis=1)
        return (outputs[:, 0] > self.limit).astype(int)


def decision_of(estimator: Any, threshold: float | None, picture: str) -> Decision:
    """Return how outputs become classes; refuse what does not tell classes apart."""
    need_predictor(estimator, picture)
    if is_model(estimator):
        return _decision_of_model(estimator, threshold)
    limit = None if threshold is None else check_number(threshold, "threshold")
    if not hasattr(estimator, "classes_"):
        if limit is None:
            raise ConfigurationError(
                f"{type(estimator).__name__} has no classes_: fit it, if it is a classifier; of numbers say "
                "where the classes part, for example threshold=0.5"
            )
        return Decision(estimator, np.arange(2), limit, "predict")
    labels = estimator.classes_
    if isinstance(labels, list) or getattr(last_step(estimator), "out_activation_", "") == "logistic":
        several = isinstance(labels, list) or len(labels) > 2
        if several:
            raise ShapeError("rows have several labels each; draw one label, by an estimator of that one")
    labels = np.asarray(labels)
    if limit is not None and len(labels) != 2:
        raise ConfigurationError(
            f"a threshold is for two classes; of {len(labels)} the largest probability wins"
        )
    if len(labels) == 1:
        return Decision(estimator, labels, None, "predict")
    if hasattr(estimator, "predict_proba"):
        if len(labels) == 2:
            limit = 0.5 if limit is None else limit
        return Decision(estimator, labels, limit, "predict_proba")
    if hasattr(estimator, "decision_function"):
        if len(labels) == 2:
            limit = 0.0 if limit is None else limit
        return Decision(estimator, labels, limit, "decision_function")
    if limit is not None:
        raise ConfigurationError(
            f"a threshold is for probabilities, and {type(estimator).__name__} has no predict_proba"
        )
    return Decision(estimator, labels, None, "predict")


def _decision_of_model(model: Any, threshold: float | None) -> Decision:
    graph = model.graph
    if len(graph.outputs) > 1:
        raise ShapeError("classes are told from one output tensor, and this model has several")
    outputs = graph.outputs[0].columns
    labels = np.arange(max(outputs, 2))
    if outputs > 1:
        if threshold is not None:
            raise ConfigurationError(f"a threshold is for one output; of {outputs} the largest wins")
        return Decision(model, labels, None, "predict")
    if threshold is not None:
        return Decision(model, labels, check_number(threshold, "threshold"), "predict")
    if last_activation(model) is not Activation.SIGMOID:
        raise ConfigurationError(
            "the model's one output is not a sigmoid; say where its classes part, for example threshold=0.5"
        )
    return Decision(model, labels, 0.5, "predict")


def codes_of(y: object, labels: np.ndarray, name: str = "y") -> np.ndarray:
    """Return the number of each label among known ones.

    Parameters
    ----------
    y : array_like, (rows,) or (rows, 1), or one-hot, (rows, labels)
    labels : numpy.ndarray, (labels,)
    """
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        if array.shape[1] != len(labels):
            raise ShapeError(
                f"{name} must have shape (rows,), or one-hot (rows, {len(labels)}), got {array.shape}"
            )
        if not (((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all()):
            raise DataError(f"{name} has rows that are not one-hot; give one label a row")
        found: np.ndarray = array.argmax(axis=1)
        return found
    if array.ndim != 1:
        raise ShapeError(f"{name} must have shape (rows,), one label a row, got {array.shape}")
    known = {label: code for code, label in enumerate(labels.tolist())}
    codes = np.empty(len(array), int)
    for place, label in enumerate(array.tolist()):
        code = known.get(label)
        if code is None:
            raise DataError(f"{name} has the label {label!r} at row {place}, which is none of {_few(labels)}")
        codes[place] = code
    return codes


def _few(labels: np.ndarray) -> str:
    shown = [repr(label) for label in labels[:8].tolist()]
    return ", ".join([*shown, "..."] if len(labels) > 8 else shown)


def predicted_labels(estimator: Any, x: Any, threshold: float | None, picture: str) -> np.ndarray:
    """Return the predicted label of each row."""
    decision = decision_of(estimator, threshold, picture)
    if not is_model(estimator) and threshold is None:
        return np.asarray(estimator.predict(x))
    found: np.ndarray = decision.labels[decision.decide(decision.outputs(x))]
    return found


def numbers_of(estimator: Any, x: Any, picture: str) -> np.ndarray:
    """Return predicted numbers, (rows, outputs)."""
    need_predictor(estimator, picture)
    if is_model(estimator):
        return outputs_of(estimator, x)
    if hasattr(estimator, "classes_"):
        raise ConfigurationError(
            f"{picture} is for numbers, and {type(estimator).__name__} predicts classes; use "
            "ConfusionMatrixDisplay or CalibrationDisplay"
        )
    found = np.asarray(estimator.predict(x), np.float64)
    return found.reshape(len(found), -1)


def feature_names_of(
    estimator: Any, x: Any, count: int, given: Sequence[str] | None, default: str = "x{}"
) -> list[str]:
    """Return a name for each feature: those given, of a table's columns, of the fit, or numbers from 0 on."""
    if given is not None:
        if isinstance(given, str) or len(given) != count:
            raise ConfigurationError(f"feature_names must be {count}, one for each input, got {given!r}")
        return [str(name) for name in given]
    names = getattr(x, "columns", None)
    if names is None:
        names = getattr(estimator, "feature_names_in_", None)
    if names is None or len(names) != count:
        return [default.format(number) for number in range(count)]
    return [str(name).replace("$", r"\$") for name in names]


def nets_of(estimator: Any, picture: str) -> list[Any]:
    """Return the nets of an estimator, several of an ensemble, as models; of a model itself.

    Those of Pipelines have their scalers before them.
    """
    need_predictor(estimator, picture)
    if is_model(estimator):
        return [estimator]
    if hasattr(estimator, "steps") or not hasattr(estimator, "_net"):
        return [from_sklearn(estimator)]
    if not hasattr(estimator, "coefs_"):
        raise ConfigurationError(f"this {type(estimator).__name__} is not fitted; call fit first")
    return [member._net().model for member in (estimator, *getattr(estimator, "ensemble_", []))]
