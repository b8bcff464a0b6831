"""Estimators of tables as plain values and arrays, and back; what comes from a file is checked.

This file must not know training.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from fastnn.estimators._encoder import Category, Encoder, Number
from fastnn.estimators._network import Network
from fastnn.estimators._plain import (
    labels_read,
    labels_written,
    plain,
    read_value,
    unplain,
    written_value,
)
from fastnn.estimators._tabular import BaseTabular
from fastnn.estimators._tabular_estimators import TabularClassifier, TabularRegressor
from fastnn.estimators._tabular_net import TabularRecipe
from fastnn.saving.container import Container

__all__ = ["KINDS", "described", "loaded"]

KINDS = {cls.__name__: cls for cls in (TabularClassifier, TabularRegressor)}
_RESULTS = ["n_features_in_", "n_iter_", "best_epoch_", "loss_curve_", "notes_"]
_RESULTS += ["validation_scores_", "best_validation_score_"]


def described(estimator: BaseTabular, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return an estimator as plain values, and put its arrays to others."""
    for number, network in enumerate(estimator._networks):
        for name, place in network.model._now.weights().items():
            arrays[f"{number}/{name}"] = place.view(network.flat).copy()
    encoder = estimator._encoder
    found: dict[str, Any] = {
        "class": type(estimator).__name__,
        "parameters": {
            name: written_value(value, name) for name, value in estimator.get_params(deep=False).items()
        },
        "attributes": {
            name: plain(getattr(estimator, name), name) for name in _RESULTS if hasattr(estimator, name)
        },
        "encoder": {
            "names": encoder.names,
            "kinds": encoder.kinds,
            "places": encoder.places,
            "columns": [_column(column) for column in encoder.fitted],
        },
        "dtype": estimator._networks[0].dtype.name,
        "widths": list(estimator._networks[0].recipe.widths),
        "nets": len(estimator._networks),
    }
    if isinstance(estimator, TabularClassifier):
        found["classes_"] = labels_written(estimator.classes_, "classes_")
    elif isinstance(estimator, TabularRegressor):
        found["targets"] = {
            "means": estimator._means.tolist(),
            "deviations": estimator._deviations.tolist(),
            "flat": estimator._flat,
        }
    return found


def _column(column: Number | Category) -> dict[str, Any]:
    if isinstance(column, Number):
        missing = None if column.missing is None else list(column.missing)
        return {"center": column.center, "factor": column.factor, "missing": missing}
    categories = [plain(value, "a category") for value in column.categories]
    return {"categories": categories, "centers": column.centers, "factors": column.factors}


def loaded(file: Container, description: dict[str, Any]) -> TabularClassifier | TabularRegressor:
    """Return an estimator.

    Raises
    ------
    FileFormatError, KeyError, TypeError, ValueError, AttributeError, IndexError
        If the description is damaged, or does not suit the arrays.
    """
    given = {name: read_value(value, name) for name, value in description["parameters"].items()}
    estimator: TabularClassifier | TabularRegressor = KINDS[description["class"]](**given)
    estimator._validate_params()
    estimator._check_settings()
    attributes = {name: unplain(value) for name, value in description["attributes"].items()}
    if not attributes.keys() <= set(_RESULTS):
        raise ValueError("it has attributes that estimators do not have")
    encoder = _read_encoder(description["encoder"])
    if attributes["n_features_in_"] != len(encoder.kinds):
        raise ValueError("it has other columns than it says")
    estimator.__dict__.update(attributes)
    if encoder.names is not None:
        estimator.feature_names_in_ = np.array(encoder.names, object)
    outputs = _read_targets(estimator, description)
    widths = tuple(_counts(description["widths"]))
    if len(widths) < 2 or widths[0] != encoder.width or widths[-1] != outputs:
        raise ValueError("its net has other inputs or outputs than it says")
    estimator._encoder = encoder
    estimator._networks = _read_nets(file, estimator, description, widths)
    return estimator


def _read_targets(estimator: TabularClassifier | TabularRegressor, description: dict[str, Any]) -> int:
    """Let an estimator know its classes, or the size of its targets; return how many outputs these need."""
    if isinstance(estimator, TabularClassifier):
        estimator.classes_ = labels_read(description["classes_"], "classes_")
        if estimator.classes_.ndim != 1 or len(estimator.classes_) < 2:
            raise ValueError("it has no classes")
        return len(estimator.classes_)
    targets = description["targets"]
    means, deviations = (_numbers(targets[name]) for name in ("means", "deviations"))
    flat = targets["flat"]
    if len(means) != len(deviations) or not isinstance(flat, bool) or (flat and len(means) != 1):
        raise ValueError("its targets have no shape")
    estimator._means, estimator._deviations, estimator._flat = np.array(means), np.array(deviations), flat
    return len(means)


def _read_nets(
    file: Container,
    estimator: TabularClassifier | TabularRegressor,
    description: dict[str, Any],
    widths: tuple[int, ...],
) -> list[Network]:
    """Return the nets, with their weights."""
    if description["dtype"] not in ("float32", "float64"):
        raise ValueError(f"its weights are of dtype {description['dtype']!r}")
    dtype = np.dtype(description["dtype"])
    (nets,) = _counts([description["nets"]])
    shapes: dict[str, tuple[int, ...]] = {"scale/scale": (widths[0],)}
    for number, (fan_in, units) in enumerate(itertools.pairwise(widths)):
        shapes |= {f"dense_{number}/kernel": (fan_in, units), f"dense_{number}/bias": (units,)}
    file.index(nets * len(shapes))
    # Before memory is taken for a net: the arrays are there, and as large as they must be.
    for number, (name, shape) in itertools.product(range(nets), shapes.items()):
        if file.shapes[f"{number}/{name}"] != shape or file.dtypes[f"{number}/{name}"] != dtype:
            raise ValueError("its arrays are not those of the net that it describes")
    hidden, output, loss = estimator._ends()
    recipe = TabularRecipe(widths, (hidden,) * (len(widths) - 2), output, loss, 1.0)
    found = []
    for number in range(nets):
        network = Network(recipe, dtype, 0)
        places = network.model._now.weights()
        if places.keys() != shapes.keys():
            raise ValueError("its arrays are not those of the net that it describes")
        for name, place in places.items():
            array = np.empty(shapes[name], dtype)
            file.read(f"{number}/{name}", array)
            place.view(network.flat)[...] = array
        found.append(network)
    return found


def _read_encoder(description: dict[str, Any]) -> Encoder:
    names, kinds, places = (description[name] for name in ("names", "kinds", "places"))
    if not isinstance(kinds, list) or not set(kinds) <= {"number", "category"}:
        raise ValueError("its columns are of no kind")
    if names is not None and (
        not all(isinstance(name, str) for name in names)
        or len(names) != len(kinds)
        or len(set(names)) != len(names)
    ):
        raise ValueError("the names of its columns are no names")
    columns = description["columns"]
    if len(places) != len(columns) or not columns or _counts(places, 0) != sorted(set(places)):
        raise ValueError("its columns have no order")
    fitted: list[Number | Category] = []
    for place, column in zip(places, columns, strict=True):
        name: str | int = place if names is None else names[place]
        if kinds[place] == "number":
            missing = column["missing"]
            center, factor = _numbers([column["center"], column["factor"]])
            pair = None if missing is None else tuple(_numbers(missing))
            if pair is not None and len(pair) != 2:
                raise ValueError("a column of numbers is damaged")
            fitted.append(Number(name, center, factor, None if pair is None else (pair[0], pair[1])))
        else:
            categories = [unplain(value) for value in column["categories"]]
            if not categories or not all(type(value) in (str, bool, int, float) for value in categories):
                raise ValueError("a column has categories that are none")
            found = Category(name, categories, _numbers(column["centers"]), _numbers(column["factors"]))
            if not len(found.centers) == len(found.factors) == found.width:
                raise ValueError("a column of categories is damaged")
            fitted.append(found)
    return Encoder(names, kinds, fitted, places)


def _numbers(values: Any) -> list[float]:
    """Return finite numbers, checked."""
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ValueError("it has something else where numbers should be")
    found = [float(value) for value in values]
    if not all(map(math.isfinite, found)):
        raise ValueError("it has numbers that are not finite")
    return found


def _counts(values: Any, least: int = 1) -> list[int]:
    """Return whole numbers, checked."""
    if not isinstance(values, list) or not all(type(value) is int and value >= least for value in values):
        raise ValueError("it has something else where whole numbers should be")
    return values
