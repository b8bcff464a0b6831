# The thresholds of the core: numbers that were measured, and decide which way is taken, or when.
#
# All are constants of the compiler.  Those of the Python side are in fastnn/compiler/tuning.py.  Not here
# are numbers that a format or a bound on rounding fixes (types.pxd, reals.h), and room on the stack that
# decides nothing.  A comment says the unit, and what is decided.  `[machine, date; script]` is how a number
# came about, as far as it is known; the machine is often inferred from dates: "EPYC", "Intel" with two
# AVX-512 units a core, and "Zen 5" are the machines of benchmarks/results; the date is that of the commit;
# where no script is named, no script is in the repository.  It holds for all numbers below it up to the next
# empty line.

# --- threads -----------------------------------------------------------------------------------------------

cdef enum:
    # Nanoseconds of work on one thread from which on workers pay: of an op behind a door, of predictions of
    # few rows, of a step of a run, which has barriers, and of all its steps, for which they are called once;
    # calling workers takes 5 us, a barrier 0.3.  [Zen 5, 2026-11-28; the latter two EPYC, 2026-11-21]
    OP_WORK = 10000
    ROWS_WORK = 20000
    STEP_WORK = 10000
    RUN_WORK = 40000

    # What one thread does in a nanosecond: of products, of an activation.  [Zen 5, 2026-11-28]
    FLOPS_PER_NANOSECOND = 200
    ELEMENTS_PER_NANOSECOND = 10

    # Nanoseconds: of work that pay for starting a worker, which takes 100 us; that a worker waits for the
    # next job; that a caller leaves its core to new ones; that workers have to end before a fork. [Zen 5,
    # 2026-11-28]
    STARTING_WORK = 200000
    LINGER = 200000
    MAKING_WAY = 50000
    RETIRING = 200000000

    # How often a thread looks: spinning, about 40 us at 3 GHz, before it gives its core away; then so many
    # times, at a barrier, before it looks for signals, and of a caller, before it sleeps; for a job, between
    # two looks at the clock; and at a barrier, before it times its wait.  [EPYC, 2026-11-21; Zen 5,
    # 2026-11-28]
    SPINS = 4000
    BARRIER_YIELDS = 1000
    FINISHING_YIELDS = 4000
    JOB_GLANCES = 32
    BARRIER_GLANCES = 64

    # Nanoseconds at the begin of a run for workers that were started to come, and for those that waited;
    # over which waiting is judged; of rest on a busy machine.  [EPYC, 2026-11-21]
    GATHERING = 500000
    GATHERING_AWAKE = 20000
    WINDOW = 5000000
    SHORTEST_REST = 4000000
    LONGEST_REST = 1000000000

    # Nanoseconds between two looks for signals; steps between two looks at the clock, if steps are small.
    # [EPYC, 2026-11-21]
    POLL_NANOSECONDS = 100000000
    POLL_STEPS = 16

    # Steps between two snapshots, as in fastnn/model/pace.py: a copy is a few per cent of a step of a net
    # whose weights outgrow the caches.  [EPYC, 2026-11-21]
    SNAPSHOT_STEPS = 16

    # Numbers that are looked at without giving the GIL away: it is over before another thread could have
    # made use of it.  [2026-11-30]
    FEW_NUMBERS = 16384

cdef enum:
    # Nanoseconds that a fork waits for modules to be loaded, and for products to end.  [not measured]
    FORK_WAIT = 10000000000

# --- how work is cut ---------------------------------------------------------------------------------------

cdef enum:
    # Of predictions of few rows: the most threads; elements and columns of a kernel from which on they wait
    # for it, so that it is cut along its columns.  [Zen 5, 2026-11-28]
    MOST_THREADS = 4
    WIDE_KERNEL = 200000
    WIDE_COLUMNS = 128

    # Of the op behind a door: parts of an activation for each thread, so that no one waits for who has lost
    # a core; elements of one that are not cut; rows, or columns, at the most, of a tile of a product, each
    # of which copies an operand; so many are one tile; rows of float64 below which BLAS is twice as fast,
    # through a transpose.  [Zen 5, 2026-11-28]
    PARTS = 4
    PIECE = 4096
    PRODUCT_STEP = 512
    UNCUT = 64
    FEW_DOUBLE_ROWS = 8

    # Of `dense_backward` behind a door: rows at once; rows whose gradients are added in float32. [Zen 5,
    # 2026-11-28; 2026-11-30]
    BACKWARD_ROWS = 1024
    SUMMED_ROWS = 65536

    # Flops, about 2 * 64^3, from which on OpenBLAS starts threads, as in fastnn/compiler/tuning.py.  Behind
    # a door such products are our own at AVX-512: its threads spin on for 25 ms, and meanwhile workers would
    # get half of a core.  BLAS over ours, two threads: 4096 rows through 1024 -> 1024 1.04, 200 through 784
    # -> 500 1.13, 300 through 301 -> 303 1.3, 16 through 512 -> 512 2.7.  [Zen 5, 2026-11-28]
    BLAS_THREADS_FROM = 524288

# --- which kernel multiplies -------------------------------------------------------------------------------

cdef enum:
    # Elements of the largest matrix that BLAS multiplies with a vector; OpenBLAS starts threads beyond.
    # [EPYC, 2026-11-21]
    LARGEST_GEMV = 8192

    # Few rows go through a large w where it lies, whatever the path, as rows are known only when they run.
    # Forward, rows and elements of w: 4 rows through 1024 -> 1024 took 290 us in blocks, 218 here. Backward,
    # rows and multiplications: 1 row took 825 us in BLAS, 53 here, through 512 -> 512 11 and 13; 4 rows
    # through 1024 -> 1024 805 us in blocks, 160 here, 16 rows 1020 and 380.  [Intel, 2026-11-21]
    FEW_ROWS = 4
    FEW_ROWS_KERNEL = 800000
    FEW_ROWS_TRANSPOSED = 16
    FEW_ROWS_MULTIPLICATIONS = 800000

    # Depth of a product that is added up in one go: 256 in a panel, then 256 panels; BLAS has 320 to 512,
    # then fewer.  Multiplications up to which BLAS may have no panels (OpenBLAS: 1e6 at AVX-512).
    # [2026-11-30; held by tests/core/test_long_sums.py]
    DEEP = 65536
    SMALL_GEMM = 1048576

    # Sums of a product that are kept in float64, 64 KiB on the stack; the width from which on they may have
    # several rows; features of a normalisation whose sums are on the stack; random numbers that are on the
    # stack, up to 10 KiB, whole vectors of 16.  [2026-11-30]
    SUMS_AT_ONCE = 8192
    SUMS_OF_ROW = 128
    FEATURES_AT_ONCE = 128
    DRAWN_AT_ONCE = 512

# --- our own products (matmul.pxi) -------------------------------------------------------------------------

cdef enum:
    # Rows, and bytes of each, of the block of results that fits the registers of a level. [EPYC and, of v4,
    # Intel, 2026-11-21]
    BASE_BLOCK_ROWS = 2
    BASE_BLOCK_BYTES = 64
    V3_BLOCK_ROWS = 6
    V3_BLOCK_BYTES = 64
    V4_BLOCK_ROWS = 8
    V4_BLOCK_BYTES = 128

    # Depth of a panel; panels side by side, in the second-level cache: 128 KiB at level v4. [Intel,
    # 2026-11-21]
    PANEL_DEPTH = 256
    PANELS = 4

    # Rows of `b` that are asked for early: a step of `wide` 110 -> 102 ms. [Intel, 2026-11-21; `fastnn
    # benchmark wide`]
    AHEAD = 8

    # Of `a`, numbers of float64, 512 KiB, and blocks, at the most: each column of `b` is copied once for so
    # many rows, which may take half of a second-level cache.  4096 rows through 2048 -> 2048 on two threads,
    # Adam: 154 ms with half as much and tiles of half the height, now 148.  [Zen 5, 2026-11-28]
    PACKED_DOUBLES = 65536
    PACKED_BLOCKS = 128

    # Elements of `b`: what is copied next is asked for between the steps of blocks, unless it is in the
    # caches anyway.  Four layers 2048 wide, 64 rows, one thread 35.4 to 32.4 ms a step; 784 -> 500 1 %
    # slower. [Zen 5, 2026-11-28]
    FORESEEN_ELEMENTS = 500000

    # Rows from which on copying `b` pays; elements of `b`, fewer of which lie in the first-level cache as
    # they are; elements of a row of it, of which more than a block pays, as columns of long rows meet one
    # cache set; columns of `b` from which on packing rows of `a` pays, if these are long.  [Intel,
    # 2026-11-21]
    COPY_ROWS = 64
    COPY_ELEMENTS = 8192
    LONG_ROW = 1000
    PACK_COLUMNS = 256
