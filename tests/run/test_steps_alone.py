"""Small steps on one thread, with ops bound once: the same bits as task by task, whatever the net."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers
from fastnn.errors import NonFiniteWarning
from fastnn.regularizers import L2
from fastnn.run import program

Patch = pytest.MonkeyPatch
Weights = list[np.ndarray]


def net(
    widths: tuple[int, ...],
    activations: tuple[str, ...],
    optimizer: Any = None,
    bias: bool = True,
    l2: float = 0.0,
    **more: Any,
) -> fastnn.Sequential:
    chain = [
        layers.Dense(units, activation, use_bias=bias, kernel_regularizer=L2(l2) if l2 else None)
        for units, activation in zip(widths[1:], activations, strict=True)
    ]
    model = fastnn.Sequential([fastnn.Input((widths[0],)), *chain], seed=3, **more)
    model.compile(optimizer or optimizers.SGD(0.1), "mse")
    return model


def data(rows: int, widths: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(0, 1, (rows, widths[0])).astype(np.float32),
        rng.uniform(0, 1, (rows, widths[-1])).astype(np.float32),
    )


def trained(model: fastnn.Sequential, x: np.ndarray, y: np.ndarray, **options: Any) -> tuple[Weights, Any]:
    """Train twice, so that the second run goes on from the first; return weights, state, losses."""
    losses = []
    for epochs in (2, 3):
        history = model.fit(x, y, epochs=epochs, verbose=0, n_threads=1, **options)
        losses += history.history["loss"]
    return [*model.get_weights(), model.optimizer.state.copy()], losses  # type: ignore[union-attr]


def assert_same(model: Any, monkeypatch: Patch, *args: Any, **options: Any) -> Weights:
    """Train two models of the same description, one of them task by task; all bits must be equal."""
    first = model()
    weights, losses = trained(first, *args, **options)
    with monkeypatch.context() as patch:
        patch.setattr(program, "POLL_STEP_FLOPS", -1)
        second = model()
        slow_weights, slow_losses = trained(second, *args, **options)
    assert losses == slow_losses
    for one, other in zip(weights, slow_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    return weights


SHAPES = [
    (1, 1), (2, 1), (1, 2), (2, 2),
    (1, 1, 1), (2, 1, 1), (2, 2, 1), (1, 2, 2), (2, 2, 2), (1, 2, 1),
    (1, 1, 1, 1), (2, 2, 2, 1), (2, 1, 2, 1), (1, 2, 1, 2), (2, 2, 2, 2),
]  # fmt: skip
OPTIMIZERS = {"sgd": lambda: optimizers.SGD(0.3), "adam": lambda: optimizers.Adam(0.02)}


@pytest.mark.parametrize("batch", [1, 4, 9])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("widths", SHAPES, ids=lambda widths: "-".join(map(str, widths)))
def test_same_bits(widths: tuple[int, ...], optimizer: str, batch: int, monkeypatch: Patch) -> None:
    x, y = data(5 * batch + batch // 2, widths, batch)  # with a short batch in the end
    every = ("sigmoid", "tanh", "relu", "linear")
    for shift in range(4):
        activations = tuple(every[(shift + 3 * layer) % 4] for layer in range(len(widths) - 1))
        options = {"batch_size": batch, "shuffle": shift % 2 == 0}
        assert_same(
            lambda chosen=activations, shift=shift: net(
                widths, chosen, OPTIMIZERS[optimizer](), bias=shift != 3
            ),
            monkeypatch, x, y, **options,
        )  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("rows", "batch"), [(4, 4), (1, 1), (16, 16), (300, 1), (900, 4), (1300, 3)])
def test_same_bits_over_many_steps(rows: int, batch: int, optimizer: str, monkeypatch: Patch) -> None:
    """Epochs of one step; runs past the steps at which Adam's powers are made anew and signals looked for."""
    x, y = data(rows, (2, 1))
    model = lambda: net((2, 2, 1), ("sigmoid", "sigmoid"), OPTIMIZERS[optimizer]())  # noqa: E731
    assert_same(model, monkeypatch, x, y, batch_size=batch)
    with monkeypatch.context() as patch:
        one = model()
        one.fit(x[:batch], y[:batch], epochs=200, batch_size=batch, verbose=0)
        patch.setattr(program, "POLL_STEP_FLOPS", -1)
        other = model()
        other.fit(x[:batch], y[:batch], epochs=200, batch_size=batch, verbose=0)
    assert one.history.history == other.history.history  # type: ignore[union-attr]


@pytest.mark.parametrize("betas", [(0.0, 0.0), (0.9, 0.0), (0.0, 0.99)])
def test_adam_that_remembers_nothing(betas: tuple[float, float], monkeypatch: Patch) -> None:
    """Without decays there is no bias to correct."""
    x, y = data(40, (2, 1))
    assert_same(
        lambda: net((2, 2, 1), ("tanh", "linear"), optimizers.Adam(0.01, *betas)),
        monkeypatch, x, y, batch_size=4,
    )  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_as_the_reference_says(optimizer: str) -> None:
    x, y = data(40, (2, 2))
    models = [
        net((2, 2, 2), ("tanh", "sigmoid"), OPTIMIZERS[optimizer](), dtype=d) for d in ("float32", "float64")
    ]
    models[1].set_weights(models[0].get_weights())
    for model in models:
        model.fit(x.astype(model.dtype), y.astype(model.dtype), epochs=30, batch_size=4, verbose=0)
    for one, other in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def test_same_bits_of_other_nets(monkeypatch: Patch) -> None:
    x, y = data(20, (2, 2))
    sgd = ("sigmoid", "linear")
    for model, options in (
        (lambda: net((2, 3, 2), sgd), {}),
        (lambda: net((2, 2, 2), ("elu", "linear")), {}),
        (lambda: net((2, 2, 2, 2, 2), ("relu",) * 4), {}),
        (lambda: net((2, 2, 2), sgd, optimizers.SGD(0.1, momentum=0.9)), {}),
        (lambda: net((2, 2, 2), sgd, optimizers.RMSprop(0.01)), {}),
        (lambda: net((2, 2, 2), sgd, l2=0.01), {}),
        (lambda: net((2, 2, 2), sgd), {"batch_size": 20}),
        (lambda: net((2, 2, 2), sgd), {"sample_weight": np.linspace(0, 1, 20)}),
    ):
        assert_same(model, monkeypatch, x, y, **{"batch_size": 4, **options})


def test_frozen_layers_stay(monkeypatch: Patch) -> None:
    def model() -> fastnn.Sequential:
        made = net((2, 2, 1), ("sigmoid", "sigmoid"))
        made.layers[0].trainable = False
        made.compile(optimizers.SGD(0.1), "mse")
        return made

    before = model().get_weights()
    x, y = data(20, (2, 1))
    after = assert_same(model, monkeypatch, x, y, batch_size=4)
    np.testing.assert_array_equal(after[0], before[0])
    assert not np.array_equal(after[2], before[2])


@pytest.mark.parametrize("bad", [0, 3, 41, 63])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_loss_that_is_not_finite(bad: int, optimizer: str, monkeypatch: Patch) -> None:
    """Step `bad` of an epoch of 64 is not made, and the weights are those that come back task by task."""
    x, y = data(256, (2, 1))
    y[4 * bad + 1] = 3e38
    found = []
    for flops in (program.POLL_STEP_FLOPS, -1):
        monkeypatch.setattr(program, "POLL_STEP_FLOPS", flops)
        model = net((2, 2, 1), ("tanh", "linear"), OPTIMIZERS[optimizer]())
        model.fit(x[:40], y[:40] * 0, batch_size=4, epochs=2, verbose=0)
        with pytest.warns(NonFiniteWarning, match="not finite in epoch 1"):
            model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        assert all(np.isfinite(weight).all() for weight in model.get_weights())
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_that_grow_without_bound(monkeypatch: Patch) -> None:
    """A learning rate far too high ends the same way on both paths."""
    x, y = data(64, (2, 2))
    found = []
    for flops in (program.POLL_STEP_FLOPS, -1):
        monkeypatch.setattr(program, "POLL_STEP_FLOPS", flops)
        model = net((2, 2, 2), ("linear", "linear"), optimizers.SGD(10.0))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(x, y, batch_size=4, epochs=20, verbose=0)
        assert [warning.category for warning in caught] == [NonFiniteWarning]
        found.append((str(caught[0].message), model.get_weights(), model.history.history))  # type: ignore[union-attr]
    assert found[0][0] == found[1][0]
    assert found[0][2] == found[1][2]
    for one, other in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("rows", [4, 100_000])
def test_signals_are_heard(rows: int, interrupted: Any) -> None:
    """Whether epochs are of one step or of many, a handler that raises ends the run in good order."""
    x, y = data(rows, (2, 1))
    model = net((2, 2, 1), ("sigmoid", "sigmoid"))
    before = model.layers[-1].get_weights()[-1]
    result = interrupted(
        lambda: model.fit(x, y, batch_size=4, epochs=60_000_000 // rows, verbose=0),
        lambda: not np.array_equal(model.layers[-1].get_weights()[-1], before),
    )
    assert result.epochs < 60_000_000 // rows
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    model.fit(x, y, batch_size=4, epochs=1, verbose=0)


def test_memory_beside_the_weights_is_left_alone() -> None:
    """Kernels of one number lie in cache lines of their own, with zeros behind; these stay zeros."""
    x, y = data(40, (1, 1))
    model = net((1, 1, 1), ("relu", "linear"), optimizers.Adam(0.1))
    model.fit(x, y, batch_size=4, epochs=3, verbose=0)
    flat = model._now.store.array
    assert np.count_nonzero(flat) <= 4
