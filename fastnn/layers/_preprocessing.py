"""Layers that bring features to a scale.

They run inside the plan, in training and in prediction alike.  This file must not know kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastnn.checks import check_number, with_arguments_of_keras
from fastnn.graph.graph import AffineConfig
from fastnn.layers._base import Layer

__all__ = ["Rescaling"]


class Rescaling(Layer):
    """``scale * x + offset``, as of pixels from 0 to 255: ``Rescaling(1 / 255)``.

    Parameters
    ----------
    scale, offset : float
        Of all features; `Normalization` has numbers for each.
    name : str, optional

    Raises
    ------
    DTypeError
        If they are no numbers.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.Sequential([fastnn.Input((2,)), Rescaling(1 / 255)]).predict([[0, 255]])
    array([[0., 1.]], dtype=float32)
    """

    config: AffineConfig

    @with_arguments_of_keras("Rescaling", "Layer")
    def __init__(self, scale: float, offset: float = 0.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = AffineConfig(check_number(scale, "scale"), check_number(offset, "offset"))

    def _arguments(self) -> dict[str, Any]:
        return {"scale": self.config.scale, "offset": self.config.shift}

    def _code(self) -> Iterator[str]:
        yield str(self.config.scale)
        if self.config.shift:
            yield f"offset={self.config.shift}"
