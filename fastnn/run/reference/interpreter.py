"""The reference interpreter: runs plans in float64 NumPy, one short function per opcode.

It defines what each op means.  Tests compare the executor with it, and `reference=True` makes
a model use it.  It shares nothing with the kernels: tensors are looked up by name, so it also
finds mistakes of memory planning and of the cut into tiles.  This file must not
call kernels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np

from fastnn._core.guards import Parameters, Progress
from fastnn.compiler.plan import Activation, Op, OpCode, Plan, Slot
from fastnn.run.program import Result, Scalars
from fastnn.run.reference.clipping import OPS as CLIPPING
from fastnn.run.reference.draws import bits_of, key_of_step, normals_of, permutation_of, stream
from fastnn.run.reference.formulas import activate, differentiate
from fastnn.run.reference.layers import OPS as LAYERS
from fastnn.run.reference.losses import OPS as LOSSES
from fastnn.run.reference.losses import targets, weights
from fastnn.run.reference.metrics import OPS as METRICS
from fastnn.run.reference.normalization import OPS as NORMALIZATION
from fastnn.run.reference.penalties import OPS as PENALTIES
from fastnn.run.reference.updates import OPS as UPDATES

__all__ = ["OPS", "Machine", "ReferenceProgram", "permutation_of"]


class Machine:
    """The reference's memory and the scalars of a step.

    Parameters
    ----------
    plan : Plan
    parameters, gradients, state : numpy.ndarray or None
        Flat float64 arrays, changed in place.
    scalars : numpy.ndarray, (1 or steps, scalars)
        Of each step, or of all.
    seed : int
        Of random numbers.
    first : int
        Steps made before.
    """

    def __init__(
        self,
        plan: Plan,
        parameters: np.ndarray,
        gradients: np.ndarray | None = None,
        state: np.ndarray | None = None,
        scalars: np.ndarray | None = None,
        seed: int = 0,
        first: int = 0,
    ) -> None:
        self.plan = plan
        self.flat = {Slot.PARAMETERS: parameters, Slot.GRADIENTS: gradients, Slot.STATE: state}
        self.scalars = np.zeros((1, 0)) if scalars is None else scalars
        self.seed, self.first, self.step = seed, first, 0
        self.tensors: dict[str, np.ndarray] = {}
        ends = np.cumsum([0, *(a.width for a in plan.accumulators)])
        self.places = [slice(*pair) for pair in itertools.pairwise(ends.tolist())]
        self.sums = np.zeros(plan.n_sums)
        self.externals: Mapping[str, np.ndarray] = {}
        self.rows = 0
        self.order = np.zeros(0, np.int64)

    def bits(self, op: Op) -> np.ndarray:
        """Return the random numbers that an op draws in the step at hand."""
        key = stream(key_of_step(self.seed, self.first + self.step), int(op.constants[1]))
        return bits_of(key, self.rows, op.need("y").columns)

    def rate(self, op: Op) -> float:
        """Return the first of an op's scalars, in the step at hand."""
        return self.scalar(op.scalars[0])

    def scalar(self, number: int) -> float:
        """Return one of the plan's scalars, in the step at hand."""
        return float(self.scalars[(self.step - 1) % len(self.scalars), number])

    def factor(self, op: Op) -> float:
        """Return the clip factor that an op reads, of sums that are complete."""
        clip = self.plan.clips[op.scalars[0] - len(self.plan.scalars)]
        norm = float(np.sqrt(self.sums[self.places[clip.accumulator]][0]))
        if not np.isfinite(norm):
            return float("nan")
        return min(1.0, clip.limit / norm) if norm else 1.0

    def run_step(self, externals: Mapping[str, np.ndarray], order: np.ndarray | None = None) -> np.ndarray:
        """Run one step on whole arrays.

        Parameters
        ----------
        externals : mapping of str to numpy.ndarray
            Float64 arrays (rows, columns); outputs are written.
        order : numpy.ndarray of int, optional
            The batch's rows, for plans that gather.

        Returns
        -------
        numpy.ndarray, (sums of all accumulators,)
            Of this step.
        """
        self.externals = externals
        self.order = order if order is not None else self.order
        self.rows = len(order) if order is not None else len(next(iter(externals.values()), ()))
        self.step += 1
        self.sums = np.zeros(self.plan.n_sums)
        for phase in self.plan.phases:
            if phase.due < 0 or self.scalar(phase.due):
                first, last = min(t.first for t in phase.tasks), max(t.last for t in phase.tasks)
                for op in self.plan.ops[first:last]:
                    OPS[op.code](self, op)
        factors = [self.rows if a.times_rows else 1 for a in self.plan.accumulators for _ in range(a.width)]
        return self.sums * factors

    def __call__(self, op: Op, name: str) -> np.ndarray:
        """Return the array of an operand."""
        operand = op.need(name)
        if operand.slot >= Slot.EXTERNAL:
            return self.externals[self.plan.slot_name(operand.slot)]
        flat = self.flat.get(Slot(operand.slot))
        if flat is not None:
            size = operand.rows * operand.columns
            return flat[operand.offset : operand.offset + size].reshape(operand.rows, operand.columns)
        return self.tensors[operand.name]

    def get(self, op: Op, name: str) -> np.ndarray | None:
        """Return the array of an optional operand."""
        return self(op, name) if op.operand(name) is not None else None

    def put(self, op: Op, name: str, value: np.ndarray) -> None:
        """Write an operand."""
        operand = op.operand(name)
        if operand is None:
            return
        if operand.slot < Slot.EXTERNAL and self.flat.get(Slot(operand.slot)) is None:
            self.tensors[operand.name] = np.array(value, dtype=np.float64)
        else:
            self(op, name)[...] = value

    def add(self, op: Op, value: float | np.ndarray) -> None:
        """Add to the op's accumulator."""
        self.sums[self.places[op.accumulator]] += value


def _gather(m: Machine, op: Op) -> None:
    m.put(op, "y", m(op, "x")[m.order])


def _add_bias(m: Machine, op: Op) -> None:
    m.put(op, "y", m(op, "x") + m(op, "b"))


def _activation(m: Machine, op: Op) -> None:
    m.put(op, "y", activate(op.activation, m(op, "x"), op.constants))


def _dense(m: Machine, op: Op) -> None:
    z = m(op, "x") @ m(op, "w")
    if op.operand("b") is not None:
        z = z + m(op, "b")
    m.put(op, "y", activate(op.activation, z, op.constants))


def _activation_backward(m: Machine, op: Op) -> None:
    m.put(op, "dx", differentiate(op.activation, m(op, "dy"), m(op, "y"), op.constants))


def _dense_backward(m: Machine, op: Op) -> None:
    dx = m(op, "dy") @ m(op, "w").T
    y = m.get(op, "y")
    m.put(op, "dx", dx if y is None else differentiate(op.activation, dx, y, op.constants))


def _weight_gradient(m: Machine, op: Op) -> None:
    m.put(op, "dw", m(op, "x").T @ m(op, "dy"))


def _bias_gradient(m: Machine, op: Op) -> None:
    m.put(op, "db", m(op, "dy").sum(0, keepdims=True))


def _categorical_accuracy(m: Machine, op: Op) -> None:
    y = m(op, "y")
    t = targets(m, op, bool(op.constants[0]), y.shape[1])
    m.add(op, float(weights(m, op)[y.argmax(1) == t.argmax(1)].sum()))


def _binary_accuracy(m: Machine, op: Op) -> None:
    hits = (m(op, "y") > op.constants[0]) == m(op, "t")
    m.add(op, float((weights(m, op) * hits).sum() / hits.shape[1]))


def _weight_total(m: Machine, op: Op) -> None:
    m.add(op, float(m(op, "weight").sum()))


def _l2_penalty(m: Machine, op: Op) -> None:
    m.add(op, op.constants[0] * float((m(op, "w") ** 2).sum()))


def _l2_gradient(m: Machine, op: Op) -> None:
    m.put(op, "dw", m(op, "dw") + 2.0 * op.constants[0] * m(op, "w"))


def _transpose(m: Machine, op: Op) -> None:
    m.put(op, "y", m(op, "x"))  # how a tensor lies in memory is not the reference's business


def _dropout(m: Machine, op: Op) -> None:
    rate = op.constants[0]
    kept = m.bits(op) >= int(rate * 2**32) if rate < 1.0 else np.False_
    m.put(op, "y", np.where(kept, m(op, "x") / (1.0 - rate or 1.0), 0.0))


def _gaussian_noise(m: Machine, op: Op) -> None:
    m.put(op, "y", m(op, "x") + op.constants[0] * normals_of(m.bits(op)))


def _add(m: Machine, op: Op) -> None:
    alpha, beta = op.constants
    m.put(op, "y", alpha * m(op, "a") + beta * m(op, "b"))


def _multiply(m: Machine, op: Op) -> None:
    m.put(op, "y", m(op, "a") * m(op, "b"))


def _maximum(m: Machine, op: Op) -> None:
    sign = op.constants[0]
    m.put(op, "y", sign * np.maximum(sign * m(op, "a"), sign * m(op, "b")))


def _route(m: Machine, op: Op) -> None:
    sign, strict = op.constants
    a, b = sign * m(op, "a"), sign * m(op, "b")
    m.put(op, "dx", np.where(a > b if strict else a >= b, m(op, "dy"), 0.0))


def _concatenate(m: Machine, op: Op) -> None:
    m.put(op, "y", np.hstack([m(op, name) for name in op.signature.names[1:] if op.operand(name)]))


def _slice(m: Machine, op: Op) -> None:
    first = int(op.constants[0])
    m.put(op, "y", m(op, "x")[:, first : first + op.need("y").columns])


def _affine(m: Machine, op: Op) -> None:
    m.put(op, "y", op.constants[0] * m(op, "x") + op.constants[1])


def _row_sum(m: Machine, op: Op) -> None:
    m.put(op, "y", m(op, "x").sum(1, keepdims=True))


def _broadcast(m: Machine, op: Op) -> None:
    m.put(op, "y", np.repeat(m(op, "x"), op.need("y").columns, axis=1))


def _pieces(m: Machine, op: Op, n: int) -> np.ndarray:
    """Return x as (rows, pieces, n)."""
    return m(op, "x").reshape(m.rows, -1, n)


def _maxout(m: Machine, op: Op) -> None:
    m.put(op, "y", _pieces(m, op, op.need("y").columns).max(1))


def _maxout_backward(m: Machine, op: Op) -> None:
    dy = m(op, "dy")
    x = _pieces(m, op, dy.shape[1])
    chosen = np.arange(x.shape[1])[None, :, None] == x.argmax(1)[:, None, :]
    m.put(op, "dx", np.where(chosen, dy[:, None, :], 0.0).reshape(m.rows, -1))


def _gated_add(m: Machine, op: Op) -> None:
    y = activate(Activation.SIGMOID, m(op, "w")) * m(op, "x")
    a = m.get(op, "a")
    m.put(op, "y", y if a is None else y + a)


def _gate_gradient(m: Machine, op: Op) -> None:
    gate = activate(Activation.SIGMOID, m(op, "w"))
    m.put(op, "dw", gate * (1 - gate) * (m(op, "x") * m(op, "dy")).sum())


def _add_gradient(m: Machine, op: Op) -> None:
    m.put(op, "dw", m(op, "dw") + m(op, "dv"))


def _embedding(m: Machine, op: Op) -> None:
    m.put(op, "y", m(op, "w")[m(op, "x").astype(int)].reshape(m.rows, -1))


def _embedding_gradient(m: Machine, op: Op) -> None:
    dw = np.zeros((op.need("dw").rows, op.need("dw").columns))
    np.add.at(dw, m(op, "x").astype(int).ravel(), m(op, "dy").reshape(-1, dw.shape[1]))
    m.put(op, "dw", dw)


OPS: dict[OpCode, Callable[[Machine, Op], None]] = {
    OpCode.GATHER: _gather,
    OpCode.ADD_BIAS: _add_bias,
    OpCode.ACTIVATION: _activation,
    OpCode.DENSE: _dense,
    OpCode.ACTIVATION_BACKWARD: _activation_backward,
    OpCode.DENSE_BACKWARD: _dense_backward,
    OpCode.WEIGHT_GRADIENT: _weight_gradient,
    OpCode.BIAS_GRADIENT: _bias_gradient,
    OpCode.CATEGORICAL_ACCURACY: _categorical_accuracy,
    OpCode.BINARY_ACCURACY: _binary_accuracy,
    OpCode.WEIGHT_TOTAL: _weight_total,
    OpCode.L2_PENALTY: _l2_penalty,
    OpCode.L2_GRADIENT: _l2_gradient,
    OpCode.TRANSPOSE: _transpose,
    OpCode.DROPOUT: _dropout,
    OpCode.GAUSSIAN_NOISE: _gaussian_noise,
    OpCode.ADD: _add,
    OpCode.MULTIPLY: _multiply,
    OpCode.MAXIMUM: _maximum,
    OpCode.ROUTE: _route,
    OpCode.CONCATENATE: _concatenate,
    OpCode.SLICE: _slice,
    OpCode.AFFINE: _affine,
    OpCode.ROW_SUM: _row_sum,
    OpCode.BROADCAST: _broadcast,
    OpCode.MAXOUT: _maxout,
    OpCode.MAXOUT_BACKWARD: _maxout_backward,
    OpCode.GATED_ADD: _gated_add,
    OpCode.GATE_GRADIENT: _gate_gradient,
    OpCode.ADD_GRADIENT: _add_gradient,
    OpCode.EMBEDDING: _embedding,
    OpCode.EMBEDDING_GRADIENT: _embedding_gradient,
    **NORMALIZATION,
    **LAYERS,
    **CLIPPING,
    **METRICS,
    **LOSSES,
    **PENALTIES,
    **UPDATES,
}


class ReferenceProgram:
    """Has the interface of `fastnn.run.program.Program`, and the reference inside.

    It computes in float64 whatever the dtype of its arrays, uses one thread, and knows no
    snapshots: when a loss is not finite, the weights before that step stay.

    Parameters
    ----------
    plan, dtype, parameters, gradients, state
        As in `fastnn.run.program.Program`.
    """

    def __init__(
        self,
        plan: Plan,
        dtype: np.dtype,
        parameters: Parameters | np.ndarray,
        gradients: np.ndarray | None = None,
        state: np.ndarray | None = None,
    ) -> None:
        self.plan = plan
        self.dtype = np.dtype(dtype)
        self._parameters, self._gradients, self._state = parameters, gradients, state

    def run(
        self,
        externals: Mapping[str, np.ndarray],
        rows: int,
        batch: int,
        *,
        epochs: int = 1,
        n_threads: int | None = None,
        permutation: np.ndarray | None = None,
        shuffle: bool = False,
        seed: int = 0,
        first_epoch: int = 0,
        scalars: Scalars | None = None,
        step: int = 0,
        progress: Progress | None = None,
        count_epochs: bool = False,
        gradients: np.ndarray | None = None,
        restore: bool = False,
        restorable: bool = False,
        continued: bool = False,
        nanoseconds: np.ndarray | None = None,
    ) -> Result:
        """Run epochs; see `fastnn.run.program.Program.run`."""
        parameters = self._parameters
        own = (
            parameters.array if isinstance(parameters, Parameters) else parameters,
            self._gradients if gradients is None else gradients,
            self._state,
        )
        flat = [None if a is None else a.astype(np.float64) for a in own]
        assert flat[0] is not None
        if progress is not None:
            step, first_epoch = progress.steps, progress.epochs
        table = scalars(step, epochs * -(-rows // batch)) if scalars is not None else None
        machine = Machine(self.plan, flat[0], flat[1], flat[2], table, seed, step)
        sums = np.zeros((epochs, self.plan.n_sums))
        # Plans that gather take arrays of more rows than those of this run.
        arrays = {e.name: externals[e.name].reshape(-1, e.columns) for e in self.plan.externals}
        gathers = any(op.code is OpCode.GATHER for op in self.plan.ops)
        written = {external.name for external in self.plan.externals if external.written}
        n_losses = sum(map(self.plan.is_loss, self.plan.ops))
        finite, finished = True, 0
        for epoch in range(epochs):
            if shuffle:
                permutation = permutation_of(rows, seed, first_epoch + epoch)
            for begin in range(0, rows, batch):
                part = slice(begin, min(begin + batch, rows))
                step_arrays = {
                    name: array if gathers else array[part].astype(np.float64)
                    for name, array in arrays.items()
                    if name not in written
                }
                step_arrays |= {name: np.zeros(arrays[name][part].shape) for name in written}
                before = flat[0].copy()
                order = permutation[part] if gathers and permutation is not None else None
                values = machine.run_step(step_arrays, order)
                if self.plan.purpose == "train" and not np.isfinite(values[:n_losses]).all():
                    flat[0][...], finite = before, False
                    break
                sums[epoch] += values
                for name in written:
                    arrays[name][part] = step_arrays[name]
            if not finite:
                break
            finished += 1
        changed = {operand.slot for op in self.plan.ops for operand in op.outputs()}
        for slot, array, computed in zip(Slot, own, flat, strict=False):
            if slot in changed and array is not None and computed is not None:
                array[...] = computed
        if progress is not None:
            progress.steps += machine.step - (not finite)
            progress.epochs += min(finished + 1, epochs) if count_epochs else 0
        return Result(sums, machine.step, finished, finite, None)
