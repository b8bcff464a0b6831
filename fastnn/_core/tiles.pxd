# Ops on tiles of rows, or of columns that are written, which threads take from a counter: the caller and its
# workers, without a barrier.

from libc.string cimport memcpy

from fastnn._core.pool cimport Workers, dismiss, launch, make_way
from fastnn._core.run cimport LOCAL_SLOT, MAX_SLOTS
from fastnn._core.threads cimport atomic_fetch_add, atomic_load, atomic_store
from fastnn._core.types cimport Addressing, Frame, Op, RunOps, Status

cdef struct Tiles:
    RunOps run_ops
    const Op* ops           # each tile goes through all of them
    int n_ops
    const Frame* frame      # of the whole
    int n_slots             # the first ones are all that the ops know
    char* const* local      # memory of the local slot for each thread, or NULL
    bint along_columns
    Py_ssize_t size         # of all tiles together: rows, or columns
    Py_ssize_t step         # size of a tile
    int status              # that of an op that failed, if any did
    int taken
    int first               # that the caller takes next; workers begin at the other end, so that from call to
    int last                # call a core finds in its caches what it had there


cdef inline void run_tiles(void* context, int thread) noexcept nogil:
    """Take tiles until none is left; the job of every thread."""
    cdef Tiles* tiles = <Tiles*>context
    cdef Frame frame
    cdef char* base[MAX_SLOTS]
    cdef double sums[1]
    cdef Status status
    cdef Py_ssize_t begin, end, n_tiles = (tiles.size + tiles.step - 1) // tiles.step
    memcpy(&frame, tiles.frame, sizeof(Frame))
    memcpy(base, tiles.frame.base, tiles.n_slots * sizeof(void*))
    if tiles.local != NULL:
        base[LOCAL_SLOT] = tiles.local[thread]
    frame.base, frame.sums = base, sums
    while atomic_fetch_add(&tiles.taken, 1) < n_tiles:
        if thread == 0:
            begin = tiles.first * tiles.step
            tiles.first += 1
        else:
            begin = (n_tiles - 1 - atomic_fetch_add(&tiles.last, 1)) * tiles.step
        end = min(begin + tiles.step, tiles.size)
        if tiles.along_columns:
            frame.first_column, frame.n_columns = begin, end - begin
        else:
            frame.begin, frame.end = begin, end
            frame.row[<int>Addressing.TILE] = frame.row[<int>Addressing.STREAM_TILE] = begin
        status = tiles.run_ops(tiles.ops, tiles.n_ops, &frame)
        if status != Status.OK:
            atomic_store(&tiles.status, status)
            return


cdef inline Status share_tiles(Tiles* tiles, Workers* hired, bint holds_gil) noexcept nogil:
    """Run all tiles together with the workers that were hired, if any; return whether all went well.

    New workers cannot begin while the caller holds the GIL, so they are not waited for then.
    """
    tiles.status, tiles.taken, tiles.first, tiles.last = Status.OK, 0, 0, 0
    if hired.size:
        launch(hired, run_tiles, tiles)
        if not holds_gil:
            make_way(hired)
    run_tiles(tiles, 0)
    if hired.size:
        dismiss(hired)
    return <Status>atomic_load(&tiles.status)


cdef inline int check_status(Status status) except -1:
    if status != Status.OK:
        raise RuntimeError(f"the kernels stopped with status {<int>status}, as they do not know an op")
    return 0
