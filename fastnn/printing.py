"""How plans are printed.  This file must not know arrays or kernels."""

from __future__ import annotations

from collections import Counter

from fastnn.ops import name_of
from fastnn.plan import PRODUCTS, ROWS, Activation, Axis, Op, Operand, Path, Plan, Slot, Task

__all__ = ["describe_op", "format_plan"]


def describe_op(plan: Plan, op: Op) -> str:
    """Return an op as a line: ``y[w, 500] @workspace+0 <- x[...] ...``."""
    outputs = ", ".join(_operand(plan, operand) for operand in op.outputs())
    written = {operand.name for operand in op.outputs()}
    inputs = ", ".join(_operand(plan, o) for o in op.inputs() if o.name not in written)
    extra = "" if op.activation is Activation.LINEAR else f" {name_of(op.activation)}"
    constants = " ".join(
        f"{name}={value:g}" for name, value in zip(op.signature.constants, op.constants, strict=True)
    )
    arrow = f"{outputs} <- {inputs}" if outputs and inputs else outputs or inputs
    path = f" [{op.path.name.lower()}]" if _is_chosen(op) else ""
    return f"{op.code.name.lower()}{extra}{path} {op.layer}: {arrow}" + (
        f"  ({constants})" if constants else ""
    )


def _is_chosen(op: Op) -> bool:
    """Return whether an op's path says something: ops that multiply no matrices are on BLAS without one."""
    return op.code in PRODUCTS or op.path is not Path.BLAS


def _reason(op: Op) -> str:
    return f"  because {op.because}" if op.because else ""


def _operand(plan: Plan, operand: Operand) -> str:
    rows = "m" if operand.rows == ROWS else str(operand.rows)
    place = plan.slot_name(operand.slot)
    if operand.slot < Slot.EXTERNAL:
        place += f"+{operand.offset}"
    return f"{operand.name}[{rows}, {operand.columns}] @{place}"


def format_plan(plan: Plan) -> str:
    """Return the plan as text: phases, ops with operands, flops and bytes of a full batch.

    Rows are written ``m``; flops and bytes are those of one step with `capacity` rows (of one
    row where any number runs through), bytes in float32.
    """
    rows = plan.capacity or 1
    sizes = ", ".join(f"{Slot(i).name.lower()} {size}" for i, size in enumerate(plan.sizes) if size)
    lines = [
        f"plan: {plan.purpose}, rows: {plan.capacity or 'any'}, {len(plan.ops)} ops, "
        f"{plan.flops(rows):,} flops a step",
        f"elements: {sizes}",
    ]
    for number, phase in enumerate(plan.phases):
        if phase.updates and not (number and plan.phases[number - 1].updates):
            lines += [
                f"then min(1, {clip.limit:g} / norm) of {plan.accumulators[clip.accumulator].name}"
                for clip in plan.clips
            ]
        if phase.axis is Axis.ROWS:
            lines.append(f"phase along rows, tiles of {phase.tile_rows} rows")
        elif phase.axis is Axis.FEATURES:
            lines.append(f"phase along features, {len(phase.tasks)} tiles")
        else:
            lines.append(f"phase along parameters, {len(phase.tasks)} tiles")
        if phase.updates:
            lines[-1] += ", updates"
        groups = Counter((task.first, task.last) for task in sorted(phase.tasks, key=_first))
        for (first, last), tiles in groups.items():
            for index in range(first, last):
                op = plan.ops[index]
                cost = f"{op.flops(rows):>14,} flops {op.bytes(rows):>12,} bytes"
                cut = f"  [{tiles} tiles]" if tiles > 1 else ""
                lines.append(f"  {index:3d} {cost}  {describe_op(plan, op)}{cut}{_reason(op)}")
    return "\n".join(lines)


def _first(task: Task) -> int:
    return task.first
