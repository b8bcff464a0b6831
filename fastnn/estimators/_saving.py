"""Estimators as files and back: weights, parameters, labels and names of columns, as data and never as code.

This file must not know training.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer

from fastnn.checks import check_flag, shown
from fastnn.errors import ConfigurationError, FileFormatError
from fastnn.estimators._base import BasePerceptron
from fastnn.estimators._classifier import MLPClassifier
from fastnn.estimators._plain import (
    labels_read,
    labels_written,
    plain,
    read_value,
    unplain,
    written_value,
)
from fastnn.estimators._regressor import MLPRegressor
from fastnn.estimators._tabular import BaseTabular
from fastnn.estimators._tabular_estimators import TabularClassifier, TabularRegressor
from fastnn.estimators._tabular_saving import KINDS, described, loaded
from fastnn.saving.container import Container, Filename, file_name, write
from fastnn.version import __version__

__all__ = ["load_estimator", "save_estimator"]

FORMAT = 1  # of what is written here; files of later ones are refused
_CLASSES = {cls.__name__: cls for cls in (MLPClassifier, MLPRegressor)}
_NUMBERS = ["n_iter_", "t_", "n_layers_", "n_outputs_", "n_features_in_", "out_activation_", "loss_"]
_NUMBERS += ["best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_"]
_NUMBERS += ["_no_improvement_count"]
_LEFT_OUT = ("callbacks",)


def save_estimator(estimator: BasePerceptron | BaseTabular, path: Filename, overwrite: bool = True) -> None:
    """Write an estimator to a file; see `MLPClassifier.save`."""
    estimator._check_fitted()
    name = file_name(path)
    if not check_flag(overwrite, "overwrite") and os.path.exists(name):
        raise ConfigurationError(f"{name!r} exists, and overwrite is False; choose another name")
    arrays: dict[str, np.ndarray] = {}
    if isinstance(estimator, BaseTabular):
        description = described(estimator, arrays)
    else:
        description = _described(estimator, "", arrays)
    write(name, arrays, {"format": FORMAT, "version": __version__, "estimator": description})


def _described(estimator: BasePerceptron, prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return an estimator as plain values, and put its arrays to others."""
    network = estimator._net()
    model = network.model
    names = list(model._now.weights())
    for name, place in model._now.weights().items():
        arrays[prefix + name] = place.view(network.flat).copy()
    found: dict[str, Any] = {
        "class": type(estimator).__name__,
        "parameters": {
            name: written_value(value, name)
            for name, value in estimator.get_params(deep=False).items()
            if name not in _LEFT_OUT
        },
        "attributes": {
            name: plain(getattr(estimator, name), name) for name in _NUMBERS if hasattr(estimator, name)
        },
        "weights": names,
        "seed": network.seed,
    }
    for name in ("feature_names_in_", "classes_"):
        if hasattr(estimator, name):
            found[name] = labels_written(getattr(estimator, name), name)
    if isinstance(estimator, MLPClassifier):
        found["labels"] = [estimator._label_binarizer.y_type_, bool(estimator._label_binarizer.sparse_input_)]
    others = getattr(estimator, "ensemble_", [])
    found["ensemble"] = [_described(one, f"{prefix}{n}/", arrays) for n, one in enumerate(others)]
    return found


def load_estimator(
    path: Filename,
) -> MLPClassifier | MLPRegressor | TabularClassifier | TabularRegressor:
    """Return the estimator that a file holds.

    Parameters
    ----------
    path : str or path-like
        Written by ``estimator.save``.

    Returns
    -------
    MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor
        It predicts as the one that was saved did.  If it is trained further, its optimizer begins anew.

    Raises
    ------
    FileFormatError
        If the file is none of an estimator, or damaged.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> (x, y), _ = fastnn.datasets.load_digits()
    >>> classifier = fastnn.MLPClassifier((16,), random_state=0, max_iter=20, tol=1.0).fit(x, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     classifier.save(os.path.join(folder, "digits.safetensors"))
    ...     loaded = fastnn.load_estimator(os.path.join(folder, "digits.safetensors"))
    >>> bool((loaded.predict(x) == classifier.predict(x)).all())
    True
    """
    with Container(path) as file:
        description = file.description
        if "estimator" not in description:
            raise file.error("it holds no estimator; a model is loaded by fastnn.load_model")
        if description.get("format") != FORMAT:
            raise file.error(
                f"it is of format {shown(description.get('format'))}, and this fastnn reads {FORMAT}"
            )
        try:
            if description["estimator"]["class"] in KINDS:
                return loaded(file, description["estimator"])
            file.index(_count(description["estimator"]))
            return _loaded(file, description["estimator"], "")
        except FileFormatError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise file.error(f"its description is damaged: {error}") from error


def _count(description: dict[str, Any]) -> int:
    """Return how many arrays a description speaks of."""
    return len(description["weights"]) + sum(map(_count, description["ensemble"]))


def _loaded(file: Container, description: dict[str, Any], prefix: str) -> MLPClassifier | MLPRegressor:
    """Return an estimator, with its arrays read."""
    given = {name: read_value(value, name) for name, value in description["parameters"].items()}
    estimator = _CLASSES[description["class"]](**given)
    estimator._validate_params()
    attributes = {name: unplain(value) for name, value in description["attributes"].items()}
    if not attributes.keys() <= set(_NUMBERS):
        raise ValueError("it has attributes that estimators do not have")
    for name in ("feature_names_in_", "classes_"):
        if name in description:
            attributes[name] = labels_read(description[name], name)
    estimator.__dict__.update(attributes)
    if isinstance(estimator, MLPClassifier):
        binarizer = LabelBinarizer()
        binarizer.classes_ = estimator.classes_
        binarizer.y_type_, binarizer.sparse_input_ = description["labels"]
        estimator._label_binarizer = binarizer
    arrays = {}
    for name in description["weights"]:
        arrays[name] = np.empty(file.shapes[prefix + name], file.dtypes[prefix + name])
        file.read(prefix + name, arrays[name])
    dense = [name.removesuffix("kernel") for name in arrays if name.endswith("/kernel")]
    estimator.coefs_ = [arrays[f"{name}kernel"] for name in dense]
    estimator.intercepts_ = [arrays[f"{name}bias"] for name in dense]
    _check_ends(estimator)
    network = estimator._net()
    network.seed = int(description["seed"])
    places = network.model._now.weights()
    if places.keys() != arrays.keys() or any(places[name].shape != a.shape for name, a in arrays.items()):
        raise ValueError("its arrays are not those of the net that it describes")
    for name, array in arrays.items():
        places[name].view(network.flat)[...] = array
    estimator._adopt(network)
    others = [_loaded(file, one, f"{prefix}{n}/") for n, one in enumerate(description["ensemble"])]
    if others:
        estimator.ensemble_ = others
    return estimator


def _check_ends(estimator: MLPClassifier | MLPRegressor) -> None:
    """Raise unless weights suit what is said of inputs and outputs."""
    if estimator.out_activation_ != estimator._output_activation():
        raise ValueError(f"its output is {estimator.out_activation_!r}")
    widths = estimator.coefs_[0].shape[0], estimator.coefs_[-1].shape[1]
    if widths != (estimator.n_features_in_, estimator._n_columns()):
        raise ValueError("its weights have other widths than it says")
    if isinstance(estimator, MLPClassifier):
        columns = 1 if estimator._label_binarizer.y_type_ == "binary" else len(estimator.classes_)
        if estimator.classes_.ndim != 1 or columns != estimator.n_outputs_:
            raise ValueError("it has other labels than outputs")
