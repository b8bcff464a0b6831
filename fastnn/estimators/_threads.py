"""How many threads an estimator uses: what it was told, and no more than its share where joblib runs it.

This file must not know nets or data.
"""

from __future__ import annotations

import os
import threading

from joblib.parallel import get_active_backend

from fastnn.run.runtime import chosen_threads, resolve_threads

__all__ = ["threads_for"]


def threads_for(n_threads: int | None) -> int | None:
    """Return the most threads for a call; None is the default number.

    Processes that joblib starts find their share in the environment, as far as its backend sets it.  Its
    threads, and other processes, are as many as the user wants to have at work, so each of them works alone.

    Parameters
    ----------
    n_threads : int or None
        An estimator's parameter, which counts if it is given.

    Examples
    --------
    >>> threads_for(1), threads_for(None)
    (1, None)
    """
    if n_threads is not None:
        return resolve_threads(n_threads)
    backend, _ = get_active_backend()
    if chosen_threads() is not None or not getattr(backend, "nesting_level", 0):
        return None
    told = "OMP_NUM_THREADS" in os.environ or "FASTNN_NUM_THREADS" in os.environ
    is_process = threading.current_thread() is threading.main_thread()
    return None if is_process and told else 1
