"""What stands in Keras's unit tests in the place of Keras: names, modules and helpers, as fastnn has them.

Everything here ends in a call of fastnn; what Keras itself would have to compute, a test goes without.
Where fastnn does the same in another way, it is done in that way:

- messages are fastnn's own, so a test that expects an error is content with any that fastnn raises on
  purpose, unless it refuses an argument that Keras has;
- layers hold no arrays, so a layer that is built, or called on an array, is a model of that layer;
- optimizers hold none either, so the variables that one is given are tables of a model, see `Bench`;
- configurations are written down and read by the classes themselves.

This file must not know which tests there are, nor what became of them.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import types
import weakref
from collections.abc import Iterator
from typing import Any
from unittest import TestCase, mock

import numpy as np

import fastnn
from fastnn.errors import FastnnError
from fastnn.graph.symbolic import SymbolicTensor

# Areas of Keras that stay: what makes and compares arrays.
KEPT = (
    *("testing", "backend", "ops", "random", "tree", "utils", "saving", "export", "quantizers"),
    "dtype_policies",
)
OTHER_NAMES = {"Functional": "Model"}  # names of Keras, and those of fastnn for the same
_REFUSALS = re.compile(  # errors that are not about the values that a test gives
    r"has no (argument )?\w+:|leave noise_shape out|tensors are \(rows, features\)|"
    r"must be one (number|width)|cannot run: layers are|be \(rows, outputs\)|"
    r"shape \(rows.*got \((\d+, \d+, .*|\d*,?)\)|symbolic tensor.*got (an array|<)|needs inputs and outputs"
)
_CALLS = {  # how layers are called on symbolic tensors
    kind: kind.__call__
    for kind in (fastnn.layers.Layer, *map(fastnn.layers.__dict__.get, fastnn.layers.__all__))
    if isinstance(kind, type) and "__call__" in vars(kind)
}
_models: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()  # of one layer each


class Missing(Exception):
    """A test needs a name that fastnn does not have."""


class NotOurs(Exception):
    """A test is about what fastnn leaves out on purpose."""


class Stand(types.ModuleType):
    """A module of Keras, as far as fastnn has its names."""

    def __init__(self, name: str, places: tuple[str, ...]) -> None:
        super().__init__(name)
        self._places = places

    def __getattr__(self, name: str) -> Any:
        return ours(name, self._places)


class _Whole(types.ModuleType):
    """Keras as a whole: fastnn, and of what stays, Keras's."""

    def __init__(self, keras: types.ModuleType) -> None:
        super().__init__("keras")
        self._keras = keras

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keras if name in KEPT else fastnn, name)


def ours(name: str, places: tuple[str, ...]) -> Any:
    """Return what fastnn has of a name."""
    name = OTHER_NAMES.get(name, name)
    for place in places:
        with contextlib.suppress(AttributeError, ModuleNotFoundError):
            return getattr(importlib.import_module(f"fastnn.{place}".rstrip(".")), name)
    raise Missing(name)


class Saving(types.ModuleType):
    """Keras's module of files, which loads models of fastnn."""

    def __getattr__(self, name: str) -> Any:
        if name == "load_model":
            return lambda path, safe_mode=True, **options: fastnn.load_model(path, **options)
        return getattr(importlib.import_module("keras.src.saving"), name)


def exchanged(name: str, value: Any, places: tuple[str, ...]) -> Any:
    """Return what stands in a module of tests for something that it imported."""
    origin = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", "")
    area = origin.split(".")[2] if origin.startswith("keras.src.") else ""
    if origin == "keras" and isinstance(value, types.ModuleType):
        return _Whole(value)
    if origin == "keras.src.saving":
        return Saving(name) if isinstance(value, types.ModuleType) else Stand(name, ("saving",))
    if not area or area in KEPT or origin.endswith("_test"):
        return value
    if isinstance(value, types.ModuleType):
        return Stand(name, tuple(dict.fromkeys((area if hasattr(fastnn, area) else "", *places, "layers"))))
    try:
        return ours(value.__name__, tuple(dict.fromkeys((*places, area, "layers", ""))))
    except Missing:
        return _Absent(value.__name__)


class _Absent:
    """What a name stands for that fastnn does not have: an error at its first use."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise Missing(self._name)

    def __getattr__(self, name: str) -> Any:
        raise Missing(self._name)


@contextlib.contextmanager
def _raises(error: type[BaseException]) -> Iterator[None]:
    wanted = FastnnError if issubclass(error, ValueError | TypeError) else error
    try:
        yield
    except wanted as found:
        if _REFUSALS.search(str(found)):
            raise
    else:
        raise AssertionError("takes what Keras refuses")


def assert_raises(error: Any, *call: Any, expected_regex: object = None, **kwargs: Any) -> Any:
    """Assert that fastnn raises where Keras does, in its own words."""
    if not call:
        return _raises(error)
    with _raises(error):
        call[0](*call[1:], **kwargs)
    return None


def assert_raises_regex(error: Any, expected_regex: object, *call: Any, **kwargs: Any) -> Any:
    """Assert that fastnn raises where Keras does, in its own words."""
    return assert_raises(error, *call, **kwargs)


def _written(config: Any) -> str:
    return json.dumps(config, sort_keys=True, default=repr)


def serialization(instance: Any, custom_objects: object = None) -> Any:
    """Assert that an object is what its configuration says, and return the one made of that."""
    config = instance.get_config()
    revived = type(instance).from_config(config)
    assert type(revived) is type(instance)
    assert _written(revived.get_config()) == _written(config)
    assert set(dir(revived)) == set(dir(instance))
    return revived


def _rows(array: Any) -> np.ndarray:
    found = array.detach().numpy() if hasattr(array, "detach") else np.asarray(array)
    if found.ndim != 2:
        raise NotOurs("tensors of other ranks")
    return found


def _inputs(shapes: list[tuple[Any, ...]], dtype: Any = None) -> Any:
    if any(len(shape) != 2 for shape in shapes):
        raise NotOurs("tensors of other ranks")
    made = [fastnn.Input((shape[1],), dtype=dtype) for shape in shapes]
    return made if len(made) > 1 else made[0]


def _called(layer: Any, inputs: Any) -> Any:
    return next(_CALLS[kind] for kind in type(layer).__mro__ if kind in _CALLS)(layer, inputs)


def _model(layer: Any, inputs: Any) -> Any:
    """Return the model of a layer alone."""
    if layer not in _models:
        _models[layer] = fastnn.Model(inputs, _called(layer, inputs), seed=0)
    return _models[layer]


def call(layer: Any, inputs: Any, training: object = None, mask: object = None) -> Any:
    """Call a layer, on arrays as well."""
    given = inputs if isinstance(inputs, list | tuple) else [inputs]
    if given and all(isinstance(one, SymbolicTensor) for one in given):
        return _called(layer, inputs)
    if training or mask is not None:
        raise NotOurs("a layer called while it trains" if training else "masks")
    if "KerasTensor" in {type(one).__name__ for one in given}:
        raise NotOurs("tensors of Keras")
    arrays = [_rows(one) for one in given]
    integers = "int32" if arrays[0].dtype.kind in "iu" else None
    return _model(layer, _inputs([one.shape for one in arrays], integers)).predict(
        arrays if len(arrays) > 1 else arrays[0], verbose=0
    )


def build(layer: Any, input_shape: Any = None) -> None:
    """Give a layer its weights, those of a model of it alone."""
    nested = input_shape and isinstance(input_shape[0], list | tuple)
    shapes = list(input_shape) if nested else [input_shape]
    _model(layer, _inputs([(None,) if one is None else tuple(one) for one in shapes]))


def layer_test(layer_cls: Any, init_kwargs: dict[str, Any], input_shape: Any = None, **expected: Any) -> None:
    """Assert of a layer what Keras does: its configuration, output, weights, and a step of training."""
    if expected.get("input_sparse") or expected.get("input_ragged") or expected.get("call_kwargs"):
        raise NotOurs("sparse and ragged tensors")
    data = expected.get("input_data")
    given = [data] if data is not None and not isinstance(data, list | tuple) else data
    if given is None:
        shapes = list(input_shape) if isinstance(input_shape[0], list | tuple) else [input_shape]
        given = [np.random.default_rng(0).standard_normal(shape).astype("float32") for shape in shapes]
        if expected.get("input_dtype") in ("int32", "int64"):
            given = [np.zeros(shape, "int32") for shape in shapes]
    arrays = [_rows(one) for one in given]
    serialization(layer_cls(**init_kwargs))
    layer = layer_cls(**init_kwargs)
    found = call(layer, arrays if len(arrays) > 1 else arrays[0])
    if (shape := expected.get("expected_output_shape")) is not None:
        assert found.shape == tuple(shape)
    if (wanted := expected.get("expected_output")) is not None:
        np.testing.assert_allclose(found, _rows(wanted), rtol=1e-6, atol=1e-6)
    model = _models[layer]
    if (count := expected.get("expected_num_trainable_weights")) is not None:
        assert len(model.trainable_weights) == count
    if (count := expected.get("expected_num_non_trainable_weights")) is not None:
        assert len(model.non_trainable_weights) == count
    if expected.get("run_training_check", True):
        model.compile("sgd", "mse")
        model.fit(arrays if len(arrays) > 1 else arrays[0], np.zeros_like(found), verbose=0)


class Bench:
    """A model whose parameters, tables of embeddings, stand for variables that a test gives an optimizer."""

    def __init__(self, optimizer: Any, variables: list[Any]) -> None:
        index = fastnn.Input((1,), dtype="int32")
        self.layers = [
            fastnn.layers.Embedding(
                *_matrix(one).shape,
                embeddings_initializer=fastnn.initializers.Constant(_matrix(one)),
                embeddings_constraint=one.constraint,
                name=_name(one),
            )
            for one in variables
        ]
        outputs = [_called(layer, index) for layer in self.layers]
        self.model = fastnn.Model(index, outputs)
        self.variables = variables
        excluded = vars(optimizer).get("_excluded", ())
        if excluded:
            names = [_name(one) for one in variables if any(re.search(part, one.name) for part in excluded)]
            optimizer.exclude_from_weight_decay(var_list=[*optimizer.undecayed, *names])
        self.model.compile(optimizer, ["mse"] * len(outputs) if len(outputs) > 1 else "mse")

    def apply(self, pairs: list[tuple[Any, Any]]) -> int:
        """Update variables by their gradients."""
        weights = {id(one): layer.weights[0] for one, layer in zip(self.variables, self.layers, strict=True)}
        for _, variable in pairs:
            if id(variable) not in weights:
                raise NotOurs("variables that come later")
            weights[id(variable)].assign(_matrix(variable))
        known = [(g if g is None else _matrix(g), weights[id(variable)]) for g, variable in pairs]
        steps = self.model.optimizer.apply_gradients(known)
        for variable in self.variables:
            variable.assign(np.asarray(weights[id(variable)]).reshape(tuple(variable.shape)))
        return steps

    def kept(self, what: str) -> list[np.ndarray]:
        """Return what the optimizer keeps for each variable, in the variable's shape."""
        found = {weight.path.partition("/")[2]: weight.numpy() for weight in self.model.optimizer.variables}
        return [found[f"{_name(one)}_embeddings_{what}"].reshape(tuple(one.shape)) for one in self.variables]


def finalize_variable_values(optimizer: Any, variables: Any) -> None:
    """Give variables their averages, as `fit` gives them to a model."""
    bench = vars(optimizer)["_bench"]
    for variable, average in zip(bench.variables, bench.kept("average"), strict=True):
        variable.assign(average)


def accumulated_gradients(optimizer: Any) -> list[np.ndarray]:
    """Return sums of gradients; fastnn adds up their parts of the mean."""
    kept = vars(optimizer)["_bench"].kept("gradient_accumulator")
    return [optimizer.gradient_accumulation_steps * one for one in kept]


# What tests read of the inside of Keras's optimizers, and fastnn shows in another way.
_INSIDE = {
    "_iterations": property(lambda self: self._need_work().progress.steps),
    "_model_variables_moving_average": property(lambda self: vars(self)["_bench"].kept("average")),
    "_accumulated_gradients": property(lambda self: accumulated_gradients(self)),
    "finalize_variable_values": finalize_variable_values,
}


def _name(variable: Any) -> str:
    return str(variable.path).replace("/", "_")


def _matrix(array: Any) -> np.ndarray:
    """Return a variable, or a gradient of one, as a table."""
    given = getattr(array, "value", array)
    found = np.asarray(given.detach().numpy() if hasattr(given, "detach") else given)
    if found.ndim > 2:
        raise NotOurs("tensors of other ranks")
    return found if found.ndim == 2 else found.reshape(1, -1)


def build_optimizer(optimizer: Any, variables: Any = None) -> None:
    """Give an optimizer the variables that it is to update."""
    given = list(variables)
    if given and not isinstance(given[0], fastnn.layers._weight.Weight):
        vars(optimizer)["_bench"] = Bench(optimizer, given)


def apply_gradients(optimizer: Any, grads_and_vars: Any) -> int:
    """Update variables of a test by an optimizer."""
    pairs = list(grads_and_vars)
    if "_bench" not in vars(optimizer):
        build_optimizer(optimizer, [variable for _, variable in pairs])
    return vars(optimizer)["_bench"].apply(pairs)


def exclude_from_weight_decay(optimizer: Any, var_list: Any = None, var_names: Any = None) -> None:
    """Exclude variables of a test by their own names, not by what they are to a layer."""
    _EXCLUDE(optimizer, var_list=[getattr(one, "path", one) for one in var_list or ()])
    if var_names:
        vars(optimizer)["_excluded"] = tuple(var_names)


_EXCLUDE = fastnn.optimizers.Optimizer.exclude_from_weight_decay


@contextlib.contextmanager
def swapped(test: TestCase) -> Iterator[None]:
    """Have fastnn be called in the place of what a test calls of Keras's test case and layers."""

    with contextlib.ExitStack() as stack:
        for name, function in {
            "assertRaises": assert_raises,
            "assertRaisesRegex": assert_raises_regex,
            "run_class_serialization_test": serialization,
            "run_layer_test": layer_test,
        }.items():
            stack.enter_context(mock.patch.object(test, name, function, create=True))
        for kind in _CALLS:
            stack.enter_context(mock.patch.object(kind, "__call__", call))
        stack.enter_context(mock.patch.object(fastnn.layers.Layer, "build", build, create=True))
        for name, function in {
            "build": build_optimizer,
            "apply_gradients": apply_gradients,
            "exclude_from_weight_decay": exclude_from_weight_decay,
            **_INSIDE,
        }.items():
            stack.enter_context(mock.patch.object(fastnn.optimizers.Optimizer, name, function, create=True))
        yield
