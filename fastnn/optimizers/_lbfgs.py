"""The minimum of a model's loss on all rows at once, by SciPy's L-BFGS-B.

This file must not know plans, nor of models more than that they can be searched for their best weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fastnn.checks import check_count, check_number, shown
from fastnn.errors import DTypeError, NonFiniteWarning, warn

__all__ = ["Minimum", "minimize_lbfgs"]

_FLAT = "the loss is not finite"


class _Function(Protocol):
    """A loss as a function of a vector of weights."""

    first: np.ndarray
    evaluations: int
    best_loss: float

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient."""


class _Searchable(Protocol):
    """A model, as far as its minimum is concerned."""

    def _searched(self, x: object, y: object, sample_weight: object, search: Callable[[Any], Any]) -> Any:
        """Return what `search` does with the model's loss as a function."""


class _NotFiniteError(Exception):
    """Ends a search."""


@dataclass(frozen=True)
class Minimum:
    """How a search for a minimum ended.

    Attributes
    ----------
    loss : float
        At the weights that the model has now, penalties included; NaN if it never was finite.
    iterations : int
        Steps of the method.
    evaluations : int
        How often the loss and its gradient were computed.
    converged : bool
        Whether one of the tolerances was reached.
    message : str
        Why it ended.
    """

    loss: float
    iterations: int
    evaluations: int
    converged: bool
    message: str


def minimize_lbfgs(
    model: _Searchable,
    x: object,
    y: object,
    sample_weight: object = None,
    *,
    max_iterations: int = 100,
    history_size: int = 10,
    gradient_tolerance: float = 1e-5,
    loss_tolerance: float = 1e-9,
) -> Minimum:
    """Search for the weights of the smallest loss on all rows, by L-BFGS-B of SciPy.

    For small data, where each step can afford all rows; the loss is the one of `compile`, penalties included,
    as `Model.loss_and_gradients` returns it.  The optimizer of `compile` takes no part, and layers that draw
    random numbers draw the same at each step.  Moving statistics of layers stay as they are.

    Parameters
    ----------
    model : Model
        Compiled; its weights are where the search begins, and the best that were seen where it ends, also
        if it is interrupted.  With dtype ``"float64"`` it comes closer to the minimum.
    x, y : array_like
        As for `Model.fit`.
    sample_weight : array_like, (rows,), optional
    max_iterations : int
        At least 1.
    history_size : int
        Steps that the method remembers, at least 1.
    gradient_tolerance : float
        The search ends when no element of the gradient is larger.
    loss_tolerance : float
        The search ends when a step lowers the loss by a smaller share of it, or of 1 if that is more.

    Returns
    -------
    Minimum
        ``loss``, ``iterations``, ``evaluations``, ``converged`` and ``message``.

    Raises
    ------
    ConfigurationError
        If the model is not compiled, has nothing to train, or a weight with a constraint; if an argument is
        out of range.
    ShapeError, DataError, DTypeError
        For bad data, or if `model` is none.
    BusyError
        If another thread trains the model.

    Warns
    -----
    NonFiniteWarning
        If the loss stops being finite, which ends the search.

    Notes
    -----
    R. H. Byrd, P. Lu, J. Nocedal, "A limited memory algorithm for bound constrained optimization", 1995.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> x = np.linspace(-1, 1, 20).reshape(-1, 1)
    >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], dtype="float64", seed=0)
    >>> model.compile("sgd", "mse")
    >>> found = fastnn.optimizers.minimize_lbfgs(model, x, 2 * x + 1)
    >>> found.converged, bool(abs(model.get_flat_weights() - [2, 1]).max() < 1e-4)
    (True, True)
    """
    if not hasattr(type(model), "_searched"):
        raise DTypeError(f"model must be a fastnn model, got {shown(model)}")
    options = {
        "maxiter": check_count(max_iterations, "max_iterations"),
        "maxcor": check_count(history_size, "history_size"),
        "gtol": check_number(gradient_tolerance, "gradient_tolerance", 0.0),
        "ftol": check_number(loss_tolerance, "loss_tolerance", 0.0),
        "maxfun": 1_000_000_000,
    }

    def search(function: _Function) -> Minimum:
        from scipy.optimize import minimize

        iterations = 0

        def count(_: np.ndarray) -> None:
            nonlocal iterations
            iterations += 1

        def finite(vector: np.ndarray) -> tuple[float, np.ndarray]:
            loss, gradient = function(vector)
            if not (math.isfinite(loss) and np.isfinite(gradient).all()):
                raise _NotFiniteError
            return loss, gradient

        converged, message = False, _FLAT
        try:
            found = minimize(
                finite, function.first, jac=True, method="L-BFGS-B", options=options, callback=count
            )
            converged, message = bool(found.status == 0), str(found.message)
        except _NotFiniteError:
            warn(f"{_FLAT} any more; the model has the best weights that were seen", NonFiniteWarning)
        loss = function.best_loss if math.isfinite(function.best_loss) else math.nan
        return Minimum(loss, iterations, function.evaluations, converged, message)

    found: Minimum = model._searched(x, y, sample_weight, search)
    return found
