# Threads that help a caller, lent for one job at a time; see helpers.pyx.

from fastnn._core.team cimport MAX_THREADS

# What a helper does: called once, without the GIL, with the helper's number, from 1 on.
ctypedef void (*Job)(void* context, int number) noexcept nogil

# The helpers of one call, in the memory of whoever calls.
cdef struct Crew:
    int size                    # those that were found
    int waiting                 # of them, the first ones, which were there already
    int unfinished              # those that have begun, or still may
    bint spare                  # whether they were hired for a short call
    long long launched          # when they got their job, in nanoseconds
    int seats[MAX_THREADS]
    int tickets[MAX_THREADS]

cdef int hire(Crew* crew, int wanted, bint spare) except -1
cdef void launch(Crew* crew, Job job, void* context) noexcept nogil
cdef void make_way(Crew* crew) noexcept nogil
cdef void dismiss(Crew* crew) noexcept nogil
cpdef bint help_pays(long long work) noexcept nogil
cdef bint spare_help_pays(long long work) noexcept nogil
cpdef void note_work(long long work) noexcept nogil
