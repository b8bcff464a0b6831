# How the op behind a door is cut into tiles, and how many threads take them.

# Returns how many threads a door may use; see `count_threads_by`.
cdef object _count_threads = None


def count_threads_by(count_threads):
    """Say how many threads doors may use; one until this is called.

    Parameters
    ----------
    count_threads : callable
        Returns the number.
    """
    global _count_threads
    _count_threads = count_threads


cdef bint has_avx512() noexcept nogil:
    """Return whether the kernels in use are those of level v4."""
    return kernel_table().name[1] == c"4"


cdef Py_ssize_t product_step(Py_ssize_t size, Py_ssize_t block) noexcept nogil:
    """Return how to cut a product, into an even number of tiles of whole blocks, if at all.

    The number of threads does not count, so that it does not change a bit.
    """
    cdef Py_ssize_t n_tiles = 2 * ((size + 2 * PRODUCT_STEP - 1) // (2 * PRODUCT_STEP))
    return size if size < UNCUT else ((size + n_tiles - 1) // n_tiles + block - 1) // block * block


cdef int share_product(Op* op, Frame* frame, bint double, Py_ssize_t end) except -1:
    """Run a product of matrices along `end` rows of a batch or a parameter; `frame.rows` are the batch's."""
    cdef bint of_batch = op.code == OpCode.DENSE or op.code == OpCode.DENSE_BACKWARD
    cdef Py_ssize_t columns = op.operands[0].columns
    cdef bint back = op.code == OpCode.DENSE_BACKWARD
    cdef Py_ssize_t n = op.operands[1].columns if back else columns
    cdef Py_ssize_t k = columns if back else op.operands[1].columns
    cdef Py_ssize_t flops = 2 * frame.rows * columns * (op.operands[1].columns if of_batch else end)
    # BLAS is twice as fast for a few rows of float64 through a transpose.
    cdef bint thin = double and back and end < FEW_DOUBLE_ROWS
    if flops < BLAS_THREADS_FROM or thin or not has_avx512():
        return share(op, frame, double, False, end, end, 0)
    op.path = PathCode.FEW_OUTPUTS if n <= MOST_OUTPUTS and 16 <= k <= MOST_INPUTS else PathCode.BLOCKS
    flops = flops // FLOPS_PER_NANOSECOND
    if of_batch and end < UNCUT and op.path == PathCode.BLOCKS and not is_row_wise(op.activation):
        frame.end = end
        return share(op, frame, double, True, columns, product_step(columns, 32), flops)
    return share(op, frame, double, False, end, product_step(end, 8), flops)


cdef int share_activation(
    Op* op, Frame* frame, bint double, Py_ssize_t elements, Py_ssize_t columns
) except -1:
    """Run an op on arrays of one shape, element by element, or if it has to be, row by row."""
    cdef Py_ssize_t rows = elements // columns
    cdef int i
    frame.rows = rows
    if not is_row_wise(op.activation):
        rows, columns = elements, 1
    for i in range(3):
        op.operands[i].columns = columns
        op.operands[i].addressing = Addressing.TILE
    return share(op, frame, double, False, rows, 0, elements // ELEMENTS_PER_NANOSECOND)


cdef int share(
    const Op* op, const Frame* frame, bint double, bint along_columns, Py_ssize_t size, Py_ssize_t step,
    Py_ssize_t work
) except -1:
    """Run an op along `size` rows or columns, in tiles if that pays: of `step`, or if that is 0, of any."""
    cdef Tiles tiles
    cdef Workers hired
    cdef Status status
    cdef bint shared = work >= OP_WORK and step < size
    cdef Py_ssize_t n_tasks = (size + step - 1) // step if step else size
    hire(&hired, wanted_workers(work, OP_WORK, n_tasks, _count_threads), True)
    if step == 0:
        step = size
        if hired.size:
            step = (size + PARTS * (1 + hired.size) - 1) // (PARTS * (1 + hired.size))
            if not is_row_wise(op.activation):
                step = (step + PIECE - 1) // PIECE * PIECE
    tiles.run_ops = kernel_table().of[double].run
    tiles.ops, tiles.n_ops, tiles.local = op, 1, NULL
    tiles.frame, tiles.n_slots, tiles.along_columns = frame, MAX_OPERANDS, along_columns
    tiles.size, tiles.step = size, step
    with nogil:
        status = share_tiles(&tiles, &hired, False)
        if shared:
            note_work(work)
    check_status(status)
    return 0
