"""Weights of other libraries: PyTorch's state dicts, Keras's models, scikit-learn's networks.

This file must not know formats of files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import layers
from fastnn.errors import ConfigurationError, ShapeError
from fastnn.export.estimators import flat_steps, shown_step
from fastnn.export.scalers import Scaling, one_after_another, scaling_of
from fastnn.model.model import Model
from fastnn.model.sequential import Sequential

__all__ = ["from_keras", "from_sklearn", "from_torch", "to_torch"]

_SKLEARN_ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


def _arrays(state_dict: Any) -> dict[str, NDArray[Any]]:
    """Return a state dict, or that of a module, as arrays."""
    if hasattr(state_dict, "state_dict"):
        state_dict = state_dict.state_dict()
    if not isinstance(state_dict, Mapping):
        raise ConfigurationError(
            f"expected a state dict or a module of PyTorch, got {type(state_dict).__name__}; give "
            "module.state_dict()"
        )
    found = {}
    for name, value in state_dict.items():
        value = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
        if not name.endswith("num_batches_tracked"):
            found[str(name)] = value
    return found


def from_torch(model: Model, state_dict: Any) -> None:
    """Give a model the weights of a PyTorch module of the same wiring.

    Parameters
    ----------
    model : Model
        Its layers, in order, are those of the module: `Dense` for `Linear`, `BatchNormalization` for
        `BatchNorm1d`, `LayerNormalization` for `LayerNorm`, `PReLU`, `Embedding`.
    state_dict : mapping of str to torch.Tensor or ndarray, or torch.nn.Module
        In the module's order. Kernels of `Linear` are turned: PyTorch keeps (outputs, inputs).

    Raises
    ------
    ConfigurationError
        If it is no state dict.
    ShapeError
        If numbers or shapes of weights differ; the model is unchanged.

    Examples
    --------
    >>> import fastnn, numpy as np
    >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)])
    >>> from_torch(model, {"0.weight": np.ones((2, 3)), "0.bias": np.zeros(2)})
    >>> model.predict([[1, 2, 3]], verbose=0)
    array([[6., 6.]], dtype=float32)
    """
    given = _arrays(state_dict)
    weights = model.weights
    if len(weights) != len(given):
        raise ShapeError(
            f"the model has {len(weights)} weights, the state dict {len(given)} ({', '.join(given)}); give a "
            "model with the layers of the module, in the same order"
        )
    values = []
    for weight, (name, value) in zip(weights, given.items(), strict=True):
        turned = value.T if weight.name == "kernel" and value.ndim == 2 else value
        if turned.shape != weight.shape and turned.size == np.prod(weight.shape) and value.ndim == 1:
            turned = turned.reshape(weight.shape)
        if turned.shape != weight.shape:
            raise ShapeError(
                f"{name} has shape {value.shape}, {weight.path} needs "
                f"{weight.shape[::-1] if weight.name == 'kernel' else weight.shape}; give a model with "
                "the layers of the module, in the same order"
            )
        values.append(np.ascontiguousarray(turned))
    model.set_weights(values)


def to_torch(model: Model, module: Any = None) -> dict[str, Any]:
    """Return a model's weights as a state dict of PyTorch, or give them to a module.

    Parameters
    ----------
    model : Model
    module : torch.nn.Module, optional
        A module of the same wiring, see `from_torch`; it loads the weights.

    Returns
    -------
    dict of str to torch.Tensor
        With the module's names, or, without one, ``"<layer>.weight"`` and ``"<layer>.bias"``.

    Raises
    ------
    ShapeError
        If numbers or shapes of weights differ; the module is unchanged.
    ImportError
        If PyTorch is not installed.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)])
    >>> state = to_torch(model)
    >>> state["dense.weight"].shape
    torch.Size([2, 3])
    """
    import torch

    names: list[str] = []
    values: list[NDArray[Any]] = []
    kinds = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "alpha": "weight", "beta": "bias"}
    kinds |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    for weight, value in zip(model.weights, model.get_weights(), strict=True):
        layer, _, role = weight.path.rpartition("/")
        names.append(f"{layer}.{kinds.get(role, role)}")
        values.append(np.ascontiguousarray(value.T) if role == "kernel" else value)
    if module is not None:
        theirs = {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
        shapes = [tuple(value.shape) for value in theirs.values()]
        if shapes != [value.shape for value in values]:
            raise ShapeError(
                f"the module's weights have shapes {shapes}, the model's {[v.shape for v in values]}; give a "
                "module with the layers of the model, in the same order"
            )
        names = list(theirs)
    state = {name: torch.from_numpy(np.array(value)) for name, value in zip(names, values, strict=True)}
    if module is not None:
        module.load_state_dict(state, strict=False)
    return state


def from_keras(model: Any) -> Model:
    """Return a model like one of Keras, with its weights.

    Parameters
    ----------
    model : keras.Model
        Sequential or functional, built, of layers that fastnn has.

    Returns
    -------
    Model
        Not compiled.

    Raises
    ------
    ConfigurationError
        If a layer, or an argument of one, is not there; the message names it.

    Notes
    -----
    Layers are made anew from their configurations, ``layer.get_config()``.

    Examples
    --------
    >>> from_keras("net.keras")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    fastnn.errors.ConfigurationError: expected a model of Keras, got str; give a keras.Sequential or ...
    """
    if not hasattr(model, "get_config") or not hasattr(model, "layers"):
        raise ConfigurationError(
            f"expected a model of Keras, got {type(model).__name__}; give a keras.Sequential or keras.Model"
        )
    if not getattr(model, "built", False):
        raise ConfigurationError("the model of Keras has no weights yet; call model.build(input_shape) first")
    made = _sequential(model) if type(model).__name__ == "Sequential" else _functional(model)
    for ours in made.layers:
        theirs = model.get_layer(ours.name).get_weights()
        if not ours.weights and theirs:
            continue  # numbers that are no weights here, such as states of random numbers
        ours.set_weights(theirs[: len(ours.weights)])  # Normalization of Keras has a count of rows besides
    return made


def _layer_like(layer: Any) -> Any:
    """Return a layer of ours like one of Keras."""
    kind = type(layer).__name__
    if kind in ("Sequential", "Functional"):
        return from_keras(layer)
    return getattr(layers, kind).from_config(_plain(layer.get_config()))  # what is missing says so itself


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration without what layers of Keras have, and ours do not need."""
    unused = ("dtype", "quantization_config", "lora_rank", "lora_alpha", "synchronized")
    return {key: _written(value) for key, value in config.items() if key not in unused and value is not None}


def _written(value: Any) -> Any:
    """Return an object of Keras, as it is written down, in our form."""
    if isinstance(value, dict) and "class_name" in value and isinstance(value.get("config"), dict):
        return {"class_name": value["class_name"], "config": _plain(value["config"])}
    return value


def _dtype(model: Any) -> str:
    return "float64" if str(getattr(model, "compute_dtype", "float32")) == "float64" else "float32"


def _input_like(tensor: Any, name: str) -> Any:
    if len(tensor.shape) != 2:
        raise ConfigurationError(
            f"input {name!r} has shape {tuple(tensor.shape)}; tensors are (rows, features) here, so give "
            "Keras's model inputs of shape (features,)"
        )
    return layers.Input((int(tensor.shape[1]),), name=name)


def _sequential(model: Any) -> Model:
    first = _input_like(model.inputs[0], str(model.inputs[0].name))
    return Sequential([first, *map(_layer_like, model.layers)], name=model.name, dtype=_dtype(model))


def _functional(model: Any) -> Model:
    """Call layers of ours as Keras's configuration says theirs were."""
    tensors: dict[tuple[str, int], Any] = {}
    made: dict[str, Any] = {}
    waiting = [
        (layer, call, number)
        for layer in model.get_config()["layers"]
        for number, call in enumerate(layer["inbound_nodes"] or [None])
    ]
    while waiting:
        left = []
        for layer, call, number in waiting:
            name = layer["name"]
            if call is None:
                theirs = model.get_layer(name)
                tensors[name, 0] = _input_like(theirs.output, name)
                continue
            keys = _histories(call["args"])
            if not all(key in tensors for key in keys):
                left.append((layer, call, number))
                continue
            if name not in made:
                made[name] = _layer_like(model.get_layer(name))
            inputs = [tensors[key] for key in keys]
            tensors[name, number] = made[name](inputs[0] if len(inputs) == 1 else inputs)
        if len(left) == len(waiting):
            raise ConfigurationError(f"layer {left[0][0]['name']!r} has inputs that are not of this model")
        waiting = left
    config = model.get_config()
    given = [tensors[key] for key in _ends(config["input_layers"])]
    found = [tensors[key] for key in _ends(config["output_layers"])]
    return Model(given, found, name=model.name, dtype=_dtype(model))


def _histories(value: Any) -> list[tuple[str, int]]:
    """Return which call of which layer made each tensor in the arguments of a call."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        layer, call, _ = value["config"]["keras_history"]
        return [(str(layer), int(call))]
    if isinstance(value, list | tuple):
        return [key for one in value for key in _histories(one)]
    return []


def _ends(value: Any) -> list[tuple[str, int]]:
    """Return the same of a model's inputs or outputs, which are one triple or a list or dict of them."""
    if isinstance(value, dict):
        return [key for one in value.values() for key in _ends(one)]
    if value and isinstance(value[0], str):
        return [(value[0], int(value[1]))]
    return [key for one in value for key in _ends(one)]


def from_sklearn(estimator: Any) -> Model:
    """Return a model like a fitted network, or like a Pipeline of scalers that ends in one.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or Pipeline
        Fitted, of scikit-learn or of fastnn. Before the network a Pipeline may have `StandardScaler`,
        `MinMaxScaler`, `MaxAbsScaler` and `RobustScaler`.

    Returns
    -------
    Model
        A `Sequential`, but for an ensemble. Its outputs are those of `predict_proba`, one column for two
        classes, or of `predict`. Not compiled.

    Raises
    ------
    ConfigurationError
        If a step is something else, or is not fitted.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> net = SimpleNamespace(coefs_=[np.ones((2, 1))], intercepts_=[np.ones(1)])
    >>> net.activation, net.out_activation_ = "relu", "identity"  # as a fitted MLPRegressor has them
    >>> from_sklearn(net).predict([[2.0, 3.0]], verbose=0)
    array([[6.]])
    """
    *before, (_, network) = flat_steps(estimator)
    if not hasattr(network, "coefs_"):
        raise ConfigurationError(
            f"expected a fitted MLPClassifier or MLPRegressor, or a Pipeline that ends in one, got "
            f"{type(network).__name__}, which is another, or was not fitted"
        )
    dtype = np.dtype("float32" if network.coefs_[0].dtype == np.float32 else "float64")
    scalings = [scaling_of(step, shown_step(name, step), dtype) for name, step in before]
    first: list[Any] = [
        layers.Input((len(scalings[0].mean) if scalings else network.coefs_[0].shape[0],)),
        *(layer for scaling in one_after_another(scalings) for layer in _scaling_layers(scaling)),
    ]
    if not hasattr(network, "_exported"):
        net = _dense_like(network)
        model: Model = Sequential([*first, *net], dtype=dtype.name)
        for layer, *weights in zip(net, network.coefs_, network.intercepts_, strict=True):
            layer.set_weights(weights)
        return model
    members = network._exported().models
    copies = [[_like(layer) for layer in one.layers] for one in members]
    if len(members) == 1:
        model = Sequential([*first, *copies[0]], dtype=dtype.name)
    else:
        h = _chained(first[0], first[1:])
        ends = [_chained(h, copy) for copy in copies]
        model = Model(first[0], layers.Average()(ends), dtype=dtype.name)
    for copy, member in zip(copies, members, strict=True):
        for ours, theirs in zip(copy, member.layers, strict=True):
            ours.set_weights(theirs.get_weights())
    return model


def _like(layer: Any) -> Any:
    """Return a layer with the same settings, and a name that is free."""
    return type(layer).from_config({**layer.get_config(), "name": None})


def _chained(x: Any, chain: Sequence[layers.Layer]) -> Any:
    for layer in chain:
        x = layer(x)
    return x


def _dense_like(network: Any) -> list[layers.Layer]:
    """Return layers like those of a network of scikit-learn."""
    kernels, hidden = network.coefs_, network.activation
    hidden = list(hidden) if isinstance(hidden, list | tuple) else [hidden] * (len(kernels) - 1)
    functions = [_keras_name(function) for function in (*hidden, network.out_activation_)]
    return [layers.Dense(k.shape[1], f) for k, f in zip(kernels, functions, strict=True)]


def _keras_name(function: Any) -> Any:
    return _SKLEARN_ACTIVATIONS.get(function, function) if isinstance(function, str) else function


def _scaling_layers(scaling: Scaling) -> list[layers.Layer]:
    made: list[layers.Layer] = [layers.Normalization(mean=scaling.mean, variance=scaling.factor**-2.0)]
    if scaling.limits is not None:
        low, high = scaling.limits
        made += [layers.Shift(-low), layers.ReLU(max_value=high - low), layers.Shift(low)]
    return made
