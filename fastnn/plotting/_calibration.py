"""Reliability diagrams: whether what is said to be 80 % probable happens in 80 % of the cases.

This file must not know kernels or plans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.checks import check_count, check_flag
from fastnn.errors import ConfigurationError, DataError, ShapeError, unknown_name
from fastnn.ops import Activation
from fastnn.plotting import _asking
from fastnn.plotting._style import COLOURS, axes, column, finish, ink, need_matplotlib, parts, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CalibrationDisplay"]

_STRATEGIES = ("uniform", "quantile")
_MOST_PROBABLE = "the most probable class"
_NEAR_ONE = 1e-3  # how far the sum of probabilities may be from 1


class CalibrationDisplay:
    """How often what is predicted happens, by the probability that it is given.

    scikit-learn's class of this name draws the curve of two classes.  This one adds how many rows are behind
    each point and the expected calibration error, takes several classes, whose most probable one is judged,
    and models; it needs no scikit-learn.

    Parameters
    ----------
    prob_true : numpy.ndarray, (bins,)
        The share of rows in which it happens; bins without rows are left out.
    prob_pred : numpy.ndarray, (bins,)
        The mean of the predicted probabilities.
    counts : numpy.ndarray, (bins,)
        The number of rows.
    edges : numpy.ndarray, (bins + 1 or more,)
        Where bins begin and end, those without rows included.
    y_prob : numpy.ndarray, (rows,)
    name : str, optional
    what : str
        Whose probability it is.

    Attributes
    ----------
    expected_calibration_error : float
        The mean of ``|prob_true - prob_pred|`` over rows.  Source: Naeini, Cooper and Hauskrecht 2015,
        "Obtaining Well Calibrated Probabilities Using Bayesian Binning".
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.
    line_ : matplotlib.lines.Line2D
    bars_ : matplotlib.container.BarContainer or None
        The counts of rows, in a panel of their own.

    See Also
    --------
    sklearn.calibration.CalibrationDisplay : The curve alone, of estimators for two classes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> made = CalibrationDisplay.from_predictions(
    ...     [0, 0, 1, 1], [0.1, 0.1, 0.7, 0.9], n_bins=2, ax=Figure().subplots()
    ... )
    >>> made.prob_true.tolist(), round(made.expected_calibration_error, 3)
    ([0.0, 1.0], 0.15)
    """

    ax_: Axes
    figure_: Any
    line_: Any
    bars_: Any

    def __init__(
        self,
        prob_true: np.ndarray,
        prob_pred: np.ndarray,
        *,
        counts: np.ndarray,
        edges: np.ndarray,
        y_prob: np.ndarray,
        name: str | None = None,
        what: str = "the positive class",
    ) -> None:
        self.prob_true, self.prob_pred, self.counts, self.edges = prob_true, prob_pred, counts, edges
        self.y_prob, self.name, self.what = y_prob, name, what
        self.expected_calibration_error = float(np.average(np.abs(prob_true - prob_pred), weights=counts))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_bins: int = 10,
        strategy: str = "uniform",
        pos_label: Any = None,
        name: str | None = None,
        ref_line: bool = True,
        histogram: bool = True,
        ax: Axes | None = None,
    ) -> CalibrationDisplay:
        """Draw the probabilities of a model or an estimator.

        Parameters
        ----------
        estimator : Model or estimator
            A built model with one output tensor, of a sigmoid or a softmax; or a fitted classifier with
            `predict_proba`.
        X : array_like or DataFrame, (rows, features)
            As for its `predict`.
        y : array_like, (rows,), or one-hot, (rows, classes)
        pos_label : label, optional
            The class whose probability is judged.  By default the second of two, and of several the most
            probable one of each row.
        name : str, optional
            Of the curve; by default that of the model, or of the class.
        n_bins, strategy, ref_line, histogram, ax
            As for `from_predictions`.

        Returns
        -------
        CalibrationDisplay

        Raises
        ------
        ConfigurationError
            If it gives no probabilities.
        DataError, ShapeError, DTypeError, ImportError
            As for `from_predictions`.
        """
        need_matplotlib()
        probabilities, labels = _probabilities(estimator, X)
        codes = _asking.codes_of(y, labels)
        known = {label: code for code, label in enumerate(labels.tolist())}
        if pos_label is not None and pos_label not in known:
            raise unknown_name("pos_label", pos_label, list(map(str, known)))
        place = None if pos_label is None else known[pos_label]
        if place is None and len(labels) == 2:
            place = 1
        what = None
        if place is not None:
            codes, probabilities = (codes == place).astype(int), probabilities[:, place]
            what = f"class {labels[place]}"
        return _begun(
            cls, codes, probabilities, n_bins, strategy, name or _asking.title_of(estimator), what
        ).plot(ax, ref_line=ref_line, histogram=histogram)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_prob: Any,
        *,
        n_bins: int = 10,
        strategy: str = "uniform",
        pos_label: Any = None,
        name: str | None = None,
        ref_line: bool = True,
        histogram: bool = True,
        ax: Axes | None = None,
    ) -> CalibrationDisplay:
        """Draw predicted probabilities.

        Parameters
        ----------
        y_true : array_like, (rows,), or one-hot, (rows, classes)
            Labels: two of them for one probability a row, else 0, 1, ...
        y_prob : array_like, (rows,) or (rows, classes)
            The probability of `pos_label`, or of each class; of several the most probable one is judged.
        n_bins : int
            How many bins of probabilities.
        strategy : {"uniform", "quantile"}
            Bins of one width, or of about as many rows.
        pos_label : label, optional
            Which of two labels `y_prob` is of; by default the larger one, which must be 1 unless there are
            two.
        name : str, optional
            Of the curve.
        ref_line : bool
            Whether to draw the line of right probabilities.
        histogram : bool
            Whether a panel below shows how many rows are in each bin.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default on a new figure.  It is divided for the histogram.

        Returns
        -------
        CalibrationDisplay

        Raises
        ------
        DataError
            For numbers that are no probabilities, for labels that are not known, or for no rows.
        ShapeError
            If lengths differ.
        ConfigurationError
            For an unknown strategy, or a label that is missing.
        DTypeError
            If an argument has a wrong type.
        ImportError
            Without matplotlib.
        """
        need_matplotlib()
        probabilities = np.asarray(y_prob)
        if probabilities.ndim == 2 and probabilities.shape[1] > 1:
            if pos_label is not None:
                raise ConfigurationError(
                    "pos_label is for the probability of one class; give its column of y_prob"
                )
            codes = _asking.codes_of(y_true, np.arange(probabilities.shape[1]), "y_true")
        else:
            probabilities = column(y_prob, "y_prob")
            codes = _happened(y_true, pos_label)
        made = _begun(cls, codes, probabilities, n_bins, strategy, name, None)
        return made.plot(ax, ref_line=ref_line, histogram=histogram)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        name: str | None = None,
        ref_line: bool = True,
        histogram: bool = True,
    ) -> CalibrationDisplay:
        """Draw it once more; without a histogram also onto the axis of another one, to compare them.

        Parameters
        ----------
        ax, name, ref_line, histogram
            As for `from_predictions`.

        Returns
        -------
        CalibrationDisplay
            This one.
        """
        with_line, with_bars = check_flag(ref_line, "ref_line"), check_flag(histogram, "histogram")
        need_matplotlib()
        self.ax_ = ax = axes(ax, (5.4, 5.8) if with_bars else (6.0, 4.8))
        self.figure_ = ax.figure
        panels = parts(ax, [3.0, 1.0]) if with_bars else [ax]
        curves = [line for line in ax.lines if line.get_gid() == "calibration"]
        colour = COLOURS[len(curves) % len(COLOURS)]
        if with_line and not any(line.get_gid() == "reference" for line in ax.lines):
            ax.plot((0, 1), (0, 1), "--", color=ink(ax), linewidth=1.0, gid="reference", label="right")
        title = name or self.name or "predicted"
        label = f"{short(title, own=True)} (ECE {self.expected_calibration_error:.3f})"
        (self.line_,) = ax.plot(
            self.prob_pred, self.prob_true, "o-", color=colour, label=label, gid="calibration", zorder=3
        )
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlim(-0.03, 1.03)
        judged = self.what == _MOST_PROBABLE
        ax.set_ylabel("share of rows that are right" if judged else f"share of {self.what}")
        finish(ax, legend=False)
        if len(ax.lines) > 1:
            ax.legend(loc="best", frameon=True, fontsize="small")
        self.bars_ = None
        if with_bars:
            below = panels[1]
            self.bars_ = below.bar(
                self.edges[:-1],
                np.bincount(_bins_of(self.y_prob, self.edges), minlength=len(self.edges) - 1),
                np.diff(self.edges),
                align="edge",
                color=colour,
                edgecolor="white",
                linewidth=0.5,
            )
            below.set_ylabel("rows")
            finish(below, legend=False)
        panels[-1].set_xlabel(f"predicted probability of {self.what}")
        return self


# -- bins


def _begun(
    cls: type[CalibrationDisplay],
    codes: np.ndarray,
    probabilities: np.ndarray,
    n_bins: int,
    strategy: str,
    name: str | None,
    what: str | None,
) -> CalibrationDisplay:
    """Return a picture that is not drawn yet; of several classes, of the most probable one."""
    bins = check_count(n_bins, "n_bins")
    if strategy not in _STRATEGIES:
        raise unknown_name("strategy", strategy, _STRATEGIES)
    if len(codes) != len(probabilities):
        raise ShapeError(f"y_prob has {len(probabilities)} rows but y_true has {len(codes)}; they must agree")
    if not len(codes):
        raise DataError("y_true has no rows; give at least one")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise DataError(
            "y_prob has numbers that are no probabilities, from 0 to 1; apply sigmoid or softmax first"
        )
    if probabilities.ndim == 2:
        if np.abs(probabilities.sum(axis=1) - 1).max() > _NEAR_ONE:
            raise DataError("y_prob has rows whose probabilities do not add up to 1; apply softmax first")
        right = probabilities.argmax(axis=1) == codes
        codes, probabilities = right.astype(int), probabilities.max(axis=1)
        what = _MOST_PROBABLE
    probabilities = probabilities.astype(np.float64)
    if strategy == "uniform":
        edges = np.linspace(0.0, 1.0, bins + 1)
    else:
        edges = np.unique(np.quantile(probabilities, np.linspace(0.0, 1.0, bins + 1)))
        if len(edges) == 1:  # all alike
            edges = np.array([max(edges[0] - 0.01, 0.0), min(edges[0] + 0.01, 1.0)])
    places = _bins_of(probabilities, edges)
    counts = np.bincount(places, minlength=len(edges) - 1)
    there = counts > 0
    sums = [np.bincount(places, weights, len(edges) - 1)[there] for weights in (codes, probabilities)]
    return cls(
        sums[0] / counts[there],
        sums[1] / counts[there],
        counts=counts[there],
        edges=edges,
        y_prob=probabilities,
        name=name,
        what=what or "the positive class",
    )


def _bins_of(probabilities: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the bin of each probability; one between two bins is in the lower one, as in scikit-learn."""
    return np.searchsorted(edges[1:-1], probabilities)


def _happened(y_true: Any, pos_label: Any) -> np.ndarray:
    """Return 1 where a row has the positive label, else 0."""
    array = np.asarray(y_true)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1:
        raise ShapeError(f"y_true must have shape (rows,) for one probability a row, got {array.shape}")
    labels = list(dict.fromkeys(array.tolist()))
    if len(labels) > 2:
        raise DataError(
            f"y_true has {len(labels)} labels and y_prob one column; give a column for each class"
        )
    if pos_label is None:
        if not set(labels) <= {0, 1, -1}:
            raise ConfigurationError(
                f"which of the labels {', '.join(map(repr, labels))} y_prob is of is not known; say pos_label"
            )
        pos_label = 1
    elif pos_label not in labels and len(labels) == 2:
        raise unknown_name("pos_label", pos_label, list(map(str, labels)))
    return np.array([label == pos_label for label in array.tolist()], int)


def _probabilities(estimator: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of classes, (rows, classes), and the labels."""
    picture = "CalibrationDisplay"
    _asking.need_predictor(estimator, picture)
    if _asking.is_model(estimator):
        outputs = _asking.outputs_of(estimator, x)
        wanted = Activation.SIGMOID if outputs.shape[1] == 1 else Activation.SOFTMAX
        if _asking.last_activation(estimator) is not wanted:
            raise ConfigurationError(
                f"the outputs of model {estimator.name!r} are no probabilities, as its last layer is no "
                f"{wanted.name.lower()}; give them to from_predictions after one"
            )
        if outputs.shape[1] == 1:
            outputs = np.hstack([1 - outputs, outputs])
        return outputs, np.arange(outputs.shape[1])
    decision = _asking.decision_of(estimator, None, picture)
    if len(decision.labels) == 1:
        raise ConfigurationError("there is one class only, which is always right; calibration needs two")
    if not hasattr(estimator, "predict_proba"):
        raise ConfigurationError(f"{type(estimator).__name__} has no predict_proba, and so no probabilities")
    return np.asarray(estimator.predict_proba(x), np.float64), decision.labels
