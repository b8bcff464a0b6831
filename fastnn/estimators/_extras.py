"""What the estimators take beyond scikit-learn's parameters: what it means, and what does not go together.

This file must not know nets or data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np

from fastnn import activations, losses, optimizers
from fastnn.checks import shown
from fastnn.errors import DTypeError
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer

__all__ = [
    "SCIKIT_LEARN",
    "as_tuple",
    "check_together",
    "custom_optimizer",
    "dropouts",
    "hidden_activations",
    "hidden_widths",
    "is_custom_loss",
    "loss_of_classes",
    "loss_of_numbers",
    "per_layer",
]

_PLAIN = {str, float, int}
SCIKIT_LEARN = {"identity": "linear", "logistic": "sigmoid"}  # names of activations that are others here


def per_layer(value: Any, layers: int, name: str) -> list[Any]:
    """Return one value for each hidden layer, of a value for all or a list of them.

    Examples
    --------
    >>> per_layer(0.5, 2, "dropout"), per_layer([0.1, 0.2], 2, "dropout")
    ([0.5, 0.5], [0.1, 0.2])
    """
    if not isinstance(value, list | tuple):
        return [value] * layers
    if len(value) != layers:
        raise ValueError(
            f"{name} has {len(value)} entries, and there are {layers} hidden layers; give one for each, or "
            "one for all"
        )
    return list(value)


def hidden_widths(estimator: Any) -> list[int]:
    """Return the units of each hidden layer.

    Raises
    ------
    DTypeError
        If one is no whole number.
    ValueError
        If one is not above 0.
    """
    sizes = estimator.hidden_layer_sizes
    given = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
    for size in given:
        if not isinstance(size, Integral):
            raise DTypeError(
                f"hidden_layer_sizes of {type(estimator).__name__} must be whole numbers, one for each "
                f"hidden layer, such as (100,) or (64, 32), got {shown(sizes)}; cut other numbers by int()"
            )
    if any(size <= 0 for size in given):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {given}.")
    return [int(size) for size in given]


def hidden_activations(activation: Any, layers: int) -> tuple[Any, ...]:
    """Return fastnn's activation of each hidden layer."""
    found = per_layer(activation, layers, "activation")
    named = [SCIKIT_LEARN.get(one, one) if isinstance(one, str) else one for one in found]
    for one in named:
        activations.get(one)  # which says what it must be
    return tuple(named)


def dropouts(estimator: Any, layers: int) -> tuple[float, ...]:
    """Return the share that each hidden layer drops."""
    rates = per_layer(estimator.dropout, layers, "dropout")
    for rate in rates:
        if not isinstance(rate, Real) or not 0.0 <= float(rate) < 1.0:
            raise ValueError(f"dropout must be in [0, 1), or a list of such numbers, got {rate!r}")
    return tuple(map(float, rates))


def custom_optimizer(estimator: Any) -> Optimizer | None:
    """Return the optimizer of an estimator whose solver is none of scikit-learn's."""
    solver = estimator.solver
    if solver in ("sgd", "adam", "lbfgs"):
        return None
    found = optimizers.get(solver)
    if isinstance(solver, str):
        found = replace(found, learning_rate=float(estimator.learning_rate_init))
    return found


def is_custom_loss(loss: Any) -> bool:
    """Return whether a loss is none of scikit-learn's."""
    return loss not in ("log_loss", "squared_error", "poisson") if isinstance(loss, str) else True


def loss_of_classes(loss: Any, outputs: int) -> Loss:
    """Return the loss of a classifier, of probabilities."""
    found = losses.get(loss)
    unfit = ""
    if getattr(found, "from_logits", False):
        unfit = "from_logits=True"
    elif found.signs:
        unfit = "targets of -1 and 1"
    elif found.traits.heads > 1 or found.above is not None or isinstance(found, losses.Quantile):
        unfit = "targets that are no classes"
    if unfit:
        raise ValueError(
            f"{found.name} is a loss with {unfit}, and a classifier's outputs are probabilities; use another "
            "one, such as 'log_loss', or BinaryCrossentropy and CategoricalCrossentropy with label_smoothing"
        )
    found.check_outputs(outputs)
    return found


def loss_of_numbers(estimator: Any) -> Loss:
    """Return the loss of a regressor that is none of scikit-learn's."""
    if estimator.loss == "quantile":
        quantiles = (0.5,) if estimator.quantiles is None else estimator.quantiles
        return losses.Quantile(quantiles)
    found = losses.get(estimator.loss)
    if found.sparse or found.classes or found.traits.heads > 1:
        raise ValueError(
            f"the outputs of {found.name} are no predicted numbers; use another loss, or a fastnn.Sequential"
        )
    return found


def check_together(estimator: Any, incremental: bool, eval_set: Any) -> None:
    """Raise if parameters are given that would have no effect, or a wrong one."""
    lbfgs = estimator.solver == "lbfgs"
    given = {
        "callbacks": estimator.callbacks,
        "time_limit": estimator.time_limit,
        "scoring": estimator.scoring,
        "eval_set": eval_set,
        "progress_bar": estimator.progress_bar or None,
    }
    for name, value in given.items():
        if value is not None and lbfgs:
            raise ValueError(f"{name} needs a solver that goes in epochs, not 'lbfgs'; use 'adam' or 'sgd'")
    if lbfgs and estimator.normalization == "batch":
        raise ValueError("normalization='batch' needs batches, which 'lbfgs' has none of; use 'layer'")
    if incremental and eval_set is None and estimator.scoring is not None:
        raise ValueError("partial_fit sets no rows aside that scoring could score; leave scoring out")
    if estimator.scoring is not None and eval_set is None and not estimator.early_stopping:
        raise ValueError("scoring needs rows to score: early_stopping=True, or fit(..., eval_set=(X, y))")
    if incremental and getattr(estimator, "class_weight", None) == "balanced":
        raise ValueError(
            "class_weight='balanced' needs all labels, and partial_fit sees some; give a dict, as "
            "sklearn.utils.class_weight.compute_class_weight makes it"
        )
    if getattr(estimator, "quantiles", None) is not None and estimator.loss != "quantile":
        raise ValueError("quantiles are those of loss='quantile'; give that as well, or leave them out")
    if estimator.time_limit is not None and not estimator.time_limit > 0:
        raise ValueError(f"time_limit must be seconds above 0, got {estimator.time_limit!r}")


def as_tuple(value: Any) -> Any:
    """Return a list, or an array, as a value that can be compared."""
    if value is None or type(value) in _PLAIN:  # each prediction asks
        return value
    if isinstance(value, np.ndarray):
        return tuple(value.tolist())
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
