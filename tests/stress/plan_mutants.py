"""Mutants: valid plans in which one thing, or a few, were changed at random.

Each mutation returns a changed plan and says what it changed, or returns None where it finds nothing to
change.  Many change in step what belongs together, so that a mutant gets far in verification.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from plan_nets import valid_plans

from fastnn.compiler.plan import (
    ADDING,
    MOST_EXTERNALS,
    PURPOSES,
    ROWS,
    SIGNATURES,
    Accumulator,
    Activation,
    Axis,
    Clip,
    External,
    OpCode,
    Operand,
    Path,
    Phase,
    Plan,
    Slot,
    Task,
)
from fastnn.ops import ACTIVATIONS, Numbers

Mutation = tuple[Plan, str] | None
STRANGE = (None, 1.5, "3", math.nan, -math.inf, (), [], True, 10**400, np.int64(3))


def odd(rng: random.Random, old: Any, near: Iterable[Any] = ()) -> Any:
    """Return another value for a number: a neighbour, one that stands elsewhere, a limit, another type."""
    if rng.random() < 0.05 or isinstance(old, bool) or not isinstance(old, int):
        return rng.choice(STRANGE)
    likely = [old - 1, old + 1, *near] * 3
    return rng.choice(
        [
            *likely,
            0,
            -1,
            1,
            2,
            2 * old,
            old // 2,
            -old,
            old + 16,
            16,
            10**9,
            2**31 - 1,
            2**31,
            2**63,
            -(10**9),
        ]
    )


def changed_at(items: tuple[Any, ...], index: int, *new: Any) -> tuple[Any, ...]:
    return (*items[:index], *new, *items[index + 1 :])


def shuffled_items(rng: random.Random, items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return items with one left out, doubled, replaced by None, or two exchanged."""
    found = list(items)
    if not found:
        return (None,)
    i, j = rng.randrange(len(found)), rng.randrange(len(found))
    match rng.randrange(5):
        case 0:
            del found[i]
        case 1:
            found.insert(j, found[i])
        case 2 | 3:
            found[i], found[j] = found[j], found[i]
        case _:
            found[i] = None
    return tuple(found)


def operands_of(plan: Plan) -> list[tuple[int, int, Operand]]:
    """Return all operands, with the numbers of their ops and their places there."""
    return [
        (index, place, operand)
        for index, op in enumerate(plan.ops)
        for place, operand in enumerate(op.operands)
        if operand is not None
    ]


def with_op(plan: Plan, index: int, **changes: Any) -> Plan:
    return replace(plan, ops=changed_at(plan.ops, index, replace(plan.ops[index], **changes)))


def change_code(plan: Plan, rng: random.Random) -> Mutation:
    index = rng.randrange(len(plan.ops))
    op = plan.ops[index]
    alike = [c for c in OpCode if c.name != op.code.name and len(SIGNATURES[c].names) == len(op.operands)]
    code = rng.choice([*alike, rng.choice(list(OpCode)), rng.choice((99, -1, int(op.code), None, "DENSE"))])
    changes: dict[str, Any] = {"code": code}
    if isinstance(code, OpCode) and rng.random() < 0.7:  # with as many constants as it needs
        needed = len(SIGNATURES[code].constants)
        changes["constants"] = (*op.constants, 1.0, 0.0, 1.0, 0.5)[:needed]
        changes["scalars"] = (*op.scalars, 0)[: len(SIGNATURES[code].scalars)]
        if rng.random() < 0.5:
            changes["accumulator"] = 0 if code in ADDING else -1
    return with_op(plan, index, **changes), f"op {index}: {changes}"


def change_op(plan: Plan, rng: random.Random) -> Mutation:
    index = rng.randrange(len(plan.ops))
    op = plan.ops[index]
    field = rng.choice(("layer", "activation", "activation", "accumulator", "path", "path", "because"))
    value: Any
    match field:
        case "activation":
            value = rng.choice([*Activation, 99, -1, int(op.activation), None])
            if isinstance(value, Activation) and rng.random() < 0.7:  # with as many numbers as it needs
                numbers = (0.5, -1e300, 1.0, 0.0)[: len(ACTIVATIONS[value].options)]
                return with_op(plan, index, activation=value, constants=numbers), f"op {index}: {value!r}"
        case "path":
            value = rng.choice([*Path, *Path, 9, -1, int(op.path), None])
        case "accumulator":
            value = odd(rng, op.accumulator, range(len(plan.accumulators)))
        case _:
            value = rng.choice(("", "other", *STRANGE))
    return with_op(plan, index, **{field: value}), f"op {index}: {field}={value!r}"


def change_paths(plan: Plan, rng: random.Random) -> Mutation:
    path = rng.choice(list(Path))
    batch = rng.random() < 0.7
    ops = tuple(replace(op, path=path) if not batch or op.reads_batch() else op for op in plan.ops)
    return replace(plan, ops=ops), f"path {path.name} for all{' that read the batch' if batch else ''}"


def change_constants(plan: Plan, rng: random.Random) -> Mutation:
    where = [index for index, op in enumerate(plan.ops) if op.constants]
    if not where:
        return None
    index = rng.choice(where)
    constants = list(plan.ops[index].constants)
    if rng.random() < 0.2:
        constants = list(shuffled_items(rng, tuple(constants)))
    else:
        place = rng.randrange(len(constants))
        constants[place] = rng.choice(
            (0.0, 1.0, -1.0, 2.0, 0.5, -0.5, 7.0, 1e300, math.inf, *STRANGE, constants[place] + 1)
        )
    return with_op(plan, index, constants=tuple(constants)), f"op {index}: constants={constants}"


def change_scalars(plan: Plan, rng: random.Random) -> Mutation:
    if rng.random() < 0.3:
        names = rng.choice(
            ((), ("rate",), ("rate", "corrected_rate"), (*plan.scalars, "other"), "rate", None)
        )
        return replace(plan, scalars=names), f"scalars={names!r}"
    index = rng.choice([i for i, op in enumerate(plan.ops) if op.scalars] or [rng.randrange(len(plan.ops))])
    scalars = rng.choice(((), (0,), (1,), (-1,), (2**31,), (0, 0), (True,), ("rate",), None, *STRANGE))
    return with_op(plan, index, scalars=scalars), f"op {index}: scalars={scalars!r}"


def change_clips(plan: Plan, rng: random.Random) -> Mutation:
    clips: Any = plan.clips
    if not clips or rng.random() < 0.3:
        more = (*clips, Clip(rng.randrange(len(plan.accumulators) + 1), 0.5))
        clips = rng.choice((more, shuffled_items(rng, clips), list(clips), (), None))
    else:
        index = rng.randrange(len(clips))
        if rng.random() < 0.6:
            change: dict[str, Any] = {
                "accumulator": odd(rng, clips[index].accumulator, range(len(plan.accumulators)))
            }
        else:
            change = {"limit": rng.choice((0.0, -1.0, 1e-300, 1e308, 2, math.inf, *STRANGE))}
        clips = changed_at(clips, index, replace(clips[index], **change))
    reading = [i for i, op in enumerate(plan.ops) if op.code is OpCode.SCALE_GRADIENT]
    if reading and rng.random() < 0.3:
        plan = with_op(plan, rng.choice(reading), scalars=(len(plan.scalars) + rng.randrange(3),))
    return replace(plan, clips=clips), f"clips={clips}"


def new_field(plan: Plan, rng: random.Random, operand: Operand) -> dict[str, Any]:
    field = rng.choice(("name", "slot", "rows", "rows", "columns", "columns", "offset", "offset"))
    other = rng.choice(operands_of(plan))[2]
    match field:
        case "name":
            return {"name": rng.choice((other.name, "other", *STRANGE))}
        case "slot":
            return {"slot": odd(rng, operand.slot, [*range(5 + len(plan.externals)), int(other.slot)])}
        case "rows":
            return {"rows": odd(rng, operand.rows, (ROWS, other.rows, other.columns, plan.capacity))}
        case "columns":
            return {"columns": odd(rng, operand.columns, (other.columns, other.rows))}
        case _:
            return {"offset": odd(rng, operand.offset, (other.offset, operand.offset + other.columns))}


def change_operand(plan: Plan, rng: random.Random) -> Mutation:
    """Change one use of an operand."""
    index, place, operand = rng.choice(operands_of(plan))
    changes = new_field(plan, rng, operand)
    operands = changed_at(plan.ops[index].operands, place, replace(operand, **changes))
    return with_op(plan, index, operands=operands), f"op {index}, {operand.name!r}: {changes}"


def change_operand_everywhere(plan: Plan, rng: random.Random) -> Mutation:
    """Change an operand wherever it is used, and perhaps what belongs to it."""
    _, _, operand = rng.choice(operands_of(plan))
    changes = new_field(plan, rng, operand)
    if rng.random() < 0.3:
        changes |= new_field(plan, rng, operand)
    if changes.get("slot") == Slot.LOCAL and rng.random() < 0.5:
        changes["offset"] = 0
    new = replace(operand, **changes)
    ops = tuple(
        replace(op, operands=tuple(new if o == operand else o for o in op.operands)) for op in plan.ops
    )
    plan = replace(plan, ops=ops)
    if "columns" in changes and operand.slot >= Slot.EXTERNAL:
        index = operand.slot - Slot.EXTERNAL
        external = replace(plan.externals[index], columns=changes["columns"])
        plan = replace(plan, externals=changed_at(plan.externals, index, external))
    return plan, f"{operand.name!r} everywhere: {changes}"


def exchange_operands(plan: Plan, rng: random.Random) -> Mutation:
    """Put one operand in the place of another, there or everywhere, leave one out, or change their number."""
    (index, place, operand), (_, _, other) = rng.choice(operands_of(plan)), rng.choice(operands_of(plan))
    operands = plan.ops[index].operands
    match rng.randrange(6):
        case 0:
            new: tuple[Any, ...] = shuffled_items(rng, operands)
        case 1:
            new = changed_at(operands, place, None)
        case 2:
            new = rng.choice((operands[:-1], (*operands, other), (*operands, None), list(operands)))
        case 3:
            i, j = rng.randrange(len(operands)), rng.randrange(len(operands))
            moved = list(operands)
            moved[i], moved[j] = moved[j], moved[i]
            new = tuple(moved)
        case _:
            alike = [
                o for _, _, o in operands_of(plan) if (o.rows, o.columns) == (operand.rows, operand.columns)
            ]
            new = changed_at(operands, place, rng.choice(alike) if rng.random() < 0.7 else other)
            if rng.random() < 0.4:
                ops = tuple(
                    replace(op, operands=tuple(new[place] if o == operand else o for o in op.operands))
                    for op in plan.ops
                )
                return replace(plan, ops=ops), f"{operand.name!r} everywhere becomes {new[place]}"
    return with_op(plan, index, operands=new), f"op {index}: operands={new}"


def renumbered(plan: Plan, at: int, by: int) -> tuple[Phase, ...]:
    """Return the phases with `by` more ops from number `at` on, in the task that holds that one."""

    def moved(task: Task) -> Task:
        return replace(
            task,
            first=task.first + (by if task.first > at else 0),
            last=task.last + (by if task.last > at else 0),
        )

    return tuple(replace(phase, tasks=tuple(moved(task) for task in phase.tasks)) for phase in plan.phases)


def change_ops(plan: Plan, rng: random.Random) -> Mutation:
    """Leave an op out, double it, put in a copy of another, or exchange two; phases follow, or do not."""
    index, other = rng.randrange(len(plan.ops)), rng.randrange(len(plan.ops))
    follow = rng.random() < 0.8
    match rng.randrange(4):
        case 0:
            ops, by, note = changed_at(plan.ops, index), -1, f"op {index} left out"
        case 1:
            ops, by, note = (
                changed_at(plan.ops, index, plan.ops[index], plan.ops[index]),
                1,
                f"op {index} twice",
            )
        case 2:
            ops, by = changed_at(plan.ops, index, plan.ops[index], plan.ops[other]), 1
            note = f"op {other} again after op {index}"
        case _:
            other = (index + 1) % len(plan.ops) if rng.random() < 0.6 else other
            ops, by, note = (
                changed_at(plan.ops, index, plan.ops[other]),
                0,
                f"op {index} and {other} exchanged",
            )
            ops = changed_at(ops, other, plan.ops[index])
    phases = renumbered(plan, index, by) if follow and by else plan.phases
    return replace(plan, ops=ops, phases=phases), f"{note}, phases {'follow' if follow else 'stay'}"


def change_phase(plan: Plan, rng: random.Random) -> Mutation:
    number = rng.randrange(len(plan.phases))
    phase = plan.phases[number]
    phases: tuple[Any, ...]
    match rng.randrange(5):
        case 4:
            updates = not phase.updates if rng.random() < 0.8 else rng.choice(STRANGE)
            phases = changed_at(plan.phases, number, replace(phase, updates=updates))
            return replace(plan, phases=phases), f"phase {number}: updates={updates}"
        case 0:
            axis = rng.choice([*Axis, 0, 7, None])
            phases = changed_at(plan.phases, number, replace(phase, axis=axis))
            return replace(plan, phases=phases), f"phase {number}: axis={axis}"
        case 1 | 2:
            rows = odd(rng, phase.tile_rows, (plan.capacity, plan.capacity + 1, 4, 16, 5))
            phases = changed_at(plan.phases, number, replace(phase, tile_rows=rows))
            return replace(plan, phases=phases), f"phase {number}: tile_rows={rows}"
        case _:
            phases = rng.choice((shuffled_items(rng, plan.phases), list(plan.phases), plan.phases[::-1], ()))
            return replace(plan, phases=phases), f"phases {phases}"


def cut_phase(plan: Plan, rng: random.Random) -> Mutation:
    """Cut a phase in two at an op, join it with the next, or cut one op along features."""
    number = rng.randrange(len(plan.phases))
    phase = plan.phases[number]
    task = rng.choice(phase.tasks)
    if rng.random() < 0.25 and number + 1 < len(plan.phases):
        after = plan.phases[number + 1]
        both = replace(phase, tasks=(*phase.tasks, *after.tasks))
        if phase.axis is Axis.ROWS and rng.random() < 0.7:
            both = replace(phase, tasks=(replace(task, last=max(t.last for t in after.tasks)),))
        phases = (*plan.phases[:number], both, *plan.phases[number + 2 :])
        return replace(plan, phases=phases), f"phases {number} and {number + 1} joined"
    if task.last - task.first < 2:
        return None
    middle = rng.randrange(task.first + 1, task.last)
    first = replace(
        phase, tasks=tuple(replace(t, last=min(t.last, middle)) for t in phase.tasks if t.first < middle)
    )
    second = replace(
        phase, tasks=tuple(replace(t, first=max(t.first, middle)) for t in phase.tasks if t.last > middle)
    )
    if rng.random() < 0.3 and phase.tile_rows:
        second = replace(second, tile_rows=odd(rng, phase.tile_rows, (1, 3, 5)))
    new = [first, second]
    if phase.axis is Axis.ROWS and rng.random() < 0.5:
        columns = next((o.columns for o in plan.ops[middle].operands if o is not None), 1)
        edge = rng.randrange(columns + 1)
        tiles = ((0, columns),) if rng.random() < 0.3 else ((0, edge), (edge, columns))
        new[1:] = [Phase(Axis.FEATURES, tuple(Task(middle, middle + 1, *tile) for tile in tiles))]
        if middle + 1 < task.last:
            new.append(replace(phase, tasks=(replace(task, first=middle + 1),)))
    return replace(plan, phases=changed_at(plan.phases, number, *new)), f"phase {number} becomes {new}"


def change_task(plan: Plan, rng: random.Random) -> Mutation:
    number = rng.randrange(len(plan.phases))
    phase = plan.phases[number]
    place = rng.randrange(len(phase.tasks))
    task = phase.tasks[place]
    tasks: Any
    match rng.randrange(6):
        case 0 | 1:
            field = rng.choice(("first", "last", "begin", "end"))
            near = (task.first, task.last, task.begin, task.end, len(plan.ops))
            tasks = changed_at(
                phase.tasks, place, replace(task, **{field: odd(rng, getattr(task, field), near)})
            )
        case 2:  # a tile in two
            middle = rng.randint(task.begin - 1, task.end + 1)
            tasks = changed_at(phase.tasks, place, replace(task, end=middle), replace(task, begin=middle))
        case 3:  # one task for all ops of two groups
            other = rng.choice(phase.tasks)
            first, last = min(task.first, other.first), max(task.last, other.last)
            kept = tuple(t for t in phase.tasks if t.last <= first or t.first >= last)
            span = replace(rng.choice((task, other)), first=first, last=last)
            tasks = (*kept, span) if rng.random() < 0.5 else (span, *kept)
        case 4:
            tasks = rng.choice((shuffled_items(rng, phase.tasks), list(phase.tasks), ()))
        case _:  # every op a task of its own, or a group cut at an op
            tasks = tuple(
                new
                for t in phase.tasks
                for new in (replace(t, last=t.first + 1), replace(t, first=t.first + 1))
                if new.first < new.last
            )
    phases = changed_at(plan.phases, number, replace(phase, tasks=tasks))
    return replace(plan, phases=phases), f"phase {number}: tasks={tasks}"


def change_externals(plan: Plan, rng: random.Random) -> Mutation:
    externals: Any = plan.externals
    index = rng.randrange(len(externals)) if externals else 0
    match rng.randrange(8):
        case 0:
            externals = shuffled_items(rng, externals)
        case 1:
            many = rng.choice((1, 1, MOST_EXTERNALS + 1 - len(externals)))
            externals = (*externals, *(External(f"more {n}", rng.choice((1, 3, 0, -2))) for n in range(many)))
        case 2:
            externals = list(externals)
        case _:
            field = rng.choice(("name", "columns", "columns", "written", "written", "kind"))
            old = getattr(externals[index], field)
            value: Any
            if field == "name":
                value = rng.choice((rng.choice(externals).name, "x", "output", "y", *STRANGE))
            elif field == "kind":
                limit = odd(rng, old.limit, (e.kind.limit for e in externals))
                likely = (replace(old, limit=limit), replace(old, numbers=rng.choice([*Numbers])))
                value = rng.choice((*likely, rng.choice(externals).kind, rng.choice(STRANGE)))
            elif field == "written":
                value = not old if rng.random() < 0.8 else rng.choice(STRANGE)
            else:
                value = odd(rng, old)
            externals = changed_at(externals, index, replace(externals[index], **{field: value}))
            if field == "name" and rng.random() < 0.5:
                renamed = {e.name: o.name for e, o in zip(plan.externals, plan.externals[::-1], strict=True)}
                externals = tuple(replace(e, name=renamed[e.name]) for e in plan.externals)
    return replace(plan, externals=externals), f"externals={externals}"


def change_accumulators(plan: Plan, rng: random.Random) -> Mutation:
    accumulators: Any = plan.accumulators
    if rng.random() < 0.5 or not accumulators:
        more = (*accumulators, Accumulator("more", rng.random() < 0.5))
        accumulators = rng.choice((more, shuffled_items(rng, accumulators), list(accumulators), ()))
    else:
        index = rng.randrange(len(accumulators))
        field = rng.choice(("name", "times_rows", "share", "width", "per"))
        value = rng.choice((rng.choice(accumulators).name, 0.5, False, 2, 10**6, "weights", *STRANGE))
        accumulators = changed_at(accumulators, index, replace(accumulators[index], **{field: value}))
    if rng.random() < 0.3:
        adding = [
            i for i, op in enumerate(plan.ops) if isinstance(op.accumulator, int) and op.accumulator >= 0
        ]
        if adding:
            plan = with_op(plan, rng.choice(adding), accumulator=rng.randrange(len(plan.accumulators) + 1))
    return replace(plan, accumulators=accumulators), f"accumulators={accumulators}"


def change_sizes(plan: Plan, rng: random.Random) -> Mutation:
    sizes: Any = plan.sizes
    if rng.random() < 0.2:
        sizes = rng.choice((shuffled_items(rng, sizes), (*sizes, 7), list(sizes), sizes[:4], ()))
    else:
        index = rng.randrange(len(sizes))
        sizes = changed_at(sizes, index, odd(rng, sizes[index], (sizes[index] // 2, sizes[index] - 16)))
    return replace(plan, sizes=sizes), f"sizes={sizes}"


def make_room(plan: Plan, rng: random.Random) -> Mutation:
    """Make slots larger, so that what moves still has a place."""
    sizes = tuple(3 * size + rng.choice((0, 64, 500)) for size in plan.sizes)
    return replace(plan, sizes=sizes), f"sizes={sizes}"


def change_capacity(plan: Plan, rng: random.Random) -> Mutation:
    capacity = odd(rng, plan.capacity, (0, 1, 4, 8, 16, 17))
    return replace(plan, capacity=capacity), f"capacity={capacity}"


def change_purpose(plan: Plan, rng: random.Random) -> Mutation:
    purpose = rng.choice((*PURPOSES, *PURPOSES, "test", *STRANGE))
    return replace(plan, purpose=purpose), f"purpose={purpose!r}"


MUTATIONS: dict[Callable[[Plan, random.Random], Mutation], int] = {
    change_code: 6,
    change_op: 8,
    change_paths: 2,
    change_constants: 5,
    change_scalars: 4,
    change_clips: 3,
    change_operand: 10,
    change_operand_everywhere: 16,
    exchange_operands: 10,
    change_ops: 8,
    change_phase: 5,
    cut_phase: 6,
    change_task: 10,
    change_externals: 5,
    change_accumulators: 4,
    change_sizes: 4,
    change_capacity: 4,
    change_purpose: 3,
}


def mutant(seed: int, number: int) -> tuple[Plan, str]:
    """Return the mutant of a seed with a number, and what was changed."""
    rng = random.Random(seed * 2**40 + number)
    base = rng.randrange(len(valid_plans()))
    plan = valid_plans()[base]
    notes = [f"plan {base} ({plan.purpose}, {len(plan.ops)} ops)"]
    n_changes = rng.choices((1, 2, 3), (6, 3, 1))[0]
    if rng.random() < 0.3:
        plan, note = make_room(plan, rng) or (plan, "")
        notes.append(note)
    for change in rng.choices(list(MUTATIONS), list(MUTATIONS.values()), k=n_changes):
        # A second change may meet what the first one left in no state to be changed.
        with contextlib.suppress(TypeError, AttributeError, IndexError, ValueError, OverflowError, KeyError):
            if (changed := change(plan, rng)) is not None:
                plan = changed[0]
                notes.append(f"{change.__name__}: {changed[1]}")
    return plan, "; ".join(notes)
