"""Lowering: a graph and its objective become a list of ops.  Pure functions.

The forward list is made node by node, the backward list by walking the forward list in reverse, with
the rules of `rules.py`; the update ops follow.  Fusion (`fusion.py`) is a pass from op list to op list
that can be switched off.  Memory and tiles are decided later, in `memory.py` and `schedule.py`.  This
file must not know arrays, dtypes or kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from fastnn.compiler.fusion import fuse
from fastnn.compiler.penalties import Paying, memory
from fastnn.compiler.plan import (
    KEPT_WEIGHTS,
    PURPOSES,
    SIGNATURES,
    UPDATING,
    WEIGHTS,
    Accumulator,
    Clip,
    External,
    Op,
    OpCode,
    Operand,
    Slot,
)
from fastnn.compiler.rules import BACKWARD, FORWARD
from fastnn.errors import PlanError
from fastnn.graph.graph import (
    ROW_WEIGHTS,
    Graph,
    Node,
    Parameter,
    Tensor,
    array_name,
    kept_rows_name,
    metric_name,
)
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.metrics._means import MeanOfLoss
from fastnn.ops import REAL, Kind
from fastnn.optimizers import Optimizer
from fastnn.update_ops import muon_memory

__all__ = ["Lowered", "Lowering", "lower", "lower_loss", "lower_metric"]

Constants: TypeAlias = tuple[float, ...]


@dataclass(frozen=True)
class Lowered:
    """Ops in the order of their computation, not yet placed or cut.

    Attributes
    ----------
    ops : tuple of Op
    externals : tuple of External
    accumulators : tuple of Accumulator
    clips : tuple of Clip
    """

    ops: tuple[Op, ...]
    externals: tuple[External, ...]
    accumulators: tuple[Accumulator, ...]
    clips: tuple[Clip, ...] = ()


def lower(
    graph: Graph,
    purpose: str,
    losses: tuple[Loss, ...] = (),
    metrics: tuple[tuple[Metric, ...], ...] = (),
    optimizer: Optimizer | None = None,
    *,
    weighted_metrics: tuple[tuple[Metric, ...], ...] = (),
    shares: tuple[float, ...] = (),
    wrt: tuple[str, ...] = (),
    gather: bool = False,
    weighted: bool = False,
    fused: bool = True,
    columns: bool = False,
) -> Lowered:
    """Return the ops that serve a purpose.

    Parameters
    ----------
    graph : Graph
    purpose : str
        One of `fastnn.compiler.plan.PURPOSES`.
    losses : tuple of Loss
        One for each output, for the first three purposes.  Of one that plans do not compute the caller brings
        the gradient of the output, unless there is none.
    metrics : tuple of tuple of Metric
        For each output, added up in ``"train"`` and ``"evaluate"``; may be empty.
    weighted_metrics : tuple of tuple of Metric
        The same of metrics that count rows by their sample weights, if there are any.
    optimizer : Optimizer, optional
        Needed for ``"train"`` and ``"update"``.
    shares : tuple of float
        The factor of each loss in their sum; by default 1.
    wrt : tuple of str
        Names of tensors whose gradients are wanted besides those of the inputs, for
        ``"input_gradients"`` and ``"backward"``; for ``"update"`` of the parameters that are updated, by
        default all that are trained.
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
    lowering = Lowering(graph, purpose, gather, weighted, columns)
    lowering.differentiated = frozenset(wrt)
    if purpose == "train" and optimizer is not None:
        waits = optimizer.clips_norms or optimizer.gradient_accumulation_steps is not None
        trained = (p for p in graph.parameters if p.is_trained)
        codes = {optimizer.update_of(p.name, len(p.shape)).code for p in trained}
        lowering.keeps_gradients = waits or any(SIGNATURES[code].uncut for code in codes)
    if purpose == "update":
        lowering.given_gradients(wrt)
    elif purpose in ("train", "gradients", "evaluate"):
        if len(losses) != len(graph.outputs):
            raise PlanError(f"lowering for {purpose!r} needs a loss for each output")
        lowering.forward()
        lowering.activities(lowering.leads_to_parameters() if lowering.training else set())
        targets, weight = lowering.objectives(losses, shares or (1.0,) * len(losses), fused)
        if purpose != "gradients":
            lowering.measure(metrics, weighted_metrics, targets, weight)
        lowering.penalties()
    else:
        lowering.forward(to_outputs=purpose in ("outputs", "predict", "training_outputs"))
    if purpose in ("train", "gradients"):
        lowering.backward()
        lowering.regularize()
    if purpose in UPDATING:
        if optimizer is None:
            raise PlanError(f"lowering for {purpose!r} needs an optimizer")
        lowering.accumulate(optimizer)
        lowering.clip(optimizer)
        lowering.update(optimizer)
    elif purpose in ("input_gradients", "backward"):
        known = {node.output.name: node.output for node in graph.nodes}
        inputs = (tensor for tensor in graph.inputs if not tensor.kind.is_whole)
        lowering.chain_rule((*inputs, *(known[name] for name in wrt)))
    ops = fuse(lowering.ops) if fused else lowering.ops
    return Lowered(tuple(ops), tuple(lowering.externals), tuple(lowering.accumulators), tuple(lowering.clips))


def lower_metric(metric: Metric, columns: int, weighted: bool) -> Lowered:
    """Return the ops of a metric of given outputs, ``"x"``, and targets, ``"y"``.

    Parameters
    ----------
    metric : Metric
    columns : int
        Of the outputs.
    weighted : bool
        Whether there are sample weights.

    Returns
    -------
    Lowered
    """
    tensor = Tensor("x", columns)
    lowering = Lowering(Graph((tensor,), (tensor,), ()), "evaluate", False, weighted, False)
    lowering.of_arrays = True
    lowering.forward()
    t = lowering.stream("y", 1 if metric.sparse else columns, metric.kind(columns))
    weight = lowering.stream(WEIGHTS, 1) if weighted else None
    lowering.measure((), ((metric,),), [t], weight)
    return Lowered(tuple(lowering.ops), tuple(lowering.externals), tuple(lowering.accumulators))


def lower_loss(loss: Loss, columns: int) -> Lowered:
    """Return the ops of a loss of given outputs, ``"x"``, and targets, ``"y"``, without a gradient.

    Parameters
    ----------
    loss : Loss
    columns : int
        Of the outputs.

    Returns
    -------
    Lowered
    """
    tensor = Tensor("x", columns)
    lowering = Lowering(Graph((tensor,), (tensor,), ()), "evaluate", False, False, False)
    lowering.forward()
    t = lowering.stream("y", loss.n_targets(columns), loss.kind(columns))
    lowering.accumulators.append(Accumulator("loss", share=1.0))
    lowering.objective(lowering.tensors["x"], t, None, loss, 1.0, fused=False)
    return Lowered(tuple(lowering.ops), tuple(lowering.externals), tuple(lowering.accumulators))


class Lowering(Paying):
    """One call of `lower`: a builder that walks a graph."""

    differentiated: frozenset[str] = frozenset()  # tensors whose own gradients are asked for
    of_arrays: bool = False  # whether outputs are given, and weights say which rows are ignored

    # -- forward

    def stream(self, name: str, columns: int, kind: Kind = REAL) -> Operand:
        """Return an input of the batch: an external array, or its rows gathered, or transposed."""
        source = self.external(name, columns, kind=kind)
        if self.gather:
            code, suffix = OpCode.GATHER, "rows"
        elif self.columns and (columns > 1 or name == "x"):  # losses read one column as it lies
            code, suffix = OpCode.TRANSPOSE, "columns"
        else:
            return source
        result = self.rows(f"{name}[{suffix}]", columns)
        self.ops.append(Op(code, name, (result, source)))
        return result

    def forward(self, to_outputs: bool = False) -> None:
        """Append what computes the outputs, and hands them out if asked for."""
        graph = self.graph
        same: dict[str, str] = {}  # of what is handed through, the tensor that it is
        for node in graph.nodes:
            if self._hands_through(node):
                same[node.output.name] = same.get(node.inputs[0].name, node.inputs[0].name)
        for tensor in graph.inputs:
            name = array_name("x", tensor, graph.inputs)
            self.tensors[tensor.name] = self.stream(name, tensor.columns, tensor.kind)
        results = [
            (
                same.get(tensor.name, tensor.name),
                self.external(array_name("output", tensor, graph.outputs), tensor.columns, written=True),
            )
            for tensor in (graph.outputs if to_outputs else ())
        ]
        read = [same.get(t.name, t.name) for n in graph.nodes if n.output.name not in same for t in n.inputs]
        read += [name for name, _ in results]
        direct = {name: output for name, output in results if read.count(name) == 1}
        for node in graph.nodes:
            inputs = tuple(self.tensors[tensor.name] for tensor in node.inputs)
            name = node.output.name
            if name in same:
                self.tensors[name] = inputs[0]
                continue
            output = direct.get(name) or self.rows(name, node.output.columns)
            if node.config.hands_through or (node.config.training_only and not self.training):
                self.copy(output, inputs[0])
            else:
                self.ops += FORWARD[type(node.config)](self, node, inputs, output)
            self.tensors[name] = output
        for name, output in results:  # what other nodes read, or what is an input
            if self.tensors[name] is not output:
                self.copy(output, self.tensors[name])

    def _hands_through(self, node: Node) -> bool:
        """Return whether a node's output is its input, and nobody asks for a gradient of its own."""
        same = node.config.hands_through or (node.config.training_only and not self.training)
        return same and node.output.name not in self.differentiated

    def copy(self, y: Operand, x: Operand, scale: float = 1.0) -> None:
        """Append ``y = scale * x``."""
        self.ops.append(Op(OpCode.AFFINE, y.name, (y, x), constants=(scale, 0.0)))

    # -- loss, metrics

    def objectives(
        self, losses: tuple[Loss, ...], shares: tuple[float, ...], fused: bool
    ) -> tuple[list[Operand | None], Operand | None]:
        """Append the losses of all outputs; return their targets, where they are read, and the weights."""
        outputs = self.graph.outputs
        targets = [
            self.stream(
                array_name("y", tensor, outputs),
                loss.n_targets(tensor.columns),
                loss.kind(tensor.columns),
            )
            if loss.planned
            else None
            for tensor, loss in zip(outputs, losses, strict=True)
        ]
        for tensor, loss in zip(outputs, losses, strict=True):
            if (unknown := loss.unknown_label(tensor.columns)) is not None:
                self.unknown_labels[tensor.name] = unknown
        weight = self.stream(WEIGHTS, 1) if self.weighted else None
        for tensor, loss, share, t in zip(outputs, losses, shares, targets, strict=True):
            if t is None:  # no plan computes the loss
                if self.purpose != "evaluate" and not loss.missing:
                    self.given_slope(tensor)
                continue
            name = metric_name("loss", tensor, outputs)
            self.accumulators.append(Accumulator(name, not loss.mean, share))
            counted = weight
            if loss.weighs_by_batch(self.weighted):
                counted = self.stream(array_name(ROW_WEIGHTS, tensor, outputs), 1)
            self.objective(self.tensors[tensor.name], t, counted, loss, share, fused)
        return targets, weight

    def given_slope(self, tensor: Tensor) -> None:
        """Take the gradient of an output as the caller brings it."""
        y = self.tensors[tensor.name]
        self.wanted.add(y.name)
        self.lend(y, self.stream(array_name("upstream", tensor, self.graph.outputs), y.columns))

    def measure(
        self,
        metrics: tuple[tuple[Metric, ...], ...],
        weighted_metrics: tuple[tuple[Metric, ...], ...],
        targets: list[Operand | None],
        weight: Operand | None,
    ) -> None:
        """Append the metrics of all outputs."""
        if weight is not None and any(weighted_metrics):
            self.total(WEIGHTS, weight)
        for chosen, counted in ((metrics, None), (weighted_metrics, weight)):
            for tensor, several, t in zip(self.graph.outputs, chosen, targets, strict=False):
                if t is not None:
                    for metric in several:
                        self.metric(metric, tensor, t, counted)

    def total(self, name: str, weight: Operand) -> None:
        """Append the sum of weights of rows, which metrics behind it are divided by."""
        self.accumulators.append(Accumulator(name))
        place = len(self.accumulators) - 1
        self.ops.append(Op(OpCode.WEIGHT_TOTAL, name, (weight,), accumulator=place))

    def kept(self, ignored: int, tensor: Tensor, weight: Operand | None) -> Operand:
        """Return the weights of a metric's rows, which are 0 where the label is one that is ignored."""
        name = array_name(kept_rows_name(ignored), tensor, self.graph.outputs)
        if name not in self.kept_rows:
            self.kept_rows[name] = self.stream(name, 1)
        if weight is None:
            return self.kept_rows[name]
        product = self.rows(f"{name}/weighted{len(self.accumulators)}", 1)
        self.ops.append(Op(OpCode.MULTIPLY, name, (product, self.kept_rows[name], weight)))
        return product

    def metric(self, metric: Metric, tensor: Tensor, t: Operand, weight: Operand | None) -> None:
        """Append a metric of an output: an op without a gradient, whose sums `Metric.result` takes."""
        per = "nothing" if metric.counts else "rows" if weight is None else "weights"
        name = metric_name(metric.name, tensor, self.graph.outputs)
        if metric.ignored is not None and not self.of_arrays:
            weight = self.kept(metric.ignored, tensor, weight)
            if per == "weights":
                self.total(f"{KEPT_WEIGHTS}{name}", weight)
                per = "kept"
        elif metric.sparse and (unknown := self.unknown_labels.get(tensor.name)) is not None:
            weight = self.kept(unknown, tensor, weight)  # which no output is right for
        self.accumulators.append(Accumulator(name, width=metric.width(tensor.columns), per=per))
        y = self.tensors[tensor.name]
        if isinstance(metric, MeanOfLoss) and (smoothing := metric.its_loss.smoothing(y.columns)) is not None:
            given, t = t, self.rows(f"{name}/t", t.columns)
            self.ops.append(Op(OpCode.AFFINE, metric.name, (t, given), constants=smoothing))
        if metric.activation is not None:
            scores, y = y, self.rows(f"{name}/p", y.columns)
            self.ops.append(Op(OpCode.ACTIVATION, metric.name, (y, scores), metric.activation))
        operands = {"y": y, "t": t, "weight": weight}
        if "x" in SIGNATURES[metric.code].names:  # of scores; its probabilities are a by-product
            operands |= {"x": y, "y": self.rows(f"{name}/p", y.columns)}
        self.ops.append(
            Op(
                metric.code,
                metric.name,
                tuple(operands.get(name) for name in SIGNATURES[metric.code].names),
                constants=metric.constants(tensor.columns),
                accumulator=len(self.accumulators) - 1,
            )
        )

    def objective(
        self, y: Operand, t: Operand, weight: Operand | None, loss: Loss, share: float, fused: bool
    ) -> None:
        """Append the loss of an output, and begin the gradient of what it is computed from."""
        constants = (float(loss.mean), share, *loss.constants(y.columns))
        t = self.smoothed(t, loss, y)
        accumulator = len(self.accumulators) - 1
        last = next((op for op in reversed(self.ops) if y in op.outputs()), None)
        read = sum(y in op.inputs() for op in self.ops)
        read += sum(self.tensors[other.name] == y for other in self.graph.outputs) - 1

        def op(code: OpCode, *operands: Operand | None) -> Op:
            return Op(code, loss.name, operands, constants=constants, accumulator=accumulator)

        fused_code = loss.fused_code
        if loss.logits and fused_code is not None:
            # The model's output stays what it is; its probabilities are a by-product.
            probabilities = self.rows(f"{loss.name}/p:{y.name}", y.columns)
            self.seed(y, lambda dy: op(fused_code, probabilities, dy, y, t, weight))
        elif loss.logits and loss.fuses is not None:
            probabilities = self.rows(f"{loss.name}/p:{y.name}", y.columns)
            self.ops.append(Op(OpCode.ACTIVATION, loss.name, (probabilities, y), loss.fuses))
            self.seed(probabilities, lambda dy: op(loss.code, dy, probabilities, t, weight))
        elif (
            fused
            and fused_code is not None
            and last is not None
            and last.code is OpCode.ACTIVATION
            and last.activation is loss.fuses
            and not read
        ):
            self.ops.remove(last)
            source = last.need("x")
            self.seed(source, lambda dx: op(fused_code, y, dx, source, t, weight))
        else:
            self.seed(y, lambda dy: op(loss.code, dy, y, t, weight))

    def smoothed(self, t: Operand, loss: Loss, y: Operand) -> Operand:
        """Return the targets that a loss sees, which are those of the caller unless it smooths labels."""
        smoothing = loss.smoothing(y.columns)
        if smoothing is None:
            return t
        result = self.rows(f"{loss.name}/t:{y.name}", t.columns)
        self.ops.append(Op(OpCode.AFFINE, loss.name, (result, t), constants=smoothing))
        return result

    def seed(self, x: Operand, make: Callable[[Operand | None], Op]) -> None:
        """Append the op of a loss, which adds to the gradient of `x` where gradients are wanted."""
        if self.purpose == "evaluate":
            self.ops.append(make(None))
            return
        part = self.part_of(x)
        self.ops.append(make(part))
        self.add_part(x, part)

    # -- backward

    def backward(self, wrt: frozenset[str] = frozenset()) -> None:
        """Append the backward ops, from the gradients that are there to parameters and to `wrt`."""
        forward = [op for op in self.ops if op.code in BACKWARD]
        self.wanted = self.leads_to_parameters(wrt)
        for op in reversed(forward):
            upstream = self.gradients.get(op.need("y").name)
            if upstream is not None and op.need("y").name in self.wanted:
                BACKWARD[op.code](self, op, upstream)

    def leads_to_parameters(self, wrt: frozenset[str] = frozenset()) -> set[str]:
        """Return the tensors on whose gradients those of trained parameters, or of `wrt`, depend."""
        found = set(wrt)
        for op in self.ops:
            if op.code not in BACKWARD:
                continue
            trainable = self.to_parameters and any(
                operand is not None
                and operand.slot == Slot.PARAMETERS
                and self.parameters[operand.name].is_trained
                for operand in op.operands
            )
            if trainable or any(operand.name in found for operand in op.inputs()):
                found |= {operand.name for operand in op.outputs()}
        return found

    def chain_rule(self, wrt: tuple[Tensor, ...]) -> None:
        """Append what leads from gradients of the outputs to those of tensors, and hand these out."""
        outputs = self.graph.outputs
        for tensor in outputs:
            upstream = self.external(array_name("upstream", tensor, outputs), tensor.columns)
            self.wanted = {self.tensors[tensor.name].name}
            self.lend(self.tensors[tensor.name], upstream)
        self.backward(frozenset(self.tensors[tensor.name].name for tensor in wrt))
        for tensor in wrt:
            x = self.tensors[tensor.name]
            result = self.external(array_name("gradient", tensor, wrt), tensor.columns, written=True)
            gradient = self.gradients.get(x.name)
            if gradient is None:  # no output depends on it
                self.copy(result, x, scale=0.0)
            elif len(wrt) == 1 and x.name not in self.borrowed and self._uses(gradient) == 1:
                self.ops = [
                    replace(op, operands=tuple(result if o == gradient else o for o in op.operands))
                    for op in self.ops
                ]
            else:
                self.copy(result, gradient)

    def _uses(self, operand: Operand) -> int:
        return sum(operand in op.operands for op in self.ops)

    # -- updates

    def given_gradients(self, names: tuple[str, ...]) -> None:
        """Take gradients of parameters as they are in their slot, those of regularisers included."""
        for p in self.graph.parameters:
            if p.is_trained and (not names or p.name in names):
                self.gradients[p.name] = Operand(f"d({p.name})", Slot.GRADIENTS, p.rows, p.columns)

    def accumulate(self, optimizer: Optimizer) -> None:
        """Append what adds up gradients of several batches, if that is asked for, to their mean."""
        steps = optimizer.gradient_accumulation_steps
        for p, gradient in self.trained() if steps else ():
            sums = _state(p, "accumulated_gradient")
            share = (1.0 / steps,) if steps else ()
            self.ops.append(Op(OpCode.ADD_ACCUMULATED, p.name, (gradient, sums), constants=share))

    def clip(self, optimizer: Optimizer) -> None:
        """Append what limits the gradients, as they are with those of regularisers: numbers, or norms.

        A norm needs all of its gradients, so `schedule.py` puts what reads its factor into a phase of its
        own, behind the place between the last gradient and the first update.
        """
        trained = self.trained()
        if optimizer.clipvalue is not None:
            limit = (optimizer.clipvalue,)
            self.ops += [Op(OpCode.CLIP_GRADIENT, p.name, (dw,), constants=limit) for p, dw in trained]
        if optimizer.global_clipnorm is not None:
            self._clip_norm(trained, "gradients", optimizer.global_clipnorm, optimizer)
        if optimizer.clipnorm is not None:
            for p, gradient in trained:
                self._clip_norm([(p, gradient)], gradient.name, optimizer.clipnorm, optimizer)

    def _clip_norm(
        self, trained: list[tuple[Parameter, Operand]], name: str, limit: float, optimizer: Optimizer
    ) -> None:
        """Append what multiplies gradients so that their common norm is at most `limit`."""
        self.accumulators.append(Accumulator(f"squares of {name}", per="nothing"))
        self.clips.append(Clip(len(self.accumulators) - 1, limit))
        factor = (len(optimizer.scalar_names) + len(self.clips) - 1,)
        for p, dw in trained:
            self.ops.append(
                Op(OpCode.GRADIENT_SQUARES, p.name, (dw,), accumulator=self.clips[-1].accumulator)
            )
        for p, dw in trained:
            self.ops.append(Op(OpCode.SCALE_GRADIENT, p.name, (dw,), scalars=factor))

    def update(self, optimizer: Optimizer) -> None:
        """Append an update op for each parameter, after its decay."""

        def op(code: OpCode, p: Parameter, *operands: Operand | None, constants: Constants = ()) -> None:
            scalars = tuple(optimizer.place_of(name, p.name) for name in SIGNATURES[code].scalars)
            self.ops.append(Op(code, p.name, operands, constants=constants, scalars=scalars))

        for p, gradient in self.trained():
            w = self.parameter(p)
            if optimizer.gradient_accumulation_steps:
                op(OpCode.KEEP_ACCUMULATED, p, _state(p, "accumulated_gradient"), gradient)
            update = optimizer.update_of(p.name, len(p.shape))
            if update.decay:
                op(OpCode.WEIGHT_DECAY, p, w, constants=(update.decay,))
            operands = [None if state is None else _state(p, state) for state in update.states]
            operands.append(gradient)
            if update.code is OpCode.MUON:
                operands.append(memory(p, "products", muon_memory(p.rows, p.columns)))
            op(update.code, p, w, *operands, constants=(0.0, *update.constants))
            if optimizer.use_ema:
                op(OpCode.AVERAGE_WEIGHTS, p, w, _state(p, "average"))
            if p.constraint is not None:
                limits = p.constraint.limits(p.shape)
                code = OpCode.CONSTRAIN_NORMS if limits else OpCode.CONSTRAIN_SIGNS
                if len(p.shape) == 1 and limits:  # a bias is one row here
                    limits = (*limits[:3], 2.0)
                op(code, p, w, constants=limits)


def _state(p: Parameter, name: str) -> Operand:
    """Return what the optimizer keeps for a parameter."""
    return Operand(f"{p.name}/{name}", Slot.STATE, p.rows, p.columns)
