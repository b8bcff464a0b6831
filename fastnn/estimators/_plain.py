"""Parameters, labels and results of estimators as plain values, and back.

This file must not know estimators or files.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import activations, losses, optimizers
from fastnn.checks import shown
from fastnn.described import Described, written
from fastnn.errors import ConfigurationError
from fastnn.layers import Activation

__all__ = ["labels_read", "labels_written", "plain", "read_value", "unplain", "written_value"]

_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def written_value(value: Any, name: str) -> Any:
    """Return a parameter as plain values."""
    if isinstance(value, np.random.RandomState):
        return None
    if name == "activation" and not isinstance(value, str):
        if isinstance(value, list | tuple):
            return [written_value(one, name) for one in value]
        return {"activation": activations.written(activations.config_of(value))}
    if isinstance(value, Described):
        return {"described": written(value)}
    if isinstance(value, dict):  # of labels, which need not be strings
        return {"pairs": [[plain(key, name), plain(one, name)] for key, one in value.items()]}
    return plain(value, name)


def plain(value: Any, name: str) -> Any:
    """Return numbers, strings and lists of them as JSON has them."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(one, name) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigurationError(
        f"{name} is {shown(value)}, which a file cannot hold: it holds data, never code; set another one by "
        "set_params first"
    )


def labels_written(array: np.ndarray, name: str) -> dict[str, Any]:
    """Return an array of labels as plain values."""
    if array.dtype.kind not in "biufUO":
        raise ConfigurationError(
            f"{name} are of dtype {array.dtype}, which a file of an estimator cannot hold"
        )
    return {"dtype": array.dtype.str, "values": plain(array, name)}


def read_value(value: Any, name: str) -> Any:
    """Return the parameter that plain values stand for."""
    if isinstance(value, list) and name == "activation":
        return [read_value(one, name) for one in value]
    if isinstance(value, dict) and "activation" in value:
        return Activation(value["activation"])
    if isinstance(value, dict) and "described" in value:
        return (optimizers if name == "solver" else losses).get(value["described"])
    if isinstance(value, dict) and "pairs" in value:
        return {unplain(key): unplain(one) for key, one in value["pairs"]}
    found = unplain(value)
    return tuple(found) if name == "hidden_layer_sizes" and isinstance(found, list) else found


def unplain(value: Any) -> Any:
    """Return what plain values stand for."""
    if isinstance(value, list):
        return [unplain(one) for one in value]
    return _FLOATS[value["float"]] if isinstance(value, dict) else value


def labels_read(description: Any, name: str) -> np.ndarray:
    """Return the array of labels that plain values stand for."""
    values, dtype = unplain(description["values"]), np.dtype(description["dtype"])
    if dtype.kind not in "biufUO":
        raise ValueError(f"{name} are of dtype {dtype}")
    return np.array(values, dtype)
