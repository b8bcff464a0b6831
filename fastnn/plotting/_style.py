"""What all pictures share: axes, colours, legends, columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.errors import DTypeError, ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "COLOURS",
    "MARKERS",
    "axes",
    "colour_bar",
    "column",
    "finish",
    "flat",
    "ink",
    "need_matplotlib",
    "palette",
    "parts",
    "short",
    "whitened",
]

# Colours that stay apart for colour-blind eyes: Okabe and Ito 2002, "Color Universal Design".
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "os^DvX"  # for readers of grey prints


def need_matplotlib() -> None:
    """Raise ImportError, with what to install, unless matplotlib is there."""
    try:
        import matplotlib.axes  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install matplotlib") from error


def axes(ax: object, figsize: tuple[float, float] = (6.4, 4.4), *, image: bool = False) -> Axes:
    """Return `ax`, or the axis of a new figure, which leaves room for a legend at its side.

    Of an image, which keeps its proportions, no more of the figure is left empty than must be.
    """
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot

        return pyplot.figure(figsize=figsize, layout="compressed" if image else "constrained").add_subplot()
    if not isinstance(ax, Axes):
        raise DTypeError(f"ax must be one matplotlib axis, got {ax!r}")
    return ax


def palette(n: int) -> Sequence[Any]:
    """Return n colours; more than there are safe ones come from a map that rises in brightness."""
    if n <= len(COLOURS):
        return COLOURS[:n]
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.0, 0.95, n)).tolist()


def ink(ax: Axes) -> Any:
    """Return the colour of an axis's words: black, or what a dark style has."""
    return ax.xaxis.label.get_color()


def short(name: object, longest: int = 24, *, own: bool = False) -> str:
    """Return a name without its middle where it is long, in which a dollar is a dollar.

    Of the caller's own names, those with dollars are left alone: they may be formulas.
    """
    text = str(name)
    if own and "$" in text:
        return text
    half = longest // 2
    text = text if len(text) <= longest else f"{text[: half - 1]}\N{HORIZONTAL ELLIPSIS}{text[-half + 1 :]}"
    return text.replace("$", r"\$")


def whitened(colour: str, white: float) -> tuple[float, ...]:
    """Return a colour with a share of white in it."""
    from matplotlib.colors import to_rgb

    return tuple(white + (1 - white) * part for part in to_rgb(colour))


def finish(ax: Axes, *, grid: bool = True, legend: bool = True) -> None:
    """Put the legend, if there is to be one, beside the data, and fine lines behind them."""
    if grid:
        ax.grid(alpha=0.3)
        ax.set_axisbelow(True)
    if legend:
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, frameon=False)


def colour_bar(ax: Axes, drawn: Any, label: str, **options: Any) -> Any:
    """Put a bar of colours beside an axis, as high as that, and return it."""
    figure: Any = ax.figure
    return figure.colorbar(drawn, cax=ax.inset_axes((1.03, 0.0, 0.045, 1.0)), label=label, **options)


def parts(ax: Axes, shares: Sequence[float]) -> list[Axes]:
    """Return `ax`, made lower, and new axes below it, which take the rest of its place and its scale along x.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    shares : sequence of float
        Heights, from above, in any unit.
    """
    count, whole = len(shares), sum(shares)
    if count == 1:
        return [ax]
    figure, spec = ax.figure, ax.get_subplotspec()
    found = [ax]
    if spec is None:  # it was put into the figure by hand
        left, low, wide, high = ax.get_position().bounds
        gap = 0.08 * high
        unit, top = (high - gap * (count - 1)) / whole, low + high
        for place, share in enumerate(shares):
            top -= share * unit
            bounds = (left, top, wide, share * unit)
            if place:
                found.append(figure.add_axes(bounds, sharex=ax))
            else:
                ax.set_position(bounds)
            top -= gap
    else:
        places = spec.subgridspec(count, 1, height_ratios=list(shares))
        ax.set_subplotspec(places[0])
        found += [figure.add_subplot(places[place], sharex=ax) for place in range(1, count)]
    for upper in found[:-1]:
        upper.tick_params(labelbottom=False)
    return found


def column(value: object, name: str) -> np.ndarray:
    """Return real numbers, of which some may be missing, as a float64 vector."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiubO":
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise DTypeError(f"{name} must hold real numbers, got {value!r}") from None
    return flat(array, name)


def flat(array: np.ndarray, name: str) -> np.ndarray:
    """Return an array of one column as a vector."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ShapeError(f"{name} must have shape (rows,) or (rows, 1), got {array.shape}; draw one column")
    return array
