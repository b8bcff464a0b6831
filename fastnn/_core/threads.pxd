# What the system gives to threads: atomics, events, the clock, and the cores that they run on.
#
# It knows neither work nor who does it.  The atomics are those of gcc and clang.

from fastnn._core.tuning cimport SPINS

cdef extern from *:
    """
    #include <pthread.h>
    #include <sched.h>
    #include <time.h>
    #define fastnn_load(x) __atomic_load_n(x, __ATOMIC_ACQUIRE)
    #define fastnn_store(x, y) __atomic_store_n(x, y, __ATOMIC_RELEASE)
    #define fastnn_fetch_add(x, y) __atomic_fetch_add(x, y, __ATOMIC_ACQ_REL)
    /* Replace one value by another; return whether it was there. */
    static inline int fastnn_swap(int* x, int was, int becomes) {
        return __atomic_compare_exchange_n(x, &was, becomes, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    /* Times only steer how long somebody waits: each is whole, their order does not matter. */
    #define fastnn_get_time(x) __atomic_load_n(x, __ATOMIC_RELAXED)
    #define fastnn_set_time(x, y) __atomic_store_n(x, y, __ATOMIC_RELAXED)
    #define fastnn_add_time(x, y) __atomic_fetch_add(x, y, __ATOMIC_RELAXED)
    typedef struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
    } fastnn_event;
    static inline void fastnn_open_event(fastnn_event* event) {
        pthread_mutex_init(&event->lock, 0);
        pthread_cond_init(&event->changed, 0);
    }
    static inline void fastnn_signal(fastnn_event* event) {
        pthread_mutex_lock(&event->lock);
        pthread_cond_broadcast(&event->changed);
        pthread_mutex_unlock(&event->lock);
    }
    static inline void fastnn_close_event(fastnn_event* event) {
        pthread_cond_destroy(&event->changed);
        pthread_mutex_destroy(&event->lock);
    }
    /* Sleep while two numbers, which change before the event is signalled, are what they were. */
    static inline void fastnn_sleep(fastnn_event* event, const int* a, int a_was, const int* b, int b_was) {
        pthread_mutex_lock(&event->lock);
        while (fastnn_load(a) == a_was && fastnn_load(b) == b_was)
            pthread_cond_wait(&event->changed, &event->lock);
        pthread_mutex_unlock(&event->lock);
    }
    #if defined(__x86_64__) || defined(__i386__)
    #define fastnn_pause() __builtin_ia32_pause()
    #elif defined(__aarch64__)
    #define fastnn_pause() __asm__ __volatile__("yield")
    #else
    #define fastnn_pause() ((void)0)
    #endif
    static inline long long fastnn_now(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
    }
    static inline void fastnn_nap(void) {
        struct timespec t = {0, 500000};
        nanosleep(&t, 0);
    }
    #if defined(__linux__)
    #include <errno.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    #define fastnn_cpu() sched_getcpu()
    #define fastnn_thread_id() ((int)syscall(SYS_gettid))
    #define fastnn_has_ended(thread) (syscall(SYS_tgkill, getpid(), thread, 0) != 0 && errno == ESRCH)
    static inline void fastnn_keep_away(const int* cpus, int count) {
        cpu_set_t allowed, others;
        int i, shared = 0, own = sched_getcpu();
        for (i = 0; i < count; i++)
            shared |= fastnn_load(cpus + i) == own;
        if (!shared || own < 0 || sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
            return;
        others = allowed;
        for (i = 0; i < count; i++) {
            int cpu = fastnn_load(cpus + i);
            if (cpu >= 0 && cpu < CPU_SETSIZE)
                CPU_CLR(cpu, &others);
        }
        if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof(others), &others) == 0)
            sched_setaffinity(0, sizeof(allowed), &allowed);
    }
    #else
    #define fastnn_cpu() (-1)
    #define fastnn_thread_id() 0
    #define fastnn_has_ended(thread) 1
    #define fastnn_keep_away(cpus, count) ((void)0)
    #endif
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
    ctypedef struct Event "fastnn_event":
        pass
    void open_event "fastnn_open_event"(Event* event) noexcept nogil
    void close_event "fastnn_close_event"(Event* event) noexcept nogil
    void signal_event "fastnn_signal"(Event* event) noexcept nogil
    void sleep_while "fastnn_sleep"(
        Event* event, const int* a, int a_was, const int* b, int b_was
    ) noexcept nogil
    int atomic_fetch_add "fastnn_fetch_add"(int* x, int y) noexcept nogil
    int atomic_load "fastnn_load"(const int* x) noexcept nogil
    void atomic_store "fastnn_store"(int* x, int y) noexcept nogil
    bint atomic_swap "fastnn_swap"(int* x, int was, int becomes) noexcept nogil
    void add_time "fastnn_add_time"(long long* x, long long y) noexcept nogil
    long long get_time "fastnn_get_time"(const long long* x) noexcept nogil
    void set_time "fastnn_set_time"(long long* x, long long y) noexcept nogil
    void cpu_pause "fastnn_pause"() noexcept nogil
    void yield_core "sched_yield"() noexcept nogil
    long long now "fastnn_now"() noexcept nogil     # nanoseconds
    void nap "fastnn_nap"() noexcept nogil          # 0.5 ms
    int current_cpu "fastnn_cpu"() noexcept nogil   # -1 where it is not known
    # If the caller runs on one of the first `count` CPUs of a list, move it to another one at once, without
    # tying it there.
    void keep_away "fastnn_keep_away"(const int* cpus, int count) noexcept nogil
    # The system's number of the caller; whether that thread of this process has ended.
    int thread_id "fastnn_thread_id"() noexcept nogil
    bint has_ended "fastnn_has_ended"(int thread) noexcept nogil
    # Stands where another thread may come in between.  A build with FASTNN_DELAYS lets it, often.
    void window "fastnn_window"() noexcept nogil

cdef enum:
    MAX_THREADS = 256


cdef inline void wait_a_moment(int waits, int yields) noexcept nogil:
    """Wait for what has been waited for `waits` times: spin, or give the core away, or at last sleep."""
    if waits < SPINS:
        cpu_pause()
    elif waits < SPINS + yields:
        yield_core()
    else:
        nap()
