"""The pool of threads that work for a caller, and the cost model that says how many do.

A worker is a Python thread, inside one call without the GIL.  Starting one takes 100 us, more than many
jobs, so it waits for the next job a little while before it ends: calls in quick succession find it awake.
None waits longer than that, and none is there before the first job, so an idle process has no threads of
ours.

Whoever wants workers takes places whose worker waits, starts workers on free ones, and gives all of them a
job at once: tiles from a counter (tiles.pxd), or a run with barriers (team.pxd).  A worker that has not begun
when the caller is through with the work is not waited for.
"""

import _thread

from libc.stdlib cimport getenv

from fastnn._core.judge cimport begin_rest, begin_window, is_late, shorten_rest
from fastnn._core.threads cimport (
    MAX_THREADS, add_time, atomic_fetch_add, atomic_load, atomic_store, atomic_swap, cpu_pause,
    current_cpu, get_time, has_ended, keep_away, nap, now, set_time, thread_id, wait_a_moment, window,
    yield_core,
)
from fastnn._core.tuning cimport (
    FINISHING_YIELDS, FLOPS_PER_NANOSECOND, JOB_GLANCES, LINGER, MAKING_WAY, RETIRING, RUN_WORK,
    STARTING_WORK, STEP_WORK, WINDOW,
)

# A worker's state; a larger number is the ticket of a job that it has not begun.
cdef enum:
    FREE = 0                # nobody is there
    WAITING = 1
    HIRED = 2
    BUSY = 3
    FIRST_TICKET = 4
    LAST_TICKET = 1 << 30

cdef struct Worker:
    int state
    int life            # of the thread that works there; one of an earlier life finds out and goes
    int thread          # the system's number of the latest one
    int number
    int cpu             # where the caller runs
    Job job
    void* context
    int* unfinished
    char padding[64]    # others write what is next to it

cdef Worker workers[MAX_THREADS]
cdef int n_places = 0           # those ever taken, the first ones
cdef int latest_ticket = FIRST_TICKET
cdef int retiring = 0
cdef int jobs_done = 0
# When the latest call ended that could use workers, and the work of those that it followed closely.
cdef long long latest_call = 0, latest_work = 0


cdef bint pays(long long work, long long least) noexcept nogil:
    """Return whether `work` nanoseconds, `least` at least, are worth workers.

    They are if they pay for starting one, or if calls that came shortly after each other had so much work
    already: then workers are waiting, or would be for those that follow.
    """
    if now() - get_time(&latest_call) > LINGER:
        set_time(&latest_work, 0)
    return work >= least and (work >= STARTING_WORK or get_time(&latest_work) >= STARTING_WORK)


cpdef bint rests_for(long long work) noexcept nogil:
    """Return whether workers rest, as a core is busy, for longer than a job would take.

    Parameters
    ----------
    work : int
        Nanoseconds that the job takes on one thread.
    """
    return now() + work < get_time(&judge.rest_until)


cdef int wanted_workers(
    long long work, long long least, Py_ssize_t n_tasks, object count_threads
) except -1:
    """Return how many workers a short call of some tasks wants beside the caller.

    `count_threads`, a callable or None, says how many threads there may be, and is asked only if some pay.
    """
    if n_tasks < 2 or count_threads is None or not pays(work, least) or rests_for(0):
        return 0
    return <int>min(<Py_ssize_t>count_threads(), n_tasks) - 1


cdef long long work_of(long long step_flops, long long n_steps) noexcept nogil:
    return <long long>min(<double>step_flops * n_steps / FLOPS_PER_NANOSECOND, 1e18)


def run_pays(long long step_flops, long long n_steps):
    """Return whether a run is worth workers.

    Parameters
    ----------
    step_flops : int
        Floating-point operations of a step.
    n_steps : int
        In runs of more than one, workers that rest come back.
    """
    cdef long long work = work_of(step_flops, n_steps)
    return work_of(step_flops, 1) >= STEP_WORK and pays(work, RUN_WORK) and not (
        n_steps == 1 and rests_for(work)
    )


cdef void note_work(long long work) noexcept nogil:
    """Remember the work of a call that has just ended, and would have had workers if they pay."""
    set_time(&latest_call, now())
    set_time(&latest_work, min(get_time(&latest_work) + work, <long long>STARTING_WORK))


def note_run(long long step_flops, long long n_steps):
    """Remember a run that has just ended.

    Parameters
    ----------
    step_flops, n_steps : int
        As `run_pays` takes them.
    """
    if work_of(step_flops, 1) >= STEP_WORK:
        note_work(work_of(step_flops, n_steps))


cdef void wait_for_jobs(Worker* worker) noexcept nogil:
    """Do jobs until none has come for a while."""
    cdef int state, _
    cdef int* unfinished
    cdef long long since = now()
    atomic_store(&worker.thread, thread_id())
    while True:
        for _ in range(JOB_GLANCES):
            state = atomic_load(&worker.state)
            if state != WAITING:
                break
            cpu_pause()
        if state >= FIRST_TICKET:
            window()
            if atomic_swap(&worker.state, state, BUSY):
                keep_away(&worker.cpu, 1)
                worker.job(worker.context, worker.number)
                unfinished = worker.unfinished
                atomic_fetch_add(&jobs_done, 1)
                window()
                atomic_store(&worker.state, WAITING)
                window()
                atomic_fetch_add(unfinished, -1)    # from here on the caller's memory may be gone
                since = now()
        elif state == WAITING and (now() - since > LINGER or atomic_load(&retiring)):
            if atomic_swap(&worker.state, WAITING, FREE):
                return
        else:
            yield_core()


def serve(int place, int life):
    """Be a worker; what a thread is started with.

    Parameters
    ----------
    place, life : int
    """
    if workers[place].life == life:
        with nogil:
            wait_for_jobs(&workers[place])


cdef void take_places(Workers* hired, int state, int count, int wanted) noexcept nogil:
    """Take places in a state, of the first `count`, until there are as many as are wanted."""
    cdef int i
    for i in range(count):
        if hired.size >= wanted:
            break
        if atomic_load(&workers[i].state) == state and atomic_swap(&workers[i].state, state, HIRED):
            hired.places[hired.size] = i
            hired.size += 1


cdef int hire(Workers* hired, int wanted, bint spare) except -1:
    """OUT hired: up to `wanted` workers, who do nothing yet.

    Needs the GIL.  There are fewer if the system refuses more, or if only `spare` ones are wanted, for a
    short call: then no more than `wanted` shall work for all callers together.
    """
    global n_places
    cdef int i, j, place, state
    hired.size = hired.waiting = hired.unfinished = 0
    hired.spare = spare
    for i in range(n_places if spare and wanted > 0 else 0):
        state = atomic_load(&workers[i].state)
        wanted -= state != FREE and state != WAITING
    # All places are taken before a thread is started, as that lets other callers in.
    take_places(hired, WAITING, n_places, wanted)
    hired.waiting = hired.size
    take_places(hired, FREE, MAX_THREADS, wanted)
    for i in range(hired.waiting, hired.size):
        place = hired.places[i]
        workers[place].life += 1
        try:
            # threading.Thread waits until the new thread runs: 100 us, this 14.
            _thread.start_new_thread(serve, (place, workers[place].life))
        except BaseException as exception:
            workers[place].life += 1
            for j in range(i, hired.size):
                atomic_store(&workers[hired.places[j]].state, FREE)
            hired.size = i
            if isinstance(exception, RuntimeError):     # no more threads to be had
                break
            for j in range(i):
                atomic_store(&workers[hired.places[j]].state, WAITING)
            hired.size = 0
            raise
        n_places = max(n_places, place + 1)
    return 0


cdef void launch(Workers* hired, Job job, void* context) noexcept nogil:
    """Give all that are hired a job, the same with numbers 1, 2, ..."""
    cdef int i, cpu = current_cpu()
    cdef Worker* worker
    hired.unfinished, hired.launched = hired.size, now()
    hired.ticket = atomic_fetch_add(&latest_ticket, 1)
    if hired.ticket >= LAST_TICKET:
        atomic_store(&latest_ticket, FIRST_TICKET)
    for i in range(hired.size):
        worker = &workers[hired.places[i]]
        worker.number, worker.cpu = i + 1, cpu
        worker.job, worker.context, worker.unfinished = job, context, &hired.unfinished
        window()
        atomic_store(&worker.state, hired.ticket)


cdef void make_way(const Workers* hired) noexcept nogil:
    """Yield the core for a moment to new workers: a system may start them there, and leave them for long.

    Each moves to another core as it begins.
    """
    cdef int i
    cdef long long since = now()
    for i in range(hired.waiting, hired.size):
        while atomic_load(&workers[hired.places[i]].state) == hired.ticket and now() - since < MAKING_WAY:
            yield_core()


cdef void dismiss(Workers* hired) noexcept nogil:
    """Wait until all have done their job; who has not begun need not."""
    cdef int i, waits = 0
    cdef long long since = now()
    for i in range(hired.size):
        window()
        if atomic_swap(&workers[hired.places[i]].state, hired.ticket, WAITING):
            atomic_fetch_add(&hired.unfinished, -1)
    while atomic_load(&hired.unfinished):
        wait_a_moment(waits, FINISHING_YIELDS)
        waits += 1
    if not hired.spare:
        return
    # Of a run the team tells the judge; here all are late, or none is.
    add_time(&judge.watched, now() - hired.launched)
    add_time(&judge.lateness[1], now() - since)
    if get_time(&judge.watched) >= WINDOW:
        if is_late(&judge, 1, 1 + hired.size):
            begin_rest(&judge, now())
        else:
            shorten_rest(&judge)
        begin_window(&judge)


def retire():
    """Let workers that wait end, and wait until their threads have: before a fork, and at exit."""
    cdef int i, thread, state, count = n_places, n_left = 1
    cdef long long since = now()
    atomic_store(&retiring, 1)
    with nogil:
        while n_left and now() - since < RETIRING:
            n_left = 0
            for i in range(count):
                # A thread that has left its place needs the GIL once more to end.
                thread, state = atomic_load(&workers[i].thread), atomic_load(&workers[i].state)
                if state == WAITING or (state == FREE and thread != 0 and not has_ended(thread)):
                    n_left += 1
            if n_left:
                nap()
    atomic_store(&retiring, 0)


def forget():
    """Free all places and begin anew: in the child of a fork, where the threads of its parent are not."""
    cdef int i
    for i in range(n_places):
        workers[i].life += 1
        workers[i].thread = 0
        atomic_store(&workers[i].state, FREE)
    atomic_store(&retiring, 0)
    begin_window(&judge)
    set_time(&judge.rest, 0)
    set_time(&judge.rest_until, 0)


def environment(bytes name):
    """Return a variable of the environment, or None: in 0.05 us, as `os.environ` takes 0.5."""
    cdef const char* value = getenv(name)
    return None if value is NULL else <bytes>value


def count_jobs():
    """Return how many jobs workers have done."""
    return atomic_load(&jobs_done)


def count_workers():
    """Return how many workers there are: they wait, work, or have not begun."""
    cdef int i, count = 0
    for i in range(n_places):
        count += atomic_load(&workers[i].state) != FREE
    return count
