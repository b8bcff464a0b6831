"""What all layers are: handles with a name, a flag and a frozen configuration, as in Keras 3.

A layer becomes part of a model when the model is built; from then on `get_weights` and
`set_weights` go to the parameters of that model.  Layers hold no arrays and do no
arithmetic.  This file must not know plans or kernels.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import numpy as np

from fastnn import activations
from fastnn.checks import check_flag, check_name
from fastnn.described import made
from fastnn.errors import ConfigurationError, NotBuiltError
from fastnn.graph.graph import Config
from fastnn.graph.symbolic import SymbolicTensor, apply
from fastnn.layers._weight import Weight

__all__ = ["Layer", "are_arrays", "equip"]

_handed: dict[str, Callable[..., Any]] = {}


def equip(**functions: Callable[..., Any]) -> None:
    """Say what computes a layer alone: `build`, `call` and `shape`."""
    _handed.update(functions)


def are_arrays(inputs: Any) -> bool:
    """Return whether a layer is called on numbers, which have a shape or stand in lists.

    Examples
    --------
    >>> are_arrays(np.ones((2, 3))), are_arrays([[1, 2]]), are_arrays("x")
    (True, True, False)
    """
    if isinstance(inputs, SymbolicTensor):
        return False
    if isinstance(inputs, list | tuple):
        known = [isinstance(one, SymbolicTensor) for one in inputs]
        return bool(known) and not any(known) and all(map(are_arrays, inputs[:1]))
    return isinstance(inputs, Real) or hasattr(inputs, "__array__")


class Store(Protocol):
    """Where the parameters of a model live, as far as its layers know it."""

    def of_layer(self, layer: Any) -> list[np.ndarray]:
        """Return copies of a layer's parameters."""

    def set_layer(self, layer: Any, weights: Sequence[np.ndarray]) -> None:
        """Replace a layer's parameters."""

    def weight(self, layer: Any, role: str) -> np.ndarray | None:
        """Return a copy of one parameter of a layer, if it has that."""

    def roles(self, layer: Any) -> list[str]:
        """Return what a layer's parameters are to it, in the order of `of_layer`."""

    def set_weight(self, layer: Any, role: str, value: Any) -> None:
        """Replace one parameter of a layer."""


class _First(NamedTuple):
    """A tensor that a layer made; it has the layer, and so the layer has only what makes such a one again."""

    tensor: Callable[[], SymbolicTensor | None]
    columns: int
    inputs: tuple[SymbolicTensor, ...]
    number: int

    @classmethod
    def of(cls, tensor: SymbolicTensor) -> _First:
        # What was drawn within a model cannot be made again by the layer alone.
        found = weakref.ref(tensor) if tensor.call is None else lambda: tensor
        return cls(found, tensor.columns, tensor.inputs, tensor.number)


class Layer:
    """Base of the layers.

    Called on a symbolic tensor, or on a list of them, a layer returns the tensor that it makes of them.
    Called again it does so with the same weights, whose gradients then add up.  What a layer was made with
    are its attributes, as ``layer.rate`` of a `Dropout`.

    Parameters
    ----------
    name : str, optional
        Unique within a model; by default the model names it after its class.
    trainable : bool
        Whether training changes its parameters.  A change counts from the next `compile`.
    """

    config: Config
    is_operator = False  # whether an operator such as + drew it

    def __init__(self, name: str | None = None, trainable: bool = True) -> None:
        if type(self) is Layer:
            raise ConfigurationError("Layer is a base class; use one of its subclasses, such as Dense")
        self.name = check_name(name)
        self.named = name is not None  # by its user
        self.trainable = trainable
        self._store: Any = None  # of its model: a `Store`
        self._first: _First | None = None
        self._alone: Any = None  # the model that computes it on arrays

    @property
    def output(self) -> SymbolicTensor | None:
        """What the layer's first call on tensors returned, as in Keras, or None."""
        if self._first is None:
            return None
        found = self._first.tensor()
        if found is None:  # nobody has it any more
            found = SymbolicTensor(self._first.columns, None, self, self._first.inputs)
            found.number = self._first.number
            self.output = found
        return found

    @output.setter
    def output(self, tensor: SymbolicTensor | None) -> None:
        self._first = None if tensor is None else _First.of(tensor)

    @property
    def trainable(self) -> bool:
        """Whether training changes the layer's parameters; a change counts from the next `compile`."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = check_flag(value, "trainable")

    def __call__(self, inputs: Any, *, training: bool | None = None) -> Any:
        """Return the symbolic tensor that the layer makes of its inputs, or of arrays an array.

        Parameters
        ----------
        inputs : SymbolicTensor or array_like, (rows, features), or a sequence of them
            Called on arrays, a layer without weights gets them for their width; they stay when it becomes
            part of a model.
        training : bool, optional
            For arrays, as of a model; in graphs `fit` decides.

        Returns
        -------
        SymbolicTensor, or numpy.ndarray of float32, or of the dtype of the layer's model

        Raises
        ------
        DTypeError
            If the inputs are not symbolic tensors.
        ShapeError
            If their number or their widths do not suit the layer.

        Examples
        --------
        >>> from fastnn.layers import ReLU
        >>> ReLU()([[-1.0, 2.0]])
        array([[0., 2.]], dtype=float32)
        """
        if are_arrays(inputs):
            return _handed["call"](self, inputs, training)
        found = apply(self, inputs)
        if self._first is None:
            self.output = found
        return found

    def __getstate__(self) -> dict[str, Any]:
        # A tensor hangs on the whole graph before it; models restore it, see `Serializable.__setstate__`.
        return self.__dict__ | {"_first": None, "_alone": None}

    def build(self, input_shape: Sequence[Any]) -> None:
        """Give the layer its weights, for inputs of a width.

        Parameters
        ----------
        input_shape : (None, features), or a list of such

        Raises
        ------
        ShapeError
            If it is not of that form, or the layer has weights for another width.

        Examples
        --------
        >>> from fastnn.layers import Dense
        >>> layer = Dense(3)
        >>> layer.build((None, 2))
        >>> layer.kernel.shape
        (2, 3)
        """
        _handed["build"](self, input_shape)

    @property
    def built(self) -> bool:
        """Whether the layer has its weights, or is part of a built model."""
        return self._store is not None

    def compute_output_shape(self, input_shape: Sequence[Any]) -> tuple[int | None, int]:
        """Return the shape that the layer makes of one, or of several.

        Parameters
        ----------
        input_shape : (rows or None, features), or a list of such

        Returns
        -------
        (rows or None, features)

        Raises
        ------
        ShapeError
            If it is not of that form, or does not suit the layer.

        Examples
        --------
        >>> from fastnn.layers import Dense
        >>> Dense(3).compute_output_shape((None, 2))
        (None, 3)
        """
        found: tuple[int | None, int] = _handed["shape"](self, input_shape)
        return found

    @property
    def input(self) -> Any:
        """What the layer was first called on, a tensor or a list of them, or None."""
        first = self._first
        if first is None:
            return None
        return first.inputs[0] if len(first.inputs) == 1 else list(first.inputs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make such a layer, as plain values; weights are not among them.

        Returns
        -------
        dict

        Examples
        --------
        >>> from fastnn.layers import LeakyReLU
        >>> LeakyReLU(0.1, name="leaky").get_config()
        {'name': 'leaky', 'trainable': True, 'negative_slope': 0.1}
        """
        return {"name": self.name, "trainable": self.trainable, **self._arguments()}

    def _arguments(self) -> dict[str, Any]:
        """Return what a constructor takes besides name and flag."""
        return {}

    if not TYPE_CHECKING:  # an attribute that nobody has is a mistake

        def __getattr__(self, name: str) -> Any:
            """Return an argument that the layer was made with, as an object or a function where it is one."""
            if hasattr(type(self), name):  # a property raised AttributeError
                return object.__getattribute__(self, name)
            given = {} if name.startswith("_") or "config" not in vars(self) else self._arguments()
            if name not in given:
                message = f"{type(self).__name__!r} object has no attribute {name!r}"
                raise AttributeError(message, name=name, obj=self)
            if name == "activation":
                return activations.function_of(activations.config_of(given[name]))
            return getattr(self.config, name, given[name])

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a layer like the one that `get_config` was called on, with weights of its own.

        Parameters
        ----------
        config : dict

        Raises
        ------
        ConfigurationError, DTypeError
            If it does not suit the class.

        Examples
        --------
        >>> from fastnn.layers import Dense
        >>> Dense.from_config(Dense(3, "relu").get_config())
        Dense(3, activation='relu')
        """
        if not isinstance(config, Mapping) or "trainable" not in config:
            return made(cls, config)
        layer = made(cls, {key: value for key, value in config.items() if key != "trainable"})
        layer.trainable = config["trainable"]
        return layer

    def __repr__(self) -> str:
        words = [*self._code()]
        if self.name is not None:
            words.append(f"name={self.name!r}")
        if not self.trainable:
            words.append("trainable=False")
        return f"{type(self).__name__}({', '.join(words)})"

    def _code(self) -> Iterator[str]:
        """Yield the arguments, as code, that make such a layer; by default none."""
        yield from ()

    def _owner(self) -> Store:
        if self._store is None:
            raise NotBuiltError(
                f"layer {self.name or type(self).__name__!r} has no weights yet; "
                "put it into a model with a known input width first"
            )
        store: Store = self._store
        return store

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of the layer's parameters in Keras's order, kernel first.

        Returns
        -------
        list of numpy.ndarray
            ``[kernel (inputs, units), bias (units,)]`` of a dense layer; statistics stand last.

        Raises
        ------
        ConfigurationError
            If the layer is not yet part of a built model.
        """
        return self._owner().of_layer(self)

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Replace the layer's parameters.

        Parameters
        ----------
        weights : sequence of array_like
            In the order and of the shapes of `get_weights`.

        Raises
        ------
        ShapeError
            If their number or shapes differ.
        DataError, DTypeError
            If a value is not finite, or not a number.
        ConfigurationError
            If the layer is not yet part of a built model.
        BusyError
            If another thread trains that model.
        """
        self._owner().set_layer(self, weights)

    @property
    def weights(self) -> list[Weight]:
        """The layer's parameters one by one, in the order of `get_weights`; none before it is built."""
        return [] if self._store is None else [Weight(self, role) for role in self._owner().roles(self)]

    @property
    def trainable_weights(self) -> list[Weight]:
        """Those of `weights` that an optimizer changes, as `trainable` is now."""
        still = self._still()
        return [one for one in self.weights if self.trainable and one.name not in still]

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """Those of a layer that is frozen, and statistics of the data."""
        still = self._still()
        return [one for one in self.weights if not self.trainable or one.name in still]

    def _still(self) -> set[str]:
        """Return which parameters are statistics of the data."""
        if not self.weights:
            return set()
        models = [model.now.drawing for model in self._store.users()]
        entries = (entry for drawing in models if drawing is not None for entry in drawing.entries())
        return {parameter.role for layer, parameter in entries if layer is self and parameter.statistic}

    def count_params(self) -> int:
        """Return the number of elements of all parameters.

        Raises
        ------
        ConfigurationError
            If the layer is not yet part of a built model.
        """
        return sum(weight.size for weight in self._owner().of_layer(self))

    @property
    def kernel(self) -> np.ndarray:
        """A copy of the kernel, (inputs, units)."""
        kernel = self._weight("kernel")
        if kernel is None:
            raise AttributeError(f"layer {self.name!r} has no kernel")
        return kernel

    @property
    def bias(self) -> np.ndarray | None:
        """A copy of the bias, (units,), or None."""
        return self._weight("bias")

    def _weight(self, role: str) -> np.ndarray | None:
        return self._owner().weight(self, role)

    def _set_weight(self, role: str, value: object) -> None:
        self._owner().set_weight(self, role, value)
