"""Fixtures for all tests. Nothing here may need more than one test file would need alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Return the folder that holds the four MNIST files, or skip the test."""
    from fastnn.datasets._mnist import find_files

    beside_the_repository = Path(__file__).resolve().parents[2] / "shared" / "data"
    named = os.environ.get("FASTNN_DATA")
    places = [Path(named).expanduser()] if named else []
    for place in (*places, beside_the_repository):
        if (paths := find_files(place)) is not None:
            return paths[0].parent
    pytest.skip("the MNIST files are neither in FASTNN_DATA nor in ../shared/data of the repository")
