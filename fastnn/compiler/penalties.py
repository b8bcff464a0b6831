"""Penalties in plans: what outputs of layers and parameters pay, and what that adds to gradients.

A part of the lowering, which says when; `Paying` is its base.  This file must not know rules, losses,
metrics, optimizers, arrays or kernels.
"""

from __future__ import annotations

from fastnn.compiler.builder import Builder
from fastnn.compiler.plan import Accumulator, Op, OpCode, Operand, Slot
from fastnn.graph.graph import PENALTY_OF, Parameter
from fastnn.update_ops import orthogonal_memory

__all__ = ["Paying", "memory"]


class Paying(Builder):
    """A builder that knows what is paid."""

    def activities(self, wanted: set[str]) -> None:
        """Append what layers pay for their outputs, once a call, and begin gradients that are wanted."""
        for node in self.graph.nodes:
            factors = node.config.output_penalty
            if not any(factors):
                continue
            y = self.tensors[node.output.name]
            self.accumulators.append(Accumulator(PENALTY_OF + node.output.name, share=1.0))
            part = self.part_of(y) if y.name in wanted else None
            place = len(self.accumulators) - 1
            self.ops.append(
                Op(OpCode.ACTIVITY_PENALTY, node.layer, (part, y), constants=factors, accumulator=place)
            )
            if part is not None:
                self.add_part(y, part)

    def penalties(self) -> None:
        """Append what adds up the regularisers."""
        # As in Keras, what is frozen pays no penalty.
        regularized = [p for p in self.graph.parameters if p.is_trained and _pays(p)]
        if not regularized:
            return
        self.accumulators.append(Accumulator("penalty", times_rows=True, share=1.0))
        for p in regularized:
            if not self.training:
                self.compare(p, None)
            for code, factor in _penalties(p, OpCode.L1_PENALTY, OpCode.L2_PENALTY):
                place = len(self.accumulators) - 1
                self.ops.append(
                    Op(code, p.name, (self.parameter(p),), constants=(factor,), accumulator=place)
                )

    def trained(self) -> list[tuple[Parameter, Operand]]:
        """Return the parameters that have a gradient, with it."""
        return [(p, self.gradients[p.name]) for p in self.graph.parameters if p.name in self.gradients]

    def regularize(self) -> None:
        """Add the regularisers' gradients; what compares rows is penalty and gradient at once."""
        for p in self.graph.parameters:
            if p.is_trained and _pays(p):
                self.compare(p, self.gradients.get(p.name))
        for p, gradient in self.trained():
            for code, factor in _penalties(p, OpCode.L1_GRADIENT, OpCode.L2_GRADIENT):
                operands = gradient, self.parameter(p)
                self.ops.append(Op(code, p.name, operands, constants=(factor,)))

    def compare(self, p: Parameter, gradient: Operand | None) -> None:
        """Append the penalty on rows, or columns, that are not orthogonal, if that is what p pays."""
        factor, mode = (0.0, "") if p.regularizer is None else p.regularizer.pairs()
        if not factor:
            return
        by_columns = mode == "columns"
        width = orthogonal_memory(p.rows, p.columns, by_columns, gradient is not None)
        place = next(i for i, accumulator in enumerate(self.accumulators) if accumulator.name == "penalty")
        self.ops.append(
            Op(
                OpCode.ORTHOGONAL_PENALTY,
                p.name,
                (gradient, self.parameter(p), memory(p, "pairs", width)),
                constants=(factor, float(by_columns)),
                accumulator=place,
            )
        )


def memory(p: Parameter, name: str, columns: int) -> Operand:
    """Return what an op needs for a whole parameter, and no longer than it runs."""
    return Operand(f"{p.name}/{name}", Slot.LOCAL, p.rows, columns)


def _pays(p: Parameter) -> bool:
    """Return whether a parameter has a regularizer with a factor."""
    rule = p.regularizer
    return rule is not None and any((*rule.factors(), rule.pairs()[0]))


def _penalties(p: Parameter, l1: OpCode, l2: OpCode) -> list[tuple[OpCode, float]]:
    """Return which of two ops serve a parameter's regularizer, with their factors."""
    factors = (0.0, 0.0) if p.regularizer is None else p.regularizer.factors()
    return [(code, factor) for code, factor in zip((l1, l2), factors, strict=True) if factor]
