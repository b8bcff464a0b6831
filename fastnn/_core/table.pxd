from fastnn._core.types cimport KernelTable

cdef const KernelTable* kernel_table() noexcept nogil
cdef int need_table() except -1
