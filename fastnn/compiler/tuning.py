"""The thresholds of the Python side: numbers that were measured, and decide which way is taken.

Those of the core are in `fastnn/_core/tuning.pxd`, which says what `[machine, date; script]` means: it holds
for the numbers below it up to the next empty line.  Besides, "Zen 3" and "Zen 5" are machines with AVX2 and
AVX-512, and "two AVX-512 units" is the Intel machine.  This file must not know ops, plans or arrays.
"""

from __future__ import annotations

# --- schedule.py: how a step is cut into tiles ----------------------------------------------------

# Rows of a tile of the batch: at least, at best, and where each tile copies a large kernel.  BLAS copies its
# operands at every call, so small tiles waste its time: of 105 GFLOP/s on one core (784-500, batch 200), 88
# are left with 64 rows, 94 with 96, 98 with 128.  [EPYC, 2026-11-21; LARGE_ROWS Zen 5, 2026-11-28]
MINIMUM_ROWS = 32
PREFERRED_ROWS = 96
LARGE_ROWS = 512

# Rows of a parameter that a task has: at least, at best, and if four tiles are left where each copies many
# rows of what they share.  Of a weight gradient BLAS reaches 92 GFLOP/s with 98 rows of the kernel, 99 with
# 196, 103 with 392.  [EPYC, 2026-11-21; LARGE_PARAMETER_ROWS Zen 5, 2026-11-28]
MINIMUM_PARAMETER_ROWS = 64
PREFERRED_PARAMETER_ROWS = 256
LARGE_PARAMETER_ROWS = 512

# Elements of a table, of whose gradient each thread has a tile, which stays in its caches.  [2026-11-30]
TABLE_ELEMENTS = 65_536

# Flops of a tile: one below about 10 us costs more to hand out than it gains.  As many flops take the time of
# moving a byte.  Tiles of a phase at the most.  [EPYC, 2026-11-21; BYTE_FLOPS Zen 5, 2026-11-28]
MINIMUM_TILE_FLOPS = 1_000_000
BYTE_FLOPS = 8
MAXIMUM_TILES = 16

# What the rows of a tile are a multiple of, as our own kernel takes so many at once, or more; and columns of
# a tile along features.  [EPYC, 2026-11-21]
ROW_STEP = 4
BLOCK_COLUMNS = 32

# Elements of a kernel, and rows of a batch at the most, for which a product is cut along features; columns of
# such a tile at least, and at best.  Two threads: 16 rows through three layers of 512 374 to 220 us; 1024
# rows through four of 2048 215 to 205 ms; `wide` in parts of 256 columns 30.8 ms, of 512 30.2. [Zen 5,
# 2026-11-28; `fastnn benchmark wide`]
LARGE_KERNEL = 200_000
MOST_ROWS = 1024
MINIMUM_COLUMNS = 64
PREFERRED_COLUMNS = 500

# Elements that a tile's own buffers may take, so that they stay in a 1 MiB second-level cache.  1024 rows
# through 784-500-10 on two threads: 3.5 ms in 8 tiles of 128 rows, 3.8 in 11 of 96, 3.9 in 22 of 48, 5.1 in
# 2. [EPYC, 2026-11-21]
CACHE_ELEMENTS = 180_000

# Rows up to which more pay in wide nets, whose kernels each tile copies, and elements of its buffers at the
# most: 1024 rows through 1024-2048-2048-1000 on two threads: 56 ms in tiles of 32 rows, 45 of 96, 38 of 256.
# [Zen 5, 2026-11-28]
COPYING_ROWS = 256
MAXIMUM_ELEMENTS = 4_000_000

# --- paths.py: who multiplies ---------------------------------------------------------------------

# Multiplications up to which BLAS does not copy.  [EPYC, 2026-11-21]
SMALL_PRODUCT = 1_000_000

# Our kernel wins below that too from so many rows on, a block: at AVX-512 forward and backward, at AVX2
# forward and for weights, if columns are whole vectors of so many: with 64 rows, 64 -> 64 takes OpenBLAS,
# told that it is on a Haswell, 1.4 times as long, 4 -> 64 forward 1.3, its weight gradient 2.7. At AVX-512,
# for weights, if columns fill more than half of a last vector: BLAS then takes several steps for them.  128
# rows, 56 -> 25, BLAS 1.10 times as long a training step, 56 -> 28 1.06, 30 -> 60 1.03; 56 -> 20 0.99, 20 ->
# 17 0.95.  [Intel, 2026-11-21; Zen 5, 2026-11-28]
ROWS_OF_BLOCKS = 8
VECTOR = 16

# The multiplications by a transpose at AVX2, for which BLAS is less prepared: 64 rows, 64 -> 64 backward.
# [EPYC, 2026-11-21]
SMALL_TRANSPOSED = 100_000

# Elements of the largest kernel for which our own product is the faster one, by SIMD level.  At the baseline
# it lacks fused multiply-add, which BLAS finds for itself; 8 rows of 16 numbers do not fit the 16 registers
# of AVX2.  [EPYC, 2026-11-21]
LARGEST_KERNEL = {"v4": 2**62, "v3": 140_000, "base": 0}

# Fewer inputs do not fill the vectors that run along them on the path FEW_OUTPUTS.  [2026-11-30]
FEWEST_INPUTS = 16

# What our own kernel needs to pay: rows, for weights, where it runs down the columns of a batch, and by a
# transpose below AVX-512; columns; and depth, and that by a transpose.  [EPYC, 2026-11-21]
WEIGHT_ROWS = 48
TRANSPOSED_ROWS = 4
DIRECT_COLUMNS = 16
DIRECT_DEPTH = 32
TRANSPOSED_DEPTH = 4

# Adam's updates are joined to products (`adam_dense` in `_core/matmul.pxi`) at AVX-512, where weights and
# their state outgrow the second-level cache: weights and columns at least, rows at least and at the most,
# more in one block being 0.96 with 1024 rows, 1024 wide.  Steps apart over joined, one and two threads:
# 1024-2048-2048-1000, 256 rows 1.03 and 1.04; 64 rows, 512 wide 1.08 and 1.06, 1024 wide 0.99 and 0.98; 256
# rows, 256 wide 1.0 and 0.97; 16 rows, 2048 wide 0.91 and 1.0.  [Zen 5, 2026-11-28]
LEAST_JOINED_WEIGHTS = 100_000
LEAST_JOINED_COLUMNS = 128
LEAST_JOINED_ROWS = 64
MOST_JOINED_ROWS = 256

# (features, rows that pay) with the batch as fast axis, by the numbers that a vector holds: a weight's
# gradient costs a sum across vectors, and fewer rows than a vector holds are padding.  How many times longer
# rows take than columns, three layers.  16 (Zen 5): width 2, 1 row 2.0, 64 rows 4.2; width 6, 1 row 1.2, 64
# rows 2.7; width 8, 1 row 0.8, 2 rows 1.0 to 1.1, 64 rows 1.8; width 12, 32 rows 1.0, 64 rows 1.2; width 16
# at most 0.8. 8 (Zen 3, as what follows): width 6, 1 row 1.1, 8 to 400 rows 2.3; width 8, 1 row 0.7, 8 rows
# on 1.7; width 12, 64 rows 1.3, 400 rows 0.8.  4: width 3, 1 row 1.0, 8 rows on 2.5; width 6, 1 row 0.5, 8
# rows on 1.4 to 1.8; width 8, 8 rows on 1.1 to 1.4; width 12, 8 rows 0.9, 400 rows 0.8.  [2026-11-22 and
# 2026-11-30]
COLUMNS_BY_LANES = {
    16: ((6, 1), (8, 2), (12, 64)),
    8: ((6, 1), (8, 8)),
    4: ((3, 2), (8, 8)),
    2: ((2, 4), (3, 9), (6, 36)),
}

# --- run/: who runs it ----------------------------------------------------------------------------

# Flops from which on OpenBLAS starts threads of its own, as in `_core/tuning.pxd`: 64^3 multiplications.
# [EPYC, 2026-11-21]
BLAS_THREADS_FROM = 2 * 64**3

# With one tile of rows only updates of weights can be shared, which pays if they wait for memory: if they are
# many a product, fewer flops a byte than this, or more parameters than caches hold.  One thread and two, us a
# step: Adam, 4 rows, width 512: 688, 511; SGD, 16 rows, width 256: 283, 316; width 512: 1004, 1072. [Intel,
# 2026-11-21]
TEAM_FLOPS_PER_BYTE = 2
TEAM_PARAMETERS = 2_000_000

# Flops of predictions up to which they keep the GIL: 0.6 ms at 100 GFLOP/s.  The long way costs 30 us. [EPYC,
# 2026-11-21]
APPLY_FLOPS = 60_000_000

# Where so many rows, one tile of a small net, have more flops, half of them are a tile, so that a worker has
# something to do: 32 rows through 784-500-10 on two threads 113 us, now 65.  [Zen 5, 2026-11-28]
SINGLE_ROWS = 32
SINGLE_FLOPS = 4_000_000

# Flops of a step, below about a millisecond, up to which signals are looked for every 16 steps: a look at the
# clock costs 25 ns, for each task of a step: 1.3 % of one of 17 us.  [EPYC, 2026-11-21]
POLL_STEP_FLOPS = 5_000_000

# Nanoseconds of a run up to which it keeps the GIL: who gives it away may wait longer until it is back.  What
# a run takes is estimated to be too long rather than too short, by what an op takes at least, and by the work
# of a nanosecond.  [judged, not measured, 2026-11-30]
BRIEF_NANOSECONDS = 20_000
OP_NANOSECONDS = 50
FEWEST_FLOPS_PER_NANOSECOND = 20
BYTES_PER_NANOSECOND = 8

# Bytes up to which it takes less time to fill memory with zeros than to be given zeros by the system.
# [2026-11-30]
FILLED_BYTES = 65536
