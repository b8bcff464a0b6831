"""Tests of the points in the plane: geometry, balance, seeds, and that no line separates them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn.datasets import make_islands, make_quadrants, make_ring

Maker = Callable[[int, int], tuple[np.ndarray, np.ndarray]]
MAKERS = [make_quadrants, make_ring, make_islands]
HALF_SIDES = {make_quadrants: 1.0, make_ring: 2.5, make_islands: 2.0}
CENTRES = ((-1.0, -0.9), (1.0, -0.9), (0.0, 1.0))
SHARES = {make_quadrants: 0.5, make_ring: 3 * math.pi / 25, make_islands: 3 * 0.8**2 * math.pi / 16}


def in_quadrants(x1: float, x2: float) -> bool:
    return x1 * x2 > 0


def in_ring(x1: float, x2: float) -> bool:
    return 1 <= math.hypot(x1, x2) < 2


def on_islands(x1: float, x2: float) -> bool:
    return any(math.dist((x1, x2), centre) <= 0.8 for centre in CENTRES)


@pytest.mark.parametrize("n", [1, 2, 1000])
@pytest.mark.parametrize("make", MAKERS)
def test_toys_have_the_documented_shapes_and_dtypes(make: Maker, n: int) -> None:
    x, y = make(n, 0)
    assert (x.shape, x.dtype) == ((n, 2), np.float32)
    assert (y.shape, y.dtype) == ((n,), np.int32)
    assert x.flags.c_contiguous
    assert set(y.tolist()) <= {0, 1}


@pytest.mark.parametrize(
    ("make", "inside"), [(make_quadrants, in_quadrants), (make_ring, in_ring), (make_islands, on_islands)]
)
def test_toys_labels_follow_the_geometry(make: Maker, inside: Callable[[float, float], bool]) -> None:
    x, y = make(20000, 1)
    assert y.tolist() == [inside(x1, x2) for x1, x2 in x.tolist()]


@pytest.mark.parametrize(
    ("make", "points", "labels"),
    [
        (make_quadrants, [(0, 0), (0, 1), (-1, 0), (1, -1), (-1, -1), (1e-30, 1e-30)], [0, 0, 0, 0, 1, 1]),
        (make_ring, [(0, 0), (0.6, 0.7), (1, 0), (0, -1.5), (2, 0), (2.5, 2.5)], [0, 0, 1, 1, 0, 0]),
        (make_islands, [(0, 0), (1, -0.9), (0, 1.75), (0, -0.9), (-2, 2)], [0, 1, 1, 0, 0]),
    ],
)
def test_toys_labels_of_chosen_points(
    make: Maker, points: list[tuple[float, float]], labels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Chosen:
        def uniform(self, low: float, high: float, size: tuple[int, int]) -> np.ndarray:
            assert size == (len(points), 2)
            return np.array(points, dtype=np.float64)

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Chosen())
    assert make(len(points), 0)[1].tolist() == labels


@pytest.mark.parametrize("make", MAKERS)
def test_toys_fill_their_square_and_have_the_documented_share_of_class_1(make: Maker) -> None:
    x, y = make(20000, 2)
    half = HALF_SIDES[make]
    assert np.abs(x).max() <= half
    counts, *_ = np.histogram2d(x[:, 0], x[:, 1], bins=4, range=[[-half, half], [-half, half]])
    assert np.abs(counts - 1250).max() < 5 * math.sqrt(1250)  # five standard deviations
    assert y.mean() == pytest.approx(SHARES[make], abs=5 * 0.5 / math.sqrt(20000))


def test_islands_do_not_touch() -> None:
    x, y = make_islands(20000, 3)
    nearest = np.argmin([np.hypot(*(x - centre).T) for centre in CENTRES], axis=0)
    islands = [x[(y == 1) & (nearest == k)].astype(np.float64) for k in range(3)]
    assert min(len(island) for island in islands) > 2000
    for k in range(3):
        here, there = islands[k][:, np.newaxis], islands[k - 1][np.newaxis, :]
        assert np.hypot(*(here - there).transpose(2, 0, 1)).min() > 0.4 - 1e-6


@pytest.mark.parametrize("make", MAKERS)
def test_toys_depend_on_the_seed_alone(make: Maker) -> None:
    x, y = make(100, 7)
    np.random.seed(0)  # the global state has no part in it
    again = make(100, 7)
    np.testing.assert_array_equal(again[0], x)
    np.testing.assert_array_equal(again[1], y)
    assert not np.array_equal(make(100, 8)[0], x)


@pytest.mark.parametrize("make", MAKERS)
def test_toys_are_out_of_reach_for_a_linear_classifier(make: Maker) -> None:
    x, y = make(5000, 4)
    with_bias = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    weights, *_ = np.linalg.lstsq(with_bias, 2.0 * y - 1, rcond=None)
    fresh, labels = make(5000, 5)
    predicted = np.column_stack([fresh, np.ones(len(fresh))]) @ weights > 0
    assert (predicted == labels).mean() < 0.7


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"n": -5}, "n must be at least 1, got -5"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seed": 2**32}, "seed must be at most 4294967295"),
    ],
)
def test_toys_refuse_numbers_out_of_range(
    make: Callable[..., Any], arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(**{"n": 10, "seed": 0, **arguments})


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("arguments", [{"n": 10.0}, {"n": "10"}, {"n": True}, {"seed": None}, {"seed": 0.5}])
def test_toys_refuse_other_types(make: Callable[..., Any], arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(arguments))} must be an integer"):
        make(**{"n": 10, "seed": 0, **arguments})
