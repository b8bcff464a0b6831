"""Verification of parts by themselves: types, ranges, and what an op needs of its operands.

Nothing here looks at two ops at once, or at where operands lie in their slots; `verify.py` does, and then
relies on what was checked here.  This file must not know arrays or kernels.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastnn.checks import MAXIMUM_SIZE
from fastnn.compiler.plan import (
    ADDING,
    CLIP_FACTOR,
    DENOMINATORS,
    KEPT_WEIGHTS,
    LISTED,
    MOST_ADAM_ROWS,
    MOST_CONSTANTS,
    MOST_EXTERNALS,
    MOST_INPUTS,
    MOST_OUTPUTS,
    PURPOSES,
    ROWS,
    SIGNATURES,
    WEIGHT_PRODUCTS,
    WEIGHTS,
    Accumulator,
    Activation,
    Axis,
    Clip,
    External,
    Op,
    OpCode,
    Operand,
    Path,
    Plan,
    Role,
    Signature,
    Slot,
)
from fastnn.errors import PlanError
from fastnn.opcodes import MOST_SUMS
from fastnn.ops import POINTWISE, REAL, ROWWISE, Kind, LossTraits, Numbers, Pointwise, Rowwise
from fastnn.update_ops import muon_memory, orthogonal_memory

__all__ = ["USES", "Use", "check_op", "check_plan", "describe", "is_integer"]

# No memory holds more; bytes of several threads still fit an index of C.
MOST_ELEMENTS = 2**48
LARGEST_NUMBER = 1e308
MOST_DRAWS = 2**53
MOST_ITERATIONS = 100  # of Muon's

# Where parameters, and what belongs to them, may lie; operands of these names have rows of their own.
_FIXED_SLOTS = {
    "w": (Slot.PARAMETERS,),
    "b": (Slot.PARAMETERS,),
    "m": (Slot.STATE,),
    "v": (Slot.STATE,),
    "u": (Slot.STATE,),
    "dw": (Slot.GRADIENTS, Slot.LOCAL, Slot.WORKSPACE),
    "db": (Slot.GRADIENTS, Slot.LOCAL),
    "dv": (Slot.GRADIENTS, Slot.LOCAL, Slot.WORKSPACE),
    "mean": (Slot.PARAMETERS, Slot.WORKSPACE),
    "variance": (Slot.PARAMETERS, Slot.WORKSPACE),
    "gamma": (Slot.PARAMETERS,),
    "beta": (Slot.PARAMETERS,),
    "dgamma": (Slot.GRADIENTS, Slot.WORKSPACE),
    "dbeta": (Slot.GRADIENTS, Slot.WORKSPACE),
    "moment": (Slot.WORKSPACE,),
    "lost": (Slot.LOCAL,),
    "s": (Slot.LOCAL,),
}
_ACTIVATING = frozenset({OpCode.ACTIVATION, OpCode.DENSE, OpCode.ACTIVATION_BACKWARD, OpCode.DENSE_BACKWARD})
_BACKWARD = frozenset({OpCode.ACTIVATION_BACKWARD, OpCode.DENSE_BACKWARD})
_PATHS = frozenset(Path)


class Use(NamedTuple):
    """What an op of some code does with one operand, in a form that is read quickly."""

    name: str
    optional: bool
    reads: bool
    writes: bool
    whole: bool  # not cut by the op's axis
    batch: bool  # has one row for each row of the batch, not rows of its own
    slots: frozenset[int]  # of the plan's own
    external: bool  # may be an array of the caller


def _use(signature: Signature, name: str, role: Role) -> Use:
    whole, along_rows = bool(role & Role.WHOLE), signature.axis is Axis.ROWS
    batch = whole != along_rows
    slots: tuple[Slot, ...] = ()
    if not batch:
        slots = _FIXED_SLOTS[name]
        if role & Role.INOUT == Role.OUT:
            # Parameters are changed, not made; what a task of a parameter makes has no other's memory.
            barred = {Slot.PARAMETERS} | ({Slot.WORKSPACE} if signature.axis is Axis.PARAMETER else set())
            slots = tuple(slot for slot in slots if slot not in barred)
    elif not role & Role.INDEXED:
        # A tile's own memory is gone when the batch is read whole.
        slots = (Slot.WORKSPACE, Slot.LOCAL) if along_rows else (Slot.WORKSPACE,)
    return Use(
        name,
        bool(role & Role.OPTIONAL),
        bool(role & Role.IN),
        bool(role & Role.OUT),
        whole,
        batch,
        frozenset(int(slot) for slot in slots),
        batch,
    )


# For each code, the uses of its operands in their order.
USES: dict[OpCode, tuple[Use, ...]] = {
    code: tuple(
        _use(signature, name, role) for name, role in zip(signature.names, signature.roles, strict=True)
    )
    for code, signature in SIGNATURES.items()
}


def is_integer(value: object) -> bool:
    """Return whether a value is an integer or a slot, and no more than that, as True is.

    Parameters
    ----------
    value : object

    Returns
    -------
    bool
    """
    return type(value) in (int, Slot)


def describe(index: int, op: Op) -> str:
    """Return how messages call an op.

    Parameters
    ----------
    index : int
        Its number in the plan.
    op : Op

    Returns
    -------
    str
    """
    return f"op {index} ({op.code.name} of {op.layer!r})"


def check_plan(plan: Plan) -> None:
    """Check what is not an op or a phase.

    Parameters
    ----------
    plan : Plan

    Raises
    ------
    PlanError
    """
    if not is_integer(plan.capacity) or not 0 <= plan.capacity <= MAXIMUM_SIZE:
        raise PlanError(f"the capacity is {plan.capacity!r}, needs to be 0 to {MAXIMUM_SIZE} rows")
    if not isinstance(plan.purpose, str) or plan.purpose not in PURPOSES:
        raise PlanError(f"the purpose is {plan.purpose!r}, needs to be one of {', '.join(PURPOSES)}")
    for what, parts in (("ops", plan.ops), ("phases", plan.phases), ("sizes", plan.sizes)):
        if not isinstance(parts, tuple):
            raise PlanError(f"the {what} are {parts!r}, need to be a tuple")
    if not plan.ops:
        raise PlanError("there are no ops")
    if len(plan.sizes) != Slot.EXTERNAL:
        raise PlanError(f"there are {len(plan.sizes)} sizes of {Slot.EXTERNAL.value} slots")
    for slot, size in zip(Slot, plan.sizes, strict=False):
        if not is_integer(size) or not 0 <= size <= MOST_ELEMENTS:
            raise PlanError(f"slot {slot.name.lower()} has {size!r} elements, needs 0 to {MOST_ELEMENTS}")
    _check_named("arrays of the caller", plan.externals, External)
    if len(plan.externals) > MOST_EXTERNALS:
        raise PlanError(f"there are {len(plan.externals)} arrays of the caller, the most is {MOST_EXTERNALS}")
    for external in plan.externals:
        columns = external.columns
        if not is_integer(columns) or not 1 <= columns <= MAXIMUM_SIZE:
            raise PlanError(f"the external array {external.name!r} has {columns!r} columns")
        if not isinstance(external.written, bool):
            raise PlanError(f"the external array {external.name!r} is {external.written!r}, written or not?")
        _check_kind(external)
    if not isinstance(plan.scalars, tuple) or not all(isinstance(name, str) for name in plan.scalars):
        raise PlanError(f"the scalars are {plan.scalars!r}, need to be a tuple of strings")
    _check_named("accumulators", plan.accumulators, Accumulator)
    for accumulator in plan.accumulators:
        share = accumulator.share
        if not isinstance(accumulator.times_rows, bool) or not (share is None or _is_number(share)):
            raise PlanError(
                f"the accumulator {accumulator.name!r} has times_rows={accumulator.times_rows!r} and "
                f"share={share!r}, needs a bool, and a number or None"
            )
        if not is_integer(accumulator.width) or not 1 <= accumulator.width <= MOST_SUMS:
            raise PlanError(
                f"the accumulator {accumulator.name!r} has {accumulator.width!r} sums, needs 1 to {MOST_SUMS}"
            )
        if not isinstance(accumulator.per, str) or accumulator.per not in DENOMINATORS:
            raise PlanError(
                f"the accumulator {accumulator.name!r} is divided by {accumulator.per!r}, "
                f"needs one of {', '.join(DENOMINATORS)}"
            )
    if not isinstance(plan.clips, tuple) or not all(isinstance(clip, Clip) for clip in plan.clips):
        raise PlanError(f"the clips are {plan.clips!r}, need to be a tuple of Clip")
    for number, clip in enumerate(plan.clips):
        place = clip.accumulator
        if not is_integer(place) or not 0 <= place < len(plan.accumulators):
            raise PlanError(f"clip {number} is made of accumulator {place!r}, which does not exist")
        if plan.accumulators[place].width != 1:
            raise PlanError(f"clip {number} is made of {plan.accumulators[place].width} sums, needs one")
        if not _is_number(clip.limit) or not clip.limit > 0:
            raise PlanError(f"clip {number} has the limit {clip.limit!r}, needs a finite number above 0")
    if any(a.per == "weights" for a in plan.accumulators) and not any(
        a.name == WEIGHTS and a.width == 1 for a in plan.accumulators
    ):
        raise PlanError("an accumulator is divided by the sum of the weights, which is not there")
    names = [a.name for a in plan.accumulators]
    for before, accumulator in zip(["", *names], plan.accumulators, strict=False):
        if accumulator.per == "kept" and before != f"{KEPT_WEIGHTS}{accumulator.name}":
            raise PlanError("an accumulator is divided by the sum of kept weights, which is not there")


def _check_kind(external: External) -> None:
    """Check that an array is of a kind that there is."""
    kind, where = external.kind, f"the external array {external.name!r} holds {external.kind!r}"
    if not isinstance(kind, Kind) or not isinstance(kind.numbers, Numbers) or not is_integer(kind.limit):
        raise PlanError(f"{where}, needs a Kind")
    if kind.is_whole and not 1 <= kind.limit <= MAXIMUM_SIZE:
        raise PlanError(f"{where}, needs a limit of 1 to {MAXIMUM_SIZE}")
    if kind != REAL and (external.written or not kind.is_whole):
        raise PlanError(f"{where}, needs real numbers without a limit")


def _check_named(
    kind: str, parts: tuple[External, ...] | tuple[Accumulator, ...], type_: type[External | Accumulator]
) -> None:
    """Check that all are of a type, and have different names."""
    if not isinstance(parts, tuple) or not all(isinstance(part, type_) for part in parts):
        raise PlanError(f"the {kind} are {parts!r}, need to be a tuple of {type_.__name__}")
    names = [part.name for part in parts]
    if not all(isinstance(name, str) for name in names):
        raise PlanError(f"the names of {kind} are {names}, need to be strings")
    if len(set(names)) < len(names):
        raise PlanError(f"two {kind} have one name, among {names}")


def _is_number(value: object) -> bool:
    """Return whether a value is a finite number that a double holds."""
    return isinstance(value, int | float) and -LARGEST_NUMBER <= value <= LARGEST_NUMBER


def check_op(plan: Plan, index: int) -> None:
    """Check what can be seen of an op by itself.

    Parameters
    ----------
    plan : Plan
        Which passed `check_plan`.
    index : int
        The op's number.

    Raises
    ------
    PlanError
    """
    op = plan.ops[index]
    if not isinstance(op, Op):
        raise PlanError(f"op {index} is {op!r}, which is no Op")
    code = op.code
    if not isinstance(code, OpCode):
        raise PlanError(f"op {index} (of {op.layer!r}) has the code {code!r}, which does not exist")
    where = describe(index, op)
    signature, uses = op.signature, USES[code]
    if not isinstance(op.operands, tuple) or len(op.operands) != len(uses):
        n_given = len(op.operands) if isinstance(op.operands, tuple) else repr(op.operands)
        raise PlanError(f"{where} has {n_given} operands, needs {len(uses)}")
    constants = op.constants
    _check_activation(op, where)
    named = op.constant_names
    most = MOST_CONSTANTS if signature.more else len(named)
    if not isinstance(constants, tuple) or not len(named) <= len(constants) <= most:
        raise PlanError(f"{where} has constants {constants!r}, needs {named}")
    if not all(map(_is_number, constants)):
        raise PlanError(f"{where} has constants {constants!r}, needs finite numbers")
    if not isinstance(op.scalars, tuple) or len(op.scalars) != len(signature.scalars):
        raise PlanError(f"{where} reads the scalars {op.scalars!r}, needs {signature.scalars}")
    there = (*plan.scalars, *[CLIP_FACTOR] * len(plan.clips))
    for number, name in zip(op.scalars, signature.scalars, strict=True):
        if (
            not is_integer(number)
            or not 0 <= number < len(there)
            or there[number].partition(" * ")[0] != name
        ):
            raise PlanError(f"{where} reads scalar {number!r} as {name!r}; the plan has {there}")
    if not isinstance(op.layer, str) or not isinstance(op.because, str):
        raise PlanError(f"{where} has the reason {op.because!r}; this and the layer need to be strings")
    if not isinstance(op.path, Path):
        raise PlanError(f"{where} has the path {op.path!r}, which does not exist")
    if op.path not in signature.paths:
        raise PlanError(f"{where} has no kernel for {op.path.name.lower()}")
    _check_activation(op, where)
    accumulator = op.accumulator
    if code in ADDING:
        fits = is_integer(accumulator) and 0 <= accumulator < len(plan.accumulators)
    else:
        fits = is_integer(accumulator) and accumulator == -1
    if not fits:
        raise PlanError(f"{where} adds to accumulator {accumulator!r}, which does not exist")
    if code in ADDING and plan.accumulators[accumulator].width != (n_sums := _sums_of(op, where)):
        raise PlanError(f"{where} adds {n_sums} sums to {plan.accumulators[accumulator].width}")
    for use, operand in zip(uses, op.operands, strict=True):
        if operand is not None:
            _check_operand(plan, operand, use, where)
        elif not use.optional:
            raise PlanError(f"{where} lacks its operand {use.name!r}")
    if code is OpCode.POINTWISE_LOSS:
        _check_pointwise(op, where)
    elif code is OpCode.ROWWISE_LOSS:
        _check_rowwise(op, where)
    _check_shapes(op, where, plan.capacity)


def _check_activation(op: Op, where: str) -> None:
    """Check that the op has an activation only if it can be run with it."""
    activation = op.activation
    if not isinstance(activation, Activation):
        raise PlanError(f"{where} has the activation {activation!r}, which does not exist")
    if activation is Activation.LINEAR:
        return
    if op.code not in _ACTIVATING:
        raise PlanError(f"{where} has the activation {activation.name}, and takes none")
    if op.code in _BACKWARD and op.operand("y") is None:
        raise PlanError(f"{where} has the activation {activation.name}, and lacks its operand 'y'")


_OF_SEVERAL_SUMS = frozenset(
    {OpCode.THRESHOLD_COUNTS, OpCode.CLASS_HITS, OpCode.TARGET_MOMENTS, OpCode.CONFUSION}
)


def _sums_of(op: Op, where: str) -> int:
    """Return how many sums an op adds to."""
    if op.code not in _OF_SEVERAL_SUMS:
        return 1
    columns = y.columns if isinstance(y := op.need("y"), Operand) and is_integer(y.columns) else 0
    match op.code:
        case OpCode.CLASS_HITS:
            return 3 * columns
        case OpCode.TARGET_MOMENTS:
            return 4 * columns + 1
        case OpCode.CONFUSION:
            return max(columns, 2) ** 2
    buckets, _, scale, _, column, top_k = op.constants[:LISTED]
    listed = op.constants[LISTED:]
    apart = columns if column == -2 else 1
    most = 1 + len(listed) if listed else MOST_SUMS // 2 // max(apart, 1)
    if buckets != int(buckets) or not 1 <= buckets <= most or bool(listed) != (scale == 0):
        raise PlanError(f"{where} has {buckets!r} buckets, needs 1 to {most}, and a scale or a list")
    if column != int(column) or not -2 <= column < columns or top_k != int(top_k) or top_k < 0:
        raise PlanError(f"{where} counts column {column!r} and the largest {top_k!r}, of {columns}")
    return 2 * int(buckets) * apart


def _check_pointwise(op: Op, where: str) -> None:
    """Check that the function exists, with such arguments."""
    _, _, function, divisor, *_ = op.constants
    _check_function(op, POINTWISE, Pointwise, where)
    outputs = op.need("y").columns
    if divisor != (1.0 if POINTWISE[Pointwise(int(function))].summed else outputs):
        raise PlanError(f"{where} divides by {divisor!r}, which its function does not")


def _check_rowwise(op: Op, where: str) -> None:
    """Check that the function exists, with such arguments and targets."""
    _check_function(op, ROWWISE, Rowwise, where)
    traits = ROWWISE[Rowwise(int(op.constants[2]))]
    widths = op.need("t").columns * traits.heads, op.need("y").columns
    if traits.labels and widths[0] == 1:
        widths = widths[1], widths[1]
    if widths[0] != widths[1] or any(operand.columns != widths[1] for operand in op.outputs()):
        raise PlanError(f"{where} has operands of widths {widths[0]} and {widths[1]} that must agree")


def _check_function(op: Op, table: Mapping[Any, LossTraits], known: type[enum.IntEnum], where: str) -> None:
    function = op.constants[2]
    if function not in set(known):
        raise PlanError(f"{where} has the function {function!r}, which does not exist")
    arguments = op.constants[len(op.signature.constants) :]
    if not table[known(int(function))].takes(arguments, op.need("y").columns):
        raise PlanError(f"{where} has the arguments {arguments!r}, which its function does not take")


def _check_operand(plan: Plan, operand: Operand, use: Use, where: str) -> None:
    """Check an operand's fields, and whether it may be what the op uses it for."""
    where = f"{where}, operand {use.name!r}"
    if not isinstance(operand, Operand):
        raise PlanError(f"{where} is {operand!r}, which is no Operand")
    slot, rows, columns = operand.slot, operand.rows, operand.columns
    if not (
        is_integer(slot)
        and is_integer(rows)
        and is_integer(columns)
        and is_integer(operand.offset)
        and isinstance(operand.name, str)
    ):
        raise PlanError(f"{where} is {operand}, needs a name, and integers for the rest")
    if not 0 <= slot < Slot.EXTERNAL + len(plan.externals):
        raise PlanError(f"{where} lies in slot {slot}, which does not exist")
    if not (rows == ROWS or 1 <= rows <= MAXIMUM_SIZE) or not 1 <= columns <= MAXIMUM_SIZE:
        raise PlanError(f"{where} is {rows} x {columns}; no BLAS integer holds that")
    if (rows == ROWS) != use.batch:
        needed = "one for each row of the batch" if use.batch else "a number that is its own"
        raise PlanError(
            f"{where} has {'the rows of the batch' if rows == ROWS else f'{rows} rows'}, needs {needed}"
        )
    if slot not in use.slots and not (use.external and slot >= Slot.EXTERNAL):
        raise PlanError(f"{where} lies in slot {plan.slot_name(slot)}, where {operand.name!r} may not be")


_OF_ONE_SHAPE = frozenset(
    code
    for code, signature in SIGNATURES.items()
    if signature.axis is Axis.PARAMETER and all(not use.whole for use in USES[code])
)


def _check_shapes(op: Op, where: str, capacity: int) -> None:
    """Check that the operands' sizes agree."""

    def columns(name: str) -> int:
        return op.need(name).columns

    agree: list[tuple[int, int]] = []
    match op.code:
        case OpCode.DENSE:
            w, b = op.need("w"), op.operand("b")
            agree = [(columns("x"), w.rows), (columns("y"), w.columns)]
            if b is not None:
                agree += [(b.columns, w.columns), (b.rows, 1)]
        case OpCode.DENSE_BACKWARD:
            w, y = op.need("w"), op.operand("y")
            agree = [(columns("dx"), w.rows), (columns("dy"), w.columns)]
            if y is not None:
                agree.append((y.columns, w.rows))
        case OpCode.WEIGHT_GRADIENT | OpCode.SGD_DENSE | OpCode.ADAM_DENSE:
            w = op.need(op.signature.names[0])
            agree = [(columns("x"), w.rows), (columns("dy"), w.columns)]
            if op.code is OpCode.ADAM_DENSE:
                agree += [(op.need(state).rows, w.rows) for state in ("m", "v")]
                agree += [(columns(state), w.columns) for state in ("m", "v")]
                if not 0 < capacity <= MOST_ADAM_ROWS:
                    raise PlanError(f"{where} is for 1 to {MOST_ADAM_ROWS} rows of a batch, not {capacity}")
        case OpCode.BIAS_GRADIENT | OpCode.SGD_BIAS:
            b = op.need(op.signature.names[0])
            agree = [(b.columns, columns("dy")), (b.rows, 1)]
        case OpCode.ADD_BIAS:
            agree = [(columns("x"), columns("y")), (columns("b"), columns("y")), (op.need("b").rows, 1)]
        case OpCode.CROSSENTROPY | OpCode.SOFTMAX_CROSSENTROPY:
            agree = [(columns("t"), 1 if op.constants[2] else columns("y"))]
            agree += [(operand.columns, columns("y")) for operand in op.outputs()]
            if op.code is OpCode.SOFTMAX_CROSSENTROPY:
                agree.append((columns("x"), columns("y")))
        case OpCode.CATEGORICAL_ACCURACY | OpCode.TOP_K_ACCURACY | OpCode.CONFUSION:
            agree = [(columns("t"), 1 if op.constants[0] else columns("y"))]
        case OpCode.ROWWISE_LOSS:  # was looked at above
            pass
        case OpCode.WEIGHT_TOTAL:  # has weights only, which are looked at below
            pass
        case OpCode.MULTICLASS_HINGE:
            agree = [(columns("t"), 1), *((operand.columns, columns("y")) for operand in op.outputs())]
        case OpCode.GATED_ADD:
            agree = [(columns("w"), 1), (op.need("w").rows, 1), (columns("x"), columns("y"))]
            if (a := op.operand("a")) is not None:
                agree.append((a.columns, columns("y")))
        case OpCode.GATE_GRADIENT:
            agree = [(columns(name), 1) for name in ("w", "dw")] + [(columns("x"), columns("dy"))]
            agree += [(op.need(name).rows, 1) for name in ("w", "dw")]
        case OpCode.CONCATENATE:
            agree = [(columns("y"), sum(operand.columns for operand in op.inputs()))]
        case OpCode.SLICE:
            first = op.constants[0]
            if first != int(first) or not 0 <= first <= columns("x") - columns("y"):
                raise PlanError(
                    f"{where} takes {columns('y')} columns from number {first} on, of {columns('x')}"
                )
        case OpCode.DROPOUT | OpCode.GAUSSIAN_NOISE | OpCode.GAUSSIAN_DROPOUT | OpCode.ALPHA_DROPOUT:
            amount, draw = op.constants[:2]
            shares = {OpCode.DROPOUT: 1.0, OpCode.ALPHA_DROPOUT: 1.0 - 2.0**-52}
            most = shares.get(op.code, LARGEST_NUMBER)
            if not 0.0 <= amount <= most or draw != int(draw) or not 0 <= draw < MOST_DRAWS:
                raise PlanError(f"{where} has {amount} and the draw {draw}, which are out of range")
            agree = [(columns("x"), columns("y"))]
        case OpCode.BATCH_MOMENTS | OpCode.MOMENT_GRADIENTS | OpCode.NORMALIZE | OpCode.NORMALIZE_BACKWARD:
            given = [operand for operand in op.operands if operand is not None]
            agree = [(given[0].columns, operand.columns) for operand in given[1:]]
            agree += [(operand.rows, 1) for operand in given if operand.rows != ROWS]
            if op.code is not OpCode.BATCH_MOMENTS and op.constants[0] <= 0:
                raise PlanError(f"{where} has the epsilon {op.constants[0]}, needs one above 0")
            if op.code is OpCode.NORMALIZE_BACKWARD:
                agree.append((op.operand("dgamma") is None, op.operand("dbeta") is None))
        case OpCode.ROW_NORMALIZE | OpCode.ROW_NORMALIZE_BACKWARD | OpCode.ROW_NORMALIZE_GRADIENT:
            of_rows = op.need("moments")
            given = [operand for operand in op.operands if operand is not None and operand is not of_rows]
            agree = [(of_rows.columns, 2), *((given[0].columns, operand.columns) for operand in given[1:])]
            agree += [(operand.rows, 1) for operand in given if operand.rows != ROWS]
            if op.constants and (op.constants[0] <= 0 or not {*op.constants[1:]} <= {0.0, 1.0}):
                raise PlanError(f"{where} has {op.constants}, needs an epsilon above 0, and two flags")
        case (
            OpCode.STANDARDIZE
            | OpCode.PRELU
            | OpCode.PRELU_GRADIENT
            | OpCode.SCALE_FEATURES
            | OpCode.SCALE_FEATURES_GRADIENT
        ):
            given = [operand for operand in op.operands if operand is not None]
            agree = [(given[0].columns, operand.columns) for operand in given[1:]]
            agree += [(operand.rows, 1) for operand in given if operand.rows != ROWS]
            if op.constants and (op.constants[0] <= 0 or op.constants[1] not in (0.0, 1.0)):
                raise PlanError(f"{where} has {op.constants}, needs an epsilon above 0, and a flag")
        case OpCode.DISCRETIZE | OpCode.ENCODE_CATEGORIES:
            mode, k = op.constants[0], columns("x")
            if mode not in ((0, 1, 2, 3) if op.code is OpCode.DISCRETIZE else (1, 2, 3)):
                raise PlanError(f"{where} has the mode {mode!r}, which does not exist")
            if op.code is OpCode.DISCRETIZE:
                depth = columns("w") + 1
                width = {0: k, 1: k * depth}.get(int(mode), depth)
                agree = [(columns("y"), width), (op.need("w").rows, 1)]
            elif mode == 1:
                agree = [(columns("y") % k, 0)]
        case OpCode.EMBEDDING:
            agree = [(columns("y"), columns("x") * columns("w"))]
        case OpCode.EMBEDDING_GRADIENT:
            dw, lost = op.need("dw"), op.need("lost")
            agree = [(columns("dy"), columns("x") * dw.columns)]
            agree += [(lost.columns, dw.columns), (lost.rows, dw.rows)]
        case OpCode.MUON:
            w, memory, steps = op.need("w"), op.need("s"), op.constants[6]
            if steps != int(steps) or not 0 <= steps <= MOST_ITERATIONS:
                raise PlanError(f"{where} iterates {steps!r} times, needs 0 to {MOST_ITERATIONS}")
            agree = [(op.need(name).rows, w.rows) for name in ("m", "dw", "s")]
            agree += [(columns(name), w.columns) for name in ("m", "dw")]
            agree.append((memory.columns, muon_memory(w.rows, w.columns)))
        case OpCode.ORTHOGONAL_PENALTY:
            w, part, (factor, flag) = op.need("w"), op.operand("dw"), op.constants
            if factor < 0 or flag not in (0.0, 1.0) or (w.columns if flag else w.rows) < 2:
                raise PlanError(
                    f"{where} has {op.constants}, needs a factor, a flag, and two rows or columns"
                )
            agree = [(operand.rows, w.rows) for operand in (part, op.need("s")) if operand is not None]
            agree += [(w.columns if part is None else part.columns, w.columns)]
            agree.append((columns("s"), orthogonal_memory(w.rows, w.columns, flag == 1, part is not None)))
        case OpCode.ROW_SUM:
            agree = [(columns("y"), 1)]
        case OpCode.BROADCAST:
            agree = [(columns("x"), 1)]
        case OpCode.MAXOUT:
            agree = [(columns("x") % columns("y"), 0)]
        case OpCode.MAXOUT_BACKWARD:
            agree = [(columns("dx"), columns("x")), (columns("x") % columns("dy"), 0)]
        case _:
            given = [
                operand
                for name, operand in zip(op.signature.names, op.operands, strict=True)
                if operand is not None and name != "weight"
            ]
            agree = [(given[0].columns, operand.columns) for operand in given[1:]]
            if op.code in _OF_ONE_SHAPE:
                agree += [(given[0].rows, operand.rows) for operand in given[1:]]
    if "weight" in op.signature.names and (weight := op.operand("weight")) is not None:
        agree.append((weight.columns, 1))
    if op.path is Path.FEW_OUTPUTS:
        w = op.need(op.signature.names[0] if op.code in WEIGHT_PRODUCTS else "w")
        if w.columns > MOST_OUTPUTS or w.rows > MOST_INPUTS:
            raise PlanError(f"{where} has no kernel for {w.rows} inputs and {w.columns} outputs")
    for left, right in agree:
        if left != right:
            raise PlanError(f"{where} has operands of widths {left} and {right} that must agree")
