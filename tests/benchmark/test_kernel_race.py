"""Tests of the kernels part: its cases, and that a wrong kernel is never timed."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.benchmark import kernels
from fastnn.benchmark.kernels import Case
from fastnn.benchmark.parts import Settings
from fastnn.benchmark.race import Effort

SETTINGS = Settings((), (), (), Effort(rounds=2, seconds=1e-4), n_cores=1)


def test_every_kernel_direction_and_shape() -> None:
    labels = [item.label for item in kernels.items(SETTINGS)]
    assert len(labels) == len(set(labels)) == 4 * 2 * 3
    assert {"dense backward 4096x1024", "sigmoid forward 200x500", "relu backward 64x64"} <= set(labels)


@pytest.mark.parametrize("index", range(8))
def test_small_kernels_agree_and_are_timed(index: int) -> None:
    item = kernels.items(SETTINGS)[index]
    assert item.label.endswith("64x64")
    row = item.measure()
    assert row["agree"]
    assert [entry["name"] for entry in row["timings"]] == ["NumPy", "fastnn"]
    assert all(len(entry["seconds"]) == 2 for entry in row["timings"])


def test_a_wrong_kernel_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = np.ones(3), np.array([1, 1, 1.001])
    case = Case(lambda: right, lambda: wrong, (right,))
    monkeypatch.setattr(kernels, "activation_case", lambda *arguments: case)
    monkeypatch.setattr(kernels, "take_turns", None)  # would fail
    row = next(item for item in kernels.items(SETTINGS) if item.label == "tanh forward 64x64").measure()
    assert not row["agree"]
    assert [entry["seconds"] for entry in row["timings"]] == [[], []]
    kernels.check(case, "numpy")
    with pytest.raises(AssertionError):
        kernels.check(case, "fastnn")
