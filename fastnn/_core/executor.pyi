from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from fastnn._core.guards import Parameters, Progress

OPCODES: dict[str, int]
ACTIVATIONS: dict[str, int]
POINTWISE: dict[str, int]
ROWWISE: dict[str, int]
ROW_WISE: set[str]
FROM_INPUT: set[str]
STATUSES: dict[int, str]
PATHS: dict[str, int]
AXES: dict[str, int]
ADDRESSINGS: dict[str, int]

_Operand: TypeAlias = tuple[int, int, int, int]
_Op: TypeAlias = tuple[int, int, int, int, Sequence[_Operand | None], Sequence[float], Sequence[int]]
_Phase: TypeAlias = tuple[int, int, Sequence[tuple[int, int, int, int]]]

class Executor:
    @property
    def snapshot_step(self) -> int: ...
    def __init__(
        self,
        ops: Sequence[_Op],
        phases: Sequence[_Phase],
        times_rows: Sequence[int],
        double: bool,
        n_losses: int,
        single_rows: int = ...,
        n_scalars: int = ...,
        first_update: int = ...,
        clips: Sequence[tuple[int, float]] = ...,
        due: Sequence[int] = ...,
    ) -> None: ...
    def tile_rows(self, rows: int) -> int: ...
    def bind(self, slot: int, array: np.ndarray | None, writable: bool) -> None: ...
    def bound_kernels(self) -> list[tuple[int, int, int, int]]: ...
    def use_parameters(self, parameters: Parameters, writes: bool) -> None: ...
    def run(
        self,
        rows: int,
        batch: int,
        n_epochs: int,
        externals: Sequence[tuple[int, np.ndarray, bool]],
        sums: np.ndarray,
        partial: np.ndarray,
        local: np.ndarray,
        n_threads: int = ...,
        guarded: bool = ...,
        permutation: np.ndarray | None = ...,
        shuffle: bool = ...,
        seed: int = ...,
        scalars: np.ndarray | None = ...,
        progress: Progress | None = ...,
        count_epochs: bool = ...,
        snapshot: np.ndarray | None = ...,
        restorable: bool = ...,
        snapshot_step: int = ...,
        poll_always: bool = ...,
        nanoseconds: np.ndarray | None = ...,
        brief: bool = ...,
    ) -> tuple[int, int, int, BaseException | None] | None: ...

def shuffled(size: int, seed: int, epoch: int, out: np.ndarray) -> None: ...
