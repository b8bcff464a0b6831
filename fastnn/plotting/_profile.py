"""Where the time of a training step goes, op by op.

This file must not know kernels: it draws what `Model.profile` measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.checks import check_count
from fastnn.codes import OpCode
from fastnn.errors import DTypeError
from fastnn.model.inspection import Profile
from fastnn.opcodes import SIGNATURES, Axis
from fastnn.plotting import _asking
from fastnn.plotting._style import COLOURS, axes, finish, need_matplotlib, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ProfileDisplay"]

_MOST_OPS = 30
_KINDS = {"rows: forward, backward, loss": COLOURS[0], "weights: gradients, updates": COLOURS[1]}
_REST = "0.6"
_SLOW = 1.0  # GFLOP/s, below which an op does other things than to multiply


class ProfileDisplay:
    """Microseconds of a training step by op, in the order in which they run.

    Beside each bar stand its share of the step and, from 1 on, its GFLOP/s.  Ops that are
    too many to be shown are added up in the last bar.

    Parameters
    ----------
    profile : fastnn.model.inspection.Profile
        What `Model.profile` returned.

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.
    bars_ : matplotlib.container.BarContainer

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from matplotlib.figure import Figure
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> made = ProfileDisplay.from_estimator(model, np.ones((4, 2)), np.ones(4), ax=Figure().subplots())
    >>> len(made.bars_) == len(made.profile.rows)
    True
    """

    ax_: Axes
    figure_: Any
    bars_: Any

    def __init__(self, profile: Profile) -> None:
        if not isinstance(profile, Profile):
            raise DTypeError(f"profile must be what model.profile(x, y) returns, got {profile!r}")
        self.profile = profile

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        batch_size: int | None = None,
        max_ops: int = _MOST_OPS,
        ax: Axes | None = None,
    ) -> ProfileDisplay:
        """Time a training step of a model, and draw it.

        Parameters
        ----------
        estimator : Model
            Compiled; it is not changed.  Estimators have no profile.
        X, y : array_like
            As for `fit`.
        batch_size : int, optional
            Default 32.
        max_ops : int
            The most bars.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        ProfileDisplay

        Raises
        ------
        DTypeError
            If it is no model, or an argument has a wrong type.
        ShapeError, DataError, ConfigurationError
            As `Model.profile`.
        ImportError
            Without matplotlib.
        """
        need_matplotlib()
        if not _asking.is_model(estimator):
            raise DTypeError(f"ProfileDisplay needs a compiled model, got {estimator!r}")
        check_count(max_ops, "max_ops", 2)
        return cls(estimator.profile(X, y, batch_size)).plot(ax, max_ops=max_ops)

    def plot(self, ax: Axes | None = None, *, max_ops: int = _MOST_OPS) -> ProfileDisplay:
        """Draw it once more.

        Parameters
        ----------
        ax, max_ops
            As for `from_estimator`.

        Returns
        -------
        ProfileDisplay
            This one.
        """
        most = check_count(max_ops, "max_ops", 2)
        need_matplotlib()
        from matplotlib.patches import Patch

        rows = self.profile.rows
        names = [_name(description) for description, _, _ in rows]
        colours = [_colour(description) for description, _, _ in rows]
        times = np.array([time for _, time, _ in rows])
        flops = np.array([work for _, _, work in rows])
        if len(rows) > most:
            kept = np.sort(np.argsort(-times, kind="stable")[: most - 1])
            rest = np.setdiff1d(np.arange(len(rows)), kept)
            names = [names[place] for place in kept] + [f"{len(rest)} other ops"]
            colours = [colours[place] for place in kept] + [_REST]
            times, flops = np.append(times[kept], times[rest].sum()), np.append(flops[kept], 0.0)
        self.ax_ = ax = axes(ax, (9.6, max(2.0, 1.0 + 0.26 * len(names))))
        self.figure_ = ax.figure
        handles = [Patch(color=colour, label=label) for label, colour in _KINDS.items() if colour in colours]
        self.bars_ = ax.barh(np.arange(len(names)), times, color=colours, height=0.75)
        whole = times.sum() or 1.0
        texts = [_text(time / whole, time, work) for time, work in zip(times, flops, strict=True)]
        ax.bar_label(self.bars_, texts, padding=3, fontsize="small")
        ax.set_xlim(0, 1.3 * (times.max() or 1.0))
        ax.set_yticks(np.arange(len(names)), names, fontsize="small")
        ax.set_ylim(len(names) - 0.4, -0.6)  # the first on top
        ax.set_xlabel("microseconds a step, on one thread")
        ax.set_ylabel("op and layer")
        if not ax.get_title():
            ax.set_title(
                f"{self.profile.microseconds:.3g} us a step; matrices alone {self.profile.peak:.0f} GFLOP/s",
                fontsize="medium",
            )
        finish(ax, legend=False)
        if len(handles) > 1:
            ax.legend(
                handles=handles,
                loc="upper left",
                bbox_to_anchor=(1.02, 1.0),
                borderaxespad=0.0,
                frameon=False,
            )
        return self


def _text(share: float, time: float, work: float) -> str:
    """Return what stands beside a bar."""
    fast = work / 1e3 >= _SLOW * time > 0
    return f"{share:.0%}" + (f", {work / time / 1e3:.3g} GFLOP/s" if fast else "")


def _colour(description: str) -> str:
    """Return the colour of an op's kind."""
    code = OpCode[description.partition(" ")[0].upper()]
    rows, weights = _KINDS.values()
    return weights if SIGNATURES[code].axis is Axis.PARAMETER else rows


def _name(description: str) -> str:
    """Return the op and its layer of an op's description."""
    return short(description.partition(": ")[0], 40)
