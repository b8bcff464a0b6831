"""Choosing who multiplies matrices in each op: BLAS, or our own kernel.  A pass over ops.

BLAS copies both operands before it multiplies, which pays where each copied element is used often
enough.  OpenBLAS leaves that out for products of up to about 100^3, but does not look at all shapes there.
Our kernel (`_core/matmul.pxi`) copies less, and adds the bias as it goes.  How many times longer OpenBLAS
0.3.30 mostly takes, in steps on one core of an Intel with two AVX-512 units: forward, 16 to 1000 rows,
1.0 to 1.3, up to 2.6 beyond a million multiplications; backward 1.3 to 2; weight gradients up to a
million 0.7 to 1.0, beyond 1.3 to 2.5.  Few rows through a large kernel go past all of this
(`_core/dense.pxi`).

Layers of few outputs would leave most of a block empty, and BLAS takes as long for one output as for sixteen:
there vectors run along the inputs (`_core/few_outputs.h`).

Nets of few features are another case: every row is too short for a vector, and a call of BLAS
costs more than it computes.  There the batch becomes the fast axis of all tensors
(`_core/narrow.pxi`).  The choice is one for the whole net, as turning a tensor around costs about
what a thin layer does.
"""

from __future__ import annotations

from dataclasses import replace

from fastnn.compiler.plan import (
    MOST_INPUTS,
    MOST_OUTPUTS,
    PRODUCTS,
    SIGNATURES,
    WEIGHT_PRODUCTS,
    Op,
    OpCode,
    Operand,
    Path,
)
from fastnn.compiler.tuning import (
    COLUMNS_BY_LANES,
    DIRECT_COLUMNS,
    DIRECT_DEPTH,
    FEWEST_INPUTS,
    LARGEST_KERNEL,
    LEAST_JOINED_COLUMNS,
    LEAST_JOINED_ROWS,
    LEAST_JOINED_WEIGHTS,
    MOST_JOINED_ROWS,
    ROWS_OF_BLOCKS,
    SMALL_PRODUCT,
    SMALL_TRANSPOSED,
    TRANSPOSED_DEPTH,
    TRANSPOSED_ROWS,
    VECTOR,
    WEIGHT_ROWS,
)
from fastnn.graph.graph import ActivationConfig, DenseConfig, Graph
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.ops import ACTIVATIONS

__all__ = ["batch_is_fast_axis", "choose_paths", "update_joins"]

# Of a vector, by SIMD level.
VECTOR_BYTES = {"v4": 64, "v3": 32, "base": 16}

# Losses whose kernels work on one feature with the batch as the fast axis.
_OF_ONE_OUTPUT = frozenset({OpCode.SQUARED_ERROR, OpCode.BINARY_CROSSENTROPY, OpCode.POINTWISE_LOSS})


def batch_is_fast_axis(
    graph: Graph,
    losses: tuple[Loss, ...],
    metrics: tuple[tuple[Metric, ...], ...],
    capacity: int,
    simd: str = "base",
    itemsize: int = 4,
) -> bool:
    """Return whether to train a net with the batch as the fast axis of all its tensors.

    Parameters
    ----------
    graph : Graph
    losses : tuple of Loss
    metrics : tuple of tuple of Metric
    capacity : int
        Rows of a batch.
    simd : str
        SIMD level of the kernels that will run.
    itemsize : int
        Bytes of a number.

    Returns
    -------
    bool
    """
    if len(losses) != 1 or not graph.is_chain or losses[0].apart(graph.outputs[0].columns):
        return False
    if any(any(node.config.output_penalty) for node in graph.nodes):
        return False  # that has no kernel there
    widths = [graph.inputs[0].columns, *(node.output.columns for node in graph.nodes)]
    configs = [node.config for node in graph.nodes if not node.config.hands_through]
    plain = all(
        isinstance(config, DenseConfig | ActivationConfig)
        and type(config) in (DenseConfig, ActivationConfig)
        and ACTIVATIONS[config.activation].fills_vectors
        for config in configs
    )
    codes = [losses[0].code, *(metric.code for of_output in metrics for metric in of_output)]
    width = graph.outputs[0].columns  # metrics of several features have no kernel there
    known = all(SIGNATURES[code].runs_along_columns(width) for code in codes) and not (
        (width > 1 and any(metrics))
        or any(metric.apart(width) for of_output in metrics for metric in of_output)
    )
    pays = COLUMNS_BY_LANES[VECTOR_BYTES.get(simd, 16) // itemsize]
    enough = any(max(widths) <= most and capacity >= rows for most, rows in pays)
    return plain and known and enough


def choose_paths(ops: tuple[Op, ...], rows: int, simd: str, columns: bool = False) -> tuple[Op, ...]:
    """Return the ops with their paths chosen.

    Parameters
    ----------
    ops : tuple of Op
    rows : int
        Rows that a tile of the batch has.
    simd : str
        SIMD level of the kernels that will run: ``"base"``, ``"v3"`` or ``"v4"``.
    columns : bool
        What `batch_is_fast_axis` says.

    Returns
    -------
    tuple of Op
    """
    if columns:
        widest = max(operand.columns for op in ops for operand in op.outputs())
        because = f"no tensor has more than {widest} features; vectors along {rows} rows"
        return tuple(
            replace(op, path=Path.COLUMNS, because=because) if op.reads_batch() else op for op in ops
        )
    largest = LARGEST_KERNEL.get(simd, 0)
    return tuple(_with_path(op, rows, largest, simd) if op.code in PRODUCTS else op for op in ops)


def update_joins(kernel: Operand, rows: int, simd: str) -> bool:
    """Return whether Adam's update of a kernel is to be made inside of the product that is its gradient.

    Parameters
    ----------
    kernel : Operand
    rows : int
        Rows of a batch.
    simd : str
        SIMD level of the kernels that will run.

    Returns
    -------
    bool
    """
    enough = LEAST_JOINED_ROWS <= rows <= MOST_JOINED_ROWS
    large = kernel.columns >= LEAST_JOINED_COLUMNS and kernel.rows * kernel.columns >= LEAST_JOINED_WEIGHTS
    return simd == "v4" and enough and large


def _with_path(op: Op, rows: int, largest: int, simd: str) -> Op:
    """Return a product with its path and the reason for it."""
    kernel = op.operands[0] if op.code in WEIGHT_PRODUCTS else op.need("w")
    assert kernel is not None
    if op.code is OpCode.ADAM_DENSE:
        return replace(
            op, path=Path.DIRECT, because="its blocks wait less for weights and state than an update"
        )
    blocks = simd in ("v3", "v4") and rows >= ROWS_OF_BLOCKS
    small, enough, minimum_depth = 0 if blocks else SMALL_PRODUCT, True, 1 if blocks else DIRECT_DEPTH
    match op.code:
        case OpCode.DENSE:
            columns, depth = kernel.columns, kernel.rows
            if simd == "v3" and columns % VECTOR:
                small = SMALL_PRODUCT
        case OpCode.DENSE_BACKWARD:
            columns, depth = kernel.rows, kernel.columns
            if simd != "v4":
                small, enough = SMALL_TRANSPOSED, rows >= TRANSPOSED_ROWS
                minimum_depth = TRANSPOSED_DEPTH
        case _:
            columns, depth = kernel.columns, rows
            enough, minimum_depth = rows >= WEIGHT_ROWS, DIRECT_DEPTH
            rest = columns % VECTOR
            if rest <= VECTOR // 2 if simd == "v4" else rest:
                small = SMALL_PRODUCT
    size = rows * kernel.rows * kernel.columns
    if kernel.columns <= MOST_OUTPUTS and FEWEST_INPUTS <= kernel.rows <= MOST_INPUTS:
        because = f"{kernel.columns} outputs, vectors along the inputs"
        return replace(op, path=Path.FEW_OUTPUTS, because=because)
    if kernel.rows * kernel.columns > largest:
        because = f"BLAS is faster at level {simd}" + (f" from {largest:,} weights on" if largest else "")
    elif size <= small:
        because = f"{size:,} multiplications are few"
    elif columns < DIRECT_COLUMNS or depth < minimum_depth:
        because = f"{columns} columns of depth {depth} are too thin for blocks"
    elif not enough:
        because = f"{rows} rows do not pay for a copy"
    else:
        many = f"{size:,} multiplications are many"
        because = many if size > SMALL_PRODUCT else f"{rows} rows and {columns} columns fill blocks"
        return replace(op, path=Path.DIRECT, because=because)
    return replace(op, path=Path.BLAS, because=because)
