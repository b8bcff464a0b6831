"""Memory planning: every operand gets its offset inside its slot.  Pure functions.

Parameters, gradients and optimiser state follow one layout; what lives for a step only is
placed by its lifetime, and shares memory with what is dead by then.  This file must not
know arrays or dtypes: all sizes are in elements.
"""

from __future__ import annotations

import abc
import bisect
import heapq
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

from fastnn.compiler.plan import ROWS, Axis, Op, Operand, Phase, Slot
from fastnn.graph.graph import Parameter

__all__ = ["ALIGNMENT", "Layout", "aligned", "parameter_layout", "place"]

ALIGNMENT = 16  # elements: a cache line of 64 bytes in float32


def aligned(elements: int) -> int:
    """Return `elements` rounded up to a whole number of alignment units.

    Examples
    --------
    >>> aligned(17)
    32
    """
    return -(-elements // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Layout:
    """Where parameters lie in their flat array.

    Attributes
    ----------
    offsets : dict of str to int
        Parameter names to their first elements.
    size : int
        Elements of the array.
    """

    offsets: dict[str, int]
    size: int


def parameter_layout(parameters: Iterable[Parameter]) -> Layout:
    """Return the layout of parameters one after the other, each at a cache line.

    Parameters
    ----------
    parameters : iterable of Parameter

    Returns
    -------
    Layout
    """
    offsets: dict[str, int] = {}
    size = 0
    for parameter in parameters:
        offsets[parameter.name] = size
        size += aligned(parameter.rows * parameter.columns)
    return Layout(offsets, size)


@dataclass
class _Live:
    """An operand that occupies ``[offset, offset + size)`` up to and including op `last`."""

    offset: int
    size: int
    shape: tuple[int, int]
    last: int
    name: str


class _Pool(abc.ABC):
    """Places operands of one slot in the order of their first use; those that die make room."""

    def __init__(self) -> None:
        self.size = 0
        self._live: dict[str, _Live] = {}
        self._deaths: list[tuple[int, int, _Live]] = []  # heap: last use, number of the placing
        self._n_placed = 0

    def expire(self, index: int) -> None:
        """Drop what no op from `index` on reads."""
        dead = []
        while self._deaths and self._deaths[0][0] < index:
            _, number, entry = heapq.heappop(self._deaths)
            if entry.last >= index:  # its memory was taken over
                heapq.heappush(self._deaths, (entry.last, number, entry))
            else:
                dead.append((number, entry))
        for _, entry in sorted(dead, key=lambda pair: pair[0]):
            del self._live[entry.name]
            self._release(entry)

    def take_over(self, source: str, name: str, index: int, shape: tuple[int, int], last: int) -> int | None:
        """Give the memory of `source`, which op `index` reads last, to `name`; None if that cannot be."""
        entry = self._live.get(source)
        if entry is None or entry.last != index or entry.shape != shape:
            return None
        del self._live[source]
        entry.name, entry.last = name, last
        self._live[name] = entry
        return entry.offset

    def place(self, name: str, size: int, shape: tuple[int, int], last: int) -> int:
        """Return an offset that nothing living occupies."""
        offset = self._find(size, shape)
        entry = self._live[name] = _Live(offset, size, shape, last, name)
        heapq.heappush(self._deaths, (last, self._n_placed, entry))
        self._n_placed += 1
        self.size = max(self.size, offset + size)
        return offset

    @abc.abstractmethod
    def _find(self, size: int, shape: tuple[int, int]) -> int:
        """Return a free offset, which is free no longer."""

    @abc.abstractmethod
    def _release(self, entry: _Live) -> None:
        """Make the memory of an entry free."""


class _SharedPool(_Pool):
    """Memory that all tiles share, at different speeds.

    There a row of one tensor may only ever lie where the same row of another one lay: same width,
    same offset.  What has one row for the whole batch shares memory only with its like.
    """

    def __init__(self) -> None:
        super().__init__()
        self._free: dict[tuple[int, int], list[int]] = {}  # by shape

    def _find(self, size: int, shape: tuple[int, int]) -> int:
        free = self._free.get(shape)
        return free.pop() if free else self.size

    def _release(self, entry: _Live) -> None:
        self._free.setdefault(entry.shape, []).append(entry.offset)


class _TilePool(_Pool):
    """Memory of one tile: the first gap that is large enough."""

    def __init__(self) -> None:
        super().__init__()
        self._gaps = [(0, sys.maxsize)]  # sorted, none touches another

    def _find(self, size: int, shape: tuple[int, int]) -> int:
        position = next(i for i, (begin, end) in enumerate(self._gaps) if end - begin >= size)
        begin, end = self._gaps[position]
        self._gaps[position : position + 1] = [(begin + size, end)] if begin + size < end else []
        return begin

    def _release(self, entry: _Live) -> None:
        begin, end = entry.offset, entry.offset + entry.size
        position = bisect.bisect_left(self._gaps, (begin, end))
        first = last = position
        if first and self._gaps[first - 1][1] == begin:
            first -= 1
            begin = self._gaps[first][0]
        if self._gaps[last][0] == end:  # there is always one behind, which never ends
            end = self._gaps[last][1]
            last += 1
        self._gaps[first:last] = [(begin, end)]


def place(
    ops: tuple[Op, ...],
    phases: tuple[Phase, ...],
    layout: Layout,
    states: tuple[str, ...],
    capacity: int,
) -> tuple[tuple[Op, ...], tuple[int, ...]]:
    """Return the ops with every operand placed, and the size of each slot.

    Parameters
    ----------
    ops : tuple of Op
        In the order of their execution.
    phases : tuple of Phase
    layout : Layout
    states : tuple of str
        Names of the optimiser's arrays, each the size of the parameters.
    capacity : int
        Rows of a batch.

    Returns
    -------
    ops : tuple of Op
    sizes : tuple of int
        Elements of each slot before `Slot.EXTERNAL`.
    """
    total = layout.size
    fixed: dict[tuple[int, str], int] = {}
    for name, offset in layout.offsets.items():
        fixed[Slot.PARAMETERS, name] = offset
        fixed[Slot.GRADIENTS, f"d({name})"] = offset
        for position, state in enumerate(states):
            fixed[Slot.STATE, f"{name}/{state}"] = position * total + offset
    gradients = any(o is not None and o.slot == Slot.GRADIENTS for op in ops for o in op.operands)

    last_use: dict[str, int] = {}
    for index, op in enumerate(ops):
        for operand in op.operands:
            if operand is not None:
                last_use[operand.name] = index
    workspace, local_size = _SharedPool(), 0
    heights = _tile_heights(phases, len(ops))
    placed: dict[str, Operand] = {}
    result: list[Op] = []
    starts = {task.first for phase in phases for task in phase.tasks}
    local = _TilePool()
    for index, op in enumerate(ops):
        if index in starts:
            local_size = max(local_size, local.size)
            local = _TilePool()
        for operand in op.operands:
            if operand is None or operand.name in placed:
                continue
            if operand.slot >= Slot.EXTERNAL:
                offset = 0
            elif operand.slot in (Slot.PARAMETERS, Slot.GRADIENTS, Slot.STATE):
                offset = fixed[operand.slot, operand.name]
            else:
                pool: _Pool = workspace if operand.slot == Slot.WORKSPACE else local
                pool.expire(index)
                shape, taken = (operand.rows, operand.columns), None
                for source in _aliases_of(op, operand):
                    if taken is None and source.slot == operand.slot:
                        taken = pool.take_over(
                            source.name, operand.name, index, shape, last_use[operand.name]
                        )
                if taken is None:
                    rows = heights[index]
                    if operand.slot == Slot.WORKSPACE:
                        rows = capacity if operand.rows == ROWS else operand.rows
                    size = aligned(rows * operand.columns)
                    taken = pool.place(operand.name, size, shape, last_use[operand.name])
                offset = taken
            placed[operand.name] = replace(operand, offset=offset)
        result.append(
            replace(op, operands=tuple(placed[o.name] if o is not None else None for o in op.operands))
        )
    sizes = (
        total,
        total if gradients else 0,
        total * len(states),
        workspace.size,
        max(local_size, local.size),
    )
    return tuple(result), sizes


def _aliases_of(op: Op, operand: Operand) -> list[Operand]:
    """Return the inputs of `op` whose memory its output `operand` may take over."""
    return [
        source
        for output, source_name in op.signature.aliases
        if op.operand(output) == operand and (source := op.operand(source_name)) is not None
    ]


def _tile_heights(phases: tuple[Phase, ...], n_ops: int) -> list[int]:
    """Return, for each op, the most rows that a tile of it has."""
    heights = [0] * n_ops
    for phase in phases:
        for task in phase.tasks:
            # What is cut along features has nothing in memory of a tile.
            rows = phase.tile_rows if phase.axis is Axis.ROWS else task.end - task.begin
            for index in range(task.first, task.last):
                heights[index] = max(heights[index], rows)
    return heights
