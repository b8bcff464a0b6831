"""Keras's own unit tests, of which those that `tests/keras_suite.txt` says pass must go on passing."""

from __future__ import annotations

from typing import Any

import keras_suite
import pytest

import fastnn


@pytest.fixture(scope="module")
def suite(keras: Any, pytestconfig: pytest.Config) -> Any:
    """What runs Keras's tests, which have a mark of their own."""
    pytestconfig.addinivalue_line("markers", "requires_trainable_backend: of tests of Keras")
    return keras_suite


@pytest.mark.filterwarnings("ignore")  # those of Keras's modules of tests
def test_what_the_table_says_passes(suite: Any) -> None:
    passing = suite.passing()
    assert sum(map(len, passing.values())) > 400
    lost = {file: suite.lost(file, names) for file, names in passing.items()}
    assert not any(lost.values()), lost


@pytest.mark.filterwarnings("ignore")
def test_a_test_that_fails_is_lost(suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file, name = "activations.activations_test", "ActivationsTest.test_elu"
    monkeypatch.setattr(fastnn.activations, "elu", fastnn.activations.relu)
    assert set(suite.lost(file, [name, "ActivationsTest.test_none"])) == {name, "ActivationsTest.test_none"}
