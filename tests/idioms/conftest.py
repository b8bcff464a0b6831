"""The library that a script is run with."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fastnn

LIBRARIES = ["fastnn", "keras"] if os.environ.get("FASTNN_WHOLE") else ["fastnn"]


@pytest.fixture(params=LIBRARIES)
def keras(
    request: pytest.FixtureRequest,
    peer: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Any]:
    """Return the library, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        if request.param == "keras":
            warnings.simplefilter("ignore")  # what Keras warns of is its own
        yield fastnn if request.param == "fastnn" else peer("keras")
