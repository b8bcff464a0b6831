"""What a lowering builds: a list of ops, the tensors that they join, and parts of gradients that add up.

`rules.py` appends to it, op by op; `lowering.py` walks the graph.  This file must not know rules, losses,
optimizers, arrays, dtypes or kernels.
"""

from __future__ import annotations

from dataclasses import replace

from fastnn.compiler.plan import ROWS, Accumulator, Activation, Clip, External, Op, OpCode, Operand, Slot
from fastnn.graph.graph import Graph, Node, Parameter
from fastnn.ops import REAL, Kind

__all__ = ["Builder"]


class Builder:
    """What one lowering has made so far: ops, tensors by name, gradients by name."""

    def __init__(self, graph: Graph, purpose: str, gather: bool, weighted: bool, columns: bool) -> None:
        self.graph = graph
        self.purpose = purpose
        self.gather = gather
        self.weighted = weighted
        self.columns = columns
        self.ops: list[Op] = []
        self.externals: list[External] = []
        self.accumulators: list[Accumulator] = []
        self.clips: list[Clip] = []
        self.tensors: dict[str, Operand] = {}
        self.kept_rows: dict[str, Operand] = {}  # which rows metrics do not ignore
        self.unknown_labels: dict[str, int] = {}  # of outputs, labels that losses ignore and that are none
        self.gradients: dict[str, Operand] = {}
        self.borrowed: set[str] = set()  # tensors whose gradient is another's, and must not be added to
        self.wanted: set[str] = set()  # tensors whose gradients something needs
        self.parameters = {p.name: p for p in graph.parameters}
        self.training = purpose in ("train", "gradients", "outputs", "training_outputs")
        self.n_draws = 0  # ops that draw random numbers
        self.to_parameters = purpose in ("train", "gradients", "backward")
        # Whether gradients of parameters outlive the task that makes them.
        self.keeps_gradients = purpose != "train"
        # Activations outlive their tile only where weight gradients, or moments, read them afterwards.
        kept = self.to_parameters or purpose in ("outputs", "training_outputs")
        self.row_slot = Slot.WORKSPACE if kept else Slot.LOCAL

    # -- operands

    def rows(self, name: str, columns: int) -> Operand:
        """Return a tensor with one row per row of the batch."""
        return Operand(name, self.row_slot, ROWS, columns)

    def inside(self, node: Node, suffix: str, columns: int) -> Operand:
        """Return a tensor on the way to a node's output."""
        layer, _, use = node.output.name.rpartition("/y")
        return self.rows(f"{layer}/{suffix}{use}", columns)

    def external(self, name: str, columns: int, written: bool = False, kind: Kind = REAL) -> Operand:
        """Return a new array of the caller."""
        self.externals.append(External(name, columns, written, kind))
        return Operand(name, Slot.EXTERNAL + len(self.externals) - 1, ROWS, columns)

    def parameter(self, parameter: Parameter) -> Operand:
        """Return a parameter as an operand."""
        return Operand(parameter.name, Slot.PARAMETERS, parameter.rows, parameter.columns)

    def one_row(self, name: str, columns: int) -> Operand:
        """Return what there is one row of for the whole batch."""
        return Operand(name, Slot.WORKSPACE, 1, columns)

    # -- gradients

    def part_of(self, x: Operand) -> Operand:
        """Return an operand for a part of the gradient of `x`: the gradient itself if it is the first."""
        first = x.name not in self.gradients
        return self.rows(f"d({x.name})" if first else f"d({x.name})+{len(self.ops)}", x.columns)

    def add_part(self, x: Operand, part: Operand) -> None:
        """Add a part, which an op has just made, to the gradient of `x`."""
        before = self.gradients.get(x.name)
        if before is None:
            self.gradients[x.name] = part
        else:
            self._sum(x, before, part)

    def pass_on(
        self,
        layer: str,
        x: Operand,
        code: OpCode,
        *sources: Operand | None,
        activation: Activation = Activation.LINEAR,
        constants: tuple[float, ...] = (),
    ) -> None:
        """Append an op that makes a part of the gradient of `x`, if anything wants it."""
        if x.name in self.wanted:
            part = self.part_of(x)
            self.ops.append(Op(code, layer, (part, *sources), activation, constants))
            self.add_part(x, part)

    def lend(self, x: Operand, gradient: Operand) -> None:
        """Let `gradient`, that of another tensor, be a part of the gradient of `x`, if anything wants it."""
        if x.name not in self.wanted:
            return
        before = self.gradients.get(x.name)
        if before is None:
            self.gradients[x.name] = gradient
            self.borrowed.add(x.name)
        else:
            self._sum(x, before, gradient)

    def _sum(self, x: Operand, before: Operand, part: Operand) -> None:
        total = before
        if x.name in self.borrowed:
            self.borrowed.remove(x.name)
            total = self.rows(f"d({x.name})", x.columns)
        self.ops.append(Op(OpCode.ADD, f"d({x.name})", (total, before, part), constants=(1.0, 1.0)))
        self.gradients[x.name] = total

    def row_gradient(self, w: Operand) -> Operand:
        """Return an operand for a part of a gradient that ops along the batch read, once it is summed up."""
        first = w.name not in self.gradients
        name = f"d({w.name})" if first else f"d({w.name})+{len(self.ops)}"
        part = self.one_row(name, w.columns)
        return replace(part, slot=Slot.GRADIENTS) if first and self.keeps_gradients else part

    def add_row_gradient(self, w: Operand, part: Operand) -> None:
        """Add what an op has written to `row_gradient` to the gradient of a parameter."""
        before = self.gradients.setdefault(w.name, part)
        if before is not part:
            self.ops.append(Op(OpCode.ADD_GRADIENT, w.name, (before, part)))

    def is_trained(self, w: Operand | None) -> bool:
        """Return whether a gradient of a parameter is wanted."""
        return self.to_parameters and w is not None and self.parameters[w.name].is_trained

    def add_parameter_gradient(self, code: OpCode, w: Operand, *sources: Operand) -> None:
        """Append an op that makes a part of a parameter's gradient, unless it is frozen."""
        if not self.is_trained(w):
            return
        before = self.gradients.get(w.name)
        if before is None:
            slot = Slot.GRADIENTS if self.keeps_gradients else Slot.LOCAL
            gradient = Operand(f"d({w.name})", slot, w.rows, w.columns)
            self.gradients[w.name] = gradient
            self.ops.append(Op(code, w.name, (gradient, *sources)))
            return
        part = Operand(f"d({w.name})+{len(self.ops)}", Slot.LOCAL, w.rows, w.columns)
        self.ops.append(Op(code, w.name, (part, *sources)))
        self.ops.append(Op(OpCode.ADD_GRADIENT, w.name, (before, part)))
