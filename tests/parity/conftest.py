"""What the comparisons with Keras share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def keras(peer: Callable[[str], Any]) -> Any:
    """Keras on its PyTorch backend; the tests are skipped, with the reason, where it is missing."""
    peer("torch")
    keras = peer("keras")
    assert keras.backend.backend() == "torch", "set KERAS_BACKEND=torch for these tests"
    return keras
