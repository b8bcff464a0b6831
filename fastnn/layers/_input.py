"""Where a graph begins: `Input`, a tensor that nothing makes, and `InputLayer`, what Keras has for it.

This file must not know models or plans.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from fastnn.checks import check_count, check_name, shown, with_arguments_of_keras
from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.graph.symbolic import SymbolicTensor
from fastnn.layers._base import Layer

__all__ = ["Input", "InputLayer", "input_width"]


def input_width(shape: object) -> int:
    """Return the number of features that a shape without the batch tells."""
    if isinstance(shape, Sequence) and not isinstance(shape, str):
        if len(shape) != 1:
            raise ShapeError(
                f"Input shape must be one number of features, such as (784,), got {tuple(shape)!r}; "
                "flatten images to rows first"
            )
        shape = shape[0]
    return check_count(shape, "Input shape")


@with_arguments_of_keras("Input")
def Input(
    shape: int | Sequence[int] | None = None,
    name: str | None = None,
    *,
    batch_size: int | None = None,
    dtype: object = None,
    batch_shape: Sequence[int | None] | None = None,
) -> SymbolicTensor:
    """Declare an input of a model: the first entry of a `Sequential`, or the start of a graph.

    Parameters
    ----------
    shape : tuple of one int, or int
        Number of features, without the batch, as in Keras.
    name : str, optional
    batch_size : int, optional
        As in Keras: tensors have it in their `shape`.  Data may have any number of rows.
    dtype : dtype, optional
        As in Keras, such as ``"int32"``, for an input that layers such as `Embedding` read.  It may be left
        out, as what the input holds follows from them; float32 and float64 change nothing, as the dtype of
        real numbers is the model's.
    batch_shape : tuple, optional
        ``(batch_size, features)`` or ``(None, features)``, in the place of the two.

    Returns
    -------
    SymbolicTensor

    Raises
    ------
    ShapeError
        If the shape has not exactly one dimension.
    ConfigurationError
        If it is less than 1, or the name cannot be one.
    DTypeError
        If it is not an integer, there is none or are two, or `dtype` is that of anything else.

    Examples
    --------
    >>> Input((784,)).columns
    784
    >>> Input(batch_shape=(32, 784)).shape
    (32, 784)
    """
    if batch_shape is not None:
        if shape is not None or batch_size is not None:
            raise DTypeError("Input takes shape and batch_size, or batch_shape, which is both; leave one out")
        if not isinstance(batch_shape, tuple | list) or not batch_shape:
            raise DTypeError(f"batch_shape must be (batch_size or None, features), got {shown(batch_shape)}")
        batch_size, shape = batch_shape[0], batch_shape[1:]
    elif shape is None:
        raise DTypeError("Input needs a shape, the number of features, such as Input((784,))")
    tensor = SymbolicTensor(input_width(shape), check_name(name))
    tensor.dtype = _integer_dtype(dtype)
    tensor.rows = None if batch_size is None else check_count(batch_size, "batch_size")
    return tensor


def _integer_dtype(dtype: object) -> str | None:
    """Return the name of the dtype of an input of integers; that of real numbers does not count, None."""
    if dtype is None:
        return None
    try:
        found = np.dtype(dtype)  # type: ignore[call-overload]
    except TypeError:
        found = None
    if found is None or (found.kind not in "iu" and str(found) not in ("float32", "float64")):
        raise DTypeError(
            f"Input has dtype {dtype!r}, and takes only that of integers, for an Embedding, and of "
            "float32 and float64; of real numbers the model has a dtype, as by Model(..., dtype='float64')"
        )
    return str(found) if found.kind in "iu" else None


class InputLayer(Layer):
    """An input among the layers of a model, as in Keras; its `output` is the tensor that `Input` returns.

    Models have one for each of their inputs in `Model.layers`, and take one in the place of an `Input`.

    Parameters
    ----------
    shape : tuple of one int, or int
    name : str, optional
    batch_size : int, optional
    dtype : dtype, optional
    batch_shape : tuple, optional
        As of `Input`.
    input_shape, batch_input_shape : tuple, optional
        `shape` and `batch_shape`, as older versions of Keras call them.

    Raises
    ------
    ShapeError, ConfigurationError, DTypeError
        As `Input` does.

    Examples
    --------
    >>> import fastnn
    >>> first = InputLayer(shape=(4,), name="table")
    >>> fastnn.Sequential([first, fastnn.layers.Dense(2)]).input_shape
    (None, 4)
    """

    @with_arguments_of_keras("InputLayer", "Input")
    def __init__(
        self,
        shape: int | Sequence[int] | None = None,
        name: str | None = None,
        *,
        batch_size: int | None = None,
        dtype: object = None,
        batch_shape: Sequence[int | None] | None = None,
        input_shape: int | Sequence[int] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
    ) -> None:
        super().__init__(name)
        tensor = Input(
            input_shape if shape is None else shape,
            name,
            batch_size=batch_size,
            dtype=dtype,
            batch_shape=batch_input_shape if batch_shape is None else batch_shape,
        )
        self._tensor: Callable[[], SymbolicTensor | None] = lambda: tensor
        self._described(tensor)

    @classmethod
    def of(cls, tensor: SymbolicTensor, name: str) -> InputLayer:
        """Return the layer of a tensor where a graph begins; there is one as long as there is the tensor.

        Parameters
        ----------
        tensor : SymbolicTensor
        name : str
            That it gets if the tensor has none.

        Examples
        --------
        >>> x = Input((4,))
        >>> InputLayer.of(x, "x") is InputLayer.of(x, "x")
        True
        """
        found = _made.get(tensor)
        if found is None:
            found = cls.__new__(cls)
            Layer.__init__(found, tensor.name or name)
            found.named = tensor.name is not None
            found._tensor = weakref.ref(tensor)
            found._described(tensor)
            _made[tensor] = found
        return found

    def _described(self, tensor: SymbolicTensor) -> None:
        self.batch_shape, self.dtype = tensor.shape, tensor.dtype or "float32"

    @property
    def output(self) -> SymbolicTensor | None:
        """The tensor where the graph begins."""
        return self._tensor()

    @output.setter
    def output(self, tensor: SymbolicTensor | None) -> None:
        raise ConfigurationError("an InputLayer makes no other tensor than its own")

    @property
    def batch_size(self) -> int | None:
        """Rows of a batch, if the input says so."""
        return self.batch_shape[0]

    def __call__(self, inputs: Any, *, training: bool | None = None) -> NoReturn:
        """Raise, as an input is made of nothing; its `output` is what other layers are called on."""
        raise ConfigurationError("an InputLayer is not called; call layers on its output")

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_tensor": self._tensor()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        tensor = state["_tensor"]
        self.__dict__.update(state, _tensor=lambda: tensor)

    def get_weights(self) -> list[np.ndarray]:
        """Return none; see `Layer.get_weights`."""
        return []

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Take none; see `Layer.set_weights`."""
        if len(weights):
            raise ShapeError(f"layer {self.name!r} is an input and has no weights, got {len(weights)}")

    def count_params(self) -> int:
        """Return 0; see `Layer.count_params`."""
        return 0

    @property
    def weights(self) -> list[Any]:
        """None; see `Layer.weights`."""
        return []

    @property
    def kernel(self) -> NoReturn:
        """None that could be read; see `Layer.kernel`."""
        raise AttributeError(f"layer {self.name!r} is an input and has no kernel")

    @property
    def bias(self) -> None:
        """None; see `Layer.bias`."""
        return None

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make such a layer, as plain values."""
        return {"name": self.name, "batch_shape": list(self.batch_shape), "dtype": self.dtype}

    def _code(self) -> Any:
        yield f"batch_shape={self.batch_shape}"


_made: weakref.WeakKeyDictionary[SymbolicTensor, InputLayer] = weakref.WeakKeyDictionary()
