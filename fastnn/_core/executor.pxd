# The C form of a plan; see executor.pyx.

from fastnn._core.guards cimport Claim, Parameters
from fastnn._core.run cimport MAX_SLOTS, Clip, Phase, Run, Stream, Task
from fastnn._core.types cimport Bound, Op

cdef class Executor:
    cdef Op* ops
    cdef Phase* phases
    cdef Task* tasks
    cdef Bound* bound
    cdef Stream* streams
    cdef int* times_rows
    cdef int* bound_ends
    cdef Py_ssize_t* n_tiles
    cdef int n_ops, n_phases, n_tasks, n_sums, n_bound
    cdef int first_update
    cdef bint skips         # whether steps may leave out phases that update
    cdef Py_ssize_t single_rows, most_tile_rows
    cdef int n_losses, n_scalars, n_clips
    cdef Clip* clips
    cdef double* own_scalars
    cdef bint double
    cdef readonly long long snapshot_step
    cdef Py_buffer views[MAX_SLOTS]
    cdef bint viewed[MAX_SLOTS]
    cdef Parameters parameters
    cdef bint writes        # whether a run changes the parameters
    cdef Claim running      # of the run under way; there is one at a time
    cdef object exception

    cdef void poll(self, Run* run)
