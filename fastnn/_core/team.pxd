# A team of threads that meet at a barrier and take tasks from a shared counter.
#
# The threads are Python threads inside one nogil call each (fastnn/runtime.py starts them); there
# is no pool, so nothing survives a call and a fork afterwards is safe.  The atomics are those of
# gcc and clang.  A thread that waits spins, then yields its core, so that a team on a busy machine
# does not hold up the thread it waits for.

cdef extern from *:
    """
    #include <sched.h>
    #if defined(__x86_64__) || defined(__i386__)
    #define FASTNN_PAUSE() __builtin_ia32_pause()
    #elif defined(__aarch64__)
    #define FASTNN_PAUSE() __asm__ __volatile__("yield")
    #else
    #define FASTNN_PAUSE() ((void)0)
    #endif
    static inline int fastnn_fetch_add(int* x, int y) { return __atomic_fetch_add(x, y, __ATOMIC_ACQ_REL); }
    static inline int fastnn_load(const int* x) { return __atomic_load_n(x, __ATOMIC_ACQUIRE); }
    static inline void fastnn_store(int* x, int y) { __atomic_store_n(x, y, __ATOMIC_RELEASE); }
    static inline void fastnn_pause(void) { FASTNN_PAUSE(); }
    static inline void fastnn_yield(void) { sched_yield(); }
    """
    int atomic_fetch_add "fastnn_fetch_add"(int* x, int y) noexcept nogil
    int atomic_load "fastnn_load"(const int* x) noexcept nogil
    void atomic_store "fastnn_store"(int* x, int y) noexcept nogil
    void cpu_pause "fastnn_pause"() noexcept nogil
    void yield_core "fastnn_yield"() noexcept nogil

cdef enum:
    SPINS = 4000        # about 40 us at 3 GHz; a longer wait gives the core away
    YIELDS = 1000       # and after these the caller may look at other things

cdef struct Team:
    int n_threads
    int next_task
    int arrived
    int generation


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
    return team.n_threads == 1 or atomic_fetch_add(&team.arrived, 1) == team.n_threads - 1


cdef inline void release(Team* team) noexcept nogil:
    """Let the team go on with the next phase."""
    team.next_task = 0
    if team.n_threads > 1:
        team.arrived = 0
        atomic_store(&team.generation, team.generation + 1)


cdef inline bint wait_for_release(Team* team, int generation) noexcept nogil:
    """Wait a while; return whether the barrier that was entered at `generation` has opened."""
    cdef int spins
    for spins in range(SPINS + YIELDS):
        if atomic_load(&team.generation) != generation:
            return True
        if spins < SPINS:
            cpu_pause()
        else:
            yield_core()
    return False
