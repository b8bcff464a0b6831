# What an interrupt must not leave half done; see guards.pyx.

cdef class Claim:
    cdef unsigned long owner
    cdef readonly int depth
    cdef object __weakref__
    cdef bint is_foreign(self) noexcept
    cdef bint take(self) except -1
    cdef void give(self) noexcept

cdef void leave_out(list claims, Claim claim) noexcept

cdef class Parameters:
    cdef readonly object array
    cdef Py_buffer view
    cdef bint viewed
    cdef Claim writing
    cdef list reading       # claims of the runs that only read
    cdef bint is_read_here(self) noexcept

cdef class Progress:
    cdef public long long steps
    cdef public long long epochs

cdef int enter_blas() except -1
cdef void leave_blas(int family) noexcept
cdef void begin_product() noexcept nogil
cdef void end_product() noexcept nogil
cdef void let_forks_pass() noexcept
cdef int family() noexcept
cdef bint in_main_thread() noexcept
