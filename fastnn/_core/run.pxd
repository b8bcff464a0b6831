# The walk of a team through a plan: one run's work, where it stands, and what happens between phases.
#
# Everything here is plain C: it knows neither Python objects nor the GIL.  Thread by thread, `work` in
# executor.pyx takes tasks, runs them with `run_task`, and who arrives last at the end of a phase calls
# `finish_phase`, which adds up the sums and sets out the next phase, step or epoch.

from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport fabs, sqrt
from libc.string cimport memcpy

from fastnn._core.random cimport mixed, stream
from fastnn._core.team cimport Team
from fastnn._core.threads cimport atomic_load, atomic_store, now
from fastnn._core.tuning cimport SNAPSHOT_STEPS
from fastnn._core.types cimport (
    MAX_OPERANDS, Addressing, Axis, Bound, Frame, KernelTable, Op, Operand, RunBound, RunOps, Status, bind,
)

cdef enum:
    MAX_SLOTS = 128     # of which 5 are the plan's own
    PARAMETER_SLOT = 0
    LOCAL_SLOT = 4
    RUNNING = -1


cdef struct Task:
    int first
    int last
    Py_ssize_t begin
    Py_ssize_t end

cdef struct Phase:
    int axis            # an Axis
    Py_ssize_t tile_rows    # along rows, else 0
    int first_task
    int n_tasks
    int due             # the scalar that is 0 in steps that leave it out; below 0: there is none

# A scalar that each step makes of a sum of squares.
cdef struct Clip:
    int sum
    double limit

# An operand of a bound op that moves on from batch to batch.
cdef struct Stream:
    void** place
    char* start
    Py_ssize_t row_bytes

# One call of Executor.run, shared by the team.
cdef struct Run:
    const Op* ops
    const Phase* phases
    const Task* tasks
    int n_phases
    int first_update            # the first phase that updates; n_phases if none does
    bint skips                  # whether steps may leave out phases that update
    RunOps run_ops
    RunBound run_bound
    Bound* bound                # the ops of a step, in order
    int* bound_ends             # behind the last of each phase
    Stream* streams
    int n_streams
    char* base[MAX_SLOTS]
    char* local
    Py_ssize_t local_bytes
    # the work
    Py_ssize_t total_rows
    Py_ssize_t batch
    Py_ssize_t n_epochs
    int* permutation
    bint shuffle
    unsigned long long seed
    Py_ssize_t first_epoch
    long long first_step        # made before
    const double* scalars       # of each step, or of all
    Py_ssize_t scalars_stride   # from step to step; 0 if they are the same in all
    int n_scalars
    const Clip* clips
    int n_clips
    double* own_scalars         # if there are clips: the step's scalars, and then the factors
    # where it stands
    Py_ssize_t epoch
    Py_ssize_t origin
    Py_ssize_t rows
    Py_ssize_t* n_tiles         # of each phase
    long long step
    const double* step_scalars  # of the step at hand
    unsigned long long draw_key     # of all random numbers that ops draw
    unsigned long long key      # of those of the step at hand
    # sums
    int n_sums
    const int* times_rows
    int n_losses                # the first sums, which must stay finite
    double* partial
    double* totals
    double* epoch_sums
    # weights to come back to
    char* parameters
    char* snapshot
    Py_ssize_t parameter_bytes
    long long snapshot_step
    bint double_
    const KernelTable* table
    int status                  # RUNNING, then how the run ended
    int failure                 # status of an op that failed
    int interrupted             # whether a signal handler raised
    bint abandoned              # whether this is the child of a fork, which has no workers
    bint poll_always
    long long* nanoseconds      # per op, when profiling
    Team team


cdef inline void shuffle_rows(
    int* permutation, Py_ssize_t size, unsigned long long seed, Py_ssize_t epoch
) noexcept nogil:
    """OUT permutation: Fisher and Yates, with random number i of (seed, epoch); see fastnn.run.reference."""
    cdef Py_ssize_t i, j
    cdef int kept
    cdef unsigned long long key = mixed(stream(seed, 0) + <unsigned long long>epoch)
    for i in range(size):
        permutation[i] = <int>i
    for i in range(size - 1, 0, -1):
        j = <Py_ssize_t>(
            <double>(mixed(key + <unsigned long long>i * <unsigned long long>0x9E3779B97F4A7C15) >> 11)
            * 1.1102230246251565e-16 * <double>(i + 1)
        )
        kept = permutation[i]
        permutation[i] = permutation[j]
        permutation[j] = kept


cdef inline bint parameters_finite(Run* run) noexcept nogil:
    cdef Py_ssize_t size = run.parameter_bytes // (8 if run.double_ else 4)
    return run.table.nonfinite(run.double_, run.parameters, size) == 0


cdef inline bint snapshot_due(const Run* run) noexcept nogil:
    """Return whether `take_snapshot` takes one in the step at hand."""
    return run.snapshot != NULL and run.origin == 0 and (
        run.snapshot_step < 0 or run.step - run.snapshot_step >= SNAPSHOT_STEPS
    )


cdef inline void take_snapshot(Run* run) noexcept nogil:
    """Keep the parameters, at which the loss of the step at hand is known to be finite.

    At the start of an epoch, at most every SNAPSHOT_STEPS steps: a copy is a few per cent of a step
    of a net whose weights outgrow the caches.
    """
    if snapshot_due(run):
        memcpy(run.snapshot, run.parameters, run.parameter_bytes)
        run.snapshot_step = run.step


cdef inline void begin_step(Run* run, Py_ssize_t origin) noexcept nogil:
    cdef Py_ssize_t rows = min(run.batch, run.total_rows - origin)
    cdef int p, s
    run.origin = origin
    run.step += 1
    run.step_scalars = run.scalars + (run.step - run.first_step - 1) * run.scalars_stride
    if run.n_clips:
        memcpy(run.own_scalars, run.step_scalars, run.n_scalars * sizeof(double))
        run.step_scalars = run.own_scalars
    run.key = stream(run.draw_key, <unsigned long long>run.step)
    if rows != run.rows:
        run.rows = rows
        for p in range(run.n_phases):
            if run.phases[p].axis == Axis.ROWS:
                run.n_tiles[p] = (rows + run.phases[p].tile_rows - 1) // run.phases[p].tile_rows
            else:
                run.n_tiles[p] = run.phases[p].n_tasks
    if run.skips:
        for p in range(run.first_update, run.n_phases):
            if run.phases[p].due >= 0:
                run.n_tiles[p] = run.phases[p].n_tasks if run.step_scalars[run.phases[p].due] != 0 else 0
    for s in range(run.n_sums):
        run.totals[s] = 0.0
    if run.first_update == 0:   # there is nothing to wait for
        take_snapshot(run)


cdef inline void begin_epoch(Run* run) noexcept nogil:
    if run.shuffle:
        shuffle_rows(run.permutation, run.total_rows, run.seed, run.first_epoch + run.epoch)
    begin_step(run, 0)


cdef inline void make_factors(Run* run) noexcept nogil:
    """Make the factors of clipped gradients: min(1, limit / norm), NaN if the norm is not finite."""
    cdef int i
    cdef double norm
    for i in range(run.n_clips):
        norm = sqrt(run.totals[run.clips[i].sum])
        run.own_scalars[run.n_scalars + i] = (
            (run.clips[i].limit / norm if norm > run.clips[i].limit else 1.0) + (norm - norm)
        )


cdef inline bint begin_updates(Run* run) noexcept nogil:
    """Do what needs the losses and all gradients, which are known by now; return whether to update.

    If a loss is not finite, the run ends.  One thread does this while the others wait.  Whatever else needs
    all gradients of a step has its place here, too.
    """
    cdef Py_ssize_t s
    # Sums are float64; a loss that is infinite in the model's dtype counts as infinite.
    for s in range(run.n_losses):
        if not (fabs(run.totals[s]) <= (DBL_MAX if run.double_ else FLT_MAX)):
            atomic_store(&run.status, Status.NOT_FINITE)
            return False
    take_snapshot(run)
    make_factors(run)
    return True


cdef inline void finish_step(Run* run) noexcept nogil:
    """Decide what comes after a step."""
    cdef Py_ssize_t s
    cdef double* epoch_sums = run.epoch_sums + run.epoch * run.n_sums
    for s in range(run.n_sums):
        epoch_sums[s] += run.totals[s] * (<double>run.rows if run.times_rows[s] else 1.0)
    if run.origin + run.rows < run.total_rows:
        begin_step(run, run.origin + run.rows)
        return
    run.epoch += 1
    if run.epoch == run.n_epochs:
        atomic_store(&run.status, Status.OK)
    else:
        begin_epoch(run)


cdef inline void finish_phase(Run* run, int p) noexcept nogil:
    """Add up the phase's partial sums in tile order and decide what comes next.  One thread at a time."""
    cdef Py_ssize_t t, s
    cdef int failure = atomic_load(&run.failure)
    if failure != Status.OK:
        atomic_store(&run.status, failure)
        return
    if p < run.first_update and atomic_load(&run.interrupted):
        run.step -= 1       # it was not made
        atomic_store(&run.status, Status.INTERRUPTED)
        return
    for t in range(run.n_tiles[p]):
        for s in range(run.n_sums):
            run.totals[s] += run.partial[t * run.n_sums + s]
    if p == run.first_update - 1 and not begin_updates(run):
        return
    if p == run.n_phases - 1:
        finish_step(run)


cdef inline Py_ssize_t tile_for(Py_ssize_t most, Py_ssize_t single, Py_ssize_t rows) noexcept nogil:
    """Return the height of tiles, `most` at the most, for `rows` rows of a plan that takes any number.

    Up to `single` rows are one tile.  More, if fewer than two whole tiles, become two halves, so that two
    threads have work, and neither is a row or two.
    """
    return min(most, rows if rows <= single else (rows + 15) // 16 * 8 if rows > 32 else (rows + 7) // 8 * 4)


cdef inline void set_tile(
    Run* run, const Phase* phase, const Task* task, Py_ssize_t number, Frame* frame
) noexcept nogil:
    """OUT frame: the tile of a task."""
    frame.first_column = frame.n_columns = 0
    if phase.axis == Axis.ROWS:
        frame.begin = number * phase.tile_rows
        frame.end = min(frame.begin + phase.tile_rows, run.rows)
    elif phase.axis == Axis.FEATURES:
        frame.begin, frame.end = 0, run.rows
        frame.first_column, frame.n_columns = task.begin, task.end - task.begin
    else:
        frame.begin = task.begin
        frame.end = task.end
    frame.row[<int>Addressing.FIXED] = 0
    frame.row[<int>Addressing.TILE] = frame.begin
    frame.row[<int>Addressing.STREAM_TILE] = frame.begin + run.origin
    frame.row[<int>Addressing.STREAM] = run.origin


cdef inline void bind_step(Run* run, Frame* frame) noexcept nogil:
    """OUT run.bound: all ops of a step in their order, rows of the batch being one tile."""
    cdef const Phase* phase
    cdef const Task* task
    cdef const Operand* operand
    cdef Bound* bound = run.bound
    cdef Py_ssize_t itemsize = 8 if run.double_ else 4
    cdef int p, t, i, j
    run.n_streams = 0
    for p in range(run.n_phases):
        phase = run.phases + p
        for t in range(phase.n_tasks):
            task = run.tasks + phase.first_task + t
            set_tile(run, phase, task, 0, frame)
            frame.row[<int>Addressing.STREAM] = frame.row[<int>Addressing.STREAM_TILE] = 0
            for i in range(task.first, task.last):
                bind(bound, run.ops + i, frame, itemsize)
                for j in range(MAX_OPERANDS):
                    operand = &run.ops[i].operands[j]
                    if operand.slot >= 0 and operand.addressing >= <int>Addressing.STREAM_TILE:
                        run.streams[run.n_streams] = [
                            &bound.operands[j], <char*>bound.operands[j], operand.columns * itemsize
                        ]
                        run.n_streams += 1
                bound += 1
        run.bound_ends[p] = <int>(bound - run.bound)
    run.table.prepare(run.double_, run.bound, bound - run.bound, frame)


cdef inline void follow_streams(Run* run) noexcept nogil:
    """Let operands in arrays of the caller begin at the batch at hand."""
    cdef int i
    for i in range(run.n_streams):
        run.streams[i].place[0] = run.streams[i].start + run.origin * run.streams[i].row_bytes


cdef inline Status run_task(Run* run, const Phase* phase, Py_ssize_t number, Frame* frame) noexcept nogil:
    """Run the ops of one task on one tile."""
    cdef const Task* task
    cdef int i
    cdef Status status
    cdef long long before, after
    frame.sums = run.partial + number * run.n_sums
    for i in range(run.n_sums):
        frame.sums[i] = 0.0
    task = run.tasks + phase.first_task + (0 if phase.axis == Axis.ROWS else number)
    set_tile(run, phase, task, number, frame)
    if run.nanoseconds == NULL:
        return run.run_ops(run.ops + task.first, task.last - task.first, frame)
    before = now()
    for i in range(task.first, task.last):
        status = run.run_ops(run.ops + i, 1, frame)
        if status != Status.OK:
            return status
        after = now()
        run.nanoseconds[i] += after - before
        before = after
    return Status.OK


cdef inline Status run_updates(Run* run, int before, const Frame* frame) noexcept nogil:
    """Run what is bound of the phases that update, but for those that the step leaves out."""
    cdef Status status
    cdef int p, last = run.n_phases - 1
    if not run.skips:
        return run.run_bound(run.bound + before, run.bound_ends[last] - before, frame)
    for p in range(run.first_update, run.n_phases):
        if run.n_tiles[p]:
            status = run.run_bound(run.bound + before, run.bound_ends[p] - before, frame)
            if status != Status.OK:
                return status
        before = run.bound_ends[p]
    return Status.OK
