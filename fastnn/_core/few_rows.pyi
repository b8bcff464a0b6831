from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn._core.executor import Executor

APPLY_THREADS: int
APPLY_ENDS: int

class FewRows:
    def __init__(
        self,
        executor: Executor,
        inputs: Sequence[tuple[str, int, int]],
        outputs: Sequence[tuple[str, int, int]],
        most_rows: int,
        row_flops: int,
        scratch: np.ndarray,
        count_threads: Callable[[], int],
    ) -> None: ...
    @property
    def most_rows(self) -> int: ...
    def predict(self, x: object) -> Any: ...
