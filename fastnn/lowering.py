"""Lowering: a graph and its objective become a list of ops.  Pure functions.

The forward list has one rule per layer configuration; the backward list is the forward list
walked in reverse, with one rule per opcode; the update ops follow.  Fusion is a pass from op
list to op list that can be switched off.  Memory and tiles are decided later, in
`memory.py` and `schedule.py`.  This file must not know arrays, dtypes or kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fastnn.errors import PlanError
from fastnn.graph import ActivationConfig, DenseConfig, Graph, Node, Parameter
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.optimizers import Optimizer
from fastnn.plan import (
    PURPOSES,
    ROWS,
    Accumulator,
    Activation,
    External,
    Op,
    OpCode,
    Operand,
    Slot,
)

__all__ = ["Lowered", "fuse", "lower"]


@dataclass(frozen=True)
class Lowered:
    """Ops in the order of their computation, not yet placed or cut.

    Attributes
    ----------
    ops : tuple of Op
    externals : tuple of External
    accumulators : tuple of Accumulator
    """

    ops: tuple[Op, ...]
    externals: tuple[External, ...]
    accumulators: tuple[Accumulator, ...]


def lower(
    graph: Graph,
    purpose: str,
    loss: Loss | None = None,
    metrics: tuple[Metric, ...] = (),
    optimizer: Optimizer | None = None,
    *,
    gather: bool = False,
    weighted: bool = False,
    fused: bool = True,
    columns: bool = False,
) -> Lowered:
    """Return the ops that serve a purpose.

    Parameters
    ----------
    graph : Graph
    purpose : {"train", "gradients", "evaluate", "predict", "input_gradients"}
    loss : Loss, optional
        Needed for the first three purposes.
    metrics : tuple of Metric
        Added up in ``"train"`` and ``"evaluate"``.
    optimizer : Optimizer, optional
        Needed for ``"train"``.
    gather : bool
        Whether rows are looked up through a permutation first.
    weighted : bool
        Whether there are sample weights.
    fused : bool
        Whether to run the fusion pass.
    columns : bool
        Whether the batch is to be the fast axis of all tensors.

    Returns
    -------
    Lowered
    """
    if purpose not in PURPOSES:
        raise PlanError(f"unknown purpose {purpose!r}; known: {', '.join(PURPOSES)}")
    lowering = _Lowering(graph, purpose, gather, weighted, columns)
    if purpose in ("train", "gradients", "evaluate"):
        if loss is None:
            raise PlanError(f"lowering for {purpose!r} needs a loss")
        lowering.forward()
        lowering.objective(loss, metrics if purpose != "gradients" else (), fused)
        lowering.penalties()
    else:
        lowering.forward(to_output=purpose == "predict")
    if purpose in ("train", "gradients"):
        lowering.backward(parameters=True)
        lowering.regularize()
        if purpose == "train":
            if optimizer is None:
                raise PlanError("lowering for 'train' needs an optimizer")
            lowering.update(optimizer)
    elif purpose == "input_gradients":
        lowering.backward(parameters=False)
    ops = fuse(lowering.ops) if fused else lowering.ops
    return Lowered(tuple(ops), tuple(lowering.externals), tuple(lowering.accumulators))


class _Lowering:
    """The state of one call of `lower`: ops so far, tensors by name, gradients by name."""

    def __init__(self, graph: Graph, purpose: str, gather: bool, weighted: bool, columns: bool) -> None:
        self.graph = graph
        self.purpose = purpose
        self.gather = gather
        self.weighted = weighted
        self.columns = columns
        self.ops: list[Op] = []
        self.externals: list[External] = []
        self.accumulators: list[Accumulator] = []
        self.tensors: dict[str, Operand] = {}
        self.gradients: dict[str, Operand] = {}
        self.parameters = {p.name: p for p in graph.parameters}
        # Activations outlive their tile only where weight gradients read them afterwards.
        self.row_slot = Slot.WORKSPACE if purpose in ("train", "gradients") else Slot.LOCAL

    # -- operands

    def rows(self, name: str, columns: int) -> Operand:
        return Operand(name, self.row_slot, ROWS, columns)

    def external(self, name: str, columns: int, written: bool = False) -> Operand:
        self.externals.append(External(name, columns, written))
        return Operand(name, Slot.EXTERNAL + len(self.externals) - 1, ROWS, columns)

    def parameter(self, parameter: Parameter) -> Operand:
        return Operand(parameter.name, Slot.PARAMETERS, parameter.rows, parameter.columns)

    def stream(self, name: str, columns: int) -> Operand:
        """Return an input of the batch: an external array, or its rows gathered, or transposed."""
        source = self.external(name, columns)
        if self.gather:
            code, suffix = OpCode.GATHER, "rows"
        elif self.columns and (columns > 1 or name == "x"):  # losses read one column as it lies
            code, suffix = OpCode.TRANSPOSE, "columns"
        else:
            return source
        result = self.rows(f"{name}[{suffix}]", columns)
        self.ops.append(Op(code, name, (result, source)))
        return result

    # -- forward

    def forward(self, to_output: bool = False) -> None:
        graph = self.graph
        self.tensors[graph.input.name] = self.stream("x", graph.input.columns)
        for node in graph.nodes:
            inputs = self.tensors[node.input.name]
            output = self.rows(node.output.name, node.output.columns)
            if to_output and node.output.name == graph.output.name:
                output = self.external("output", node.output.columns, written=True)
            self.ops += FORWARD[type(node.config)](self, node, inputs, output)
            self.tensors[node.output.name] = output

    # -- loss, metrics, penalties

    def accumulate(self, name: str, times_rows: bool = False) -> int:
        self.accumulators.append(Accumulator(name, times_rows))
        return len(self.accumulators) - 1

    def objective(self, loss: Loss, metrics: tuple[Metric, ...], fused: bool) -> None:
        y = self.tensors[self.graph.output.name]
        t = self.stream("y", 1 if loss.sparse else y.columns)
        weight = self.stream("sample_weight", 1) if self.weighted else None
        differentiate = self.purpose != "evaluate"
        constants = [float(loss.mean)]
        if loss.code is OpCode.CROSSENTROPY:
            constants.append(float(loss.sparse))
        last = next(op for op in reversed(self.ops) if y in op.outputs())
        accumulator = self.accumulate("loss", times_rows=not loss.mean)

        def op(code: OpCode, *operands: Operand | None) -> Op:
            return Op(code, loss.name, operands, constants=tuple(constants), accumulator=accumulator)

        if loss.logits and loss.fused_code is not None:
            # The model's output stays what it is; its probabilities are a by-product.
            gradient = self.rows(f"d({y.name})", y.columns) if differentiate else None
            probabilities = self.rows(f"{loss.name}/p", y.columns)
            self.ops.append(op(loss.fused_code, probabilities, gradient, y, t, weight))
            source = y
        elif (
            fused
            and loss.fused_code is not None
            and last.code is OpCode.ACTIVATION
            and last.activation is loss.fuses
        ):
            self.ops.remove(last)
            source = last.need("x")
            gradient = self.rows(f"d({source.name})", y.columns) if differentiate else None
            self.ops.append(op(loss.fused_code, y, gradient, source, t, weight))
        else:
            source = y
            gradient = self.rows(f"d({y.name})", y.columns) if differentiate else None
            self.ops.append(op(loss.code, gradient, y, t, weight))
        if gradient is not None:
            self.gradients[source.name] = gradient
        for metric in metrics:
            self.ops.append(
                Op(
                    metric.code,
                    metric.name,
                    (y, t),
                    constants=metric.constants(),
                    accumulator=self.accumulate(metric.name),
                )
            )

    def penalties(self) -> None:
        # As in Keras, what is frozen pays no penalty.
        regularized = [
            p for p in self.graph.parameters if p.trainable and p.regularizer is not None and p.regularizer.l2
        ]
        if not regularized:
            return
        accumulator = self.accumulate("penalty", times_rows=True)
        for p in regularized:
            assert p.regularizer is not None
            self.ops.append(
                Op(
                    OpCode.L2_PENALTY,
                    p.name,
                    (self.parameter(p),),
                    constants=(p.regularizer.l2,),
                    accumulator=accumulator,
                )
            )

    # -- backward

    def backward(self, parameters: bool) -> None:
        """Append the backward ops; towards the parameters, or towards the input."""
        wanted = self._wanted(parameters)
        forward = list(self.ops)
        if not parameters:
            output = self.tensors[self.graph.output.name]
            self.gradients[output.name] = self.external("upstream", output.columns)
        for op in reversed(forward):
            rule = BACKWARD.get(op.code)
            if rule is None:
                continue
            upstream = self.gradients.get(op.need("y").name)
            if upstream is not None:
                self.ops += rule(self, op, upstream, op.need("x").name in wanted, parameters)
        if not parameters:
            self._gradient_to_output()

    def _wanted(self, parameters: bool) -> set[str]:
        """Return the tensors whose gradient something upstream of them needs."""
        wanted: set[str] = set()
        if not parameters:
            wanted.add(self.tensors[self.graph.input.name].name)
        for op in self.ops:
            if op.code not in BACKWARD:
                continue
            trainable = parameters and any(
                operand is not None
                and operand.slot == Slot.PARAMETERS
                and self.parameters[operand.name].trainable
                for operand in op.operands
            )
            if trainable or op.need("x").name in wanted:
                wanted.add(op.need("y").name)
        return wanted

    def _gradient_to_output(self) -> None:
        gradient = self.gradients[self.tensors[self.graph.input.name].name]
        output = self.external("input_gradient", gradient.columns, written=True)
        self.ops = [
            replace(op, operands=tuple(output if o == gradient else o for o in op.operands))
            for op in self.ops
        ]

    def gradient_of(self, tensor: Operand) -> Operand:
        """Return the operand that the gradient of a tensor goes to, made at its first use."""
        if tensor.name in self.gradients:
            raise PlanError(f"tensor {tensor.name!r} is read twice; sums of gradients are not lowered yet")
        gradient = self.rows(f"d({tensor.name})", tensor.columns)
        self.gradients[tensor.name] = gradient
        return gradient

    def parameter_gradient(self, operand: Operand) -> Operand | None:
        """Return the operand that a parameter's gradient goes to, or None if it is frozen."""
        if not self.parameters[operand.name].trainable:
            return None
        slot = Slot.GRADIENTS if self.purpose == "gradients" else Slot.LOCAL
        gradient = Operand(f"d({operand.name})", slot, operand.rows, operand.columns)
        self.gradients[operand.name] = gradient
        return gradient

    # -- updates

    def trained(self) -> list[tuple[Parameter, Operand]]:
        return [(p, self.gradients[p.name]) for p in self.graph.parameters if p.name in self.gradients]

    def regularize(self) -> None:
        for p, gradient in self.trained():
            if p.regularizer is not None and p.regularizer.l2:
                self.ops.append(
                    Op(
                        OpCode.L2_GRADIENT,
                        p.name,
                        (gradient, self.parameter(p)),
                        constants=(p.regularizer.l2,),
                    )
                )

    def update(self, optimizer: Optimizer) -> None:
        for p, gradient in self.trained():
            states = tuple(
                Operand(f"{p.name}/{state}", Slot.STATE, p.rows, p.columns) for state in optimizer.states
            )
            self.ops.append(
                Op(
                    optimizer.code,
                    p.name,
                    (self.parameter(p), *states, gradient),
                    constants=(0.0, *optimizer.constants()),
                )
            )


# -- forward rules, by the class of a layer's configuration


def _dense(lowering: _Lowering, node: Node, x: Operand, y: Operand) -> list[Op]:
    config = node.config
    assert isinstance(config, DenseConfig)
    kernel, *bias = (lowering.parameter(p) for p in node.parameters)
    steps = [("product", OpCode.DENSE)]
    if bias:
        steps.append(("z", OpCode.ADD_BIAS))
    if config.activation is not Activation.LINEAR:
        steps.append(("activation", OpCode.ACTIVATION))
    ops = []
    for position, (suffix, code) in enumerate(steps):
        last = position == len(steps) - 1
        result = y if last else lowering.rows(f"{node.layer}/{suffix}", y.columns)
        if code is OpCode.DENSE:
            ops.append(Op(code, node.layer, (result, x, kernel, None)))
        elif code is OpCode.ADD_BIAS:
            ops.append(Op(code, node.layer, (result, x, bias[0])))
        else:
            ops.append(Op(code, node.layer, (result, x), config.activation))
        x = result
    return ops


def _activation(lowering: _Lowering, node: Node, x: Operand, y: Operand) -> list[Op]:
    assert isinstance(node.config, ActivationConfig)
    return [Op(OpCode.ACTIVATION, node.layer, (y, x), node.config.activation)]


FORWARD: dict[type, Callable[[_Lowering, Node, Operand, Operand], list[Op]]] = {
    DenseConfig: _dense,
    ActivationConfig: _activation,
}


# -- backward rules, by opcode: (op, gradient of its output, is the input's gradient wanted?)


def _dense_backward(
    lowering: _Lowering, op: Op, dy: Operand, want_dx: bool, want_parameters: bool
) -> list[Op]:
    x, w = op.need("x"), op.need("w")
    ops = []
    dw = lowering.parameter_gradient(w) if want_parameters else None
    if dw is not None:
        ops.append(Op(OpCode.WEIGHT_GRADIENT, w.name, (dw, x, dy)))
    if want_dx:
        ops.append(Op(OpCode.DENSE_BACKWARD, op.layer, (lowering.gradient_of(x), dy, w, None)))
    return ops


def _add_bias_backward(
    lowering: _Lowering, op: Op, dy: Operand, want_dx: bool, want_parameters: bool
) -> list[Op]:
    ops = []
    b = op.need("b")
    db = lowering.parameter_gradient(b) if want_parameters else None
    if db is not None:
        ops.append(Op(OpCode.BIAS_GRADIENT, b.name, (db, dy)))
    if want_dx:
        lowering.gradients[op.need("x").name] = dy
    return ops


def _activation_backward(
    lowering: _Lowering, op: Op, dy: Operand, want_dx: bool, want_parameters: bool
) -> list[Op]:
    if not want_dx:
        return []
    dx = lowering.gradient_of(op.need("x"))
    return [Op(OpCode.ACTIVATION_BACKWARD, op.layer, (dx, dy, op.need("y")), op.activation)]


BACKWARD: dict[OpCode, Callable[[_Lowering, Op, Operand, bool, bool], list[Op]]] = {
    OpCode.DENSE: _dense_backward,
    OpCode.ADD_BIAS: _add_bias_backward,
    OpCode.ACTIVATION: _activation_backward,
}


# -- fusion


def fuse(ops: list[Op]) -> list[Op]:
    """Merge ops that touch the same data: bias, activations, derivatives, penalties, plain SGD.

    Parameters
    ----------
    ops : list of Op
        In the order of their computation.

    Returns
    -------
    list of Op
        Computing the same; `Operand` names that nothing reads any more are gone.
    """
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
                merged = _merge(op, reader) if reader is not None else None
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
            return replace(first, operands=(second.operands[0], x, w, b), activation=second.activation)
        case OpCode.DENSE_BACKWARD, OpCode.ACTIVATION_BACKWARD if first.operand("y") is None:
            dx, _, y = second.operands
            _, dy, w, _ = first.operands
            return replace(first, operands=(dx, dy, w, y), activation=second.activation)
        case OpCode.L2_GRADIENT, OpCode.SGD | OpCode.MOMENTUM | OpCode.ADAM | OpCode.RMSPROP:
            return replace(second, constants=(first.constants[0], *second.constants[1:]))
        case OpCode.WEIGHT_GRADIENT, OpCode.SGD if first.operands[0] == second.operand("dw"):
            w = second.operands[0]
            return Op(
                OpCode.SGD_DENSE,
                second.layer,
                (w, first.need("x"), first.need("dy")),
                constants=second.constants,
            )
        case OpCode.BIAS_GRADIENT, OpCode.SGD if first.operands[0] == second.operand("dw"):
            b = second.operands[0]
            return Op(OpCode.SGD_BIAS, second.layer, (b, first.need("dy")), constants=second.constants)
    return None
