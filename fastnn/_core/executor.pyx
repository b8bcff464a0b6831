"""Runs compiled plans: whole epochs without the GIL, which only brief runs keep, without allocation or raise.

An executor holds the C form of one plan.  `bind` gives it its memory, `run` makes it work
through the rows of an epoch, or of several, in batches; all threads of a team run `work` on the
same run.  What a plan's verification has proved is not checked again here.
"""

from fastnn._core import types as _types

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fastnn._core.guards cimport (
    Claim, Parameters, Progress, enter_blas, family, in_main_thread, leave_blas, leave_out, let_forks_pass,
)
from fastnn._core.pool cimport Workers, dismiss, hire, judge, launch
from fastnn._core.random cimport stream
from fastnn._core.run cimport (
    LOCAL_SLOT, MAX_SLOTS, PARAMETER_SLOT, RUNNING, Clip, Phase, Run, Stream, Task, begin_epoch,
    begin_updates, bind_step, finish_phase, finish_step, follow_streams, parameters_finite, run_task,
    run_updates, shuffle_rows, tile_for,
)
from fastnn._core.table cimport kernel_table, need_table
from fastnn._core.team cimport (
    ACTIVE, READY, RESTING, Team, arrive, gather_team, note_cpu, opens_within, release,
    review, take_task, wait_for_workers,
)
from fastnn._core.threads cimport (
    add_time, atomic_load, atomic_store, atomic_swap, close_event, cpu_pause, keep_away, now,
    signal_event, sleep_while, wait_a_moment, window,
)
from fastnn._core.tuning cimport BARRIER_GLANCES, BARRIER_YIELDS, POLL_NANOSECONDS, POLL_STEPS, SPINS
from fastnn._core.types cimport (
    MAX_CONSTANTS, MAX_OPERANDS, MAX_SCALARS, Axis, Bound, Frame, Op, Status, is_row_wise, needs_input,
)

# For fastnn/run/runtime.py, which compares them with fastnn/opcodes.py and fastnn/ops.py.
OPCODES = {name: int(member) for name, member in _types.OpCode.__members__.items()}
ACTIVATIONS = {name: int(member) for name, member in _types.ActivationCode.__members__.items()}
POINTWISE = {name: int(member) for name, member in _types.PointwiseCode.__members__.items()}
ROWWISE = {name: int(member) for name, member in _types.RowwiseCode.__members__.items()}
STATUSES = {int(member): name for name, member in _types.Status.__members__.items()}
ROW_WISE = {name for name, code in ACTIVATIONS.items() if is_row_wise(code)}
FROM_INPUT = {name for name, code in ACTIVATIONS.items() if needs_input(code)}
PATHS = {name: int(member) for name, member in _types.PathCode.__members__.items()}
AXES = {name: int(member) for name, member in _types.Axis.__members__.items()}
ADDRESSINGS = {name: int(member) for name, member in _types.Addressing.__members__.items()}

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1


cdef inline void look_for_signals(Run* run, void* poller, long long* polled) noexcept nogil:
    """Take the GIL for a moment, every POLL_NANOSECONDS, if there is a `poller`."""
    cdef long long time
    if poller == NULL:
        return
    time = now()
    if time - polled[0] > POLL_NANOSECONDS:
        polled[0] = time
        with gil:
            (<Executor>poller).poll(run)


cdef bint rejoin(Run* run, int thread) noexcept nogil:
    """Rest until the team calls and lets the thread in; return whether there still is something to do."""
    cdef Team* team = &run.team
    cdef int state, waits = 0
    cdef bint one_step = run.total_rows <= run.batch and run.n_epochs == 1
    while atomic_load(&run.status) == RUNNING:
        state = atomic_load(&team.state[thread])    # once: `review` may let the thread in at any time
        if state == ACTIVE:
            if atomic_load(&team.generation) != team.joined_at[thread]:
                return True
            cpu_pause()
        elif one_step and atomic_load(&team.generation) > 0:
            if atomic_swap(&team.state[thread], state, RESTING):
                return False    # the step began without it
        elif state == READY:
            wait_a_moment(waits, 0)
            waits += 1
        elif atomic_load(&team.called):
            keep_away(team.cpu, thread)
            atomic_store(&team.state[thread], READY)
        else:
            sleep_while(&team.event, &run.status, RUNNING, &team.called, 0)
    return False


cdef void work(Run* run, int thread, void* poller) noexcept nogil:
    """Take part in a run until it ends; every thread of the team calls this once.

    The thread with a `poller` (an Executor) looks for signals now and then.
    """
    cdef Frame frame
    cdef char* base[MAX_SLOTS]
    cdef int p, generation
    cdef bint shared
    cdef Py_ssize_t number
    cdef Status status
    cdef long long began, polled = now()
    memcpy(base, run.base, MAX_SLOTS * sizeof(void*))
    base[LOCAL_SLOT] = run.local + thread * run.local_bytes
    frame.base = base
    frame.permutation = run.permutation
    if thread == 0 and run.team.n_threads > 1:
        wait_for_workers(&run.team)
    while True:
        window()
        if thread > 0 and atomic_load(&run.team.state[thread]) != ACTIVE and not rejoin(run, thread):
            return
        for p in range(run.n_phases):
            generation = atomic_load(&run.team.generation)
            shared = run.n_tiles[p] > 1
            if run.team.n_threads > 1:
                note_cpu(&run.team, thread)
            frame.rows = run.rows
            frame.tile_rows = run.phases[0].tile_rows
            frame.origin = run.origin
            frame.scalars, frame.key = run.step_scalars, run.key
            # An interrupt ends a step before it changes weights, or not at all.
            while p >= run.first_update or not atomic_load(&run.interrupted):
                # A look at the clock costs 20 ns; steps of tiny nets take little longer.
                if poller != NULL and (run.poll_always or run.step % POLL_STEPS == 0):
                    look_for_signals(run, poller, &polled)
                    if run.abandoned:
                        return
                number = take_task(&run.team)
                if number >= run.n_tiles[p]:
                    break
                status = run_task(run, run.phases + p, number, &frame)
                if status != Status.OK:
                    atomic_store(&run.failure, status)
            if arrive(&run.team):
                finish_phase(run, p)
                if run.team.n_threads > 1:
                    atomic_store(&run.team.last, thread)
                    if p == run.n_phases - 1:
                        review(&run.team)
                    if run.team.n_active < run.team.n_threads and (run.team.called or run.status != RUNNING):
                        signal_event(&run.team.event)
                release(&run.team)
            elif not opens_within(&run.team, generation, BARRIER_GLANCES):
                began = now()
                keep_away(run.team.cpu, thread)
                while not opens_within(&run.team, generation, SPINS + BARRIER_YIELDS):
                    look_for_signals(run, poller, &polled)
                    if run.abandoned:
                        return
                if shared:      # else whoever took the only tile is nobody to blame
                    add_time(&run.team.judge.lateness[atomic_load(&run.team.last)], now() - began)
            if atomic_load(&run.status) != RUNNING:
                return


cdef void help_run(void* run, int thread) noexcept nogil:
    """Take part in a run as thread number `thread`; the job of a worker."""
    work(<Run*>run, thread, NULL)


cdef void work_alone(Run* run, void* poller) noexcept nogil:
    """Do a run of small steps with one thread: ops are bound to their operands, and nobody is waited for."""
    cdef Frame frame
    cdef int before
    cdef Py_ssize_t bound_rows = 0
    cdef long long next_poll = run.step, polled = now()
    run.base[LOCAL_SLOT] = run.local
    frame.base = run.base
    frame.sums = run.totals
    frame.permutation = run.permutation
    frame.tile_rows = run.phases[0].tile_rows
    while run.status == RUNNING:
        if run.step >= next_poll:
            next_poll = run.step + POLL_STEPS
            look_for_signals(run, poller, &polled)
            if run.interrupted:
                run.step -= 1       # it was not made
                run.status = Status.INTERRUPTED
                return
        frame.rows, frame.origin, frame.scalars = run.rows, run.origin, run.step_scalars
        frame.key = run.key
        if run.rows != bound_rows:
            bind_step(run, &frame)
            bound_rows = run.rows
        follow_streams(run)
        before = run.bound_ends[run.first_update - 1] if run.first_update else 0
        run.failure = run.run_bound(run.bound, before, &frame)
        if run.failure == Status.OK:
            if not begin_updates(run):
                return
            if run.first_update < run.n_phases:
                run.failure = run_updates(run, before, &frame)
        if run.failure != Status.OK:
            run.status = run.failure
            return
        finish_step(run)


cdef class Executor:
    """The C form of one plan, and the memory it runs in.

    Parameters
    ----------
    ops : list of tuple
        ``(code, activation, path, accumulator, operands, constants, scalars)`` with operands
        ``(slot, addressing, offset, columns)``.
    phases : list of tuple
        ``(axis, tile_rows, tasks)`` with tasks ``(first, last, begin, end)``.
    times_rows : list of int
        For each sum, whether a batch's value is multiplied by its rows.
    double : bool
        float64 instead of float32.
    n_losses : int
        The first sums, so many, are losses that must stay finite.
    single_rows : int
        If the plan takes any number of rows, how many its first phase, if that is along rows, does as one
        tile; more are cut, see `tile_rows`.  Else 0.
    n_scalars : int
        How many numbers the plan needs in each step.
    first_update : int
        The first phase that changes what outlives a step; below 0 if none does.  All later ones do, too.
    clips : list of tuple
        ``(sum, limit)`` for each scalar, counted on from `n_scalars`, that a step makes before that phase.
    due : list of int
        For each phase the scalar that is 0 in steps that leave it out, or below 0.

    Attributes
    ----------
    snapshot_step : int
        The step at which the snapshot was made that the last run left behind; below 0 if there is none.
    """

    def __cinit__(
        self, ops, phases, times_rows, bint double, int n_losses, Py_ssize_t single_rows=0,
        int n_scalars=0, int first_update=-1, clips=(), due=(),
    ):
        cdef int i, j, t = 0
        need_table()
        self.running = Claim()
        self.n_ops, self.n_phases, self.n_sums = len(ops), len(phases), len(times_rows)
        self.n_tasks = sum(len(tasks) for _, _, tasks in phases)
        self.double, self.n_losses, self.n_scalars, self.n_clips = double, n_losses, n_scalars, len(clips)
        self.ops = <Op*>calloc(max(self.n_ops, 1), sizeof(Op))
        self.phases = <Phase*>calloc(max(self.n_phases, 1), sizeof(Phase))
        self.tasks = <Task*>calloc(max(self.n_tasks, 1), sizeof(Task))
        self.times_rows = <int*>calloc(max(self.n_sums, 1), sizeof(int))
        self.bound_ends = <int*>calloc(max(self.n_phases, 1), sizeof(int))
        self.n_tiles = <Py_ssize_t*>calloc(max(self.n_phases, 1), sizeof(Py_ssize_t))
        self.clips = <Clip*>calloc(max(self.n_clips, 1), sizeof(Clip))
        self.own_scalars = <double*>calloc(n_scalars + self.n_clips + 1, sizeof(double))
        if not (
            self.ops and self.phases and self.tasks and self.times_rows and self.bound_ends and self.n_tiles
            and self.clips and self.own_scalars
        ):
            raise MemoryError("no memory for the plan")
        for i, (code, activation, path, accumulator, operands, constants, scalars) in enumerate(ops):
            if len(operands) > MAX_OPERANDS or len(constants) > MAX_CONSTANTS or len(scalars) > MAX_SCALARS:
                raise ValueError(f"op {i} has too many operands, constants or scalars")
            self.ops[i].code, self.ops[i].activation, self.ops[i].path = code, activation, path
            self.ops[i].accumulator = accumulator
            for j in range(MAX_OPERANDS):
                self.ops[i].operands[j].slot = -1
            for j, operand in enumerate(operands):
                if operand is not None:
                    if not 0 <= operand[0] < MAX_SLOTS:
                        raise ValueError(f"op {i} has an operand in slot {operand[0]}; there are {MAX_SLOTS}")
                    self.ops[i].operands[j] = [operand[0], operand[1], operand[2], operand[3]]
            for j, constant in enumerate(constants):
                self.ops[i].constants[j] = constant
            for j, scalar in enumerate(scalars):
                if not 0 <= scalar < n_scalars + self.n_clips:
                    raise ValueError(f"op {i} needs scalar {scalar}; there are {n_scalars + self.n_clips}")
                self.ops[i].scalars[j] = scalar
        for i, (sum_, limit) in enumerate(clips):
            if not 0 <= sum_ < self.n_sums:
                raise ValueError(f"clip {i} needs sum {sum_}; there are {self.n_sums}")
            self.clips[i] = [sum_, limit]
        self.first_update = first_update if first_update >= 0 else self.n_phases
        for i, (axis, tile_rows, tasks) in enumerate(phases):
            self.phases[i] = [axis, tile_rows, t, len(tasks), due[i] if due else -1]
            self.skips = self.skips or self.phases[i].due >= 0
            for first, last, begin, end in tasks:
                self.tasks[t] = [first, last, begin, end]
                self.n_bound += last - first
                t += 1
        if self.n_phases and self.phases[0].axis == Axis.ROWS:
            self.single_rows = single_rows
        self.most_tile_rows = self.phases[0].tile_rows if self.n_phases else 0
        self.bound = <Bound*>calloc(max(self.n_bound, 1), sizeof(Bound))
        self.streams = <Stream*>calloc(max(self.n_bound, 1) * MAX_OPERANDS, sizeof(Stream))
        if not (self.bound and self.streams):
            raise MemoryError("no memory for the plan")
        for i, flag in enumerate(times_rows):
            self.times_rows[i] = flag

    def __dealloc__(self):
        cdef int i
        for i in range(MAX_SLOTS):
            if self.viewed[i]:
                PyBuffer_Release(&self.views[i])
        free(self.ops)
        free(self.phases)
        free(self.tasks)
        free(self.bound)
        free(self.streams)
        free(self.times_rows)
        free(self.bound_ends)
        free(self.clips)
        free(self.own_scalars)
        free(self.n_tiles)

    def bind(self, int slot, array, bint writable):
        """Make `array`, C-contiguous, the memory of a slot until another takes its place.

        Parameters
        ----------
        slot : int
        array : object with a buffer, or None
        writable : bool
            Whether the plan writes it; a read-only array then raises BufferError.
        """
        if self.viewed[slot]:
            PyBuffer_Release(&self.views[slot])
            self.viewed[slot] = False
        if array is not None:
            PyObject_GetBuffer(array, &self.views[slot], PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
            self.viewed[slot] = True

    def bound_kernels(self):
        """Return what ran each op of a step, in their order, in the last run of one thread and one tile.

        Returns
        -------
        list of (int, int, int, int)
            Path, opcode, the address of the kernel as in `table.cells`, and the code that the op has in
            `_core/narrow.pxi`, which takes the kernel's place if it is not 0.
        """
        cdef int i
        cdef size_t kernel
        kernels = []
        for i in range(self.n_bound):
            if self.bound[i].op != NULL:
                kernel = <size_t>self.bound[i].kernel.of_float
                op = self.bound[i].op
                kernels.append((op.path, op.code, kernel, self.bound[i].lane.code))
        return kernels

    def use_parameters(self, Parameters parameters, bint writes):
        """Say where the parameters are; each run takes the array that is in use when it begins.

        Parameters
        ----------
        parameters : Parameters
        writes : bool
            Whether the plan changes them.
        """
        self.parameters, self.writes = parameters, writes

    def tile_rows(self, Py_ssize_t rows):
        """Return the height of the tiles of a phase along rows, for a batch of `rows` rows.

        Parameters
        ----------
        rows : int

        Returns
        -------
        int
            Of the first phase; only plans for any number of rows look at `rows`.
        """
        if self.single_rows == 0:
            return self.most_tile_rows
        return tile_for(self.most_tile_rows, self.single_rows, rows)

    def run(
        self, Py_ssize_t rows, Py_ssize_t batch, Py_ssize_t n_epochs, externals, double[:, ::1] sums,
        double[::1] partial, unsigned char[::1] local, int n_threads=1, bint guarded=False,
        int[::1] permutation=None, bint shuffle=False, unsigned long long seed=0,
        const double[:, ::1] scalars=None,
        Progress progress=None, bint count_epochs=False,
        unsigned char[::1] snapshot=None, bint restorable=False, long long snapshot_step=-1,
        bint poll_always=True,
        long long[::1] nanoseconds=None, bint brief=False,
    ):
        """Run `n_epochs` epochs over `rows` rows in batches.

        Parameters
        ----------
        rows, batch, n_epochs : int
            All at least 1.
        externals : sequence of (int, object with a buffer, bool)
            Slots, their memory for this run, C-contiguous, and whether the plan writes it.
        sums : array of float64, (n_epochs, number of sums)
            OUT, the epochs' sums.
        partial : array of float64
            Scratch, at least (most tiles of a phase + 1) * (number of sums) + 1.
        local : array of uint8
            Scratch, the same share for each thread.
        n_threads : int
            Fewer if the system refuses so many.
        guarded : bool
            Whether BLAS must be kept at one thread meanwhile.
        permutation : array of int32, (rows,), optional
            Order of the rows; OUT when `shuffle`.
        shuffle : bool
            Whether to fill `permutation` anew for each epoch, from `seed` and the epoch's number.
        seed : int
        scalars : array of float64, (1 or steps, scalars of the plan), optional
            What the plan needs in each step, or in all of them.
        progress : Progress, optional
            INOUT, steps and epochs made before; by default none.
        count_epochs : bool
            Whether to add to `progress` the epochs that were begun.
        snapshot : array of uint8, of the parameters' size, optional
            Scratch for a copy of the parameters: when the loss of a step, or the parameters in the end, are
            not finite, they become again what they were at the latest epoch's start, or a few steps
            before, at which the loss was finite.
        restorable : bool
            Whether `snapshot` holds such a copy already.
        snapshot_step : int
            The step at which that was made, if it counts as this run's; below 0 to make one at the begin.
        poll_always : bool
            Whether to look for signals after every tile, not only every 16 steps.
        nanoseconds : array of int64, (number of ops,), optional
            INOUT, time per op; needs one thread.
        brief : bool
            Whether to keep the GIL, if one thread does all: who gives it away may wait until it is back.

        Returns
        -------
        (int, int, int, BaseException or None), or None
            Status; steps made, and the one at which the loss was not finite; epochs finished; what a signal
            handler raised, for the caller to raise.  None if nothing was done, as a run is under way: of
            this executor, or one that changes the same parameters, or, in this thread, that reads them.
        """
        cdef Run run
        cdef Workers hired
        cdef Py_buffer views[MAX_SLOTS]
        cdef bint alone, written
        cdef int i, slot, blas = -1, opened = 0
        cdef long long first_step = 0, first_epoch = 0
        cdef Py_ssize_t steps
        cdef double nothing = 0.0
        # Others have no signals to handle, and while Python ends, they may not take the GIL.
        cdef void* poller = <void*>self if in_main_thread() else NULL
        cdef Claim writing = self.parameters.writing if self.writes else None
        if self.running.depth:
            return None
        # A signal handler must not train a model whose weights its own thread is about to read.
        if writing is not None and (writing.depth or self.parameters.is_read_here()):
            return None
        self.running.take()
        if writing is not None:
            writing.take()
        elif self.parameters is not None:
            self.parameters.reading.append(self.running)
        try:
            memset(&run, 0, sizeof(Run))
            for i in range(LOCAL_SLOT):
                if self.viewed[i]:
                    run.base[i] = <char*>self.views[i].buf
            if self.parameters is not None:
                externals = [(PARAMETER_SLOT, self.parameters.array, True), *externals]
            for slot, array, written in externals:
                PyObject_GetBuffer(array, &views[opened], PyBUF_WRITABLE if written else PyBUF_SIMPLE)
                run.base[slot] = <char*>views[opened].buf
                opened += 1
                if snapshot is not None and slot == PARAMETER_SLOT and snapshot.shape[0]:
                    if snapshot.shape[0] != views[opened - 1].len:
                        raise ValueError("snapshot and parameters differ in size")
                    run.parameters, run.snapshot = run.base[slot], <char*>&snapshot[0]
                    run.parameter_bytes = snapshot.shape[0]
            if self.single_rows:
                self.phases[0].tile_rows = self.tile_rows(min(batch, rows))
            run.ops, run.phases, run.tasks, run.n_phases = self.ops, self.phases, self.tasks, self.n_phases
            run.first_update, run.skips, run.n_tiles = self.first_update, self.skips, self.n_tiles
            run.run_ops = kernel_table().of[self.double].run
            run.run_bound = kernel_table().of[self.double].run_bound
            run.bound, run.streams, run.bound_ends = self.bound, self.streams, self.bound_ends
            run.local_bytes = local.shape[0] // n_threads // 64 * 64
            if local.shape[0]:
                run.local = <char*>&local[0]
            run.total_rows, run.batch, run.n_epochs = rows, batch, n_epochs
            if permutation is not None:
                run.permutation = &permutation[0]
            if progress is not None:
                first_step, first_epoch = progress.steps, progress.epochs
            run.shuffle, run.seed, run.first_epoch = shuffle, seed, first_epoch
            run.draw_key = stream(seed, 1)
            run.step = run.first_step = first_step
            run.scalars, run.n_scalars = &nothing, self.n_scalars
            run.clips, run.n_clips, run.own_scalars = self.clips, self.n_clips, self.own_scalars
            if self.n_scalars:
                steps = n_epochs * ((rows + batch - 1) // batch)
                if scalars is None or scalars.shape[1] != self.n_scalars or (
                    scalars.shape[0] != 1 and scalars.shape[0] != steps
                ):
                    raise ValueError(f"the plan needs {self.n_scalars} scalars, for 1 or {steps} steps")
                run.scalars = &scalars[0, 0]
                run.scalars_stride = self.n_scalars if scalars.shape[0] > 1 else 0
            run.n_sums, run.times_rows, run.n_losses = self.n_sums, self.times_rows, self.n_losses
            # The totals lie behind the tiles' partial sums.
            run.partial, run.totals = &partial[0], &partial[partial.shape[0] - self.n_sums - 1]
            if self.n_sums:
                run.epoch_sums = &sums[0, 0]
            if nanoseconds is not None:
                run.nanoseconds = &nanoseconds[0]
            run.snapshot_step = snapshot_step
            alone = n_threads == 1 and nanoseconds is None and not poll_always
            for i in range(self.n_phases):
                if self.phases[i].axis == Axis.ROWS:
                    alone = alone and self.phases[i].tile_rows >= min(batch, rows)
            run.poll_always = poll_always
            run.double_, run.table = self.double, kernel_table()
            run.status = RUNNING
            run.team.n_threads = run.team.n_active = 1
            self.exception = None
            if guarded:
                blas = enter_blas()
            begin_epoch(&run)
            if n_threads > 1:
                hire(&hired, n_threads - 1, False)
                gather_team(&run.team, 1 + hired.size, hired.waiting == hired.size, &judge)
                launch(&hired, help_run, &run)
            if brief and alone:
                let_forks_pass()
                work_alone(&run, poller)
            else:
                with nogil:
                    if alone:
                        work_alone(&run, poller)
                    else:
                        work(&run, 0, poller)
                    if n_threads > 1 and not run.abandoned:
                        dismiss(&hired)
            if run.abandoned:
                run.status = Status.ABANDONED
            elif n_threads > 1:
                close_event(&run.team.event)
            if run.snapshot != NULL and not run.abandoned:
                # The last step may have been the one to infinity.
                if run.status == Status.NOT_FINITE or not parameters_finite(&run):
                    run.status = Status.NOT_FINITE
                    if run.snapshot_step >= 0 or restorable:
                        memcpy(run.parameters, run.snapshot, run.parameter_bytes)
            if progress is not None:
                # The step to infinity was not made, or has just been taken back.
                progress.steps += run.step - first_step - (run.status == Status.NOT_FINITE)
                if count_epochs:
                    progress.epochs += min(run.epoch + 1, n_epochs)
            self.snapshot_step = run.snapshot_step
            exception, self.exception = self.exception, None
            return run.status, run.step - first_step, run.epoch, exception
        finally:
            if blas >= 0:
                leave_blas(blas)
            for i in range(opened):
                PyBuffer_Release(&views[i])
            if writing is not None:
                writing.give()
            elif self.parameters is not None:
                leave_out(self.parameters.reading, self.running)
            self.running.give()

    cdef void poll(self, Run* run):
        """Let Python handle signals; what a handler raises is kept and stops the run."""
        cdef int parent = family()
        try:
            PyErr_CheckSignals()
        except BaseException as exception:
            self.exception = exception
            atomic_store(&run.interrupted, True)
        # A handler that forks comes back twice, and in the child the others of the team are not there.
        if family() != parent and run.team.n_threads > 1:
            run.abandoned = True


def shuffled(Py_ssize_t size, unsigned long long seed, Py_ssize_t epoch, int[::1] out):
    """Fill `out` with the order of `size` rows in an epoch, as training does."""
    if out.shape[0] != size:
        raise ValueError(f"out has {out.shape[0]} elements, needs {size}")
    if size:
        shuffle_rows(&out[0], size, seed, epoch)
