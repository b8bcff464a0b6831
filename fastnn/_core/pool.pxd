# The pool of threads that work for a caller, one job at a time, and what says how many; see pool.pyx.

from fastnn._core.judge cimport Judge
from fastnn._core.threads cimport MAX_THREADS

# What a worker does: called once, without the GIL, with the worker's number, from 1 on.
ctypedef void (*Job)(void* context, int number) noexcept nogil

# The workers of one call, in the memory of whoever calls.
cdef struct Workers:
    int size                    # those that were found
    int waiting                 # of them, the first ones, which were there already
    int unfinished              # those that have begun, or still may
    bint spare                  # whether they were hired for a short call
    long long launched          # when they got their job, in nanoseconds
    int ticket                  # of that job
    int places[MAX_THREADS]

cdef Judge judge

cdef int hire(Workers* hired, int wanted, bint spare) except -1
cdef void launch(Workers* hired, Job job, void* context) noexcept nogil
cdef void make_way(const Workers* hired) noexcept nogil
cdef void dismiss(Workers* hired) noexcept nogil
cdef int wanted_workers(
    long long work, long long least, Py_ssize_t n_tasks, object count_threads
) except -1
cdef void note_work(long long work) noexcept nogil
