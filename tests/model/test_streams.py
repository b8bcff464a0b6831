"""Initial values come from NumPy's streams, whose generators are made once and used again."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn._core.seeds import seed_words
from fastnn.model import streams
from fastnn.model.streams import Stream, begin_stream, borrowed, give_back

SEEDS = [0, 1, 5, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 0x123456789ABCDEF]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("number", [0, 1, 2, 1000, 2**32 - 1])
def test_a_stream_is_that_of_numpy(seed: int, number: int) -> None:
    sequence = np.random.SeedSequence(seed, spawn_key=(number,))
    assert seed_words(seed, number, 8) == sequence.generate_state(8).tolist()
    wanted = np.random.default_rng(sequence)
    found = borrowed()
    found.integers(10, dtype=np.int32)  # leaves half a word behind
    begin_stream(found, seed, number)
    assert found.bit_generator.state == wanted.bit_generator.state
    for draw in ("random", "standard_normal"):
        np.testing.assert_array_equal(getattr(found, draw)(100), getattr(wanted, draw)(100))
    give_back(found)


@pytest.mark.parametrize(("seed", "number"), [*zip(SEEDS, [0, 1, 2, 1000, 2**32 - 1, 3, 4, 5], strict=True)])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (5000,)])
def test_uniform_numbers_are_those_of_numpy(seed: int, number: int, shape: tuple[int, ...]) -> None:
    wanted = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    found = Stream(seed, number)
    np.testing.assert_array_equal(found.uniform(-0.3, 1.7, shape), wanted.uniform(-0.3, 1.7, shape))
    # What is drawn afterwards follows, too.
    np.testing.assert_array_equal(found.uniform(0.0, 1.0, (3,)), wanted.uniform(0.0, 1.0, 3))
    np.testing.assert_array_equal(found.standard_normal(3), wanted.standard_normal(3))
    found.close()


def test_a_stream_refuses_what_numpy_does() -> None:
    stream = Stream(5, 0)
    with pytest.raises(OverflowError, match="bounds"):
        stream.uniform(-1e308, 1e308, (2,))
    with pytest.raises(ValueError, match="low"):
        stream.uniform(1.0, -1.0, (2,))


def test_initializers_of_ones_own_are_given_a_generator_of_numpy() -> None:
    given: list[object] = []

    class Own(fastnn.initializers.GlorotUniform):
        def values(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
            given.append(generator)
            return super().values(shape, generator)

    fastnn.Sequential([fastnn.Input((4,)), layers.Dense(3, kernel_initializer=Own())], seed=5)
    assert [type(generator) for generator in given] == [np.random.Generator]


def test_words_are_limited() -> None:
    with pytest.raises(ValueError, match="at most 8 words"):
        seed_words(1, 1, 9)


def net(seed: int | None = 5, **options: Any) -> fastnn.Sequential:
    hidden = layers.Dense(3, kernel_initializer="he_normal", bias_initializer="random_normal")
    return fastnn.Sequential([fastnn.Input((4,)), hidden, layers.Dense(2)], seed=seed, **options)


def test_initial_weights_are_drawn_by_their_numbers() -> None:
    weights = net(dtype="float64").get_weights()
    of = [np.random.default_rng(np.random.SeedSequence(5, spawn_key=(number,))) for number in range(3)]
    limit = np.sqrt(6 / 5)
    np.testing.assert_array_equal(weights[1], of[1].normal(0.0, 0.05, 3))
    np.testing.assert_allclose(weights[2], of[2].uniform(-limit, limit, (3, 2)), rtol=1e-15)


def test_generators_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    default_rng = np.random.default_rng

    def note(*arguments: Any) -> Any:
        made.append(arguments)
        return default_rng(*arguments)

    monkeypatch.setattr(np.random, "default_rng", note)
    monkeypatch.setattr(streams, "_idle", [])
    fastnn.Sequential([fastnn.Input((4,)), layers.Dense(3)], seed=5)
    assert not made  # uniform numbers need none
    for seed in (*range(20), None):
        net(seed)
    assert len(made) == 1


def test_who_draws_has_the_generator_alone() -> None:
    """A signal handler, or another thread, that builds a model meanwhile draws from another one."""
    first = borrowed()
    begin_stream(first, 1, 0)
    net()
    other = borrowed()
    assert other is not first
    assert first.random() == np.random.default_rng(np.random.SeedSequence(1, spawn_key=(0,))).random()
    for generator in (first, other):
        give_back(generator)


def test_threads_draw_the_values_of_their_seeds() -> None:
    wanted = [net(seed).get_weights() for seed in range(4)]
    wrong: list[int] = []

    def build(seed: int) -> None:
        for _ in range(50):
            pairs = zip(net(seed).get_weights(), wanted[seed], strict=True)
            if not all(np.array_equal(a, b) for a, b in pairs):
                wrong.append(seed)

    threads = [threading.Thread(target=build, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(streams._idle) <= streams._MOST_IDLE
