# Who rests on a busy machine: what threads that work together cost each other there, and for how long.
#
# A thread that has lost its core holds up all others where they wait for it.  Who costs them more of a
# window of time than it saves them is sent to rest, and asked back after a while that grows each time.
# There is one judge a process, of calls and runs alike, so that none need find out anew that a core is
# busy, and short ones find out together.  They may write to it at the same time, and a number may get lost;
# that changes little.

from fastnn._core.threads cimport MAX_THREADS, get_time, set_time
from fastnn._core.tuning cimport LONGEST_REST, SHORTEST_REST

cdef struct Judge:
    long long rest                      # how long the next one will be, if more than the shortest
    long long rest_until
    long long watched                   # nanoseconds of this window: those in which several worked
    long long lateness[MAX_THREADS]     # and of these, those in which others waited for a thread


cdef inline bint is_late(const Judge* judge, int thread, int n_threads) noexcept nogil:
    """Return whether `n_threads` threads, in this window, lost more by one of them than it did for them.

    Without it, the others would take n / (n - 1) times as long: so much waiting is worth it.
    """
    return 5 * n_threads * get_time(&judge.lateness[thread]) > 4 * get_time(&judge.watched) * (n_threads - 1)


cdef inline void begin_rest(Judge* judge, long long time) noexcept nogil:
    cdef long long rest = max(get_time(&judge.rest), <long long>SHORTEST_REST)
    set_time(&judge.rest_until, time + rest)
    set_time(&judge.rest, min(4 * rest, <long long>LONGEST_REST))


cdef inline void shorten_rest(Judge* judge) noexcept nogil:
    """Let the next rest be shorter, as nobody was late."""
    set_time(&judge.rest, get_time(&judge.rest) // 2)


cdef inline void begin_window(Judge* judge) noexcept nogil:
    cdef int i
    set_time(&judge.watched, 0)
    for i in range(MAX_THREADS):
        set_time(&judge.lateness[i], 0)
