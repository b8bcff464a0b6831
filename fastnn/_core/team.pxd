# A team of threads that meet at a barrier and take tasks from a shared counter.
#
# The caller and its helpers (helpers.pyx), each inside one nogil call.  The atomics are those of gcc and
# clang.  A thread that waits spins, then yields its core.
#
# Who may touch what: a phase's last thread to arrive is alone until it opens the barrier (`release`), and
# writes what all read in the next phase: rows, steps, who takes part.  `generation` passes that on.  A
# thread that rests is not at the barrier, so whatever it looks at meanwhile is atomic: `status`, `state`,
# `called`, `generation`.  So is what several threads write within a phase: `next_task`, `arrived`,
# `lateness`, `cpu`, and in `Run` (run.pxd) `failure` and `interrupted`.
#
# On a busy machine a thread that has lost its core holds up all others at every barrier.  So the
# team watches for whom it waits: who costs the others more of a window of time than it saves them is
# sent to rest, and asked back after a while that grows each time.  Thread 0, the caller's, never
# rests: if it is late, another gives up its core to it.  Tiles are cut by the plan, so none of this
# changes a bit.
#
# A system may wake a thread on the core of the one that started it and leave both there for
# milliseconds, each waiting for the other; so a thread that joins, or waits for long, leaves a core
# where one before it runs: a run of 20 ms of the benchmark "twenty", 10 ms after the one before, took
# 233 us a step, now 183.

cdef extern from *:
    """
    #include <pthread.h>
    #include <sched.h>
    #include <time.h>
    typedef struct {
        pthread_mutex_t lock;
        pthread_cond_t rung;
    } fastnn_bell;
    static inline void fastnn_hang(fastnn_bell* bell) {
        pthread_mutex_init(&bell->lock, 0);
        pthread_cond_init(&bell->rung, 0);
    }
    static inline void fastnn_ring(fastnn_bell* bell) {
        pthread_mutex_lock(&bell->lock);
        pthread_cond_broadcast(&bell->rung);
        pthread_mutex_unlock(&bell->lock);
    }
    static inline void fastnn_take_down(fastnn_bell* bell) {
        pthread_cond_destroy(&bell->rung);
        pthread_mutex_destroy(&bell->lock);
    }
    /* Sleep while two numbers, which change before the bell rings, are what they were. */
    static inline void fastnn_sleep(
        fastnn_bell* bell, const int* a, int a_was, const int* b, int b_was
    ) {
        pthread_mutex_lock(&bell->lock);
        while (__atomic_load_n(a, __ATOMIC_ACQUIRE) == a_was && __atomic_load_n(b, __ATOMIC_ACQUIRE) == b_was)
            pthread_cond_wait(&bell->rung, &bell->lock);
        pthread_mutex_unlock(&bell->lock);
    }
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
    /* Replace one value by another; return whether it was there. */
    static inline int fastnn_swap(int* x, int was, int becomes) {
        return __atomic_compare_exchange_n(x, &was, becomes, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    static inline void fastnn_pause(void) { FASTNN_PAUSE(); }
    static inline void fastnn_yield(void) { sched_yield(); }
    /* Numbers that only steer how long somebody waits: each is whole, their order does not matter. */
    static inline void fastnn_add_time(long long* x, long long y) {
        __atomic_fetch_add(x, y, __ATOMIC_RELAXED);
    }
    static inline long long fastnn_get_time(const long long* x) {
        return __atomic_load_n(x, __ATOMIC_RELAXED);
    }
    static inline void fastnn_set_time(long long* x, long long y) {
        __atomic_store_n(x, y, __ATOMIC_RELAXED);
    }
    static inline long long fastnn_now(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
    }
    /* The CPU that the caller runs on, or -1 where that is not known. */
    static inline int fastnn_cpu(void) {
    #if defined(__linux__)
        return sched_getcpu();
    #else
        return -1;
    #endif
    }
    /* If the caller runs on one of the first `count` CPUs of a list, move it to another one at once, without
       tying it there. */
    static inline void fastnn_keep_away(const int* cpus, int count) {
    #if defined(__linux__)
        cpu_set_t allowed, others;
        int i, shared = 0, own = sched_getcpu();
        for (i = 0; i < count; i++)
            shared |= __atomic_load_n(cpus + i, __ATOMIC_RELAXED) == own;
        if (!shared || own < 0 || sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
            return;
        others = allowed;
        for (i = 0; i < count; i++) {
            int cpu = __atomic_load_n(cpus + i, __ATOMIC_RELAXED);
            if (cpu >= 0 && cpu < CPU_SETSIZE)
                CPU_CLR(cpu, &others);
        }
        if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof(others), &others) == 0)
            sched_setaffinity(0, sizeof(allowed), &allowed);
    #endif
    }
    static inline void fastnn_nap(void) {
        struct timespec t = {0, 500000};
        nanosleep(&t, 0);
    }
    /* Stands where another thread may come in between.  A build with FASTNN_DELAYS lets it, often. */
    #if defined(FASTNN_DELAYS)
    static inline void fastnn_window(void) {
        static __thread unsigned int random = 0;
        random = (random ? random : (unsigned int)(size_t)&random | 1u) * 1664525u + 1013904223u;
        if (random >> 24 == 0)
            fastnn_nap();
        else if (random >> 28 == 1)
            sched_yield();
    }
    #else
    #define fastnn_window() ((void)0)
    #endif
    """
    ctypedef struct Bell "fastnn_bell":
        pass
    void hang "fastnn_hang"(Bell* bell) noexcept nogil
    void take_down "fastnn_take_down"(Bell* bell) noexcept nogil
    void ring "fastnn_ring"(Bell* bell) noexcept nogil
    void sleep_while "fastnn_sleep"(
        Bell* bell, const int* a, int a_was, const int* b, int b_was
    ) noexcept nogil
    int atomic_fetch_add "fastnn_fetch_add"(int* x, int y) noexcept nogil
    int atomic_load "fastnn_load"(const int* x) noexcept nogil
    void atomic_store "fastnn_store"(int* x, int y) noexcept nogil
    bint atomic_swap "fastnn_swap"(int* x, int was, int becomes) noexcept nogil
    void cpu_pause "fastnn_pause"() noexcept nogil
    void yield_core "fastnn_yield"() noexcept nogil
    void add_time "fastnn_add_time"(long long* x, long long y) noexcept nogil
    long long get_time "fastnn_get_time"(const long long* x) noexcept nogil
    void set_time "fastnn_set_time"(long long* x, long long y) noexcept nogil
    long long now "fastnn_now"() noexcept nogil     # nanoseconds
    int current_cpu "fastnn_cpu"() noexcept nogil
    void keep_away "fastnn_keep_away"(const int* cpus, int count) noexcept nogil
    void nap "fastnn_nap"() noexcept nogil          # 0.5 ms
    void window "fastnn_window"() noexcept nogil

cdef enum:
    SPINS = 4000        # about 40 us at 3 GHz; a longer wait gives the core away
    YIELDS = 1000       # and after these the caller may look at other things
    GLANCES = 64        # a wait shorter than this is not timed
    MAX_THREADS = 256
    WINDOW = 5000000   # nanoseconds over which waiting is judged
    SHORTEST_REST = 4000000
    GATHERING = 500000  # nanoseconds for those who were started to come, and for those who were waiting
    GATHERING_AWAKE = 20000
    LONGEST_REST = 1000000000

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
    long long lateness[MAX_THREADS]     # nanoseconds that others waited for a thread, this window
    long long watched                   # nanoseconds of this window: those in which several took part
    long long reviewed                  # when that was looked at
    long long rest_until
    long long rest                      # how long the next one will be
    long long gathering                 # how long to wait for helpers to come
    Bell bell                           # wakes those who rest: they are called, or the run has ended


# What is known of the threads of earlier teams, so that a run need not find out anew that a core is busy, and
# short runs find out together.
cdef struct Experience:
    long long rest              # as in `Team`
    long long rest_until
    long long watched
    long long lateness[MAX_THREADS]


cdef inline void gather_team(Team* team, int n_threads, bint awake, const Experience* known) noexcept nogil:
    """Begin alone; the others, who may be `awake`, come when the rest of an earlier run is over."""
    cdef int i
    for i in range(n_threads):
        team.cpu[i] = -1
        team.lateness[i] = known.lateness[i]
    hang(&team.bell)
    team.n_threads = n_threads
    team.n_active = 1
    team.state[0] = ACTIVE
    team.watched, team.reviewed = known.watched, now()
    team.rest = max(known.rest, <long long>SHORTEST_REST)
    team.rest_until = known.rest_until
    team.gathering = GATHERING_AWAKE if awake else GATHERING
    team.called = team.reviewed >= known.rest_until


cdef inline void part_team(Team* team, Experience* known) noexcept nogil:
    """OUT known: what the run has shown."""
    cdef int i
    known.rest, known.rest_until, known.watched = team.rest, team.rest_until, team.watched
    for i in range(team.n_threads):
        known.lateness[i] = team.lateness[i]
    take_down(&team.bell)


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


cdef inline bint wait_briefly(Team* team, int generation) noexcept nogil:
    """Return whether the barrier opened at once."""
    cdef int _
    for _ in range(GLANCES):
        if atomic_load(&team.generation) != generation:
            return True
        cpu_pause()
    return False


cdef inline void send_to_rest(Team* team, int thread, long long time) noexcept nogil:
    atomic_store(&team.state[thread], RESTING)
    window()
    atomic_store(&team.n_active, team.n_active - 1)
    team.rest_until = time + team.rest
    team.rest = min(4 * team.rest, <long long>LONGEST_REST)


cdef inline void review(Team* team) noexcept nogil:
    """Decide who takes part in the next step.  One thread at a time, between the last phase and `release`."""
    cdef int i, late = -1, n_active = team.n_active
    cdef long long time = now(), lateness
    cdef bint judged
    if n_active > 1:
        team.watched += time - team.reviewed
    team.reviewed = time
    judged = team.watched >= WINDOW
    for i in range(team.n_threads):
        if atomic_load(&team.state[i]) == READY:
            team.joined_at[i] = team.generation
            window()
            n_active += atomic_swap(&team.state[i], READY, ACTIVE)      # it may have given up
        # Without one of n threads, the others take n / (n - 1) times as long: so much waiting is worth it.
        lateness = get_time(&team.lateness[i])
        if judged and 5 * n_active * lateness > 4 * team.watched * (n_active - 1):
            late = i
        if judged:
            set_time(&team.lateness[i], 0)
    atomic_store(&team.n_active, n_active)
    if judged:
        team.watched = 0
        if late >= 0 and n_active > 1:
            if late == 0:       # then the last of the others goes
                for i in range(1, team.n_threads):
                    late = i if atomic_load(&team.state[i]) == ACTIVE else late
            if late > 0 and atomic_load(&team.state[late]) == ACTIVE:
                send_to_rest(team, late, time)
        elif n_active == team.n_threads:
            team.rest = max(team.rest // 2, <long long>SHORTEST_REST)
    atomic_store(&team.called, team.n_active < team.n_threads and time >= team.rest_until)


cdef inline void wait_for_helpers(Team* team) noexcept nogil:
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
