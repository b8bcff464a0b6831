"""Loss curves: loss and metrics over epochs, of one training or of several.

This file must not know kernels or plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.callbacks import History
from fastnn.checks import check_flag
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError, unknown_name
from fastnn.plotting import _asking
from fastnn.plotting._style import axes, column, finish, need_matplotlib, palette, parts, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LossCurveDisplay", "plot_loss"]

_NOT_MEASURED = ("learning_rate", "lr")  # stand in some histories, and are neither loss nor metric


@dataclass(frozen=True)
class _Line:
    """A curve, and how it is told from others."""

    key: str
    values: np.ndarray
    epochs: np.ndarray
    label: str
    colour: Any
    style: str


class LossCurveDisplay:
    """Loss and metrics over epochs, of one training or of several; validation is dashed.

    Of one training each curve has a colour, losses are above, and other metrics below.  Of several each
    training has a colour, and what is measured a panel of its own.  Where a curve stops being finite, a cross
    marks its last finite number.

    Parameters
    ----------
    curves : dict of str to dict of str to numpy.ndarray
        By training, by name, ``val_`` in front of what was validated: one number per epoch.
    epochs : dict of str to numpy.ndarray
        By training: the numbers of its epochs.
    title : str

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn; the uppermost panel.
    axes_ : list of matplotlib.axes.Axes
        All panels, from above.
    lines_ : list of matplotlib.lines.Line2D

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> runs = {"slow": {"loss": [0.9, 0.8]}, "fast": {"loss": [0.9, 0.5, 0.4]}}
    >>> made = LossCurveDisplay.from_histories(runs, ax=Figure().subplots())
    >>> [line.get_label() for line in made.lines_]
    ['slow', 'fast']
    """

    ax_: Axes
    figure_: Any
    axes_: list[Axes]
    lines_: list[Any]

    def __init__(
        self,
        *,
        curves: dict[str, dict[str, np.ndarray]],
        epochs: dict[str, np.ndarray],
        title: str = "Training",
    ) -> None:
        self.curves, self.epochs, self.title = curves, epochs, title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        names: str | Iterable[str] | None = None,
        log_scale: bool = False,
        ax: Axes | None = None,
    ) -> LossCurveDisplay:
        """Draw the curves of a trained model or estimator.

        Parameters
        ----------
        estimator : Model or estimator
            A model that `fit` was called of, or an estimator with `loss_curve_`, such as `MLPClassifier`; its
            `validation_scores_` are drawn too, and it may be the last step of a Pipeline.
        names, log_scale, ax
            As for `from_histories`.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        ConfigurationError
            If it was not trained, or by a solver that keeps no curve, such as "lbfgs".
        DataError, ShapeError, DTypeError, ImportError
            As for `from_histories`.
        """
        _asking.need_predictor(estimator, "LossCurveDisplay")
        return cls.from_histories(estimator, names=names, log_scale=log_scale, ax=ax)

    @classmethod
    def from_histories(
        cls,
        histories: Any,
        *,
        names: str | Iterable[str] | None = None,
        log_scale: bool = False,
        ax: Axes | None = None,
    ) -> LossCurveDisplay:
        """Draw the curves of one training, or of several.

        Parameters
        ----------
        histories : History, dict, model or estimator, or several of them
            What `fit` returned, or its dict of lists, a trained model, or an estimator.  Several stand in a
            list, or in a dict with a name for each.
        names : str or iterable of str, optional
            What to draw, without ``val_``: ``"loss"``, or ``["loss", "accuracy"]``.  By default everything
            but the learning rate.
        log_scale : bool
            Whether vertical axes are logarithmic; values that are not positive are left out.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default on a new figure.  It is divided where more panels are needed.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        DataError
            If there is no epoch.
        ShapeError
            If the curves of one training differ in length.
        ConfigurationError
            If a name is in no history, none is left, or something was not trained.
        DTypeError
            If an argument has a wrong type.
        ImportError
            Without matplotlib.
        """
        check_flag(log_scale, "log_scale")
        need_matplotlib()
        curves, epochs, titles = {}, {}, []
        for name, source in _named(histories).items():
            where = "history" if not name else f"histories[{name!r}]"
            curves[name], epochs[name] = _curves_of(_history_of(source, where), where)
            titles.append(_title(source))
        made = cls(curves=curves, epochs=epochs, title=titles[0] if len(titles) == 1 else "Training")
        return made.plot(ax, names=names, log_scale=log_scale)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        names: str | Iterable[str] | None = None,
        log_scale: bool = False,
    ) -> LossCurveDisplay:
        """Draw them once more.

        Parameters
        ----------
        ax, names, log_scale
            As for `from_histories`.

        Returns
        -------
        LossCurveDisplay
            This one.
        """
        logarithmic = check_flag(log_scale, "log_scale")
        need_matplotlib()
        chosen = _chosen(self.curves, names)
        if len(self.curves) == 1:
            (run,) = self.curves
            panels = _of_one(self.curves[run], self.epochs[run], chosen)
            count = sum(map(len, panels.values()))
        else:
            panels = _of_several(self.curves, self.epochs, chosen)
            count = len({line.label for lines in panels.values() for line in lines})
        self.axes_, self.lines_ = _drawn(ax, panels, logarithmic, "all" if count > 1 else "none")
        if len(self.curves) > 1:
            _one_legend(self.axes_)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        if not self.ax_.get_title():
            self.ax_.set_title(self.title)
        return self


def plot_loss(
    history: History | Mapping[str, Sequence[float]],
    ax: Axes | None = None,
    *,
    names: str | Iterable[str] | None = None,
    log_scale: bool = False,
) -> Axes:
    """Draw loss and metrics over epochs, one colour each; validation is dashed.

    Losses are above, what is measured besides has an axis of its own below.

    Parameters
    ----------
    history : History or dict of str to sequence of float
        What `fit` returned, or its `history`: one number per epoch.  The epochs of a dict count from 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.  It is halved where a second axis is needed.
    names : str or iterable of str, optional
        What to draw, without ``val_``: ``"loss"``, or ``["loss", "accuracy"]``.  By default everything but
        the learning rate.
    log_scale : bool
        Whether vertical axes are logarithmic; values that are not positive are left out.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the new one; of two the upper one, ``ax.figure.axes`` has both.

    Raises
    ------
    DataError
        If there is no epoch.
    ShapeError
        If the curves differ in length.
    ConfigurationError
        If a name is not in the history, or none is left.
    DTypeError
        If an argument has a wrong type.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_loss({"loss": [0.9, 0.5], "val_loss": [1.0, 0.7]}, Figure().subplots())
    >>> [line.get_label() for line in ax.lines]
    ['training loss', 'validation loss']
    """
    logarithmic = check_flag(log_scale, "log_scale")
    need_matplotlib()
    curves, epochs = _curves_of(history, "history")
    panels = _of_one(curves, epochs, _chosen({"": curves}, names))
    found, _ = _drawn(ax, panels, logarithmic, "all")
    if not found[0].get_title():
        found[0].set_title(_title(history))
    return found[0]


# -- what is drawn


def _chosen(runs: dict[str, dict[str, np.ndarray]], names: str | Iterable[str] | None) -> list[str]:
    """Return the names of what is drawn, without ``val_``."""
    known = list(dict.fromkeys(key.removeprefix("val_") for curves in runs.values() for key in curves))
    if names is None:
        chosen = [name for name in known if name not in _NOT_MEASURED]
    else:
        chosen = [names] if isinstance(names, str) else list(names)
    for name in chosen:
        if name not in known:
            raise unknown_name("curve", name, known)
    if not chosen:
        raise ConfigurationError(f"no curve to draw; choose names of {', '.join(known)}")
    return chosen


def _of_one(curves: dict[str, np.ndarray], epochs: np.ndarray, chosen: list[str]) -> dict[str, list[_Line]]:
    """Return the lines of one training by panel: losses, and what is measured besides."""
    losses = [name for name in chosen if name == "loss" or name.endswith("_loss")]
    others = [name for name in chosen if name not in losses]
    panels: dict[str, list[_Line]] = {", ".join(group): [] for group in (losses, others) if group}
    for name, colour in zip(chosen, palette(len(chosen)), strict=True):
        lines = panels[", ".join(losses if name in losses else others)]
        for key, part, style in ((name, "training", "-"), (f"val_{name}", "validation", "--")):
            if key in curves:
                label = name if name in _NOT_MEASURED else f"{part} {name}"
                lines.append(_Line(key, curves[key], epochs, short(label, 40), colour, style))
    return panels


def _of_several(
    runs: dict[str, dict[str, np.ndarray]], epochs: dict[str, np.ndarray], chosen: list[str]
) -> dict[str, list[_Line]]:
    """Return the lines of several trainings by panel, one for each name."""
    validated = any(f"val_{name}" in curves for curves in runs.values() for name in chosen)
    panels: dict[str, list[_Line]] = {name: [] for name in chosen}
    for (run, curves), colour in zip(runs.items(), palette(len(runs)), strict=True):
        for name in chosen:
            for key, part, style in ((name, "training", "-"), (f"val_{name}", "validation", "--")):
                if key in curves:
                    label = f"{short(run)}, {part}" if validated else short(run)
                    panels[name].append(_Line(key, curves[key], epochs[run], label, colour, style))
    return panels


def _drawn(
    ax: Axes | None, panels: dict[str, list[_Line]], logarithmic: bool, legend: str
) -> tuple[list[Axes], list[Any]]:
    """Draw lines, and return the axes and the lines."""
    from matplotlib.ticker import MaxNLocator

    ax = axes(ax, (6.4, 4.4 if len(panels) == 1 else 3.0 * len(panels)))
    found = parts(ax, [1.0] * len(panels))
    lines = []
    for panel, (title, wanted) in zip(found, panels.items(), strict=True):
        for line in wanted:
            hollow: dict[str, Any] = {"markerfacecolor": "none"} if line.style == "--" else {}
            lines += panel.plot(
                line.epochs,
                line.values,
                line.style,
                color=line.colour,
                marker="o" if len(line.epochs) == 1 else "",
                label=line.label,
                **hollow,
            )
            _mark_end(panel, line)
        if not any(np.isfinite(line.values).any() for line in wanted):
            panel.text(0.5, 0.5, "no finite number", transform=panel.transAxes, ha="center", va="center")
            panel.set_yticks([])
        if logarithmic:
            panel.set_yscale("log", nonpositive="mask")
        panel.set_ylabel(title if len(title) <= 40 else f"{len(title.split(', '))} metrics")
        finish(panel, legend=legend == "all")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    found[-1].set_xlabel("epoch")
    return found, lines


def _mark_end(panel: Axes, line: _Line) -> None:
    """Put a cross at the last finite number of a curve that does not stay finite."""
    finite = np.flatnonzero(np.isfinite(line.values))
    if len(finite) and finite[-1] < len(line.values) - 1:
        last = finite[-1]
        panel.scatter(
            line.epochs[last : last + 1],
            line.values[last : last + 1],
            marker="x",
            s=50,
            color=line.colour,
            zorder=3,
        )


def _one_legend(panels: list[Axes]) -> None:
    """Leave one legend, at the uppermost panel, with what is in any of them, once."""
    entries: dict[str, Any] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        entries |= {
            label: handle for handle, label in zip(handles, labels, strict=True) if label not in entries
        }
        old = panel.get_legend()
        if old is not None:
            old.remove()
    if len(entries) > 1:
        panels[0].legend(
            handles=list(entries.values()),
            labels=list(entries),
            loc="upper left",
            bbox_to_anchor=(1.02, 1.0),
            borderaxespad=0.0,
            frameon=False,
            ncols=1 + (len(entries) - 1) // 20,
        )


# -- where curves come from


def _named(histories: Any) -> dict[str, Any]:
    """Return several histories by name; one alone has none."""
    if isinstance(histories, Mapping):
        values = list(histories.values())
        several = values and all(
            isinstance(value, Mapping | History) or _asking.is_model(value) or hasattr(value, "predict")
            for value in values
        )
        return {str(name): value for name, value in histories.items()} if several else {"": histories}
    if isinstance(histories, list | tuple):
        if not histories:
            raise DataError("histories has none to draw; give at least one")
        if len(histories) == 1:
            return {"": histories[0]}
        return {f"training {number + 1}": history for number, history in enumerate(histories)}
    return {"": histories}


def _history_of(source: Any, where: str) -> Any:
    """Return a history, or a dict of lists, of what was trained."""
    if _asking.is_model(source):
        if source.history is None:
            raise ConfigurationError(f"model {source.name!r} was not trained; call fit first")
        return source.history
    if isinstance(source, History | Mapping) or not hasattr(source, "predict"):
        return source
    estimator = _asking.last_step(source)
    if getattr(estimator, "loss_curve_", None) is None:
        solver = getattr(estimator, "solver", None)
        reason = "its solver, 'lbfgs', keeps none" if solver == "lbfgs" else "call fit first"
        raise ConfigurationError(f"{type(estimator).__name__} in {where} has no loss_curve_; {reason}")
    curves = {"loss": estimator.loss_curve_}
    if getattr(estimator, "validation_scores_", None) is not None:
        curves["val_score"] = estimator.validation_scores_
    return curves


def _title(source: Any) -> str:
    model = getattr(source, "model", None) if isinstance(source, History) else source
    if model is None or isinstance(model, Mapping):
        return "Training"
    return f"Training of {short(_asking.title_of(model), 40)}"


def _curves_of(history: object, where: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the curves of a history, checked, and the epochs' numbers, from 1 on as `fit` prints them."""
    numbers = None
    if isinstance(history, History):
        numbers, history = history.epoch, history.history
    if not isinstance(history, Mapping):
        raise DTypeError(f"{where} must be what fit returns, or its dict of lists, got {history!r}")
    curves = {
        key: column(values, f"{where}[{key!r}]")
        for key, values in history.items()
        # A metric that is an array is no curve.
        if numbers is None or not any(getattr(value, "ndim", 0) for value in values)
    }
    count = len(numbers) if numbers is not None else max(map(len, curves.values()), default=0)
    if not count or not curves:
        raise DataError(f"{where} has no epochs to draw; call fit first")
    for key, values in curves.items():
        if len(values) != count:
            raise ShapeError(f"{where}[{key!r}] has {len(values)} numbers for {count} epochs")
    return curves, np.arange(count) + 1 if numbers is None else np.asarray(numbers) + 1
