"""The orders in which training takes rows: those of the reference, and all equally likely."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from fastnn._core.executor import shuffled
from fastnn.run.reference.draws import permutation_of


def test_shuffling_draws_the_orders_of_the_reference() -> None:
    for size, seed, epoch in itertools.product([0, 1, 2, 3, 10, 257], [0, 1, 2**63 - 1], [0, 1, 1000]):
        order = np.full(size, -1, np.int32)
        shuffled(size, seed, epoch, order)
        np.testing.assert_array_equal(order, permutation_of(size, seed, epoch))
        np.testing.assert_array_equal(np.sort(order), np.arange(size))
    with pytest.raises(ValueError, match="out has 3 elements, needs 4"):
        shuffled(4, 0, 0, np.zeros(3, np.int32))


def test_every_order_is_as_likely_as_another() -> None:
    counts = Counter(tuple(permutation_of(4, 9, epoch).tolist()) for epoch in range(2400))
    assert len(counts) == 24
    # Chi squared with 23 degrees of freedom is below 49.7 in 999 of 1000 cases.
    assert sum((n - 100) ** 2 / 100 for n in counts.values()) < 49.7
