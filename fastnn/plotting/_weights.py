"""What the units of a first layer look at: their weights as images.

This file must not know kernels or plans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.checks import check_count, check_flag
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError
from fastnn.plotting import _asking
from fastnn.plotting._style import axes, colour_bar, need_matplotlib, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["WeightImagesDisplay"]

_MOST_UNITS = 100


class WeightImagesDisplay:
    """The weights of each unit as an image, all of them on one axis.

    Colours are symmetric around 0, which is white.

    Parameters
    ----------
    kernel : numpy.ndarray, (inputs, units)
        Weights.
    shape : tuple of int
        Height and width of an image.
    units : numpy.ndarray, (images,)
        The numbers of the units that are drawn.
    title : str

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.
    im_ : matplotlib.image.AxesImage
        All images, with gaps of NaN between them.

    Examples
    --------
    >>> import fastnn
    >>> from matplotlib.figure import Figure
    >>> model = fastnn.Sequential([fastnn.Input((64,)), fastnn.layers.Dense(10)], seed=0)
    >>> made = WeightImagesDisplay.from_estimator(model, ax=Figure().subplots())
    >>> made.shape, made.image_of(3).shape, made.ax_.get_title()
    ((8, 8), (8, 8), 'weights of dense, 10 units of 8 x 8')
    """

    ax_: Axes
    figure_: Any
    im_: Any

    def __init__(
        self, kernel: np.ndarray, *, shape: tuple[int, int], units: np.ndarray, title: str = "weights"
    ) -> None:
        self.kernel, self.shape, self.units, self.title = kernel, shape, units, title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        layer: str | None = None,
        shape: Sequence[int] | None = None,
        units: int | Sequence[int] | None = None,
        each: bool = False,
        ax: Axes | None = None,
    ) -> WeightImagesDisplay:
        """Draw the weights of a model's or an estimator's first layer.

        Parameters
        ----------
        estimator : Model or estimator
            A built model; or what has `coefs_`, such as `MLPClassifier`, by itself or as the last step of a
            Pipeline.
        layer : str, optional
            Of a model, the name of a layer with a kernel; by default the first one.
        shape : sequence of 2 int, optional
            Height and width of an image, whose product is the number of inputs.  By default a square, if
            inputs make one.
        units : int or sequence of int, optional
            How many units to draw, or their numbers; by default all, but no more than 100.
        each : bool
            Whether each image has all of the colours; by default they have one scale.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        WeightImagesDisplay

        Raises
        ------
        ShapeError
            If inputs do not make images of that shape.
        ConfigurationError
            If there is no such layer, or no such unit, or the model is not built.
        DataError
            If weights are not finite.
        DTypeError
            If an argument has a wrong type.
        ImportError
            Without matplotlib.
        """
        need_matplotlib()
        _asking.need_predictor(estimator, "WeightImagesDisplay")
        kernel, name = _kernel_of(estimator, layer)
        size = _shape_of(shape, len(kernel))
        chosen = _units_of(units, kernel.shape[1])
        if not np.isfinite(kernel).all():
            raise DataError(f"the weights of {name} are not finite; training did not go well")
        some = f"{len(chosen)}" if len(chosen) == kernel.shape[1] else f"{len(chosen)} of {kernel.shape[1]}"
        title = f"weights of {short(name)}, {some} unit{'' if some == '1' else 's'} of {size[0]} x {size[1]}"
        return cls(kernel, shape=size, units=chosen, title=title).plot(ax, each=each)

    def image_of(self, unit: int) -> np.ndarray:
        """Return the weights of a unit as an image.

        Parameters
        ----------
        unit : int

        Returns
        -------
        numpy.ndarray, (height, width)
        """
        return self.kernel[:, unit].reshape(self.shape)

    def plot(self, ax: Axes | None = None, *, each: bool = False) -> WeightImagesDisplay:
        """Draw them once more.

        Parameters
        ----------
        ax, each
            As for `from_estimator`.

        Returns
        -------
        WeightImagesDisplay
            This one.
        """
        alone = check_flag(each, "each")
        need_matplotlib()
        from matplotlib import colormaps

        height, width = self.shape
        images = [self.image_of(int(unit)).astype(np.float64) for unit in self.units]
        if alone:
            images = [image / (np.abs(image).max() or 1.0) for image in images]
        line = min(height, width) == 1  # images of one line stand side by side, as a matrix
        if line:
            across = 1 if height == 1 else len(images)
        else:
            across = max(1, min(len(images), round(math.sqrt(len(images) * height / width))))
        gap = 0 if line else 1 if max(height, width) < 20 else 2
        whole = _joined(images, across, gap)
        ratio = 0.75 if line else whole.shape[0] / whole.shape[1]
        wide = 6.0 if ratio <= 1.3 else 7.8 / ratio
        self.ax_ = ax = axes(ax, (max(wide, 2.5) + 1.2, min(max(wide * ratio, 1.6), 8.0) + 0.6), image=True)
        self.figure_ = ax.figure
        limit = np.nanmax(np.abs(whole)) or 1.0
        # Blue and red stay apart for colour-blind eyes; gaps are grey.
        cmap = colormaps["RdBu_r"].with_extremes(bad="0.6")
        self.im_ = ax.imshow(
            whole,
            cmap=cmap,
            vmin=-limit,
            vmax=limit,
            interpolation="nearest",
            aspect="auto" if line else "equal",
        )
        if line:
            self._name_lines(ax)
        else:
            self._name_images(ax, across, gap)
        ax.tick_params(length=0)
        if not ax.get_title():
            ax.set_title(self.title, fontsize="medium")
        colour_bar(ax, self.im_, "weight / largest of the unit" if alone else "weight")
        return self

    def _name_lines(self, ax: Axes) -> None:
        """Name the axes of a matrix: units, and inputs."""
        of_units, of_inputs = (ax.yaxis, ax.xaxis) if self.shape[0] == 1 else (ax.xaxis, ax.yaxis)
        places = _some(len(self.units))
        of_units.set_ticks(places, [str(self.units[place]) for place in places])
        of_units.set_label_text("unit")
        of_inputs.set_ticks(_some(len(self.kernel)))
        of_inputs.set_label_text("input")

    def _name_images(self, ax: Axes, across: int, gap: int) -> None:
        """Name the axes of images in rows, by the number of the first of each row."""
        height, width = self.shape
        numbered = np.array_equal(self.units, np.arange(len(self.units)))
        rows, columns = _some(-(-len(self.units) // across)), _some(across)
        ax.set_yticks(
            rows * (height + gap) + (height - 1) / 2, [str(self.units[row * across]) for row in rows]
        )
        names = [f"+{column}" if numbered else "" for column in columns]
        ax.set_xticks(columns * (width + gap) + (width - 1) / 2, names)
        ax.set_ylabel("unit" if numbered else "first unit of the row")
        ax.set_xlabel("units to the right" if numbered else "units in the order given")


def _joined(images: list[np.ndarray], across: int, gap: int) -> np.ndarray:
    """Return images side by side, in rows, with NaN between them."""
    height, width = images[0].shape
    down = -(-len(images) // across)
    whole = np.full((down * (height + gap) - gap, across * (width + gap) - gap), np.nan)
    for place, image in enumerate(images):
        row, column = divmod(place, across)
        top, left = row * (height + gap), column * (width + gap)
        whole[top : top + height, left : left + width] = image
    return whole


def _some(count: int) -> np.ndarray:
    """Return up to ten places, the first and the last included."""
    return np.unique(np.linspace(0, count - 1, min(count, 10)).astype(int))


def _kernel_of(estimator: Any, layer: str | None) -> tuple[np.ndarray, str]:
    """Return a kernel, (inputs, units), and the name of what has it."""
    if not _asking.is_model(estimator):
        net = _asking.last_step(estimator)
        if layer is not None:
            raise ConfigurationError("layer is for models; of estimators the first one is drawn, coefs_[0]")
        if getattr(net, "coefs_", None) is None:
            raise ConfigurationError(
                f"{type(net).__name__} has no coefs_ to draw; fit it, if it is a perceptron"
            )
        return np.asarray(net.coefs_[0]), type(net).__name__
    weights = [weight for weight in estimator.weights if weight.path.rpartition("/")[2] == "kernel"]
    found = [(w.path.split("/")[-2], np.asarray(w.numpy())) for w in weights]
    if not found:
        _ = estimator.graph  # says that the model is not built, if that is so
        raise ConfigurationError(f"model {estimator.name!r} has no layer with a kernel")
    if layer is None:
        return found[0][1], found[0][0]
    for name, kernel in found:
        if name == layer:
            return kernel, name
    raise ConfigurationError(
        f"no layer with a kernel is named {layer!r}; there are {[name for name, _ in found]}"
    )


def _shape_of(shape: Sequence[int] | None, inputs: int) -> tuple[int, int]:
    """Return height and width of an image."""
    if shape is None:
        side = math.isqrt(inputs)
        if side * side != inputs:
            raise ShapeError(
                f"{inputs} inputs make no square; say what images they make, for example shape=(1, {inputs})"
            )
        return side, side
    if len(shape) != 2:
        raise ShapeError(f"shape must be 2 numbers, height and width, got {shape!r}")
    height, width = (check_count(part, "shape") for part in shape)
    if height * width != inputs:
        raise ShapeError(
            f"shape is {height} x {width}, {height * width} numbers, and there are {inputs} inputs"
        )
    return height, width


def _units_of(units: int | Sequence[int] | None, count: int) -> np.ndarray:
    """Return the numbers of the units to draw."""
    if units is None:
        return np.arange(min(count, _MOST_UNITS))
    if isinstance(units, int | np.integer):
        return np.arange(min(check_count(units, "units"), count))
    found = np.asarray(units)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise DTypeError(f"units must be a number or whole numbers, got {units!r}")
    if not len(found) or found.min() < 0 or found.max() >= count:
        raise ConfigurationError(f"units must lie in 0 to {count - 1}, got {units!r}")
    return found
