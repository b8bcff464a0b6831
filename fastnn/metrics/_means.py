"""Metrics that are means over rows of what losses are: the losses' ops, without a gradient.

This file must not know layers or kernels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastnn import losses
from fastnn.metrics._base import Metric
from fastnn.ops import Kind

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "MeanAbsoluteError",
    "MeanOfLoss",
    "MeanSquaredError",
    "RootMeanSquaredError",
    "SparseCategoricalCrossentropy",
]

_AS_IT_IS = (0.0, 1.0)  # constants of a loss's op: it is not divided by the rows, and its share is 1


@dataclass(frozen=True)
class MeanOfLoss(Metric):
    """Base of the means of a loss over rows; its own arguments are those of the loss."""

    loss: ClassVar[type[losses.Loss]]

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [one.name for one in dataclasses.fields(self) if one.name not in ("name", "dtype")]
        loss = self.loss(**{name: getattr(self, name) for name in given})
        for name in given:  # as the loss has checked them
            self._set(name, getattr(loss, name))
        self._set("_loss", loss)
        self._set("code", loss.fused_code if loss.logits else loss.code)
        self._set("sparse", loss.sparse)

    def apart(self, outputs: int) -> bool:
        """Return whether the metric makes an array of its own: of smoothed labels, or of probabilities."""
        return self.its_loss.logits or self.its_loss.smoothing(outputs) is not None

    def kind(self, outputs: int) -> Kind:
        """Return what targets for so many outputs are."""
        return self.its_loss.kind(outputs)

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return (*_AS_IT_IS, *self.its_loss.constants(outputs))

    @property
    def its_loss(self) -> losses.Loss:
        """The loss, with the metric's arguments."""
        return vars(self)["_loss"]


@dataclass(frozen=True)
class MeanSquaredError(MeanOfLoss):
    """Mean over rows and outputs of ``(y - t)^2``.

    Examples
    --------
    >>> MeanSquaredError().name
    'mean_squared_error'
    """

    default_name: ClassVar[str] = "mean_squared_error"
    loss: ClassVar[type[losses.Loss]] = losses.MeanSquaredError


@dataclass(frozen=True)
class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean over rows and outputs of ``(y - t)^2``.

    Examples
    --------
    >>> RootMeanSquaredError().result([4.0])
    2.0
    """

    default_name: ClassVar[str] = "root_mean_squared_error"

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the root of the mean."""
        return sums[0] ** 0.5


@dataclass(frozen=True)
class MeanAbsoluteError(MeanOfLoss):
    """Mean over rows and outputs of ``|y - t|``.

    Examples
    --------
    >>> MeanAbsoluteError().name
    'mean_absolute_error'
    """

    default_name: ClassVar[str] = "mean_absolute_error"
    loss: ClassVar[type[losses.Loss]] = losses.MeanAbsoluteError


@dataclass(frozen=True)
class BinaryCrossentropy(MeanOfLoss):
    """Mean over rows and outputs of the binary cross-entropy of `fastnn.losses.BinaryCrossentropy`.

    Of probabilities, which are clipped; or, with `from_logits`, of scores before the sigmoid.

    Parameters
    ----------
    name : str, optional
    from_logits : bool
    label_smoothing : float
        As that of the loss.

    Examples
    --------
    >>> round(BinaryCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    from_logits: bool = field(default=False, kw_only=True)
    label_smoothing: float = field(default=0.0, kw_only=True)

    default_name: ClassVar[str] = "binary_crossentropy"
    loss: ClassVar[type[losses.Loss]] = losses.BinaryCrossentropy


@dataclass(frozen=True)
class CategoricalCrossentropy(MeanOfLoss):
    """Mean over rows of the cross-entropy of `fastnn.losses.CategoricalCrossentropy`.

    Of probabilities, which are clipped; or, with `from_logits`, of scores before the softmax.

    Parameters
    ----------
    name : str, optional
    from_logits : bool
    label_smoothing : float
        As that of the loss.

    Examples
    --------
    >>> round(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    from_logits: bool = field(default=False, kw_only=True)
    label_smoothing: float = field(default=0.0, kw_only=True)

    default_name: ClassVar[str] = "categorical_crossentropy"
    loss: ClassVar[type[losses.Loss]] = losses.CategoricalCrossentropy


@dataclass(frozen=True)
class SparseCategoricalCrossentropy(MeanOfLoss):
    """Mean over rows of the cross-entropy of `fastnn.losses.SparseCategoricalCrossentropy`.

    Of probabilities, which are clipped; or, with `from_logits`, of scores before the softmax.

    Parameters
    ----------
    name : str, optional
    from_logits : bool
    ignore_class : int, optional
        A label of rows that have no value.  As in Keras, and unlike in the loss, the mean is that of all
        rows; with sample weights, that of the others by their weights.

    Examples
    --------
    >>> round(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
    0.6931
    """

    from_logits: bool = field(default=False, kw_only=True)
    ignore_class: int | None = field(default=None, kw_only=True)

    default_name: ClassVar[str] = "sparse_categorical_crossentropy"
    loss: ClassVar[type[losses.Loss]] = losses.SparseCategoricalCrossentropy
