# A team: workers of the pool that go through a run together with the caller, and meet at a barrier.
#
# All are inside one nogil call.  Who may touch what: a phase's last thread to arrive is alone until it
# opens the barrier (`release`), and writes what all read in the next phase: rows, steps, who takes part.
# `generation` passes that on.  A thread that rests is not at the barrier, so whatever it looks at meanwhile
# is atomic: `status`, `state`, `called`, `generation`.  So is what several threads write within a phase:
# `next_task`, `arrived`, `cpu`, the judge, and in `Run` (run.pxd) `failure` and `interrupted`.
#
# Who is late rests (judge.pxd), and comes back for the step after it is called.  Thread 0, the caller's,
# never rests: if it is late, another gives up its core to it.  Tiles are cut by the plan, so none of this
# changes a bit.
#
# A system may wake a thread on the core of the one that started it and leave both there for
# milliseconds, each waiting for the other; so a thread that joins, or waits for long, leaves a core
# where one before it runs: a run of 20 ms of the benchmark "twenty", 10 ms after the one before, took
# 233 us a step, now 183.

from fastnn._core.judge cimport Judge, begin_rest, begin_window, is_late, shorten_rest
from fastnn._core.threads cimport (
    MAX_THREADS, Event, add_time, atomic_fetch_add, atomic_load, atomic_store, atomic_swap,
    current_cpu, get_time, now, open_event, wait_a_moment, window, yield_core,
)
from fastnn._core.tuning cimport BARRIER_YIELDS, GATHERING, GATHERING_AWAKE, WINDOW

cdef enum State:
    RESTING = 0
    READY = 1           # awake, takes part from the next step on
    ACTIVE = 2

cdef struct Team:
    int n_threads       # all of them
    int n_active        # those that take part in the step at hand
    char padding_0[64]  # what all threads write lies in cache lines of its own
    int next_task
    char padding_1[64]
    int arrived
    char padding_2[64]
    int generation
    char padding_3[64]
    int last            # who arrived last at the latest barrier
    int called          # whether those who rest shall come back
    int state[MAX_THREADS]
    int cpu[MAX_THREADS]                # where a thread was last seen
    int joined_at[MAX_THREADS]          # the generation after which a thread that was ready begins
    Judge* judge
    long long reviewed                  # when it was last asked
    long long gathering                 # how long to wait for workers to come
    Event event                         # wakes those who rest: they are called, or the run has ended


cdef inline void gather_team(Team* team, int n_threads, bint awake, Judge* judge) noexcept nogil:
    """Begin alone; the others, who may be `awake`, come when the rest of an earlier run is over."""
    cdef int i
    for i in range(n_threads):
        team.cpu[i] = -1
    open_event(&team.event)
    team.n_threads = n_threads
    team.n_active = 1
    team.state[0] = ACTIVE
    team.judge, team.reviewed = judge, now()
    team.gathering = GATHERING_AWAKE if awake else GATHERING
    team.called = team.reviewed >= get_time(&judge.rest_until)


cdef inline void note_cpu(Team* team, int thread) noexcept nogil:
    """Tell the others where a thread runs; written only when it changes, as all read it."""
    cdef int cpu = current_cpu()
    if cpu != team.cpu[thread]:
        atomic_store(&team.cpu[thread], cpu)


cdef inline int take_task(Team* team) noexcept nogil:
    """Return the number of the next task of the phase; the caller stops when there is none."""
    cdef int task
    if team.n_threads == 1:
        task = team.next_task
        team.next_task = task + 1
        return task
    return atomic_fetch_add(&team.next_task, 1)


cdef inline bint arrive(Team* team) noexcept nogil:
    """Return whether the caller is the last to arrive; it then works alone until it calls `release`."""
    cdef int n_active
    if team.n_threads == 1:
        return True
    # Read before the caller counts itself in: until then nobody can be last, and send somebody to rest.
    n_active = atomic_load(&team.n_active)
    window()
    return atomic_fetch_add(&team.arrived, 1) == n_active - 1


cdef inline void release(Team* team) noexcept nogil:
    """Let the team go on with the next phase."""
    if team.n_threads == 1:
        team.next_task = 0
        return
    window()
    atomic_store(&team.next_task, 0)
    atomic_store(&team.arrived, 0)
    atomic_fetch_add(&team.generation, 1)


cdef inline bint opens_within(Team* team, int generation, int most_waits) noexcept nogil:
    """Wait a while; return whether the barrier that was entered at `generation` has opened."""
    cdef int waits
    for waits in range(most_waits):
        if atomic_load(&team.generation) != generation:
            return True
        wait_a_moment(waits, BARRIER_YIELDS)
    return False


cdef inline void review(Team* team) noexcept nogil:
    """Decide who takes part in the next step.  One thread at a time, between the last phase and `release`."""
    cdef int i, late = -1, n_active = team.n_active
    cdef Judge* judge = team.judge
    cdef long long time = now()
    cdef bint judged
    if n_active > 1:
        add_time(&judge.watched, time - team.reviewed)
    team.reviewed = time
    judged = get_time(&judge.watched) >= WINDOW
    for i in range(team.n_threads):
        if atomic_load(&team.state[i]) == READY:
            team.joined_at[i] = team.generation
            window()
            n_active += atomic_swap(&team.state[i], READY, ACTIVE)      # it may have given up
        if judged and is_late(judge, i, n_active):
            late = i
    if judged:
        begin_window(judge)
        if late == 0:       # then the last of the others goes
            for i in range(1, team.n_threads):
                late = i if atomic_load(&team.state[i]) == ACTIVE else late
        if late > 0 and atomic_load(&team.state[late]) == ACTIVE:
            atomic_store(&team.state[late], RESTING)
            window()
            n_active -= 1
            begin_rest(judge, time)
        elif late < 0 and n_active == team.n_threads:
            shorten_rest(judge)
    atomic_store(&team.n_active, n_active)
    atomic_store(&team.called, n_active < team.n_threads and time >= get_time(&judge.rest_until))


cdef inline void wait_for_workers(Team* team) noexcept nogil:
    """Give those who were started a moment to wake, and let in who did; the others come later."""
    cdef int i, ready
    cdef long long begin = now()
    while team.called and now() - begin < team.gathering:
        ready = 1
        for i in range(1, team.n_threads):
            ready += atomic_load(&team.state[i]) == READY
        if ready == team.n_threads:
            break
        yield_core()    # one of them may wait for this very core
    review(team)
    release(team)
