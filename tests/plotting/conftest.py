"""An axis, and that pictures leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def ax() -> Any:
    """Return an axis that pyplot does not know."""
    from matplotlib.figure import Figure

    return Figure(layout="constrained").add_subplot()


@pytest.fixture(autouse=True)
def _nothing_global() -> Iterator[None]:
    """Close the figures that a test opened, and see that no setting has changed."""
    try:
        import matplotlib
        from matplotlib import pyplot
    except ImportError:  # then nothing is drawn
        yield
        return
    before = dict(matplotlib.rcParams)
    yield
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before
