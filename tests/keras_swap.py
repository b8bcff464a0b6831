"""What stands in Keras's unit tests in the place of Keras: names, modules and helpers, as fastnn has them.

Everything here ends in a call of fastnn; what Keras itself would have to compute, a test goes without.
Where fastnn does the same in another way, it is done in that way:

- messages are fastnn's own, so a test that expects an error is content with any that fastnn raises on
  purpose, unless it refuses an argument that Keras has;
- layers hold no arrays, so a layer that is built, or called on an array, is a model of that layer;
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
    r"has no (argument )?\w+:|leave noise_shape out|symbolic tensor|tensors are \(rows, features\)|"
    r"must be one (number|width)|cannot run: layers are|shape \(rows|be \(rows, outputs\)|"
    r"needs inputs and outputs"
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


def ours(name: str, places: tuple[str, ...]) -> Any:
    """Return what fastnn has of a name."""
    name = OTHER_NAMES.get(name, name)
    for place in places:
        with contextlib.suppress(AttributeError, ModuleNotFoundError):
            return getattr(importlib.import_module(f"fastnn.{place}".rstrip(".")), name)
    raise Missing(name)


def exchanged(name: str, value: Any, places: tuple[str, ...]) -> Any:
    """Return what stands in a module of tests for something that it imported."""
    origin = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", "")
    area = origin.split(".")[2] if origin.startswith("keras.src.") else ""
    if origin == "keras" and isinstance(value, types.ModuleType):
        return fastnn
    if not area or area in KEPT or origin.endswith("_test"):
        return value
    if isinstance(value, types.ModuleType):
        return Stand(name, tuple(dict.fromkeys((area if hasattr(fastnn, area) else "", *places, "layers"))))
    try:
        return ours(value.__name__, tuple(dict.fromkeys((*places, area, "layers", ""))))
    except Missing:
        return _absent(value.__name__)


def _absent(name: str) -> Any:
    def raiser(*args: Any, **kwargs: Any) -> Any:
        raise Missing(name)

    return raiser


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
        yield
