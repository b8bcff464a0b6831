"""What processes of joblib are asked; they find this module, and not that of a test."""

from __future__ import annotations

from fastnn.estimators._threads import threads_for
from fastnn.run.runtime import default_threads


def share() -> tuple[int | None, int]:
    """Return the threads that an estimator may have here, and those that there are."""
    return threads_for(None), default_threads()
