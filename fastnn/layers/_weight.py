"""One parameter of a layer, with its name, to be read and to be replaced.

This file must not know models, nor where parameters live but by the layer's store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Weight"]


class Weight:
    """One parameter of a layer; NumPy takes it for an array.

    Attributes
    ----------
    name : str
        What it is to its layer, such as ``"kernel"``.
    path : str
        The same after the layer's name, ``"dense/kernel"``.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)], seed=0)
    >>> kernel, bias = model.weights
    >>> bias.path, bias.shape
    ('dense/bias', (3,))
    >>> bias.assign([1, 2, 3])
    >>> bias.numpy()
    array([1., 2., 3.], dtype=float32)
    """

    __slots__ = ("_layer", "name", "path")

    def __init__(self, layer: Any, role: str) -> None:
        self._layer, self.name, self.path = layer, role, f"{layer.name}/{role}"

    def numpy(self) -> np.ndarray:
        """Return a copy of the values."""
        found: np.ndarray = self._layer._weight(self.name)
        return found

    @property
    def value(self) -> np.ndarray:
        """A copy of the values."""
        return self.numpy()

    @property
    def shape(self) -> tuple[int, ...]:
        """As of the array."""
        return self.numpy().shape

    @property
    def dtype(self) -> np.dtype:
        """The model's."""
        return self.numpy().dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.numpy().ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.numpy().size

    def assign(self, value: Sequence[Any] | np.ndarray) -> None:
        """Replace the values.

        Parameters
        ----------
        value : array_like
            Of the same shape.

        Raises
        ------
        ShapeError, DataError, DTypeError
            If its shape or its values are wrong.
        BusyError
            If another thread trains a model with this weight.
        """
        self._layer._set_weight(self.name, value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.numpy(), dtype)

    def __len__(self) -> int:
        return len(self.numpy())

    def __getitem__(self, index: Any) -> Any:
        return self.numpy()[index]

    def __repr__(self) -> str:
        return f"<Weight {self.path} {self.shape}>"
