"""What both estimators of tables share: parameters, the way from a table to trained nets, predictions.

The recipe is RealMLP-TD-S (Holzmüller, Grinsztajn and Steinwart 2024).  What differs between classes and
numbers is in `_tabular_estimators.py`.
"""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from fastnn.callbacks.progress import Bar
from fastnn.errors import ConfigurationError, NonFiniteWarning, TrainingWarning
from fastnn.estimators import _compat
from fastnn.estimators._base import BasePerceptron
from fastnn.estimators._encoder import Encoder, Typed
from fastnn.estimators._epochs import Rows
from fastnn.estimators._network import Network
from fastnn.estimators._tables import read_table
from fastnn.estimators._tabular_net import Course, TabularRecipe, initialize, train
from fastnn.losses import Loss

__all__ = ["BaseTabular", "Held"]

_CHUNK = 16384  # rows that are encoded at a time for predictions
_LEAST_HELD = 10  # rows whose score says something
_SMALL = 1000  # rows up to which float64 costs too little to matter
_HERE = 4  # frames from a warning of `_fit` to who called fit
_NOT_FINITE = (
    "the loss is not finite any more; lower learning_rate, or look for values in X or y that are far from "
    "all others"
)
_Interval, _StrOptions = _compat.Interval, _compat.StrOptions


class Held(NamedTuple):
    """Validation rows.

    Attributes
    ----------
    x : numpy.ndarray, (rows, width)
    y : numpy.ndarray
        As `_checked_targets` returns them.
    weights : numpy.ndarray or None, (rows,)
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None


class BaseTabular(BaseEstimator, ABC):  # type: ignore[misc]
    """Base of the estimators of tables."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "random_state": ["random_state"],
        "n_threads": [_Interval(Integral, 1, None, closed="left"), None],
        "progress_bar": ["boolean"],
        "time_limit": [_Interval(Real, 0, None, closed="neither"), None],
        "n_ensemble": [_Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [_Interval(Real, 0, 1, closed="left"), None],
        "cat_features": ["array-like", None],
        "max_categories": [_Interval(Integral, 2, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "n_epochs": [_Interval(Integral, 1, None, closed="left")],
        "batch_size": [_Interval(Integral, 1, None, closed="left")],
        "learning_rate": [_Interval(Real, 0, None, closed="neither")],
        "dtype": [_StrOptions({"auto", "float32", "float64"})],
        "preset": [str],
    }

    random_state: Any
    n_threads: Any
    progress_bar: Any
    time_limit: Any
    n_ensemble: Any
    validation_fraction: Any
    cat_features: Any
    max_categories: Any
    hidden_layer_sizes: Any
    n_epochs: Any
    batch_size: Any
    learning_rate: Any
    dtype: Any
    preset: Any

    n_features_in_: int
    feature_names_in_: np.ndarray
    notes_: list[str]
    _encoder: Encoder
    _networks: list[Network]
    _written: ClassVar[Callable[[Any, Any, bool], None]]  # handed down, as files know estimators

    _keep = BasePerceptron._keep
    save = BasePerceptron.save

    # -- what the two estimators say

    @abstractmethod
    def _checked_targets(self, y: Any, learned: dict[str, Any]) -> np.ndarray:
        """Return targets: numbers of classes, or numbers; put what is learned of all of them to `learned`."""

    @abstractmethod
    def _checked_eval_targets(self, y: Any, learned: dict[str, Any]) -> np.ndarray:
        """Return targets of validation rows of the caller's."""

    @abstractmethod
    def _weighted(self, y: np.ndarray, weights: np.ndarray | None, learned: dict[str, Any]) -> Any:
        """Return what rows count in the loss."""

    @abstractmethod
    def _prepared(self, y: np.ndarray, weights: np.ndarray | None, learned: dict[str, Any]) -> np.ndarray:
        """Return targets of training rows as the loss takes them, (rows, outputs); learn from them."""

    @abstractmethod
    def _ends(self) -> tuple[str, str, Loss]:
        """Return the activations of hidden layers and of the output, and the loss."""

    @abstractmethod
    def _scorer(self, network: Network, held: Held, learned: dict[str, Any]) -> Callable[[], float]:
        """Return a function that scores a net on validation rows; greater is better."""

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        """Return the groups of rows of which each is to be split alike."""
        return None

    # -- training

    def _fit(self, X: Any, y: Any, sample_weight: Any, eval_set: Any) -> Any:
        self._check_settings()
        name = type(self).__name__
        if y is None:
            raise ValueError(f"{name} requires y to be passed, but the target y is None")
        raw = read_table(X, name)
        learned: dict[str, Any] = {}
        check_consistent_length(raw.columns[0], y)
        weights = None
        rows = np.arange(raw.n_rows)
        if sample_weight is not None:
            weights = _checked_weights(sample_weight, raw.n_rows)
            rows = np.flatnonzero(weights)  # of others nothing is learned
        y = self._checked_targets(np.asarray(y)[rows] if len(rows) < raw.n_rows else y, learned)
        notes: list[str] = []
        typed = Encoder.typed(raw, self.cat_features, notes)
        if weights is not None:
            typed, weights = typed.part(rows) if len(rows) < raw.n_rows else typed, weights[rows]
        random = check_random_state(self.random_state)
        remarks: list[str] = []
        kept, held_rows = self._split(y, random, eval_set is not None, remarks)
        part = typed if held_rows is None else typed.part(kept)
        of_kept = weights if weights is None else weights[kept]
        encoder = Encoder.fit(part, raw.names, of_kept, int(self.max_categories), notes)
        if notes:
            warnings.warn(f"{name}: {'; '.join(notes)}", TrainingWarning, stacklevel=_HERE)
        small = self.dtype == "auto" and typed.n_rows <= _SMALL
        dtype = np.dtype(np.float64 if small or self.dtype == "float64" else np.float32)
        given = Rows(
            encoder.array(part, dtype),
            self._prepared(y[kept], of_kept, learned),
            self._weighted(y[kept], of_kept, learned),
        )
        held = None
        if held_rows is not None:
            of_held = weights if weights is None else weights[held_rows]
            held = Held(encoder.array(typed.part(held_rows), dtype), y[held_rows], of_held)
        elif eval_set is not None:
            held = self._evaluated(eval_set, encoder, dtype, learned)
        networks, courses = self._trained(given, held, dtype, random, learned)
        # Only now, so that what was fitted before stays if something fails.
        for old in ("feature_names_in_", "validation_scores_", "best_validation_score_"):
            self.__dict__.pop(old, None)
        if raw.names is not None:
            self.feature_names_in_ = np.array(raw.names, object)
        self.n_features_in_ = len(raw.columns)
        self._encoder, self._networks, self.notes_ = encoder, networks, notes + remarks
        for attribute, value in learned.items():
            setattr(self, attribute, value)
        first = courses[0]
        self.n_iter_, self.best_epoch_, self.loss_curve_ = len(first.losses), first.best, first.losses
        if held is not None:
            self.validation_scores_ = first.scores
            self.best_validation_score_ = first.scores[first.best - 1]
        return self

    def _check_settings(self) -> None:
        if self.preset != "td-s":
            more = ", whose recipe is not here yet" if self.preset == "td" else ""
            raise ConfigurationError(f"preset must be 'td-s', got {self.preset!r}{more}")
        sizes = list(np.asarray(self.hidden_layer_sizes).ravel())
        if not sizes or any(not isinstance(size, Integral) or size < 1 for size in sizes):
            raise ConfigurationError(
                f"hidden_layer_sizes must be whole numbers above 0, got {self.hidden_layer_sizes!r}"
            )

    def _split(
        self, y: np.ndarray, random: np.random.RandomState, given: bool, remarks: list[str]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the rows that are trained on, and those that are set aside, if any are."""
        n, part = len(y), float(self.validation_fraction or 0.0)
        if given or not part:
            return np.arange(n), None
        if n * part < _LEAST_HELD:
            remarks.append(
                f"no rows are set aside, as {part:g} of {n} rows are fewer than {_LEAST_HELD}; the weights "
                "of the last epoch are kept"
            )
            return np.arange(n), None
        order = random.permutation(n)
        strata = self._strata(y)
        first = np.zeros(n, bool)
        if strata is not None:
            order = order[np.argsort(strata[order], kind="stable")]
            first[np.unique(strata[order], return_index=True)[1]] = True  # each class is trained on
        steps = np.floor(np.arange(n + 1) * part + 1e-9)
        chosen = (np.diff(steps) > 0.0) & ~first
        return np.sort(order[~chosen]), np.sort(order[chosen])

    def _evaluated(self, eval_set: Any, encoder: Encoder, dtype: np.dtype, learned: dict[str, Any]) -> Held:
        """Return validation rows of the caller's."""
        one = eval_set[0] if isinstance(eval_set, list) and len(eval_set) == 1 else eval_set
        if not isinstance(one, tuple | list) or len(one) not in (2, 3):
            raise ValueError("eval_set must be (X, y) or (X, y, sample_weight), or a list of one such tuple")
        name = type(self).__name__
        try:
            X, y, *weights = one
            raw = read_table(X, name)
            check_consistent_length(raw.columns[0], y)
            y = self._checked_eval_targets(y, learned)
            weight = _checked_weights(weights[0], raw.n_rows) if weights and weights[0] is not None else None
            return Held(encoder.array(encoder.matched(raw, name), dtype), y, weight)
        except ValueError as error:
            raise ValueError(f"in eval_set: {error}") from error

    def _trained(
        self,
        given: Rows,
        held: Held | None,
        dtype: np.dtype,
        random: np.random.RandomState,
        learned: dict[str, Any],
    ) -> tuple[list[Network], list[Course]]:
        """Return the nets, trained, and how that went."""
        hidden, output, loss = self._ends()
        sizes = [int(size) for size in np.asarray(self.hidden_layer_sizes).ravel()]
        widths = (given.x.shape[1], *sizes, given.y.shape[1])
        recipe = TabularRecipe(widths, (hidden,) * len(sizes), output, loss, 1.0)
        batch = min(int(self.batch_size), given.n_rows)
        bar = Bar(0, self.n_epochs * self.n_ensemble) if self.progress_bar else None
        began, networks, courses = time.perf_counter(), [], []
        try:
            for number in range(self.n_ensemble):
                limit = None if self.time_limit is None else self.time_limit * (number + 1) / self.n_ensemble

                def after(
                    epochs: int, logs: dict[str, float], number: int = number, limit: float | None = limit
                ) -> bool:
                    if bar is not None:
                        bar.end(1, logs)
                    late = limit is not None and time.perf_counter() - began >= limit
                    if late and epochs < self.n_epochs:
                        which = "" if self.n_ensemble == 1 else f" of net {number + 1}"
                        warnings.warn(
                            f"The time limit of {self.time_limit:g} s ended training{which} after {epochs} "
                            f"of {self.n_epochs} epochs.",
                            ConvergenceWarning,
                            stacklevel=_HERE + 3,
                        )
                    return late

                network = Network(recipe, dtype, 0)
                initialize(network, random)
                score = None if held is None else self._scorer(network, held, learned)
                settings = (batch, self.n_epochs, float(self.learning_rate), random)
                course = train(network, given, *settings, score, after, self.n_threads)
                if not np.isfinite(course.losses[-1]):
                    if held is None or not course.best:
                        raise ValueError(_NOT_FINITE)
                    said = f"In epoch {len(course.losses)} {_NOT_FINITE}; the best weights before are kept"
                    warnings.warn(said, NonFiniteWarning, stacklevel=_HERE + 1)
                networks.append(network)
                courses.append(course)
        finally:
            if bar is not None:
                bar.close()
        return networks, courses

    # -- predictions

    def _check_fitted(self) -> None:
        check_is_fitted(self, "n_features_in_")

    def _outputs(self, X: Any) -> np.ndarray:
        """Return what each net says, (nets, rows, outputs), in float64."""
        self._check_fitted()
        name = type(self).__name__
        raw = read_table(X, name)
        named = "feature_names_in_" in self.__dict__
        if named and raw.names is None:
            warnings.warn(
                f"X does not have valid feature names, but {name} was fitted with feature names; columns are "
                "taken in the order that they had in fit",
                UserWarning,
                stacklevel=3,
            )
        typed: Typed = self._encoder.matched(raw, name)
        found = np.empty((len(self._networks), typed.n_rows, self._networks[0].recipe.widths[-1]))
        for begin in range(0, typed.n_rows, _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            x = self._encoder.array(typed, self._networks[0].dtype, rows)
            for number, network in enumerate(self._networks):
                found[number, rows] = network.outputs(x, self.n_threads)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def _more_tags(self) -> dict[str, Any]:  # of scikit-learn before 1.6
        return {"allow_nan": True, "X_types": ["2darray", "string", "categorical"]}


def _checked_weights(sample_weight: Any, n_rows: int) -> np.ndarray:
    """Return weights of rows, at least 0."""
    weights: np.ndarray = np.asarray(
        _compat.checked_weights(sample_weight, np.zeros((n_rows, 1))), np.float64
    )
    if (weights < 0.0).any():
        raise ValueError(f"sample_weight must not be negative, and the least one is {weights.min():g}")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number; all of them are zero")
    return weights
