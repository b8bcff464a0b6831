"""A program: a plan encoded for the executor, with the memory that it runs in.

The only Python file that talks to `_core.executor`.  It must not know layers or models.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from fastnn._core import pool
from fastnn._core.executor import STATUSES, Executor, shuffled
from fastnn._core.few_rows import APPLY_ENDS, APPLY_THREADS, FewRows
from fastnn._core.guards import Parameters, Progress
from fastnn._core.table import address, cleared
from fastnn.compiler.plan import Plan, Slot
from fastnn.compiler.tuning import (
    APPLY_FLOPS,
    BRIEF_NANOSECONDS,
    BYTES_PER_NANOSECOND,
    FEWEST_FLOPS_PER_NANOSECOND,
    FILLED_BYTES,
    OP_NANOSECONDS,
    POLL_STEP_FLOPS,
    SINGLE_FLOPS,
    SINGLE_ROWS,
    TEAM_FLOPS_PER_BYTE,
    TEAM_PARAMETERS,
)
from fastnn.errors import BusyError, PlanError
from fastnn.run import runtime
from fastnn.run.encoding import encode

__all__ = ["FewRows", "Program", "Result", "aligned_array", "aligned_copy", "order_of_rows"]


def order_of_rows(seed: int, epoch: int, out: np.ndarray) -> None:
    """Fill `out` (int32) with the order of rows that training draws for an epoch.

    Parameters
    ----------
    seed, epoch : int
    out : numpy.ndarray of int32, (rows,)
    """
    shuffled(out.size, seed, epoch, out)


def aligned_array(size: int, dtype: np.dtype) -> np.ndarray:
    """Return zeros that start at a cache line.

    Parameters
    ----------
    size : int
        Number of elements.
    dtype : numpy.dtype

    Returns
    -------
    numpy.ndarray, (size,)

    Raises
    ------
    MemoryError
        If there is no such memory.
    """
    itemsize = dtype.itemsize
    length = size + 64 // itemsize
    if length * itemsize <= FILLED_BYTES:
        raw = np.empty(length, dtype)
        start = cleared(raw)
    else:
        raw = np.zeros(length, dtype)
        start = address(raw)
    first = -start % 64 // itemsize  # memory is at a multiple of 16 bytes
    return raw[first : first + size]


def aligned_copy(array: np.ndarray, dtype: np.dtype | None = None) -> np.ndarray:
    """Return a flat copy that starts at a cache line: vectors that straddle two lines take twice as long.

    Parameters
    ----------
    array : numpy.ndarray
    dtype : numpy.dtype, optional
        By default that of `array`.

    Returns
    -------
    numpy.ndarray, (array.size,)
    """
    copied = aligned_array(array.size, array.dtype if dtype is None else dtype)
    copied[:] = array.reshape(-1)
    return copied


Scalars: TypeAlias = Callable[[int, int], np.ndarray]


class Result(NamedTuple):
    """What a run returns.

    Attributes
    ----------
    sums : numpy.ndarray, (epochs, sums of all accumulators), float64
        Sums over the epoch's rows.
    steps : int
        Steps made, and the one at which the loss was not finite.
    epochs : int
        Epochs finished; fewer than asked for if the loss was not finite or on a signal.
    finite : bool
        Whether every loss was; if not, the parameters were restored.
    exception : BaseException or None
        What a signal handler raised; the caller raises it once its own state is right.
    """

    sums: np.ndarray
    steps: int
    epochs: int
    finite: bool
    exception: BaseException | None


class Program:
    """A plan with an executor and memory.

    Parameters
    ----------
    plan : Plan
        Verified.
    dtype : numpy.dtype
        float32 or float64.
    parameters : Parameters or numpy.ndarray
        Flat array of the plan's slot, or what holds the one in use; shared with other programs of a model.
    gradients, state : numpy.ndarray or None
        Flat arrays of the plan's slots; `run` may be given other gradients.  A step that trains keeps them in
        an array of the program's own, if it is given none.
    """

    def __init__(
        self,
        plan: Plan,
        dtype: np.dtype,
        parameters: Parameters | np.ndarray,
        gradients: np.ndarray | None = None,
        state: np.ndarray | None = None,
    ) -> None:
        self.plan = plan
        self.dtype = np.dtype(dtype)
        self._code = code = encode(plan)
        per_row = code.flops_per_row if plan.capacity == 0 else 0
        single_rows = SINGLE_ROWS if per_row * SINGLE_ROWS < SINGLE_FLOPS else SINGLE_ROWS // 2
        self.executor = Executor(
            code.ops,
            code.phases,
            code.times_rows,
            self.dtype.itemsize == 8,
            code.n_losses,
            single_rows if per_row else 0,
            len(plan.scalars),
            code.first_update,
            code.clips,
            code.due,
        )
        self._parameters = parameters if isinstance(parameters, Parameters) else Parameters(parameters)
        if gradients is None and plan.purpose == "train" and plan.sizes[Slot.GRADIENTS]:
            gradients = aligned_array(plan.sizes[Slot.GRADIENTS], self.dtype)
        self._gradients = gradients
        self._check_slot(Slot.PARAMETERS, self._parameters.array)
        self.executor.use_parameters(self._parameters, code.writes_parameters)
        for slot, array in (
            (Slot.STATE, state),
            (Slot.WORKSPACE, aligned_array(plan.sizes[Slot.WORKSPACE], self.dtype)),
        ):
            self._check_slot(slot, array)
            if array is not None:
                self.executor.bind(slot, array, True)
        self._snapshot = np.empty(0, np.uint8)
        self._snapshot_of: np.ndarray | None = None  # the array that it is a copy of, at an earlier step
        self._local_bytes = (plan.sizes[Slot.LOCAL] * self.dtype.itemsize + 127) // 64 * 64
        self._local = np.empty(0, np.uint8)
        self._partial = np.empty(0)
        # What is soon over is done by one call, unless BLAS might start threads.
        self.few_rows: FewRows | None = None
        short = len(plan.externals) <= APPLY_ENDS and len(plan.phases) == 1
        # There arrays are neither copied nor checked for more than being finite.
        if plan.purpose == "predict" and short and not any(e.kind.is_whole for e in plan.externals):
            self.few_rows = self._short_way(per_row, single_rows)

    def _short_way(self, per_row: int, single_rows: int) -> FewRows:
        """Return the way for few rows, of `per_row` flops each."""
        most_rows = APPLY_FLOPS // per_row
        first_guarded = self._code.first_guarded
        if self._code.row_tiles[0] >= first_guarded:

            def starts_threads(rows: int) -> bool:
                return max(self.executor.tile_rows(rows), min(rows, single_rows)) >= first_guarded

            # From two tiles on they have their full height.
            enough = range(min(most_rows, 2 * self._code.row_tiles[0]) + 1)
            most_rows = bisect.bisect_left(enough, True, key=starts_threads) - 1
        inputs, outputs = (
            [
                (name.partition(":")[2] or name, slot, columns)
                for name, (slot, columns, written) in self._code.externals.items()
                if written == wanted
            ]
            for wanted in (False, True)
        )
        scratch = aligned_array(APPLY_THREADS * self._local_bytes, np.dtype(np.uint8))
        return FewRows(
            self.executor,
            inputs,
            outputs,
            most_rows,
            per_row,
            scratch.reshape(APPLY_THREADS, -1),
            runtime.default_threads,
        )

    def _check_slot(self, slot: Slot, array: np.ndarray | None) -> None:
        size = self.plan.sizes[slot]
        if size and (array is None or array.size < size or array.dtype != self.dtype):
            raise PlanError(f"slot {slot.name} needs {size} elements of {self.dtype}")

    def team_size(self, rows: int, batch: int, epochs: int, n_threads: int | None) -> int:
        """Return how many threads a run should use of the `n_threads` it may; None is the default number."""
        if n_threads == 1:
            return 1
        step = self._code.flops(min(batch, rows))
        if not pool.run_pays(step, -(-rows // batch) * epochs):
            return 1
        tiles = self._batch_tiles(min(batch, rows))
        few = self.plan.sizes[Slot.PARAMETERS] < TEAM_PARAMETERS
        moved = self._code.parameter_elements * self.dtype.itemsize
        if tiles == 1 and few and step > TEAM_FLOPS_PER_BYTE * moved:
            return 1
        most = runtime.default_threads() if n_threads is None else n_threads
        return min(most, max(self._code.parameter_tiles, tiles))

    def _is_brief(self, step_flops: int, n_steps: int) -> bool:
        """Return whether steps of so many flops are over so soon that they can keep the GIL."""
        moved = self._code.parameter_elements * self.dtype.itemsize
        step = (
            step_flops // FEWEST_FLOPS_PER_NANOSECOND
            + moved // BYTES_PER_NANOSECOND
            + len(self.plan.ops) * OP_NANOSECONDS
        )
        return step * n_steps <= BRIEF_NANOSECONDS

    def _batch_tiles(self, rows: int) -> int:
        """Return the most tiles of a phase along the batch, for `rows` rows of it."""
        if self.plan.capacity == 0:
            least = self.executor.tile_rows(rows)
        else:
            least = min(self._code.row_tiles, default=rows)
        return max(self._code.feature_tiles, -(-rows // least), 1)

    def run(
        self,
        externals: Mapping[str, np.ndarray],
        rows: int,
        batch: int,
        *,
        epochs: int = 1,
        n_threads: int | None = None,
        permutation: np.ndarray | None = None,
        shuffle: bool = False,
        seed: int = 0,
        first_epoch: int = 0,
        scalars: Scalars | None = None,
        step: int = 0,
        progress: Progress | None = None,
        count_epochs: bool = False,
        gradients: np.ndarray | None = None,
        restore: bool = False,
        restorable: bool = False,
        continued: bool = False,
        nanoseconds: np.ndarray | None = None,
    ) -> Result:
        """Run epochs over arrays that have passed the border.

        Parameters
        ----------
        externals : mapping of str to numpy.ndarray
            C-order arrays of the plan's dtype with `rows` rows, by the externals' names.
        rows, batch, epochs : int
        n_threads : int, optional
            The most to use; small work uses fewer.  By default `fastnn.run.runtime.default_threads`.
        permutation : numpy.ndarray of int32, (rows,), optional
            Order of the rows for plans that gather; overwritten if `shuffle`.
        shuffle, seed, first_epoch
            Whether each epoch has an order of its own, and what it is drawn from.
        scalars : callable, optional
            ``scalars(first, count)`` returns the plan's scalars for `count` steps after `first` others:
            (count, scalars) numbers, or (1, scalars) if they are the same in all.
        step : int
            Steps made before.
        progress : Progress, optional
            Takes the place of `step` and `first_epoch`, and is kept up to date.
        count_epochs : bool
            Whether the epochs, too.
        gradients : numpy.ndarray, optional
            Flat array for this run's gradients; by default the program's.
        restore : bool
            Whether to restore the last parameters with a finite loss if a loss, or a parameter, is not.
        restorable : bool
            Whether the run before was one of the same training, so that its snapshot is still good.
        continued : bool
            Whether this run goes on with the epoch of that one, so that it need not make another snapshot.
        nanoseconds : numpy.ndarray of int64, (ops,), optional
            Time per op is added here.

        Returns
        -------
        Result

        Raises
        ------
        BusyError
            If the program runs already, or, if it changes parameters, another one that does.
        """
        plan = self.plan
        if plan.capacity and batch > plan.capacity:
            raise PlanError(f"a batch of {batch} rows exceeds the plan's capacity {plan.capacity}")
        if self._code.gathers and (permutation is None or permutation.size != rows):
            raise PlanError("this plan gathers rows and needs a permutation of all of them")
        team = self.team_size(rows, batch, epochs, n_threads)
        local, partial, snapshot, snapshot_step = self._local, self._partial, None, -1
        if local.size < team * self._local_bytes:
            local = self._local = aligned_array(team * self._local_bytes, np.dtype(np.uint8))
        tiles = max(self._code.parameter_tiles, self._batch_tiles(min(batch, rows)))
        n_sums = self._code.n_sums
        if partial.size < (tiles + 1) * n_sums + 1:
            partial = self._partial = np.zeros((tiles + 1) * n_sums + 1)
        if restore:
            snapshot = self._snapshot
            if continued and self._snapshot_of is self._parameters.array:
                snapshot_step = self.executor.snapshot_step
            self._snapshot_of = self._parameters.array
            if snapshot.size != self._parameters.array.nbytes:
                snapshot = self._snapshot = np.empty(self._parameters.array.nbytes, np.uint8)
        guarded = min(batch, rows) >= self._code.first_guarded
        if guarded:
            runtime.find_blas()
        step_flops = self._code.flops(min(batch, rows))
        n_steps = epochs * -(-rows // batch)
        sums = np.zeros((epochs, n_sums))
        if progress is None:
            progress = Progress()
            progress.steps, progress.epochs = step, first_epoch
        table = None
        if plan.scalars:
            if scalars is None:
                raise PlanError(f"this plan needs the scalars {', '.join(plan.scalars)}")
            table = scalars(progress.steps, n_steps)
        ended = self.executor.run(
            rows,
            batch,
            epochs,
            self._bound(externals, rows, gradients),
            sums,
            partial,
            local,
            team,
            guarded,
            permutation,
            shuffle,
            seed,
            table,
            progress,
            count_epochs,
            snapshot,
            restorable,
            snapshot_step,
            step_flops > POLL_STEP_FLOPS,
            nanoseconds,
            self._is_brief(step_flops, n_steps),
        )
        if ended is None:
            raise BusyError(
                "this model is in the midst of a step, or of a call that reads it; a signal handler, or "
                "another thread, has to wait until that is over"
            )
        status, steps, finished, exception = ended
        pool.note_run(step_flops, steps)
        name = STATUSES[status]
        if name == "ABANDONED":
            raise BusyError(
                "a signal handler forked this process in the midst of a run on several threads, and a child "
                "has only one of them: it cannot go on, and weights that were being trained are those of no "
                "step. End the child with os._exit, or fork between runs"
            ) from exception
        if name not in ("OK", "NOT_FINITE", "INTERRUPTED"):
            raise PlanError(f"the executor stopped with status {name}")
        return Result(sums, steps, finished, name != "NOT_FINITE", exception)

    def sums_of_rows(self, externals: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
        """Run a plan whose tiles are single rows, and return what each of them adds to the first sum.

        Parameters
        ----------
        externals : mapping of str to numpy.ndarray
            As for `run`.
        rows : int
            At least 1.

        Returns
        -------
        numpy.ndarray of float64, (rows,)
        """
        if self.plan.capacity or self._code.row_tiles != [1]:
            raise PlanError("sums of rows need a plan of tiles of one row")
        result = self.run(externals, rows, rows)
        if result.exception is not None:
            raise result.exception
        if rows == 1:  # one thread alone adds up no tiles
            return result.sums[0, :1]
        return self._partial[: rows * self._code.n_sums : self._code.n_sums].copy()

    def _bound(
        self, externals: Mapping[str, np.ndarray], rows: int, gradients: np.ndarray | None
    ) -> list[tuple[int, np.ndarray, bool]]:
        """Return the memory of the slots that each run has of its own, checked."""
        bound: list[tuple[int, np.ndarray, bool]] = []
        for name, (slot, columns, written) in self._code.externals.items():
            array = externals[name]
            enough = array.size >= rows * columns if self._code.gathers else array.size == rows * columns
            if array.dtype != self.dtype or not enough or not array.flags.c_contiguous:
                raise PlanError(f"external {name!r} must be {self.dtype} ({rows}, {columns}) in C order")
            bound.append((slot, array, written))
        own = self._gradients if gradients is None else gradients
        self._check_slot(Slot.GRADIENTS, own)
        if own is not None:
            bound.append((int(Slot.GRADIENTS), own, True))
        return bound
