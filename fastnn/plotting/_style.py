"""What all pictures share: axes, colours, legends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.errors import DTypeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLOURS", "MARKERS", "axes", "finish", "need_matplotlib", "palette", "whitened"]

# Colours that stay apart for colour-blind eyes: Okabe and Ito 2002, "Color Universal Design".
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "os^DvX"  # for readers of grey prints


def need_matplotlib() -> None:
    """Raise ImportError, with what to install, unless matplotlib is there."""
    try:
        import matplotlib.axes  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install matplotlib") from error


def axes(ax: object, figsize: tuple[float, float] = (6.4, 4.4)) -> Axes:
    """Return `ax`, or the axis of a new figure, which leaves room for a legend at its side."""
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot

        return pyplot.figure(figsize=figsize, layout="constrained").add_subplot()
    if not isinstance(ax, Axes):
        raise DTypeError(f"ax must be one matplotlib axis, got {ax!r}")
    return ax


def palette(n: int) -> Sequence[Any]:
    """Return n colours; more than there are safe ones come from a map that rises in brightness."""
    if n <= len(COLOURS):
        return COLOURS[:n]
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.0, 0.95, n)).tolist()


def whitened(colour: str, white: float) -> tuple[float, ...]:
    """Return a colour with a share of white in it."""
    from matplotlib.colors import to_rgb

    return tuple(white + (1 - white) * part for part in to_rgb(colour))


def finish(ax: Axes, *, grid: bool = True) -> None:
    """Put the legend beside the data, and fine lines behind them."""
    if grid:
        ax.grid(alpha=0.3)
        ax.set_axisbelow(True)
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, frameon=False)
