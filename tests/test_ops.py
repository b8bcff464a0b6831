"""The table of activations: it has all of them, and the core's part of it agrees."""

from __future__ import annotations

import doctest
import importlib
import inspect

import numpy as np
import pytest

import fastnn
from fastnn import activations, kernels, layers
from fastnn._core import api, executor
from fastnn.ops import ACTIVATIONS, ALIASES, BY_NAME, Activation, Values, name_of
from fastnn.run.reference.formulas import activate


def test_every_activation_has_its_row() -> None:
    assert list(ACTIVATIONS) == list(Activation)
    assert set(BY_NAME) == set(activations.__all__) - {"deserialize", "get", "name_of", "serialize"}
    assert set(map(name_of, Activation)) | set(ALIASES) == set(BY_NAME)
    assert activations.swish is activations.silu


DOORS = [activation for activation, traits in ACTIVATIONS.items() if traits.doors is not None]


@pytest.mark.parametrize("activation", DOORS)
def test_functions_follow_from_the_table(activation: Activation) -> None:
    """Names, arguments and texts, whose examples run."""
    name = activation.name.lower()
    traits = ACTIVATIONS[activation]
    option = [option.name for option in traits.options]
    more = {Activation.RELU: ["negative_slope", "max_value", "threshold"]}
    more |= {row_wise: ["axis"] for row_wise in (Activation.SOFTMAX, Activation.LOG_SOFTMAX)}
    for function, arguments in (
        (getattr(kernels, f"{name}_forward"), ["z", "out", *option]),
        (getattr(kernels, f"{name}_backward"), ["dy", "z" if traits.from_input else "y", "out", *option]),
        (getattr(activations, name), ["x", *more.get(activation, option)]),
    ):
        assert list(inspect.signature(function).parameters) == arguments
        assert function.__name__ in importlib.import_module(function.__module__).__all__
        (test,) = doctest.DocTestFinder().find(function, globs={"np": np, function.__name__: function})
        assert test.examples
        assert doctest.DocTestRunner().run(test).failed == 0


def test_others_have_no_doors() -> None:
    doors = {f"{activation.name.lower()}_{way}" for activation in DOORS for way in ("forward", "backward")}
    assert set(kernels.__all__) == doors | {"dense_forward", "dense_backward"}
    with pytest.raises(AttributeError, match=r"did you mean 'tanh_forward'\?"):
        _ = kernels.tahn_forward
    with pytest.raises(ValueError, match="no door calls its slope or scale 'beta'"):
        api.make_doors(0, "beta")


def test_the_core_knows_the_same() -> None:
    assert executor.ROW_WISE == {a.name for a, traits in ACTIVATIONS.items() if traits.row_wise}
    assert executor.FROM_INPUT == {a.name for a, traits in ACTIVATIONS.items() if traits.from_input}


def test_a_core_that_differs_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "ROW_WISE", set())
    source = inspect.getsource(fastnn.run.runtime)
    with pytest.raises(ImportError, match="does not match its Python part"):
        exec(compile(source, "runtime", "exec"), {"__name__": "copied"})


@pytest.mark.parametrize("activation", Activation)
def test_what_the_table_says_is_so(activation: Activation) -> None:
    traits = ACTIVATIONS[activation]
    numbers = traits.defaults or (0.25, 40.0, 0.5)[: len(traits.options)]
    row = np.array([[2.0, 0.5, 3.0]])
    other = activate(activation, row + np.array([[0.0, 0.0, 1.0]]), numbers)
    assert (other[0, 0] != activate(activation, row, numbers)[0, 0]) == traits.row_wise
    with np.errstate(all="ignore"):
        assert np.isfinite(activate(activation, np.zeros((1, 1)), numbers)).all() == traits.finite_at_zero
        values = activate(activation, np.linspace(-40.0, 40.0, 801)[:, None] * [[1.0, -1.0]], numbers)
    if traits.values is Values.PROBABILITIES:
        assert values.min() >= 0
        assert values.max() <= 1
    if traits.values is Values.BOUNDED:
        assert np.abs(values).max() <= 6
    if traits.values is Values.SCORES:
        assert np.abs(values).max() > 10
    if traits.layer:
        config = getattr(layers, traits.layer)(**{option.name: 0.75 for option in traits.options}).config
        assert (config.activation, config.numbers) == (activation, (0.75,) * len(traits.options))


def test_only_what_the_table_admits_runs_along_columns() -> None:
    admitted = {activation for activation, traits in ACTIVATIONS.items() if traits.fills_vectors}
    assert set(Activation) - admitted == {
        Activation.SOFTMAX,
        Activation.LOG_SOFTMAX,
        Activation.LOG,
        Activation.RECIPROCAL,
    }
