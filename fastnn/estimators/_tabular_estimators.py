"""Classes, and numbers, predicted from tables."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from fastnn.errors import DataError
from fastnn.estimators import _compat
from fastnn.estimators._classifier import weights_of_classes
from fastnn.estimators._network import Network
from fastnn.estimators._tables import as_categories
from fastnn.estimators._tabular import BaseTabular, Held
from fastnn.estimators._tabular_net import smoothed
from fastnn.losses import CategoricalCrossentropy, Loss, MeanSquaredError

__all__ = ["TabularClassifier", "TabularRegressor"]

_Interval, _StrOptions = _compat.Interval, _compat.StrOptions


class TabularClassifier(ClassifierMixin, BaseTabular):  # type: ignore[misc]
    """Classes predicted from a table as it is: numbers, categories, missing values.

    It is made by the recipe RealMLP-TD-S, whose settings were found on many tables: columns of numbers are
    brought to one size by their quantiles, and outliers bent back; categories become columns of their own; a
    learned factor for each; three hidden layers of 256 SELU; cross-entropy with smoothed labels; Adam, with a
    learning rate in cycles; the weights of the epoch that is best on rows set aside.

    Parameters
    ----------
    random_state : int, numpy.random.RandomState or None
    n_threads : int, optional
        The most threads to use; the result does not depend on it.
    progress_bar : bool
        Whether to show one on standard error.
    time_limit : float, optional
        Seconds after which training ends with the epoch that is under way.
    n_ensemble : int
        Nets that are trained, which differ in what they draw; predictions are their mean.
    validation_fraction : float, optional
        The share of the rows that is set aside; none if that is fewer than 10 rows, or by 0 or None.
    cat_features : sequence of str or int, optional
        Columns that are categories though they have numbers, by their names or places.
    max_categories : int
        Of a column; of more the most frequent ones are told apart, and others count as missing.
    class_weight : dict or "balanced", optional
        What rows of a class count in the loss; in scores they do not.
    hidden_layer_sizes : sequence of int
    n_epochs : int
    batch_size : int
    learning_rate : float
        The largest of a cycle.
    label_smoothing : float
    dtype : {"auto", "float32", "float64"}
        "auto" is float64 up to 1000 rows, else float32.
    preset : {"td-s"}

    Attributes
    ----------
    classes_ : numpy.ndarray
    n_features_in_ : int
    feature_names_in_ : numpy.ndarray
        If all columns had names that are strings.
    notes_ : list of str
        What was done to the table: columns that were dropped, and why.
    n_iter_, best_epoch_ : int
        Epochs that were made, and the one whose weights are kept; of the first net of an ensemble, as below.
    loss_curve_ : list of float
        Of each epoch.
    validation_scores_ : list of float
        Of each epoch, if there are validation rows; `best_validation_score_` is the best one.

    Raises
    ------
    ImportError
        Without scikit-learn; for a DataFrame, without narwhals.

    Notes
    -----
    Missing numbers count as the median of their column; if there were some in training, a column more tells
    them from others, of which RealMLP has nothing.  Missing and unknown categories are 0 in all of their
    columns.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart 2024, "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on
    Tabular Data".

    Examples
    --------
    >>> import fastnn
    >>> rows = [[20, "red"], [30, "blue"], [25, "red"], [35, "blue"], [22, "red"], [33, None]] * 10
    >>> labels = ["a", "b", "a", "b", "a", "b"] * 10
    >>> classifier = fastnn.TabularClassifier(random_state=0, n_epochs=20).fit(rows, labels)
    >>> classifier.predict([[21, "red"], [36, "green"]])
    array(['a', 'b'], dtype='<U1')
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseTabular._parameter_constraints,
        "class_weight": [dict, _StrOptions({"balanced"}), None],
        "label_smoothing": [_Interval(Real, 0, 1, closed="left")],
    }

    class_weight: Any
    label_smoothing: Any
    classes_: np.ndarray

    def __init__(
        self,
        *,
        random_state: Any = None,
        n_threads: Any = None,
        progress_bar: Any = False,
        time_limit: Any = None,
        n_ensemble: Any = 1,
        validation_fraction: Any = 0.2,
        cat_features: Any = None,
        max_categories: Any = 256,
        class_weight: Any = None,
        hidden_layer_sizes: Any = (256, 256, 256),
        n_epochs: Any = 256,
        batch_size: Any = 256,
        learning_rate: Any = 0.04,
        label_smoothing: Any = 0.1,
        dtype: Any = "auto",
        preset: Any = "td-s",
    ) -> None:
        self._keep(locals())

    # -- what the base asks for

    def _checked_targets(self, y: Any, learned: dict[str, Any]) -> np.ndarray:
        labels = _checked_labels(y)
        if labels.dtype.kind not in "OUS" and np.any(labels != np.rint(labels)):
            check_classification_targets(labels)  # which says that this is no label
        classes, codes = np.unique(labels, return_inverse=True)
        some = classes.tolist()[0]
        if len(classes) < 2:
            raise DataError(
                f"y has one class only, {some!r}, in {len(labels)} rows; a classifier needs two or more"
            )
        if len(classes) == len(labels) and len(labels) > 2:
            raise DataError(
                f"each of the {len(labels)} rows has a label of its own in y, as {some!r}: that is "
                "an identifier, of which nothing can be learned; choose another column for y, or a "
                "TabularRegressor if y is a number to be predicted"
            )
        learned["classes_"] = classes
        return codes

    def _checked_eval_targets(self, y: Any, learned: dict[str, Any]) -> np.ndarray:
        classes, labels = learned["classes_"], _checked_labels(y)
        unknown = np.setdiff1d(labels, classes)
        if len(unknown):
            raise ValueError(f"y has the label {unknown.tolist()[0]!r}, which is none of {classes.tolist()}")
        return np.searchsorted(classes, labels)

    def _weighted(self, y: np.ndarray, weights: np.ndarray | None, learned: dict[str, Any]) -> Any:
        if self.class_weight is None:
            return weights
        of_classes = weights_of_classes(self.class_weight, learned["classes_"], y)
        return of_classes if weights is None else of_classes * weights

    def _prepared(self, y: np.ndarray, weights: np.ndarray | None, learned: dict[str, Any]) -> np.ndarray:
        return smoothed(y, len(learned["classes_"]), float(self.label_smoothing))

    def _ends(self) -> tuple[str, str, Loss]:
        return "selu", "softmax", CategoricalCrossentropy()

    def _strata(self, y: np.ndarray) -> np.ndarray:
        return y

    def _scorer(self, network: Network, held: Held, learned: dict[str, Any]) -> Callable[[], float]:
        def score() -> float:
            right = network.outputs(held.x, self.n_threads).argmax(axis=1) == held.y
            return float(np.average(right, weights=held.weights))

        return score

    # -- what users call

    @_compat.checked_parameters
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: Any = None) -> TabularClassifier:
        """Train on a table and its labels.

        Parameters
        ----------
        X : DataFrame of pandas, polars or pyarrow, or array_like, (rows, columns)
        y : array_like, (rows,)
            Labels of any kind.
        sample_weight : array_like, (rows,), optional
        eval_set : tuple, optional
            Validation rows ``(X, y)`` or ``(X, y, sample_weight)``, in the place of rows that are set aside.

        Returns
        -------
        TabularClassifier
            The estimator.

        Raises
        ------
        DataError, DTypeError, ShapeError, ConfigurationError, ValueError
            For bad input, with the column and the row; the estimator is left as it was.

        Warns
        -----
        TrainingWarning
            If columns are dropped, or taken for something that they might not be; see `notes_`.
        """
        found: TabularClassifier = self._fit(X, y, sample_weight, eval_set)
        return found

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable classes.

        Parameters
        ----------
        X : DataFrame or array_like, (rows, columns)
            Columns with names are found by them, in any order; those that `fit` did not see are left out.

        Returns
        -------
        numpy.ndarray, (rows,)
        """
        codes = self.predict_proba(X).argmax(axis=1)
        found: np.ndarray = self.classes_[codes]
        return found

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : DataFrame or array_like, (rows, columns)

        Returns
        -------
        numpy.ndarray, (rows, classes), float64
            In the order of `classes_`.
        """
        found: np.ndarray = self._outputs(X).mean(axis=0)
        found /= found.sum(axis=1, keepdims=True)  # that of float32 is 1 up to 1e-7
        return found

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : DataFrame or array_like, (rows, columns)

        Returns
        -------
        numpy.ndarray, (rows, classes), float64
        """
        with np.errstate(divide="ignore"):
            found: np.ndarray = np.log(self.predict_proba(X))
        return found


class TabularRegressor(RegressorMixin, BaseTabular):  # type: ignore[misc]
    """Numbers predicted from a table as it is: numbers, categories, missing values.

    As `TabularClassifier`, with Mish in the place of SELU, and the squared error of targets that are brought
    to mean 0 and variance 1.

    Parameters
    ----------
    random_state, n_threads, progress_bar, time_limit, n_ensemble, validation_fraction, cat_features
        As of `TabularClassifier`.
    max_categories, hidden_layer_sizes, n_epochs, batch_size, learning_rate, dtype, preset
        As of `TabularClassifier`.

    Attributes
    ----------
    n_features_in_, feature_names_in_, notes_, n_iter_, best_epoch_, loss_curve_
        As of `TabularClassifier`.
    validation_scores_, best_validation_score_
        R2, as of `score`.

    Raises
    ------
    ImportError
        Without scikit-learn; for a DataFrame, without narwhals.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> x = np.linspace(-1, 1, 100).reshape(-1, 1)
    >>> regressor = fastnn.TabularRegressor(random_state=0).fit(x, x[:, 0] ** 2)
    >>> regressor.score(x, x[:, 0] ** 2) > 0.99
    True
    """

    _means: np.ndarray
    _deviations: np.ndarray
    _flat: bool

    def __init__(
        self,
        *,
        random_state: Any = None,
        n_threads: Any = None,
        progress_bar: Any = False,
        time_limit: Any = None,
        n_ensemble: Any = 1,
        validation_fraction: Any = 0.2,
        cat_features: Any = None,
        max_categories: Any = 256,
        hidden_layer_sizes: Any = (256, 256, 256),
        n_epochs: Any = 256,
        batch_size: Any = 256,
        learning_rate: Any = 0.07,
        dtype: Any = "auto",
        preset: Any = "td-s",
    ) -> None:
        self._keep(locals())

    # -- what the base asks for

    def _checked_targets(self, y: Any, learned: dict[str, Any]) -> np.ndarray:
        found = _checked_numbers(y)
        learned["_flat"] = found.ndim == 1
        return found.reshape(len(found), -1)

    def _checked_eval_targets(self, y: Any, learned: dict[str, Any]) -> np.ndarray:
        found = _checked_numbers(y)
        found = found.reshape(len(found), -1)
        if found.shape[1] != len(learned["_means"]):
            raise ValueError(f"y has {found.shape[1]} columns, and that of fit has {len(learned['_means'])}")
        return found

    def _weighted(self, y: np.ndarray, weights: np.ndarray | None, learned: dict[str, Any]) -> Any:
        return weights

    def _prepared(self, y: np.ndarray, weights: np.ndarray | None, learned: dict[str, Any]) -> np.ndarray:
        means = np.average(y, axis=0, weights=weights)
        deviations = np.sqrt(np.average(np.square(y - means), axis=0, weights=weights))
        deviations[deviations == 0.0] = 1.0
        learned["_means"], learned["_deviations"] = means, deviations
        found: np.ndarray = (y - means) / deviations
        return found

    def _ends(self) -> tuple[str, str, Loss]:
        return "mish", "linear", MeanSquaredError()

    def _scorer(self, network: Network, held: Held, learned: dict[str, Any]) -> Callable[[], float]:
        y = (held.y - learned["_means"]) / learned["_deviations"]
        spread = np.average(np.square(y - np.average(y, axis=0, weights=held.weights)), 0, held.weights)
        spread[spread == 0.0] = 1.0

        def score() -> float:
            errors = np.square(network.outputs(held.x, self.n_threads) - y)
            return float(1.0 - np.mean(np.average(errors, axis=0, weights=held.weights) / spread))

        return score

    # -- what users call

    @_compat.checked_parameters
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: Any = None) -> TabularRegressor:
        """Train on a table and its numbers.

        Parameters
        ----------
        X : DataFrame of pandas, polars or pyarrow, or array_like, (rows, columns)
        y : array_like, (rows,) or (rows, outputs)
        sample_weight : array_like, (rows,), optional
        eval_set : tuple, optional
            As of `TabularClassifier`.

        Returns
        -------
        TabularRegressor
            The estimator.

        Raises
        ------
        DataError, DTypeError, ShapeError, ConfigurationError, ValueError
            For bad input, with the column and the row; the estimator is left as it was.

        Warns
        -----
        TrainingWarning
            If columns are dropped, or taken for something that they might not be; see `notes_`.
        """
        found: TabularRegressor = self._fit(X, y, sample_weight, eval_set)
        return found

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the predicted numbers.

        Parameters
        ----------
        X : DataFrame or array_like, (rows, columns)
            Columns with names are found by them, in any order; those that `fit` did not see are left out.
        return_std : bool
            Whether to return the standard deviation over the nets of an ensemble as well.

        Returns
        -------
        numpy.ndarray, (rows,) or (rows, outputs), float64, or two of them

        Raises
        ------
        ValueError
            For bad input; for `return_std` without an ensemble.
        """
        found = self._outputs(X) * self._deviations + self._means
        if self._flat:
            found = found[..., 0]
        if not return_std:
            return found.mean(axis=0)
        if len(found) == 1:
            raise ValueError("return_std needs several nets: n_ensemble=5, for example, and fit")
        return found.mean(axis=0), found.std(axis=0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _more_tags(self) -> dict[str, Any]:  # of scikit-learn before 1.6
        return super()._more_tags() | {"multioutput": True}


def _checked_labels(y: Any) -> np.ndarray:
    """Return labels, one a row, of which none is missing."""
    labels = np.asarray(y)
    if labels.dtype.kind in "US" and isinstance(y, list | tuple) and any(_is_nan(label) for label in y):
        labels = np.array(y, object)  # NaN became text
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = column_or_1d(labels, warn=True)
    if labels.ndim != 1:
        raise DataError(
            f"y should be a 1d array, one label for each row, got an array of shape {labels.shape}"
        )
    if labels.dtype.kind == "O":
        plain = as_categories([None if _is_nan(label) else label for label in labels.tolist()], "y")
        missing = [row for row, label in enumerate(plain) if label is None]
        if not missing and all(isinstance(label, str) for label in plain):
            labels = np.array(plain, object)
    else:
        missing = np.flatnonzero(labels != labels).tolist() if labels.dtype.kind == "f" else []
        if labels.dtype.kind == "f" and np.isinf(labels).any():
            raise DataError("Input y contains infinity; remove these rows")
    if missing:
        raise DataError(
            f"Input y contains NaN, or other missing labels, in {len(missing)} rows, first in row "
            f"{missing[0]}, counted from 0; remove these rows"
        )
    return labels


def _is_nan(label: Any) -> bool:
    return (isinstance(label, float) and label != label) or type(label).__name__ in ("NAType", "NaTType")


def _checked_numbers(y: Any) -> np.ndarray:
    """Return targets as float64, of which none is missing or infinite."""
    found = check_array(
        y, dtype=np.float64, ensure_2d=False, allow_nd=False, ensure_min_samples=1, input_name="y"
    )
    if found.ndim == 2 and found.shape[1] == 1:
        found = column_or_1d(found, warn=True)
    return np.asarray(found)
