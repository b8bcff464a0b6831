"""The regressor: numbers.

Names and texts are those of `sklearn.neural_network`, version 1.9.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.special import xlogy
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_pinball_score, r2_score
from sklearn.utils import column_or_1d

from fastnn import losses
from fastnn.border.data import as_targets
from fastnn.estimators import _compat, _extras
from fastnn.estimators._base import BasePerceptron
from fastnn.estimators._ensemble import outputs_of_all
from fastnn.export.estimators import Exported
from fastnn.losses import Loss, MeanSquaredError, Poisson

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, BasePerceptron):  # type: ignore[misc]
    """A multilayer perceptron that predicts numbers, in the place of scikit-learn's.

    It minimises the mean over the rows of ``(y - t) ** 2 / 2``, or, for ``"poisson"``, of
    ``t log(t / y) - t + y`` with ``y`` the exponential of the output, plus ``alpha / 2 * sum(w ** 2) / n``
    over the kernels, ``n`` being the rows of a batch or the sum of their weights.  With equal parameters it
    draws the same random numbers as `sklearn.neural_network.MLPRegressor`, and makes the same steps.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "quantile"}, or another loss
        A name of `fastnn.losses`, or a loss.
    hidden_layer_sizes : sequence of int, or int
        Units of the hidden layers.
    activation : str, function or list of them
    solver : {"adam", "sgd", "lbfgs"}, or another optimizer
    alpha : float
        Factor of the penalty.
    batch_size : int or "auto"
    learning_rate : {"constant", "invscaling", "adaptive"}
    learning_rate_init : float
    power_t : float
    max_iter : int
    shuffle : bool
    random_state : int, numpy.random.RandomState or None
    tol : float
    verbose : bool
    warm_start : bool
    momentum : float
    nesterovs_momentum : bool
    early_stopping : bool
    validation_fraction : float
    beta_1, beta_2, epsilon : float
    n_iter_no_change : int
    max_fun : int
        As of `MLPClassifier`.
    quantiles : sequence of float, optional
        Of ``loss="quantile"``, in (0, 1): one output for each; by default the median.
    dropout, normalization, scoring, callbacks, progress_bar, n_threads, time_limit, n_ensemble
        As of `MLPClassifier`.

    Attributes
    ----------
    coefs_, intercepts_ : list of numpy.ndarray
        The weights; arrays may be changed and replaced.
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_
        As of `MLPClassifier`; scores are those of `score`.
    t_, n_iter_, n_layers_, n_outputs_, n_features_in_, out_activation_, feature_names_in_
        As of `MLPClassifier`.

    Raises
    ------
    ImportError
        Without scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> x = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> regressor = fastnn.MLPRegressor(hidden_layer_sizes=8, solver="lbfgs", random_state=0, max_iter=1000)
    >>> regressor.fit(x, x[:, 0] ** 2).score(x, x[:, 0] ** 2) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BasePerceptron._parameter_constraints,
        "loss": [_compat.StrOptions({"squared_error", "poisson", "quantile", *losses._BY_NAME}), Loss],
        "quantiles": ["array-like", None],
    }

    quantiles: Any

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        quantiles: Any = None,
        dropout: Any = 0.0,
        normalization: Any = None,
        scoring: Any = None,
        callbacks: Any = None,
        progress_bar: Any = False,
        n_threads: Any = None,
        time_limit: Any = None,
        n_ensemble: Any = 1,
    ) -> None:
        self._keep(locals())

    # -- what the base asks for

    def _output_activation(self) -> str:
        return "exp" if self._objective(self._n_columns())[0] == "exponential" else "identity"

    def _is(self, loss: str) -> bool:
        """Return whether the loss is one of scikit-learn's names."""
        return isinstance(self.loss, str) and self.loss == loss

    def _objective(self, outputs: int) -> tuple[Any, Loss, float]:
        if self._is("poisson"):
            return "exponential", Poisson(), float(outputs)
        if self._is("squared_error"):
            # In scikit-learn the gradient is that of the sum over outputs, though the loss shown is the mean.
            return "linear", MeanSquaredError(), outputs / 2.0
        loss = _extras.loss_of_numbers(self)
        return "exponential" if loss.positive else "linear", loss, 1.0

    def _n_columns(self) -> int:
        if self.n_outputs_ == 1 and self._is("quantile"):
            loss: Any = _extras.loss_of_numbers(self)
            return len(loss.quantiles)
        return self.n_outputs_

    def _targets(self, y: np.ndarray) -> np.ndarray:
        network = self._net()
        return as_targets(y, len(y), network.recipe.widths[-1], network.recipe.loss, network.dtype)

    def _originals(self, y: np.ndarray) -> np.ndarray:
        return y[:, 0] if y.shape[1] == 1 else y

    def _checked_eval(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        return self._checked_rows(X, y, reset=False)

    def _value_scale(self) -> float:
        return 1.0 / self.n_outputs_ if self._is("squared_error") else 1.0

    def _constant(self, y: np.ndarray) -> np.ndarray | None:
        if not self._is("poisson"):
            return None
        counts = y.astype(np.float64)
        found: np.ndarray = (xlogy(counts, counts) - counts).sum(axis=1)
        return found

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, np.ndarray]:
        return self._checked_rows(X, y, reset)

    def _checked_rows(self, X: Any, y: Any, reset: bool) -> tuple[Any, np.ndarray]:
        X, y = _compat.validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self._is("poisson") and (y < 0).any():
            raise ValueError(
                f"loss='poisson' needs y >= 0, and the least value of y is {y.min()}; use 'squared_error'"
            )
        return X, y

    def _scorer(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> Any:
        truth = self._originals(y)

        def score() -> float:
            found = _flat(self._checked_outputs(X))
            if not np.isfinite(found).all():
                return float("nan")
            with np.errstate(over="ignore"):  # of training that is about to fail
                return self._quality(truth, found, sample_weight)

        return score

    def _quality(self, y: np.ndarray, found: np.ndarray, sample_weight: Any) -> float:
        """Return R2; of quantiles the mean of its counterpart, D2 of the pinball loss."""
        if not self._is("quantile"):
            return float(r2_score(y, found, sample_weight=sample_weight))
        loss: Any = self._net().recipe.loss
        columns = found.reshape(len(found), -1).T if len(loss.quantiles) > 1 else [found]
        scores = [
            d2_pinball_score(y, column, alpha=quantile, sample_weight=sample_weight)
            for quantile, column in zip(loss.quantiles, columns, strict=True)
        ]
        return float(np.mean(scores))

    def _exported(self) -> Exported:
        return Exported(self._models(), "numbers")

    # -- what users call

    @_compat.checked_parameters
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: Any = None) -> MLPRegressor:
        """Train on rows and their numbers.

        Parameters
        ----------
        X : array_like or sparse matrix, (rows, features)
            float32 is trained in float32, all else in float64.
        y : array_like, (rows,) or (rows, outputs)
        sample_weight : array_like, (rows,), optional
        eval_set : tuple, optional
            As of `MLPClassifier`.

        Returns
        -------
        MLPRegressor
            The estimator.

        Raises
        ------
        ValueError
            For bad input, or if the loss is not finite any more.

        Warns
        -----
        ConvergenceWarning
            If the last epoch still brought an improvement.
        """
        found: MLPRegressor = self._fit_all(X, y, sample_weight, eval_set)
        return found

    @_compat.if_stochastic
    @_compat.checked_parameters
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        MLPRegressor
            The estimator.
        """
        found: MLPRegressor = self._fit_all(X, y, sample_weight, incremental=True)
        return found

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the predicted numbers.

        Parameters
        ----------
        X : array_like or sparse matrix, (rows, features)
        return_std : bool
            Whether to return the standard deviation over the nets of an ensemble as well.

        Returns
        -------
        numpy.ndarray, (rows,) or (rows, outputs), or two of them
            Of several quantiles a column for each.

        Raises
        ------
        ValueError
            For bad input; for `return_std` without an ensemble.
        """
        self._check_fitted()
        if not return_std:
            return _flat(self._outputs(X))
        if not hasattr(self, "ensemble_"):
            raise ValueError("return_std needs several nets: n_ensemble=5, for example, and fit")
        found = outputs_of_all(self, X)
        return _flat(found.mean(axis=0)), _flat(found.std(axis=0))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return how good predictions are: 1 at best, 0 those of a constant.

        Parameters
        ----------
        X : array_like or sparse matrix, (rows, features)
        y : array_like, (rows,) or (rows, outputs)
        sample_weight : array_like, (rows,), optional

        Returns
        -------
        float
            R2, as `sklearn.metrics.r2_score`; of quantiles the mean of `sklearn.metrics.d2_pinball_score`.
        """
        return self._quality(y, self.predict(X), sample_weight)


def _flat(outputs: np.ndarray) -> np.ndarray:
    """Return one output as an array of one dimension."""
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs
