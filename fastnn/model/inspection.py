"""Looking inside: gradient check, profile.  This file must not know kernels."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastnn.border.returned import loss_of_batch
from fastnn.checks import check_count
from fastnn.compiler.memory import Layout
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import describe_op
from fastnn.errors import DTypeError, TrainingWarning, warn
from fastnn.graph.graph import array_name
from fastnn.losses import Loss
from fastnn.model.batch import Batch, batch_of
from fastnn.model.beside import Pass, needs_plan
from fastnn.model.outputs import differs_in_training
from fastnn.model.programs import Key
from fastnn.run import runtime
from fastnn.run.program import Program, aligned_array, aligned_copy

if TYPE_CHECKING:
    from fastnn.model.structure import Structure, Structured

__all__ = ["GradientReport", "Profile", "gradcheck", "profile"]

_WRONG = 1e-4  # relative error of a gradient that a user's function returns
_SHORT = 20  # lines of a table that a notebook, or a prompt, shows unasked


class GradientReport(dict[str, float]):
    """Largest relative error per parameter; prints as a table.

    Attributes
    ----------
    skipped : dict of str to int
        Entries per parameter at which the loss has a kink, or too little slope to be measured.
    checked : dict of str to int
        Entries per parameter that were compared.
    """

    def __init__(self) -> None:
        super().__init__()
        self.skipped: dict[str, int] = {}
        self.checked: dict[str, int] = {}

    @property
    def largest(self) -> float:
        """Largest relative error of all parameters."""
        return max(self.values(), default=0.0)

    def __repr__(self) -> str:
        table = str(self)
        if table.count("\n") < _SHORT:
            return table
        return f"<GradientReport: {len(self)} parameters, largest relative error {self.largest:.2e}>"

    def __str__(self) -> str:
        width = max(map(len, self), default=9)
        lines = [f"{'parameter':<{width}}  relative error  checked  skipped"]
        for name, error in self.items():
            lines.append(f"{name:<{width}}  {error:14.2e}  {self.checked[name]:7d}  {self.skipped[name]:7d}")
        return "\n".join(lines)


def gradcheck(
    model: Structured,
    x: object,
    y: object,
    sample_weight: object = None,
    *,
    max_entries: int = 200,
    seed: int = 0,
) -> GradientReport:
    """Compare back-propagation with finite differences of order 4, in float64.

    The relative error of an entry is ``|a - b| / max(|a|, |b|, s)`` with s = 1e-3 times the
    largest entry of the gradient, so that entries lost in rounding do not count.  Entries at
    which differences with steps h and h / 2 disagree stand at a kink (ReLU at 0) and are skipped.  The
    loss is that of training: `BatchNormalization` takes the moments of the rows given.  The gradient that a
    loss in Python returns is compared first, at the model's outputs, in a line of its own.

    Parameters
    ----------
    model : Model
        Compiled; it is not changed.
    x, y, sample_weight : array_like
        As for `Model.loss_and_gradients`.
    max_entries : int
        Entries per parameter, drawn at random where there are more.
    seed : int
        For that draw.

    Returns
    -------
    GradientReport
        A dict of parameter name to largest relative error.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        For bad input.

    Warns
    -----
    TrainingWarning
        If the gradient that a loss in Python returns is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2, "tanh")], seed=0)
    >>> model.compile("sgd", "mse")
    >>> fastnn.gradcheck(model, np.ones((4, 3)), np.zeros((4, 2))).largest < 1e-6
    True
    """
    if not hasattr(model, "loss_and_gradients"):
        raise DTypeError(f"gradcheck needs a model, got {model!r}")
    check_count(max_entries, "max_entries")
    check_count(seed, "seed", 0, 2**63 - 1)
    model._now.need_loss()
    double = _Double(*model._ready(x, lambda now: batch_of(now, x, y, sample_weight)))
    report = GradientReport()
    generator = np.random.default_rng(seed)

    def entries_of(size: int) -> list[int]:
        found = np.arange(size)
        if size > max_entries:
            found = np.sort(generator.choice(size, max_entries, replace=False))
        return [int(entry) for entry in found]

    for name, loss, t, y in double.in_python():  # first, as the others follow from it
        gradient = loss_of_batch(loss, t, y).gradient.ravel()
        entries = entries_of(y.size)

        def value(loss: Loss = loss, t: np.ndarray = t, y: np.ndarray = y) -> float:
            return float(loss_of_batch(loss, t, y).value.sum())

        numeric = _differences(value, y.reshape(-1), entries, float(np.abs(gradient).max()))
        _enter(report, f"y_pred of {name}", gradient, numeric, len(entries), float(np.abs(gradient).max()))
        said = _on_own_gradient(loss, gradient, numeric, y.shape)
        if said:
            warn(said, TrainingWarning)
    analytic = double.gradients()
    largest = max((float(np.abs(g).max()) for g in analytic.values()), default=0.0)
    for name, gradient in analytic.items():
        flat = double.parameter(name)
        entries = entries_of(flat.size)
        numeric = _differences(double.loss, flat, entries, largest)
        _enter(report, name, gradient.ravel(), numeric, len(entries), largest)
    return report


def _differences(
    loss: Callable[[], float], flat: np.ndarray, entries: Sequence[int], largest: float
) -> dict[int, float]:
    """Return derivatives by entries of an array that a loss is computed from, but for those at a kink."""
    found: dict[int, float] = {}
    floor = _floor(largest)
    for entry in entries:
        h = 1e-3 * max(1.0, abs(flat[entry]))
        for step in (h, h / 8):  # a kink, or curvature: a smaller step tells them apart
            coarse, fine = _difference(loss, flat, entry, step), _difference(loss, flat, entry, step / 2)
            if abs(coarse - fine) <= 2e-7 * max(abs(fine), floor):
                found[entry] = fine
                break
    return found


def _floor(largest: float) -> float:
    return max(1e-3 * largest, 1e-8)


def _difference(loss: Callable[[], float], flat: np.ndarray, entry: int, h: float) -> float:
    """Return the derivative by central differences of order 4."""
    value = flat[entry]
    losses = []
    for shift in (-2.0, -1.0, 1.0, 2.0):
        flat[entry] = value + shift * h
        losses.append(loss())
    flat[entry] = value
    return (losses[0] - 8.0 * losses[1] + 8.0 * losses[2] - losses[3]) / (12.0 * h)


def _enter(
    report: GradientReport,
    name: str,
    gradient: np.ndarray,
    numeric: dict[int, float],
    asked: int,
    largest: float,
) -> None:
    """Enter the largest relative error of a gradient into a report."""
    errors = (
        abs(gradient[entry] - value) / max(abs(gradient[entry]), abs(value), _floor(largest))
        for entry, value in numeric.items()
    )
    report[name] = max(map(float, errors), default=0.0)
    report.checked[name], report.skipped[name] = len(numeric), asked - len(numeric)


def _on_own_gradient(
    loss: Loss, gradient: np.ndarray, numeric: dict[int, float], shape: tuple[int, ...]
) -> str:
    """Return what is said of the gradient that a loss in Python returns, if it is wrong."""
    floor = _floor(float(np.abs(gradient).max()))
    errors = {
        entry: abs(gradient[entry] - value) / max(abs(gradient[entry]), abs(value), floor)
        for entry, value in numeric.items()
    }
    worst = max(errors, key=lambda entry: errors[entry], default=-1)
    if worst < 0 or errors[worst] <= _WRONG:
        return ""
    row, column = divmod(worst, shape[1])
    ratios = [gradient[entry] / value for entry, value in numeric.items() if abs(value) > floor]
    hint = ""
    if ratios and max(ratios) - min(ratios) <= _WRONG * abs(ratios[0]):
        hint = f"; it is {ratios[0]:.6g} times the right one everywhere"
        if abs(ratios[0] * shape[0] - 1) < _WRONG:
            hint += ", so leave out the division by the rows: a value for each row is not a mean over them"
    return (
        f"the gradient that loss {loss.name!r} returned is wrong: at row {row}, output {column} it is "
        f"{gradient[worst]:.6g}, and differences of np.sum(value) give {numeric[worst]:.6g}{hint}"
    )


class _Double:
    """A float64 copy of a model's parameters with programs for its loss and its gradients."""

    def __init__(self, now: Structure, given: Batch) -> None:
        objective = now.need_objective()
        dtype = np.dtype(np.float64)
        offsets = {name: place.offset for name, place in now.places.items()}
        self.now = now
        self.rows = given.rows
        self.arrays = {name: np.ascontiguousarray(a, dtype) for name, a in given.arrays.items()}
        self.parameters = aligned_copy(now.store.array, dtype)
        self.flat_gradients = aligned_array(now.store.size, dtype)
        # With what is different in training, the loss is that of training, which draws the same each time.
        in_training = differs_in_training(now.graph)
        self.objective = objective
        self.loss_purpose = "gradients" if in_training else "evaluate"
        self.output_purpose = "outputs" if in_training else "predict"
        purposes = ["gradients", "evaluate"] if needs_plan(now) else ["gradients"]
        if objective.in_python:
            purposes.append(self.output_purpose)
        self.programs = {
            purpose: Program(
                compile_plan(
                    now.graph,
                    purpose,
                    capacity=self.rows if purpose in ("gradients", "outputs") else 0,
                    losses=objective.planned,
                    shares=objective.shares,
                    layout=Layout(offsets, now.store.size),
                    weighted=given.weighted,
                ),
                dtype,
                self.parameters,
                self.flat_gradients,
            )
            for purpose in purposes
        }

    def outputs(self) -> list[np.ndarray]:
        outputs = self.now.graph.outputs
        made = {
            array_name("output", tensor, outputs): np.empty((self.rows, tensor.columns)) for tensor in outputs
        }
        self.programs[self.output_purpose].run(self.arrays | made, self.rows, self.rows)
        return list(made.values())

    def in_python(self) -> Iterator[tuple[str, Loss, np.ndarray, np.ndarray]]:
        """Yield for each loss in Python how it is called, itself, targets and outputs."""
        outputs = self.now.graph.outputs
        losses = self.objective.losses
        made = self.outputs() if any(loss.in_python for loss in losses) else []
        for tensor, loss, y in zip(outputs, losses, made, strict=False):
            if loss.in_python:
                where = f" at {tensor.label!r}" if len(outputs) > 1 else ""
                yield f"loss {loss.name!r}{where}", loss, self.arrays[array_name("y", tensor, outputs)], y

    def _brought(self) -> tuple[dict[str, np.ndarray], Pass | None]:
        """Return the arrays of a run, with gradients of losses in Python, and their values."""
        if not self.objective.in_python:
            return self.arrays, None
        own = Pass(self.now, measures=False)
        brought = own.add(Batch(self.arrays, self.rows), self.outputs(), with_gradients=True)
        return self.arrays | brought, own

    def gradients(self) -> dict[str, np.ndarray]:
        self.programs["gradients"].run(self._brought()[0], self.rows, self.rows)
        return {
            p.name: self.now.view(p, self.flat_gradients).copy()
            for p in self.now.graph.parameters
            if p.is_trained
        }

    def parameter(self, name: str) -> np.ndarray:
        found = next(p for p in self.now.graph.parameters if p.name == name)
        return self.now.view(found, self.parameters).reshape(-1)

    def loss(self) -> float:
        arrays, own = self._brought()
        values: dict[str, float] = {}
        program = self.programs.get(self.loss_purpose)
        if program is not None:
            result = program.run(arrays, self.rows, self.rows)
            values = self.objective.values(program.plan, result.sums[0], self.rows)
        return (values if own is None else own.values(values, self.rows))["loss"]


@dataclass(frozen=True)
class Profile:
    """Where a training step spends its time; prints as a table.

    Attributes
    ----------
    rows : tuple of (str, float, float)
        Description, microseconds per step, flops per step, of each op.
    peak : float
        GFLOP/s of a large product of matrices on one thread, measured in the same run.
    steps : int
    """

    rows: tuple[tuple[str, float, float], ...]
    peak: float
    steps: int

    @property
    def microseconds(self) -> float:
        """Time of a step."""
        return sum(row[1] for row in self.rows)

    def __repr__(self) -> str:
        table = str(self)
        if table.count("\n") < _SHORT:
            return table
        return f"<Profile: {len(self.rows)} ops, {self.microseconds:.2f} us a step>"

    def __str__(self) -> str:
        total = self.microseconds
        lines = [
            f"{'us/step':>10} {'share':>6} {'GFLOP/s':>8} {'of peak':>7}  op   "
            f"(one thread, {self.steps} steps, peak {self.peak:.0f} GFLOP/s)"
        ]
        for description, microseconds, flops in self.rows:
            rate = flops / microseconds / 1e3 if microseconds else math.nan
            speed = f"{rate:8.1f} {rate / self.peak:7.0%}" if flops else f"{'':8} {'':7}"
            lines.append(f"{microseconds:10.2f} {microseconds / total:6.1%} {speed}  {description}")
        lines.append(f"{total:10.2f} {1:6.1%}")
        return "\n".join(lines)


def _peak(dtype: np.dtype) -> float:
    """Return GFLOP/s of a product of matrices that is large enough to be at the ceiling."""
    a = np.ones((1024, 1024), dtype)
    out = np.empty_like(a)
    best = math.inf
    np.matmul(a, a, out=out)
    for _ in range(5):
        began = time.perf_counter()
        np.matmul(a, a, out=out)
        best = min(best, time.perf_counter() - began)
    return 2 * 1024**3 / best / 1e9


def profile(model: Structured, x: object, y: object, batch_size: int | None = None) -> Profile:
    """Time every op of a training step, on one thread and on copies of the weights.

    Parameters
    ----------
    model : Model
        Compiled; it is not changed.
    x, y : array_like
        As for `Model.fit`.
    batch_size : int, optional
        Default 32.

    Returns
    -------
    Profile

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        For bad input.
    """
    model._now.need_loss()
    wanted = check_count(32 if batch_size is None else batch_size, "batch_size")
    now, given = model._ready(x, lambda now: batch_of(now, x, y, None))
    optimizer = now.need_optimizer()
    rows = given.rows
    batch = min(wanted, rows)
    plan = now.need_programs().plan(Key("train", batch, gather=True, weighted=given.weighted))
    state = None if optimizer.state is None else aligned_copy(optimizer.state)
    program = Program(plan, model.dtype, aligned_copy(now.store.array), None, state)
    permutation = np.arange(rows, dtype=np.int32)
    arrays = given.arrays
    for external in plan.externals:  # of losses in Python, which are no ops
        if external.name not in arrays:
            brought = np.full((rows, external.columns), 1.0 / rows, model.dtype)
            arrays = arrays | {external.name: brought}

    def run(n_epochs: int, nanoseconds: np.ndarray | None) -> int:
        return program.run(
            arrays,
            rows,
            batch,
            epochs=n_epochs,
            n_threads=1,
            permutation=permutation,
            scalars=optimizer.scalars,
            seed=model.seed,
            nanoseconds=nanoseconds,
        ).steps

    began = time.perf_counter()
    run(1, None)
    n_epochs = max(1, min(1000, int(0.2 / max(time.perf_counter() - began, 1e-6))))
    nanoseconds = np.zeros(len(plan.ops), np.int64)
    steps = run(n_epochs, nanoseconds)
    with runtime.blas_single_threaded():
        peak = _peak(model.dtype)
    table = tuple(
        (describe_op(plan, op), float(time_) / 1e3 / steps, float(op.flops(batch)))
        for op, time_ in zip(plan.ops, nanoseconds, strict=True)
    )
    return Profile(table, peak, steps)
