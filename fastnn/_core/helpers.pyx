"""Threads that help a caller: who they are, and what they do between two jobs.

Helpers are Python threads, each inside one call without the GIL.  Starting one takes 100 us, more than
many jobs, so a helper waits for the next job a little while before it ends: calls in quick succession
find it awake.  None waits longer than that, and none is there before the first job, so an idle process
has no threads of ours.

A helper sits on a seat.  Whoever wants help takes seats whose helper waits, starts helpers on free ones,
and gives all of them a job at once.  A helper that has not begun when the caller is through with the work
is not waited for.
"""

import _thread

from libc.stdlib cimport getenv

from fastnn._core.team cimport (
    LONGEST_REST, MAX_THREADS, SHORTEST_REST, WINDOW, add_time, atomic_fetch_add, atomic_load, atomic_store,
    atomic_swap, cpu_pause, current_cpu, get_time, keep_away, nap, now, set_time, window, yield_core,
)

cdef extern from *:
    """
    #if defined(__linux__)
    #include <errno.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    static inline int fastnn_thread_id(void) { return (int)syscall(SYS_gettid); }
    /* Whether a thread of this process has ended. */
    static inline int fastnn_has_ended(int thread) {
        return syscall(SYS_tgkill, getpid(), thread, 0) != 0 && errno == ESRCH;
    }
    #else
    static inline int fastnn_thread_id(void) { return 0; }
    static inline int fastnn_has_ended(int thread) { return 1; }
    #endif
    """
    int thread_id "fastnn_thread_id"() noexcept nogil
    bint has_ended "fastnn_has_ended"(int thread) noexcept nogil

cdef enum:
    LINGER = 200000         # nanoseconds that a helper waits for the next job
    STARTING_WORK = 200000  # nanoseconds of work that pay for starting one
    GLANCES = 32            # looks at its seat between two at the clock
    SPINS = 4000            # of the caller, for helpers to end, then as many yields, then naps
    MAKING_WAY = 50000      # nanoseconds for new helpers to begin
    RETIRING = 200000000    # nanoseconds for all that wait to end

# What a seat's state is; a larger one is the ticket of a job that its helper has not begun.
cdef enum:
    FREE = 0
    WAITING = 1
    HIRED = 2
    BUSY = 3
    FIRST_TICKET = 4
    LAST_TICKET = 1 << 30

cdef struct Seat:
    int state
    int life            # of the helper that sits there; one of an earlier life finds out and goes
    int thread          # the system's number of its latest helper
    int number
    int cpu             # where the caller runs
    Job job
    void* context
    int* unfinished
    char padding[64]    # others write what is next to it

cdef Seat seats[MAX_THREADS]
cdef int n_seats = 0            # those ever taken, the first ones
cdef int latest_ticket = FIRST_TICKET
cdef int retiring = 0
cdef int jobs_done = 0
# When the latest call ended that could use helpers, and the work of those that it followed closely.
cdef long long latest_call = 0, latest_work = 0
# Of short calls with helpers: their time, what of it callers waited for helpers, and how long these rest.
cdef long long watched = 0, waited = 0, rest = SHORTEST_REST, rest_until = 0


cdef void sit(Seat* seat) noexcept nogil:
    """Do jobs until none has come for a while."""
    cdef int state, _
    cdef int* unfinished
    cdef long long since = now()
    atomic_store(&seat.thread, thread_id())
    while True:
        for _ in range(GLANCES):
            state = atomic_load(&seat.state)
            if state != WAITING:
                break
            cpu_pause()
        if state >= FIRST_TICKET:
            window()
            if atomic_swap(&seat.state, state, BUSY):
                keep_away(&seat.cpu, 1)
                seat.job(seat.context, seat.number)
                unfinished = seat.unfinished
                atomic_fetch_add(&jobs_done, 1)
                window()
                atomic_store(&seat.state, WAITING)
                window()
                atomic_fetch_add(unfinished, -1)    # from here on the caller's memory may be gone
                since = now()
        elif state == WAITING and (now() - since > LINGER or atomic_load(&retiring)):
            if atomic_swap(&seat.state, WAITING, FREE):
                return
        else:
            yield_core()


def help_from(int seat, int life):
    """Be a helper; what a thread is started with.

    Parameters
    ----------
    seat, life : int
    """
    if seats[seat].life == life:
        with nogil:
            sit(&seats[seat])


cdef int hire(Crew* crew, int wanted, bint spare) except -1:
    """OUT crew: up to `wanted` helpers, who do nothing yet; return how many.

    Needs the GIL.  There are fewer if the system refuses more, or if only `spare` ones are wanted, for a
    short call: then no more than `wanted` shall work for all callers together.
    """
    cdef int i, state
    crew.size = crew.waiting = crew.unfinished = 0
    crew.spare = spare
    # All seats are taken before a helper is started, as that lets other callers in.
    for i in range(n_seats if spare else 0):
        state = atomic_load(&seats[i].state)
        wanted -= state != FREE and state != WAITING
    take_seats(crew, WAITING, n_seats, wanted)
    crew.waiting = crew.size
    take_seats(crew, FREE, MAX_THREADS, wanted)
    for i in range(crew.waiting, crew.size):
        if not start(i, crew):
            break
    return crew.size


cdef void take_seats(Crew* crew, int state, int count, int wanted) noexcept nogil:
    """Let a crew have seats in a state, of the first `count`, until it has as many as are wanted."""
    cdef int i
    for i in range(count):
        if crew.size >= wanted:
            break
        if atomic_load(&seats[i].state) == state and atomic_swap(&seats[i].state, state, HIRED):
            crew.seats[crew.size] = i
            crew.size += 1


cdef bint start(int member, Crew* crew) except *:
    """Start the helper of a crew's free seat; return whether the system let us.

    If not, this seat and later ones are left out.
    """
    global n_seats
    cdef int i, seat = crew.seats[member]
    seats[seat].life += 1
    try:
        # threading.Thread waits until the new thread runs: 100 us, this 14.
        _thread.start_new_thread(help_from, (seat, seats[seat].life))
    except BaseException as exception:
        seats[seat].life += 1
        for i in range(member, crew.size):
            atomic_store(&seats[crew.seats[i]].state, FREE)
        crew.size = member
        if isinstance(exception, RuntimeError):     # no more threads to be had
            return False
        for i in range(member):
            atomic_store(&seats[crew.seats[i]].state, WAITING)
        crew.size = 0
        raise
    n_seats = max(n_seats, seat + 1)
    return True


cdef void launch(Crew* crew, Job job, void* context) noexcept nogil:
    """Give all helpers of a crew a job, the same with numbers 1, 2, ..."""
    global latest_ticket
    cdef int i, seat, ticket, cpu = current_cpu()
    crew.unfinished, crew.launched = crew.size, now()
    for i in range(crew.size):
        seat = crew.seats[i]
        ticket = atomic_fetch_add(&latest_ticket, 1)
        if ticket >= LAST_TICKET:
            atomic_store(&latest_ticket, FIRST_TICKET)
        seats[seat].number, seats[seat].cpu = i + 1, cpu
        seats[seat].job, seats[seat].context, seats[seat].unfinished = job, context, &crew.unfinished
        crew.tickets[i] = ticket
        window()
        atomic_store(&seats[seat].state, ticket)


cdef void make_way(Crew* crew) noexcept nogil:
    """Yield the core for a moment to new helpers: a system may start them there, and leave them for long.

    Each moves to another core as it begins.
    """
    cdef int i
    cdef long long since = now()
    for i in range(crew.waiting, crew.size):
        while atomic_load(&seats[crew.seats[i]].state) == crew.tickets[i] and now() - since < MAKING_WAY:
            yield_core()


cdef void dismiss(Crew* crew) noexcept nogil:
    """Wait until all helpers of a crew have done their job; who has not begun need not."""
    cdef int i, waits = 0
    cdef long long since = now()
    for i in range(crew.size):
        window()
        if atomic_swap(&seats[crew.seats[i]].state, crew.tickets[i], WAITING):
            atomic_fetch_add(&crew.unfinished, -1)
    while atomic_load(&crew.unfinished):
        waits += 1
        if waits < SPINS:
            cpu_pause()
        elif waits < 2 * SPINS:
            yield_core()
        else:
            nap()
    if crew.spare:
        judge(crew, since)


cdef void judge(Crew* crew, long long since) noexcept nogil:
    """Let helpers rest if callers waited for them, here since `since`, for more time than they saved.

    Like the review of a team (team.pxd), over as long a window.
    """
    # Calls that end at the same time may lose a number of another's; that changes little.
    cdef long long time = now(), all_watched, all_waited, resting = get_time(&rest)
    add_time(&watched, time - crew.launched)
    add_time(&waited, time - since)
    all_watched, all_waited = get_time(&watched), get_time(&waited)
    if all_watched < WINDOW:
        return
    # Without n helpers, work takes n + 1 times as long.
    if 5 * (crew.size + 1) * all_waited > 4 * all_watched * crew.size:
        set_time(&rest_until, time + resting)
        set_time(&rest, min(4 * resting, <long long>LONGEST_REST))
    else:
        set_time(&rest, max(resting // 2, <long long>SHORTEST_REST))
    set_time(&watched, 0)
    set_time(&waited, 0)


cpdef bint help_pays(long long work) noexcept nogil:
    """Return whether a call should ask for help.

    It should if its work pays for starting a helper, or if calls that came shortly after each other had so
    much work already: then helpers are waiting, or would be for those that follow.

    Parameters
    ----------
    work : int
        Nanoseconds that the call would take alone.
    """
    if now() - get_time(&latest_call) > LINGER:
        set_time(&latest_work, 0)
    return work >= STARTING_WORK or get_time(&latest_work) >= STARTING_WORK


cdef bint spare_help_pays(long long work) noexcept nogil:
    """Return the same for a short call: whether helpers rest counts, too."""
    return help_pays(work) and now() >= get_time(&rest_until)


cpdef void note_work(long long work) noexcept nogil:
    """Remember a call that has just ended, and asked `help_pays` before.

    Parameters
    ----------
    work : int
        What it asked with.
    """
    set_time(&latest_call, now())
    set_time(&latest_work, min(get_time(&latest_work) + work, <long long>STARTING_WORK))


def retire():
    """Let helpers that wait end, and wait until their threads have: before a fork, and at exit."""
    cdef int i, thread, count = n_seats, n_left = 1
    cdef long long since = now()
    atomic_store(&retiring, 1)
    with nogil:
        while n_left and now() - since < RETIRING:
            n_left = 0
            for i in range(count):
                # A thread that has left its seat needs the GIL once more to end.
                thread = atomic_load(&seats[i].thread)
                if atomic_load(&seats[i].state) == WAITING:
                    n_left += 1
                elif atomic_load(&seats[i].state) == FREE and thread and not has_ended(thread):
                    n_left += 1
            if n_left:
                nap()
    atomic_store(&retiring, 0)


def forget():
    """Free all seats and begin anew: in the child of a fork, where the threads of its parent are not."""
    global watched, waited, rest, rest_until
    cdef int i
    for i in range(n_seats):
        seats[i].life += 1
        seats[i].thread = 0
        atomic_store(&seats[i].state, FREE)
    atomic_store(&retiring, 0)
    watched, waited, rest, rest_until = 0, 0, SHORTEST_REST, 0


def environment(bytes name):
    """Return a variable of the environment, or None: in 0.05 us, as `os.environ` takes 0.5."""
    cdef const char* value = getenv(name)
    return None if value is NULL else <bytes>value


def count_jobs():
    """Return how many jobs helpers have done."""
    return atomic_load(&jobs_done)


def count_helpers():
    """Return how many helpers there are: they wait, work, or have not begun."""
    cdef int i, count = 0
    for i in range(n_seats):
        count += atomic_load(&seats[i].state) != FREE
    return count
