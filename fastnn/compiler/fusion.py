"""Fusion: ops that touch the same data become one.  A pass from op list to op list; pure Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fastnn.compiler.plan import Activation, Op, OpCode, Operand, Slot

__all__ = ["fuse", "join_updates"]


def fuse(ops: Sequence[Op]) -> list[Op]:
    """Merge ops that touch the same data: bias, activations, derivatives, penalties, plain SGD.

    Parameters
    ----------
    ops : sequence of Op
        In the order of their computation.

    Returns
    -------
    list of Op
        Computing the same; `Operand` names that nothing reads any more are gone.
    """
    # A regulariser's gradient is that of the weights before they decay.
    decayed = {op.layer for op in ops if op.code is OpCode.WEIGHT_DECAY}

    def merge(first: Op, second: Op) -> Op | None:
        stays = first.code is OpCode.L2_GRADIENT and first.layer in decayed
        return None if stays else _merge(first, second)

    return _fuse(ops, merge)


def join_updates(ops: Sequence[Op], joins: Callable[[Operand], bool]) -> list[Op]:
    """Merge Adam's updates with the products that are their gradients.

    Parameters
    ----------
    ops : sequence of Op
        In the order of their computation.
    joins : callable
        Whether that is to be done for a kernel.

    Returns
    -------
    list of Op
    """

    def merge(first: Op, second: Op) -> Op | None:
        if first.code is not OpCode.WEIGHT_GRADIENT or second.code is not OpCode.ADAM:
            return None
        if first.need("dw").slot == Slot.GRADIENTS:  # which waits for other gradients
            return None
        if not joins(second.need("w")):
            return None
        operands = (*second.operands[:3], first.need("x"), first.need("dy"))
        return replace(second, code=OpCode.ADAM_DENSE, operands=operands)

    return _fuse(ops, merge)


def _fuse(ops: Sequence[Op], merge: Callable[[Op, Op], Op | None]) -> list[Op]:
    """Merge ops with the only reader of what they write, as long as `merge` makes one op of two."""
    current: list[Op | None] = list(ops)
    changed = True
    while changed:
        changed = False
        readers: dict[str, list[int]] = {}
        for index, op in enumerate(current):
            for operand in op.inputs() if op is not None else ():
                readers.setdefault(operand.name, []).append(index)
        touched: set[int] = set()
        for index, op in enumerate(current):
            if op is None or index in touched:
                continue
            for written in op.outputs():
                others = [i for i in readers.get(written.name, ()) if i != index]
                if len(others) != 1 or written.slot >= Slot.EXTERNAL or others[0] in touched:
                    continue
                reader = current[others[0]]
                merged = merge(op, reader) if reader is not None else None
                if merged is not None:
                    current[others[0]], current[index] = merged, None
                    touched.add(others[0])
                    changed = True
                    break
    return [op for op in current if op is not None]


def _merge(first: Op, second: Op) -> Op | None:
    """Return one op that does what `first` and then `second`, the only reader of its output, do."""
    match first.code, second.code:
        case OpCode.DENSE, OpCode.ADD_BIAS if first.operand("b") is None:
            y, _, b = second.operands
            _, x, w, _ = first.operands
            return replace(first, operands=(y, x, w, b))
        case OpCode.DENSE, OpCode.ACTIVATION if first.activation is Activation.LINEAR:
            _, x, w, b = first.operands
            return replace(
                first,
                operands=(second.operands[0], x, w, b),
                activation=second.activation,
                constants=second.constants,
            )
        case OpCode.DENSE_BACKWARD, OpCode.ACTIVATION_BACKWARD if first.operand("y") is None:
            dx, _, y = second.operands
            _, dy, w, _ = first.operands
            return replace(
                first,
                operands=(dx, dy, w, y),
                activation=second.activation,
                constants=second.constants,
            )
        case OpCode.L2_GRADIENT, _ if second.signature.constants[:1] == ("l2",):
            return replace(second, constants=(first.constants[0], *second.constants[1:]))
        case OpCode.WEIGHT_GRADIENT, OpCode.SGD if first.operands[0] == second.operand("dw"):
            w = second.operands[0]
            return Op(
                OpCode.SGD_DENSE,
                second.layer,
                (w, first.need("x"), first.need("dy")),
                constants=second.constants,
                scalars=second.scalars,
            )
        case OpCode.BIAS_GRADIENT, OpCode.SGD if first.operands[0] == second.operand("dw"):
            b = second.operands[0]
            return Op(
                OpCode.SGD_BIAS,
                second.layer,
                (b, first.need("dy")),
                constants=second.constants,
                scalars=second.scalars,
            )
    return None
