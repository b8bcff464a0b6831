"""The vocabulary of plans: opcodes, operands, and what is true of every op of one code.

Every op has one entry in `SIGNATURES`, which says what each operand is, which may share memory, how the op
can be cut into tiles, which paths have a kernel for it, and what it costs.  The numbers of the enums below
are mirrored in `_core/types.pxd`; `runtime.py` compares them at import.  This file must not know plans,
graphs or arrays.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastnn.codes import OpCode
from fastnn.errors import PlanError
from fastnn.ops import ACTIVATIONS, Activation
from fastnn.update_ops import UPDATES

__all__ = [
    "ADDING",
    "CLIP_FACTOR",
    "DUE",
    "KEPT_SLOTS",
    "LANES",
    "LISTED",
    "LOSSES",
    "MOST_ADAM_ROWS",
    "MOST_CONSTANTS",
    "MOST_INPUTS",
    "MOST_LISTED",
    "MOST_OUTPUTS",
    "MOST_SUMS",
    "PRODUCTS",
    "ROWS",
    "SIGNATURES",
    "WEIGHT_PRODUCTS",
    "Axis",
    "Op",
    "OpCode",
    "Operand",
    "Path",
    "Role",
    "Signature",
    "Slot",
    "whole_vectors",
]

ROWS = -1  # an operand's row count when it has one row per row of the batch
DUE = "due"  # a scalar: whether a step updates, 1, or only adds up gradients, 0
CLIP_FACTOR = "clip_factor"  # a scalar that each step makes of norms, see `Clip` in plan.py
LANES = 16  # rows that make a whole vector where the batch is the fast axis
MOST_OUTPUTS = 4  # of the widest layer on the path FEW_OUTPUTS, and its inputs
MOST_INPUTS = 1024
MOST_CONSTANTS = 16  # of an op
MOST_SUMS = 100_000  # of an accumulator: each tile has its own
LISTED = 6  # the first constant of THRESHOLD_COUNTS that is a threshold of a list
MOST_LISTED = MOST_CONSTANTS - LISTED


def whole_vectors(rows: int) -> int:
    """Return `rows` rounded up to whole vectors.

    Examples
    --------
    >>> whole_vectors(17)
    32
    """
    return -(-rows // LANES) * LANES


class Path(enum.IntEnum):
    """Who multiplies matrices in an op, and how the tensors of the batch lie."""

    BLAS = 0
    DIRECT = 1  # our own kernel for rows
    COLUMNS = 2  # our own for feature after feature, the batch as the fast axis
    BLOCKS = 3  # our own for rows, to the last column; no plan needs that, as it keeps BLAS at one thread
    FEW_OUTPUTS = 4  # our own for layers of up to four outputs, vectors along the inputs


class Slot(enum.IntEnum):
    """Memory that operands lie in.  External arrays follow, counted from `EXTERNAL`."""

    PARAMETERS = 0
    GRADIENTS = 1
    STATE = 2
    WORKSPACE = 3  # shared by all threads; one row per row of the batch
    LOCAL = 4  # one per thread; counted from the first row of the tile at hand
    EXTERNAL = 5


KEPT_SLOTS = frozenset({Slot.PARAMETERS, Slot.STATE})  # what outlives a step


class Axis(enum.IntEnum):
    """Along what an op or a phase is cut into tiles."""

    ROWS = 0  # rows of the batch
    PARAMETER = 1  # rows of a parameter (the inputs of a kernel); the batch is read whole
    FEATURES = 2  # columns that a reduction over rows, or a dense layer, writes; all rows of the batch


class Role(enum.IntFlag):
    """What an op does with an operand."""

    IN = 1
    OUT = 2
    INOUT = 3
    OPTIONAL = 4
    WHOLE = 8  # not cut by the op's axis: each tile reads all rows
    INDEXED = 16  # rows are looked up: through the permutation, or in a table


@dataclass(frozen=True, slots=True)
class Operand:
    """A matrix inside a slot.

    Attributes
    ----------
    name : str
        Unique within a plan, except for operands that share memory on purpose.
    slot : int
        A `Slot`, or `Slot.EXTERNAL` + the index of an external array.
    rows : int
        `ROWS` for one row per row of the batch, else a fixed count.
    columns : int
        Elements per row; rows are adjacent (C order).
    offset : int
        First element, counted from the slot's start; -1 until `memory.py` has placed it.
    """

    name: str
    slot: int
    rows: int
    columns: int
    offset: int = -1


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: a code, operands in the order of its signature, and constants.

    Attributes
    ----------
    code : OpCode
    layer : str
        The layer, parameter, loss or metric that it serves, for messages and profiles; of an op
        over a parameter, that parameter's name.
    operands : tuple of (Operand or None)
        None where an optional operand is absent.
    activation : Activation
    constants : tuple of float
        Up to `MOST_CONSTANTS` numbers; the signature names them.
    accumulator : int
        Index of the float64 sum that the op adds to, or -1.
    path : Path
        Chosen by `paths.py`.
    because : str
        Why that path.
    scalars : tuple of int
        Which of the plan's scalars it reads; the signature names them.  Numbers behind those that a run
        brings are of the plan's clips.
    """

    code: OpCode
    layer: str
    operands: tuple[Operand | None, ...]
    activation: Activation = Activation.LINEAR
    constants: tuple[float, ...] = ()
    accumulator: int = -1
    path: Path = Path.BLAS
    because: str = ""
    scalars: tuple[int, ...] = ()

    @property
    def signature(self) -> Signature:
        """The entry of `SIGNATURES` for this op's code."""
        return SIGNATURES[self.code]

    @property
    def constant_names(self) -> tuple[str, ...]:
        """What its constants mean: those of its code or, where that has none, of its activation."""
        return self.signature.constants or tuple(o.name for o in ACTIVATIONS[self.activation].options)

    def operand(self, role_name: str) -> Operand | None:
        """Return the operand that the signature calls `role_name`."""
        return self.operands[self.signature.names.index(role_name)]

    def need(self, role_name: str) -> Operand:
        """Return the operand called `role_name`, which must be there."""
        operand = self.operand(role_name)
        if operand is None:
            raise PlanError(f"{self.code.name} of {self.layer!r} lacks its operand {role_name!r}")
        return operand

    def outputs(self) -> Iterator[Operand]:
        """Yield the operands that the op writes."""
        for operand, role in zip(self.operands, self.signature.roles, strict=True):
            if operand is not None and role & Role.OUT:
                yield operand

    def inputs(self) -> Iterator[Operand]:
        """Yield the operands that the op reads."""
        for operand, role in zip(self.operands, self.signature.roles, strict=True):
            if operand is not None and role & Role.IN:
                yield operand

    def reads_batch(self) -> bool:
        """Return whether the op reads a tensor with one row per row of the batch."""
        return any(operand.rows == ROWS for operand in self.inputs())

    def flops(self, rows: int) -> int:
        """Return the floating-point operations for `rows` rows of the batch."""
        return self.signature.flops(self, rows)

    def bytes(self, rows: int, itemsize: int = 4) -> int:
        """Return the bytes read and written for `rows` rows, each operand counted once a direction."""
        total = 0
        for operand, role in zip(self.operands, self.signature.roles, strict=True):
            if operand is not None:
                size = _size(operand, rows)
                if role & Role.INDEXED:  # of a table only the rows that are looked up
                    size = min(size, max(_size(output, rows) for output in self.outputs()))
                total += size * itemsize * (2 if role & Role.INOUT == Role.INOUT else 1)
        return total


@dataclass(frozen=True, slots=True)
class Signature:
    """What is true of every op of one code.

    Attributes
    ----------
    axis : Axis
        How it can be cut.
    names, roles : tuple
        Name and role of each operand.
    aliases : tuple of (str, str)
        Pairs (output, input) that may be the same memory, element for element.
    constants : tuple of str
        What the constants mean; those behind the last name, `more`, are arguments of a loss.
    scalars : tuple of str
        The names of the plan's scalars that it reads.
    flops : callable
        ``(op, rows) -> int``.
    paths : frozenset of Path
        Those on which the core has a kernel for it; ops that have no choice are on the path BLAS.
    one_column : bool
        Whether the kernel on the path COLUMNS is for tensors of one feature only.
    more : bool
        Whether further constants follow those that have names.
    uncut : bool
        Whether an op along a parameter needs all of it at once, so that there is one tile.
    """

    axis: Axis
    names: tuple[str, ...]
    roles: tuple[Role, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    constants: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    flops: Callable[[Op, int], int] = lambda op, rows: 0
    paths: frozenset[Path] = frozenset({Path.BLAS})
    one_column: bool = False
    more: bool = False
    uncut: bool = False

    def runs_along_columns(self, columns: int) -> bool:
        """Return whether the path COLUMNS has a kernel for tensors of so many features.

        Parameters
        ----------
        columns : int
            Features of the widest tensor.

        Returns
        -------
        bool

        Examples
        --------
        >>> SIGNATURES[OpCode.BINARY_ACCURACY].runs_along_columns(2)
        False
        """
        return Path.COLUMNS in self.paths and (columns == 1 or not self.one_column)


# Paths that ops have kernels on, beside the general one.
_ALSO_COLUMNS = frozenset({Path.BLAS, Path.COLUMNS})
_ALL = frozenset(Path)


def _signature(
    axis: Axis,
    operands: str,
    aliases: str = "",
    constants: str = "",
    scalars: str = "",
    flops: Callable[[Op, int], int] | None = None,
    paths: frozenset[Path] = frozenset({Path.BLAS}),
    one_column: bool = False,
    uncut: bool = False,
) -> Signature:
    """Read a signature from text such as ``"y:out x:in w:in,whole b:in,whole,optional"``."""
    names, roles = [], []
    for item in operands.split():
        name, _, words = item.partition(":")
        role = Role(0)
        for word in words.split(","):
            role |= Role[word.upper()]
        names.append(name)
        roles.append(role)
    pairs = tuple((pair.split("=")[0], pair.split("=")[1]) for pair in aliases.split())
    return Signature(
        axis,
        tuple(names),
        tuple(roles),
        pairs,
        tuple(constants.removesuffix("...").split()),
        tuple(scalars.split()),
        flops or _one_each,
        paths,
        one_column,
        constants.endswith("..."),
        uncut,
    )


def _size(operand: Operand, rows: int) -> int:
    return (rows if operand.rows == ROWS else operand.rows) * operand.columns


def _one_each(op: Op, rows: int) -> int:
    return max((_size(operand, rows) for operand in op.operands if operand is not None), default=0)


def _gemm(op: Op, rows: int) -> int:
    weights = next(o for o in op.operands if o is not None and o.rows != ROWS)
    return 2 * rows * weights.rows * weights.columns


def _nothing(op: Op, rows: int) -> int:
    return 0


def _added_rows(op: Op, rows: int) -> int:
    return _size(op.need("dy"), rows)


def _newton_schulz(op: Op, rows: int) -> int:
    w = op.need("w")
    short, long = sorted((w.rows, w.columns))
    return int(op.constants[6]) * (4 * short * short * long + 2 * short**3)


def _pairs(op: Op, rows: int) -> int:
    w = op.need("w")
    vectors = w.columns if op.constants[1] else w.rows
    return (2 if op.operand("dw") is None else 4) * vectors * w.rows * w.columns


# The cost of one element: transcendentals count as one, so that figures stay comparable with
# what everybody calls the flops of a net; only products of matrices weigh.
SIGNATURES: dict[OpCode, Signature] = {
    OpCode.GATHER: _signature(Axis.ROWS, "y:out x:in,indexed", flops=_nothing, paths=_ALSO_COLUMNS),
    OpCode.ADD_BIAS: _signature(Axis.ROWS, "y:out x:in b:in,whole", "y=x"),
    OpCode.ACTIVATION: _signature(Axis.ROWS, "y:out x:in", "y=x", paths=_ALSO_COLUMNS),
    OpCode.DENSE: _signature(Axis.ROWS, "y:out x:in w:in,whole b:in,whole,optional", flops=_gemm, paths=_ALL),
    # Their y is x where the activation's derivative is made of that.
    OpCode.ACTIVATION_BACKWARD: _signature(Axis.ROWS, "dx:out dy:in y:in", "dx=dy", paths=_ALSO_COLUMNS),
    OpCode.DENSE_BACKWARD: _signature(
        Axis.ROWS, "dx:out dy:in w:in,whole y:in,optional", flops=_gemm, paths=_ALL
    ),
    OpCode.WEIGHT_GRADIENT: _signature(
        Axis.PARAMETER, "dw:out x:in,whole dy:in,whole", flops=_gemm, paths=_ALL
    ),
    OpCode.BIAS_GRADIENT: _signature(Axis.PARAMETER, "db:out dy:in,whole", paths=_ALSO_COLUMNS),
    OpCode.SQUARED_ERROR: _signature(
        Axis.ROWS,
        "dy:out,optional y:in t:in weight:in,optional",
        constants="mean share scale",
        paths=_ALSO_COLUMNS,
    ),
    OpCode.CROSSENTROPY: _signature(
        Axis.ROWS, "dy:out,optional y:in t:in weight:in,optional", constants="mean share sparse"
    ),
    OpCode.SOFTMAX_CROSSENTROPY: _signature(
        Axis.ROWS, "y:out dx:out,optional x:in t:in weight:in,optional", "y=x", "mean share sparse"
    ),
    OpCode.BINARY_CROSSENTROPY: _signature(
        Axis.ROWS,
        "dy:out,optional y:in t:in weight:in,optional",
        constants="mean share",
        paths=_ALSO_COLUMNS,
        one_column=True,
    ),
    OpCode.SIGMOID_CROSSENTROPY: _signature(
        Axis.ROWS,
        "y:out dx:out,optional x:in t:in weight:in,optional",
        "y=x",
        "mean share",
        paths=_ALSO_COLUMNS,
        one_column=True,
    ),
    OpCode.POINTWISE_LOSS: _signature(
        Axis.ROWS,
        "dy:out,optional y:in t:in weight:in,optional",
        constants="mean share function divisor ...",
        paths=_ALSO_COLUMNS,
        one_column=True,
    ),
    OpCode.ROWWISE_LOSS: _signature(
        Axis.ROWS, "dy:out,optional y:in t:in weight:in,optional", constants="mean share function ..."
    ),
    OpCode.MULTICLASS_HINGE: _signature(
        Axis.ROWS, "dy:out,optional y:in t:in weight:in,optional", constants="mean share margin"
    ),
    OpCode.ACTIVITY_PENALTY: _signature(Axis.ROWS, "dy:out,optional y:in", constants="l1 l2"),
    OpCode.CATEGORICAL_ACCURACY: _signature(
        Axis.ROWS, "y:in t:in weight:in,optional", constants="sparse", paths=_ALSO_COLUMNS, one_column=True
    ),
    OpCode.BINARY_ACCURACY: _signature(
        Axis.ROWS, "y:in t:in weight:in,optional", constants="threshold", paths=_ALSO_COLUMNS, one_column=True
    ),
    OpCode.THRESHOLD_COUNTS: _signature(
        Axis.ROWS,
        "y:in t:in weight:in,optional",
        constants="buckets shift scale first column top_k ...",
        paths=_ALSO_COLUMNS,
        one_column=True,
    ),
    OpCode.EXACT_ACCURACY: _signature(Axis.ROWS, "y:in t:in weight:in,optional"),
    OpCode.TOP_K_ACCURACY: _signature(Axis.ROWS, "y:in t:in weight:in,optional", constants="sparse k"),
    OpCode.CLASS_HITS: _signature(Axis.ROWS, "y:in t:in weight:in,optional", constants="threshold largest"),
    OpCode.TARGET_MOMENTS: _signature(Axis.ROWS, "y:in t:in weight:in,optional"),
    OpCode.CONFUSION: _signature(Axis.ROWS, "y:in t:in weight:in,optional", constants="sparse threshold"),
    OpCode.ROW_CORRELATION: _signature(Axis.ROWS, "y:in t:in weight:in,optional", constants="concordance"),
    OpCode.WEIGHT_TOTAL: _signature(Axis.ROWS, "weight:in", paths=_ALSO_COLUMNS, one_column=True),
    OpCode.L2_PENALTY: _signature(Axis.PARAMETER, "w:in", constants="l2"),
    OpCode.L2_GRADIENT: _signature(Axis.PARAMETER, "dw:inout w:in", constants="l2"),
    OpCode.SGD: _signature(Axis.PARAMETER, "w:inout dw:in", constants="l2", scalars="rate"),
    OpCode.WEIGHT_DECAY: _signature(Axis.PARAMETER, "w:inout", constants="decay", scalars="rate"),
    OpCode.MOMENTUM: _signature(
        Axis.PARAMETER, "w:inout v:inout dw:in", constants="l2 momentum nesterov", scalars="rate"
    ),
    OpCode.ADAM: _signature(
        Axis.PARAMETER,
        "w:inout m:inout v:inout dw:in",
        constants="l2 beta_1 beta_2 epsilon",
        scalars="corrected_rate",
    ),
    OpCode.RMSPROP: _signature(
        Axis.PARAMETER, "w:inout v:inout dw:in", constants="l2 rho epsilon", scalars="rate"
    ),
    OpCode.ADAGRAD: _signature(
        Axis.PARAMETER, "w:inout v:inout dw:in", constants="l2 epsilon", scalars="rate"
    ),
    OpCode.SGD_DENSE: _signature(
        Axis.PARAMETER,
        "w:inout x:in,whole dy:in,whole",
        constants="l2",
        scalars="rate",
        flops=_gemm,
        paths=_ALL,
    ),
    OpCode.SGD_BIAS: _signature(
        Axis.PARAMETER, "b:inout dy:in,whole", constants="l2", scalars="rate", paths=_ALSO_COLUMNS
    ),
    OpCode.TRANSPOSE: _signature(Axis.ROWS, "y:out x:in", flops=_nothing, paths=frozenset({Path.COLUMNS})),
    OpCode.ADD: _signature(Axis.ROWS, "y:out a:in b:in", "y=a y=b", "alpha beta"),
    OpCode.MULTIPLY: _signature(Axis.ROWS, "y:out a:in b:in", "y=a y=b"),
    OpCode.MAXIMUM: _signature(Axis.ROWS, "y:out a:in b:in", "y=a y=b", "sign"),
    OpCode.ROUTE: _signature(Axis.ROWS, "dx:out dy:in a:in b:in", "dx=dy", "sign strict"),
    OpCode.CONCATENATE: _signature(
        Axis.ROWS, "y:out a:in b:in c:in,optional d:in,optional e:in,optional", flops=_nothing
    ),
    OpCode.SLICE: _signature(Axis.ROWS, "y:out x:in", constants="first", flops=_nothing),
    OpCode.AFFINE: _signature(Axis.ROWS, "y:out x:in", "y=x", "scale shift"),
    OpCode.DROPOUT: _signature(Axis.ROWS, "y:out x:in", "y=x", "rate draw"),
    OpCode.GAUSSIAN_NOISE: _signature(Axis.ROWS, "y:out x:in", "y=x", "stddev draw"),
    OpCode.ROW_SUM: _signature(Axis.ROWS, "y:out x:in"),
    OpCode.BROADCAST: _signature(Axis.ROWS, "y:out x:in", flops=_nothing),
    OpCode.MAXOUT: _signature(Axis.ROWS, "y:out x:in"),
    OpCode.MAXOUT_BACKWARD: _signature(Axis.ROWS, "dx:out dy:in x:in"),
    OpCode.GATED_ADD: _signature(Axis.ROWS, "y:out x:in w:in,whole a:in,optional", "y=x y=a"),
    OpCode.GATE_GRADIENT: _signature(Axis.PARAMETER, "dw:out x:in,whole dy:in,whole w:in"),
    OpCode.ADD_GRADIENT: _signature(Axis.PARAMETER, "dw:inout dv:in"),
    OpCode.ADAM_DENSE: _signature(
        Axis.PARAMETER,
        "w:inout m:inout v:inout x:in,whole dy:in,whole",
        constants="l2 beta_1 beta_2 epsilon",
        scalars="corrected_rate",
        flops=_gemm,
        paths=frozenset({Path.DIRECT, Path.COLUMNS}),
        one_column=True,
    ),
    OpCode.BATCH_MOMENTS: _signature(Axis.FEATURES, "mean:out variance:out x:in,whole"),
    OpCode.NORMALIZE: _signature(
        Axis.ROWS,
        "y:out x:in mean:in,whole variance:in,whole gamma:in,whole,optional beta:in,whole,optional",
        "y=x",
        "epsilon",
    ),
    OpCode.MOMENT_GRADIENTS: _signature(
        Axis.FEATURES,
        "dgamma:out dbeta:out dy:in,whole x:in,whole mean:in variance:in",
        constants="epsilon",
    ),
    OpCode.NORMALIZE_BACKWARD: _signature(
        Axis.ROWS,
        "dx:out dy:in x:in mean:in,whole variance:in,whole gamma:in,whole,optional "
        "dgamma:in,whole,optional dbeta:in,whole,optional",
        "dx=dy",
        "epsilon",
    ),
    OpCode.MOVING_AVERAGE: _signature(Axis.PARAMETER, "w:inout moment:in", constants="momentum"),
    OpCode.GRADIENT_SQUARES: _signature(Axis.PARAMETER, "dw:in"),
    OpCode.SCALE_GRADIENT: _signature(Axis.PARAMETER, "dw:inout", scalars=CLIP_FACTOR),
    OpCode.CLIP_GRADIENT: _signature(Axis.PARAMETER, "dw:inout", constants="limit"),
    OpCode.EMBEDDING: _signature(Axis.ROWS, "y:out x:in w:in,whole,indexed", flops=_nothing),
    OpCode.EMBEDDING_GRADIENT: _signature(
        Axis.PARAMETER, "dw:out lost:out x:in,whole dy:in,whole", flops=_added_rows
    ),
    OpCode.ROW_NORMALIZE: _signature(
        Axis.ROWS,
        "y:out moments:out x:in gamma:in,whole,optional beta:in,whole,optional",
        "y=x",
        "epsilon centered averaged",
    ),
    OpCode.ROW_NORMALIZE_BACKWARD: _signature(
        Axis.ROWS,
        "dx:out dy:in x:in moments:in gamma:in,whole,optional",
        "dx=dy",
        "epsilon centered averaged",
    ),
    OpCode.ROW_NORMALIZE_GRADIENT: _signature(
        Axis.PARAMETER, "dw:out dy:in,whole x:in,whole moments:in,whole"
    ),
    OpCode.STANDARDIZE: _signature(
        Axis.ROWS, "y:out x:in mean:in,whole,optional variance:in,whole", "y=x", "epsilon invert"
    ),
    OpCode.DISCRETIZE: _signature(Axis.ROWS, "y:out x:in w:in,whole", constants="mode"),
    OpCode.ENCODE_CATEGORIES: _signature(Axis.ROWS, "y:out x:in", constants="mode", flops=_nothing),
    OpCode.PRELU: _signature(Axis.ROWS, "y:out x:in w:in,whole z:in,optional", "y=x"),
    OpCode.PRELU_GRADIENT: _signature(Axis.PARAMETER, "dw:out x:in,whole dy:in,whole"),
    OpCode.SCALE_FEATURES: _signature(Axis.ROWS, "y:out x:in w:in,whole", "y=x"),
    OpCode.SCALE_FEATURES_GRADIENT: _signature(Axis.PARAMETER, "dw:out x:in,whole dy:in,whole"),
    OpCode.GAUSSIAN_DROPOUT: _signature(Axis.ROWS, "y:out x:in", "y=x", "stddev draw"),
    OpCode.ALPHA_DROPOUT: _signature(Axis.ROWS, "y:out x:in", "y=x", "rate draw scale dropped"),
}
for _name, (_operands, _constants, _scalars, _uncut) in UPDATES.items():
    _flops = {"MUON": _newton_schulz, "ORTHOGONAL_PENALTY": _pairs}.get(_name)
    SIGNATURES[OpCode[_name]] = _signature(
        Axis.PARAMETER, _operands, "", _constants, _scalars, _flops, uncut=_uncut
    )


# Ops of losses, and of what is like one: a penalty on outputs of layers.  Without a gradient losses serve
# metrics as well, see `Plan.is_loss`.
LOSSES = frozenset(
    {
        OpCode.SQUARED_ERROR,
        OpCode.CROSSENTROPY,
        OpCode.SOFTMAX_CROSSENTROPY,
        OpCode.BINARY_CROSSENTROPY,
        OpCode.SIGMOID_CROSSENTROPY,
        OpCode.MULTICLASS_HINGE,
        OpCode.POINTWISE_LOSS,
        OpCode.ROWWISE_LOSS,
        OpCode.ACTIVITY_PENALTY,
    }
)
# The ops that add to an accumulator.
ADDING = LOSSES | frozenset(
    {
        OpCode.CATEGORICAL_ACCURACY,
        OpCode.BINARY_ACCURACY,
        OpCode.THRESHOLD_COUNTS,
        OpCode.EXACT_ACCURACY,
        OpCode.TOP_K_ACCURACY,
        OpCode.CLASS_HITS,
        OpCode.TARGET_MOMENTS,
        OpCode.CONFUSION,
        OpCode.ROW_CORRELATION,
        OpCode.WEIGHT_TOTAL,
        OpCode.L1_PENALTY,
        OpCode.L2_PENALTY,
        OpCode.ORTHOGONAL_PENALTY,
        OpCode.GRADIENT_SQUARES,
    }
)
# The rows of a batch that ADAM_DENSE sums up at once; of more, rounding would show (`_core/long_sums.pxi`).
MOST_ADAM_ROWS = 512
# The ops that multiply matrices, and so have a path.
WEIGHT_PRODUCTS = frozenset({OpCode.WEIGHT_GRADIENT, OpCode.SGD_DENSE, OpCode.ADAM_DENSE})
PRODUCTS = WEIGHT_PRODUCTS | {OpCode.DENSE, OpCode.DENSE_BACKWARD}
