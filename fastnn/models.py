"""Models, and how they are copied and written down, under the names of ``keras.models``."""
# This file must not know layers, files or arrays: the methods of models and `saving` do the work.

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from fastnn.absent import attribute_error
from fastnn.checks import check_flag, shown
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.model.cloning import cloned
from fastnn.model.model import Model
from fastnn.model.sequential import Sequential
from fastnn.saving import load_model, save_model

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def __dir__() -> list[str]:
    return __all__


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """Return a model of the same layers, with weights and layers of its own.

    Parameters
    ----------
    model : Model or Sequential
    input_tensors : SymbolicTensor, or nest of them, optional
        Where the copy begins; by default at inputs of its own.
    clone_function : callable, optional
        Layer to the layer that the copy has for it; by default one made of its configuration.  It may return
        the layer itself, which both models have then.
    call_function : callable, optional
        ``call_function(layer, tensors)`` returns what the copy has for the layer's output, by default
        ``layer(tensors)``.  Not for a `Sequential`.
    recursive : bool
        Whether models that are used as layers are copied layer by layer too; else `clone_function` gets them
        whole.

    Returns
    -------
    Model or Sequential
        Its weights are drawn anew from the same seed; give it the other's by ``set_weights``.  It is
        compiled if the other is, and not yet trained.

    Raises
    ------
    ConfigurationError
        If the model has a layer of a class of your own and there is no `clone_function`, or the inputs do not
        suit it.
    ShapeError
        If `input_tensors` are not nested as the inputs.
    DTypeError
        If it is not a model, or a function returns no layer or tensor.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)], seed=0)
    >>> copy = clone_model(model)
    >>> copy.set_weights(model.get_weights())
    >>> copy.layers[0] is model.layers[0], copy.count_params()
    (False, 9)
    """
    if not isinstance(model, Model):
        raise DTypeError(f"clone_model needs a model, got {shown(model)}")
    if input_tensors is clone_function is call_function is None:
        kind = Sequential if isinstance(model, Sequential) else Model
        copy = kind.from_config(model.get_config())
    else:
        copy = cloned(model, input_tensors, clone_function, call_function, check_flag(recursive, "recursive"))
    if model.compiled:
        optimizer = model.optimizer
        loss, loss_weights, metrics, weighted_metrics = optimizer.asked
        copy.compile(
            *(optimizer.description, loss, metrics, loss_weights),
            weighted_metrics=weighted_metrics,
            reference=optimizer.reference,
        )
        if optimizer.schedule is None:
            copy.optimizer.learning_rate = optimizer.learning_rate
    return copy


def model_from_json(json_string: str, custom_objects: Mapping[str, type] | None = None) -> Any:
    """Return the model that ``model.to_json()`` described, with new weights.

    Parameters
    ----------
    json_string : str
    custom_objects : dict of str to type, optional
        Classes of your own that are in it, such as initializers, by their names.

    Returns
    -------
    Model or Sequential

    Raises
    ------
    ConfigurationError, DTypeError, ShapeError
        If it is not such a description.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3)], seed=0)
    >>> model_from_json(model.to_json()).count_params()
    9
    """
    if not isinstance(json_string, str):
        raise DTypeError(f"model_from_json needs what model.to_json() returns, got {shown(json_string)}")
    try:
        config = json.loads(json_string)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the description is not JSON: {error}") from error
    return Model.from_config(config, custom_objects)


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
