from fastnn._core.types cimport KernelTable

cdef const KernelTable* kernel_table() noexcept nogil
