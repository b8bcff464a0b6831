"""Which features matter: what is lost without them, and how outputs follow them.

This file must not know kernels or plans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.checks import check_count, check_flag
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError
from fastnn.plotting import _asking
from fastnn.plotting._style import COLOURS, axes, colour_bar, finish, ink, need_matplotlib, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GradientImportanceDisplay", "PermutationImportanceDisplay"]

_MOST_FEATURES = 20


class _ImportanceDisplay:
    """Bars, the longest on top, or an image of features that are pixels.

    Parameters
    ----------
    importances : numpy.ndarray, (features, repeats)
    feature_names : sequence of str
    unit : str
        What the bars measure.
    """

    ax_: Axes
    figure_: Any
    bars_: Any
    im_: Any

    def __init__(self, importances: np.ndarray, *, feature_names: Sequence[str], unit: str) -> None:
        self.importances, self.feature_names, self.unit = importances, list(feature_names), unit
        self.importances_mean = importances.mean(axis=1)
        self.importances_std = importances.std(axis=1)

    def _bars(self, ax: Axes | None, max_features: int) -> None:
        most = check_count(max_features, "max_features")
        need_matplotlib()
        order = np.argsort(-self.importances_mean, kind="stable")[:most]
        self.ax_ = ax = axes(ax, (6.4, max(1.6, 0.9 + 0.28 * len(order))))
        self.figure_ = ax.figure
        self.im_ = None
        places = np.arange(len(order))
        spread = self.importances_std[order] if self.importances.shape[1] > 1 else None
        self.bars_ = ax.barh(
            places,
            self.importances_mean[order],
            xerr=spread,
            color=COLOURS[0],
            ecolor="0.55",
            capsize=2,
            height=0.7,
        )
        ax.set_yticks(places, [short(self.feature_names[place], own=True) for place in order])
        ax.set_ylim(len(order) - 0.4, -0.6)  # the first on top
        ax.axvline(0.0, color=ink(ax), linewidth=0.8)
        ax.set_xlabel(self.unit)
        left_out = len(self.feature_names) - len(order)
        ax.set_ylabel(f"feature ({left_out} more left out)" if left_out else "feature")
        finish(ax, legend=False)

    def _image(self, ax: Axes | None, shape: Sequence[int]) -> None:
        count = len(self.feature_names)
        if len(shape) != 2:
            raise ShapeError(f"image must be 2 numbers, height and width, got {shape!r}")
        height, width = (check_count(part, "image") for part in shape)
        if height * width != count:
            raise ShapeError(
                f"image is {height} x {width}, {height * width} numbers, and there are {count} features"
            )
        need_matplotlib()
        self.ax_ = ax = axes(ax, (5.6, 4.6), image=True)
        self.figure_ = ax.figure
        self.bars_ = None
        values = self.importances_mean.reshape(height, width)
        low, high = min(float(values.min()), 0.0), float(values.max())
        self.im_ = ax.imshow(
            values, cmap="viridis", vmin=low, vmax=high if high > low else low + 1.0, interpolation="nearest"
        )
        ax.set_xlabel("column of pixels")
        ax.set_ylabel("row of pixels")
        colour_bar(ax, self.im_, self.unit)


class PermutationImportanceDisplay(_ImportanceDisplay):
    """What is lost when the numbers of a feature are dealt out anew among the rows.

    Features that say the same share what they are worth, and each may look worthless.  Rows that were not
    trained on tell what matters for predictions.  Source: Breiman 2001, "Random Forests", section 10.

    Parameters
    ----------
    importances : numpy.ndarray, (features, repeats)
    feature_names : sequence of str
    unit : str
        What the bars measure.

    Attributes
    ----------
    importances_mean, importances_std : numpy.ndarray, (features,)
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.
    bars_ : matplotlib.container.BarContainer
        Standard deviations over repeats are lines on them.

    See Also
    --------
    sklearn.inspection.permutation_importance : The numbers, of estimators, computed in parallel.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from matplotlib.figure import Figure
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.set_weights([[[1.0], [0.0]], [0.0]])
    >>> model.compile("sgd", "mse")
    >>> x = np.arange(8.0).reshape(4, 2)
    >>> made = PermutationImportanceDisplay.from_estimator(model, x, x[:, 0], ax=Figure().subplots())
    >>> bool(made.importances_mean[0] > 0), float(made.importances_mean[1])
    (True, 0.0)
    """

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        scoring: Callable[[Any, Any, Any], float] | None = None,
        n_repeats: int = 5,
        random_state: int = 0,
        feature_names: Sequence[str] | None = None,
        max_features: int = _MOST_FEATURES,
        ax: Axes | None = None,
    ) -> PermutationImportanceDisplay:
        """Measure and draw how much worse a model or an estimator becomes.

        Parameters
        ----------
        estimator : Model or estimator
            A compiled model with one input tensor, or a fitted estimator.
        X : array_like or DataFrame, (rows, features)
            It is not changed.
        y : array_like
            As for `evaluate`, or `score`.
        scoring : callable, optional
            ``scoring(estimator, X, y)`` returns a number that is larger for what is better, as what
            `sklearn.metrics.get_scorer` returns.  By default bars are the growth of a model's loss, or what
            an estimator's `score` loses.
        n_repeats : int
            How often each feature is dealt out.
        random_state : int
        feature_names : sequence of str, optional
            By default the names of columns, if there are any.
        max_features : int
            The most bars.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        PermutationImportanceDisplay

        Raises
        ------
        ShapeError
            If `X` has not two dimensions, or names are too many or too few.
        DataError
            If there are fewer than two rows, or a score is not finite.
        ConfigurationError
            If a model is not compiled and there is no `scoring`.
        DTypeError
            If an argument has a wrong type.
        ImportError
            Without matplotlib.
        """
        need_matplotlib()
        _asking.need_predictor(estimator, cls.__name__)
        score, unit = _score_of(estimator, scoring)
        repeats = check_count(n_repeats, "n_repeats")
        generator = np.random.default_rng(check_count(random_state, "random_state", 0))
        check_count(max_features, "max_features")
        table = _copied(X)
        rows, count = table.shape
        if rows < 2:
            raise DataError(f"X has {rows} rows, which cannot be dealt out; give at least two")
        names = _asking.feature_names_of(estimator, X, count, feature_names)
        before = _finite(score(estimator, table, y))
        found = np.empty((count, repeats))
        for feature in range(count):
            kept = _column_of(table, feature)
            for repeat in range(repeats):
                _put(table, feature, kept[generator.permutation(rows)])
                found[feature, repeat] = before - _finite(score(estimator, table, y))
            _put(table, feature, kept)
        return cls(found, feature_names=names, unit=unit).plot(ax, max_features=max_features)

    def plot(
        self, ax: Axes | None = None, *, max_features: int = _MOST_FEATURES
    ) -> PermutationImportanceDisplay:
        """Draw it once more.

        Parameters
        ----------
        ax, max_features
            As for `from_estimator`.

        Returns
        -------
        PermutationImportanceDisplay
            This one.
        """
        self._bars(ax, max_features)
        return self


class GradientImportanceDisplay(_ImportanceDisplay):
    """How much outputs follow each feature: the mean of ``|d output / d input|`` over rows.

    It says what moves the outputs near the rows, by back-propagation and without targets.  Features of
    different units are made alike by `standardize`, which multiplies by their standard deviations.  Where
    softmax or sigmoid are sure, probabilities hardly follow anything.  Source: Simonyan, Vedaldi and
    Zisserman 2014, "Deep Inside Convolutional Networks".

    Parameters
    ----------
    importances : numpy.ndarray, (features, 1)
    feature_names : sequence of str
    unit : str
        What the bars measure.

    Attributes
    ----------
    importances_mean : numpy.ndarray, (features,)
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.
    bars_ : matplotlib.container.BarContainer or None
    im_ : matplotlib.image.AxesImage or None
        One of the two.

    Examples
    --------
    >>> import fastnn
    >>> from matplotlib.figure import Figure
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.set_weights([[[0.5], [-3.0]], [0.0]])
    >>> made = GradientImportanceDisplay.from_estimator(model, [[1.0, 2.0]], ax=Figure().subplots())
    >>> made.importances_mean.tolist()
    [0.5, 3.0]
    """

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        output: int | None = None,
        standardize: bool = False,
        feature_names: Sequence[str] | None = None,
        max_features: int = _MOST_FEATURES,
        image: Sequence[int] | None = None,
        ax: Axes | None = None,
    ) -> GradientImportanceDisplay:
        """Measure and draw how outputs follow inputs.

        Parameters
        ----------
        estimator : Model or estimator
            A built model with one input and one output tensor; `MLPClassifier` or `MLPRegressor`, of fastnn
            or of scikit-learn; or a Pipeline of scalers that ends in one, as `fastnn.export.from_sklearn`
            takes them.
        X : array_like or DataFrame, (rows, features)
            Numbers.
        output : int, optional
            Which output; by default the mean over all.
        standardize : bool
            Whether gradients are by a standard deviation of each feature, and not by its unit.
        feature_names : sequence of str, optional
            By default the names of columns, if there are any.
        max_features : int
            The most bars.
        image : sequence of 2 int, optional
            Height and width, where features are pixels: they are drawn as an image then.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        GradientImportanceDisplay

        Raises
        ------
        ShapeError
            If there are several input or output tensors, or `X` or `image` do not fit.
        DataError
            If `X` has no rows, or numbers that are not finite.
        ConfigurationError
            If there is no such output, or an estimator is no fitted perceptron.
        DTypeError
            If an argument has a wrong type.
        ImportError
            Without matplotlib.
        """
        need_matplotlib()
        scaled = check_flag(standardize, "standardize")
        check_count(max_features, "max_features")
        nets = _asking.nets_of(estimator, cls.__name__)
        graph = nets[0].graph
        if len(graph.inputs) > 1 or len(graph.outputs) > 1:
            raise ShapeError("gradients are drawn of models with one input and one output tensor")
        n_outputs, count = graph.outputs[0].columns, graph.inputs[0].columns
        if output is not None and check_count(output, "output", 0) >= n_outputs:
            raise ConfigurationError(f"output must lie in 0 to {n_outputs - 1}, got {output}")
        table = _numbers(X)
        if not len(table):
            raise DataError("X has no rows; give at least one")
        found = np.zeros(count)
        chosen = range(n_outputs) if output is None else [output]
        for number in chosen:
            upstream = np.zeros((len(table), n_outputs))
            upstream[:, number] = 1.0
            # The mean over an ensemble comes before the absolute value, as outputs are means.
            slopes = sum(np.asarray(net.input_gradients(table, upstream), np.float64) for net in nets) / len(
                nets
            )
            found += np.abs(slopes).mean(axis=0) / len(chosen)
        names = _asking.feature_names_of(estimator, X, count, feature_names)
        unit = "mean |d output / d input|"
        if scaled:
            found *= table.std(axis=0)
            unit += " x standard deviation"
        made = cls(found[:, None], feature_names=names, unit=unit)
        return made.plot(ax, max_features=max_features, image=image)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        max_features: int = _MOST_FEATURES,
        image: Sequence[int] | None = None,
    ) -> GradientImportanceDisplay:
        """Draw it once more.

        Parameters
        ----------
        ax, max_features, image
            As for `from_estimator`.

        Returns
        -------
        GradientImportanceDisplay
            This one.
        """
        if image is None:
            self._bars(ax, max_features)
        else:
            self._image(ax, image)
        return self


# -- tables and scores


def _score_of(
    estimator: Any, scoring: Callable[[Any, Any, Any], float] | None
) -> tuple[Callable[[Any, Any, Any], float], str]:
    """Return a function of estimator, X and y that is larger for what is better, and the bars' unit."""
    if scoring is not None:
        if not callable(scoring):
            raise DTypeError(
                f"scoring must be a function of estimator, X and y, got {scoring!r}; of a name "
                "sklearn.metrics.get_scorer makes one"
            )
        return scoring, "score lost"
    if _asking.is_model(estimator):
        if not estimator.compiled:
            raise ConfigurationError(
                f"model {estimator.name!r} is not compiled; call compile with a loss, or give scoring"
            )
        return _minus_loss, "growth of the loss"
    if not hasattr(estimator, "score"):
        raise ConfigurationError(f"{type(estimator).__name__} has no score; give scoring")
    what = "accuracy lost" if hasattr(estimator, "classes_") else "score lost"
    return _score, what


def _minus_loss(model: Any, x: Any, y: Any) -> float:
    return -float(model.evaluate(x, y, verbose=0, return_dict=True)["loss"])


def _score(estimator: Any, x: Any, y: Any) -> float:
    return float(estimator.score(x, y))


def _finite(score: float) -> float:
    if not np.isfinite(score):
        raise DataError(f"the score is {score}, and its change cannot be drawn")
    return float(score)


def _numbers(table: Any) -> np.ndarray:
    """Return rows of numbers in float64."""
    table = table.toarray() if hasattr(table, "toarray") else table
    try:
        found = np.asarray(table).astype(np.float64)
    except (TypeError, ValueError):
        raise DTypeError("X must hold real numbers") from None
    if found.ndim != 2:
        raise ShapeError(f"X must have shape (rows, features), got {found.shape}")
    return found


def _copied(table: Any) -> Any:
    """Return a copy, of an array or of a table with columns of several kinds."""
    if isinstance(table, dict) or (isinstance(table, list | tuple) and table and np.ndim(table[0]) > 1):
        raise ShapeError("X must be one array, (rows, features); several inputs are not dealt out")
    if hasattr(table, "iloc"):
        return table.copy()
    found = np.array(table.toarray() if hasattr(table, "toarray") else table)
    if found.ndim != 2:
        raise ShapeError(f"X must have shape (rows, features), got {found.shape}")
    return found


def _column_of(table: Any, feature: int) -> Any:
    return table.iloc[:, feature].array.copy() if hasattr(table, "iloc") else table[:, feature].copy()


def _put(table: Any, feature: int, values: Any) -> None:
    if hasattr(table, "iloc"):
        table.isetitem(feature, values)
    else:
        table[:, feature] = values
