"""Lambda: a function of the user that composes layers.

It is called with symbolic tensors, so what a model runs are the layers that it draws, and none of Python.
This file must not know plans, kernels or arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastnn.checks import with_arguments_of_keras
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.graph.graph import walk
from fastnn.graph.symbolic import SymbolicTensor, as_list, title
from fastnn.layers._base import Layer, are_arrays
from fastnn.layers._shapes import IdentityConfig

__all__ = ["Lambda"]


class Lambda(Layer):
    """What a function makes of tensors, by operators and by layers without weights.

    The function is called once, when the layer is, with symbolic tensors, not with numbers at each step: of
    it stays what it draws, as ``x * x + 1`` or ``Exp()(x)`` do.

    Parameters
    ----------
    function : callable
        Symbolic tensor, or a list of them, to a symbolic tensor.
    output_shape : object
        As in Keras, where it helps to find the width; it changes nothing.
    mask : None
        There are no masks.
    arguments : dict, optional
        More arguments of the function, by name.
    name : str, optional

    Raises
    ------
    DTypeError
        If `function` is no function, or `arguments` no dict.
    ConfigurationError
        If `mask` is given; when it is called, if the function needs numbers, as those of NumPy do, makes
        anything but a symbolic tensor, or calls layers with weights.

    Notes
    -----
    A `Sequential` with one cannot be saved, as functions cannot be written down; a `Model` can.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn.layers import Exp
    >>> twice = Lambda(lambda x: x + Exp()(x))
    >>> fastnn.Sequential([fastnn.Input((2,)), twice]).predict([[0.0, 1.0]]).round(3)
    array([[1.   , 3.718]], dtype=float32)
    """

    @with_arguments_of_keras("Lambda", "Layer")
    def __init__(
        self,
        function: Callable[..., SymbolicTensor],
        output_shape: object = None,
        mask: None = None,
        arguments: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if not callable(function):
            raise DTypeError(f"function must be a function of symbolic tensors, got {function!r}")
        if mask is not None:
            raise ConfigurationError("mask must be None, as there are no sequences here")
        if arguments is not None and not isinstance(arguments, Mapping):
            raise DTypeError(f"arguments must be a dict of names and values, got {arguments!r}")
        self.config = IdentityConfig()
        self._function, self._given = function, dict(arguments or {})

    def __call__(self, inputs: Any, *, training: bool | None = None) -> Any:
        """Return what the function makes of symbolic tensors, or of arrays; see `Layer`."""
        if are_arrays(inputs):
            return super().__call__(inputs, training=training)
        tensors = as_list(inputs, "the inputs of a Lambda")
        try:
            made = self._function(tensors[0] if len(tensors) == 1 else tensors, **self._given)
        except (AttributeError, TypeError) as error:
            raise ConfigurationError(
                "the function of a Lambda is called once, with symbolic tensors, which have no numbers: "
                f"{error}; use operators and fastnn.layers in it, not NumPy"
            ) from error
        if not isinstance(made, SymbolicTensor):
            raise ConfigurationError(
                f"the function of a Lambda must return a symbolic tensor, got {type(made).__name__}"
            )
        given = set(tensors)
        for tensor in walk([made], lambda tensor: () if tensor in given else tensor.inputs)[0]:
            layer = None if tensor in given else tensor.layer
            if layer is not None:
                widths = tuple(source.columns for source in tensor.inputs)
                if layer.config.parameters("", widths, True):
                    raise ConfigurationError(
                        f"the function of a Lambda calls layer {title(layer)!r}, which has weights; call "
                        "such layers outside of it, or use a Model as a layer"
                    )
        return made

    def get_config(self) -> dict[str, Any]:
        """Raise, as a function cannot be written down.

        Raises
        ------
        ConfigurationError
        """
        raise ConfigurationError(
            "a Lambda cannot be written down, as its function is code; draw the graph with fastnn.Model, "
            "whose layers can"
        )

    def _code(self) -> Any:
        yield getattr(self._function, "__name__", "function")
