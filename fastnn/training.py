"""Training: what `compile` froze, the epoch loop, validation, and the way back from a bad loss.

Everything that can be wrong is checked before the first step.  Epochs that nobody listens to
between run in one call of the executor.  This file must not know kernels or plans' insides.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import data
from fastnn import losses as losses_
from fastnn import metrics as metrics_
from fastnn.callbacks import Callback, History
from fastnn.checks import check_count, check_number
from fastnn.errors import ConfigurationError, DataError, DTypeError, NonFiniteWarning, ShapeError
from fastnn.graph import Graph, array_name, metric_name
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.plan import OpCode, Plan
from fastnn.program import Result, aligned_array, aligned_copy, order_of_rows
from fastnn.runtime import resolve_threads
from fastnn.store import Place

if TYPE_CHECKING:
    from fastnn.engine import Engine
    from fastnn.model import Model

__all__ = ["Batch", "Compiled", "batch_of", "evaluate", "features_of", "fit", "train_on_batch"]

_EPOCHS_PER_CALL = 65536
_BAR_SECONDS = 0.1  # between two updates of the progress bar


class Compiled:
    """What `compile` froze, and the optimiser's life: learning rate, step count, state.

    Attributes
    ----------
    description : Optimizer
    losses : tuple of Loss
        One for each output, once the graph is known.
    metrics : tuple of tuple of Metric
        For each output.
    measured : dict of str to Metric
        By the keys that they have in a `History`.
    shares : tuple of float
        The factor of each loss in their sum.
    iterations : int
        Steps made.
    epochs : int
        Epochs begun, which number the orders of rows.
    """

    def __init__(
        self, optimizer: Optimizer, loss: object, loss_weights: object, metrics: object, reference: bool
    ) -> None:
        self.description = optimizer
        self.losses: tuple[Loss, ...] = ()
        self.metrics: tuple[tuple[metrics_.Metric, ...], ...] = ()
        self.measured: dict[str, metrics_.Metric] = {}
        self.shares: tuple[float, ...] = ()
        self.reference = reference
        self.iterations = 0
        self.epochs = 0
        self.state: np.ndarray | None = None
        self.attached = False
        self._learning_rate = optimizer.learning_rate
        self._asked = (loss, loss_weights, metrics)
        # Unknown names are found now, not when the outputs are known.
        several = isinstance(loss, list | tuple | dict)
        chosen = [losses_.get(one) for one in (_values(loss) if several else [loss])]
        for name in _leaves(metrics):
            metrics_.get(name, chosen[0], 2)
        for share in _values(loss_weights) if isinstance(loss_weights, list | tuple | dict) else ():
            check_number(share, "a loss weight", 0.0)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.state is not None:
            self.state = aligned_copy(self.state)

    @property
    def learning_rate(self) -> float:
        """Step size; may be set between calls of `fit` and by callbacks."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = check_number(value, "learning_rate", 0.0)

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's decays, or zeros."""
        if self.description.code is not OpCode.ADAM:
            return 0.0, 0.0
        return float(getattr(self.description, "beta_1", 0.0)), float(
            getattr(self.description, "beta_2", 0.0)
        )

    def attach(self, graph: Graph, size: int, dtype: np.dtype) -> None:
        """Settle what depends on the graph: losses and metrics of each output, the size of the state."""
        loss, loss_weights, metrics = self._asked
        names = [tensor.label for tensor in graph.outputs]
        if isinstance(loss, list | tuple | dict):
            losses = tuple(losses_.get(one) for one in data.by_name(loss, names, "loss"))
        else:
            losses = (losses_.get(loss),) * len(names)
        shares = (1.0,) * len(names)
        if loss_weights is not None:
            given = data.by_name(loss_weights, names, "loss_weights")
            shares = tuple(check_number(share, "a loss weight", 0.0) for share in given)
        chosen: list[tuple[metrics_.Metric, ...]] = []
        for tensor, one, entry in zip(graph.outputs, losses, _per_output(metrics, names), strict=True):
            found = tuple(metrics_.get(name, one, tensor.columns) for name in _leaves(entry))
            _check_metrics(found, one)
            chosen.append(found)
            if one.fuses is not None and one.code is OpCode.CROSSENTROPY and tensor.columns < 2:
                raise ConfigurationError(
                    f"{one.name} needs at least 2 outputs, one per class, and the model has "
                    f"{tensor.columns}; for one output use binary_crossentropy"
                )
        self.measured = {
            metric_name(metric.name, tensor, graph.outputs): metric
            for tensor, found in zip(graph.outputs, chosen, strict=True)
            for metric in found
        }
        self.state = aligned_array(size * len(self.description.states), dtype)
        self.losses, self.shares, self.metrics, self.attached = losses, shares, tuple(chosen), True

    def move(self, before: Mapping[str, Place], old_size: int, after: Mapping[str, Place], size: int) -> None:
        """Take the state along to another store."""
        assert self.state is not None
        old, count = self.state, len(self.description.states)
        self.state = aligned_array(size * count, old.dtype)
        for position in range(count):
            source = old[position * old_size : (position + 1) * old_size]
            target = self.state[position * size : (position + 1) * size]
            for name, place in before.items():
                if name in after and after[name].shape == place.shape:
                    after[name].view(target)[...] = place.view(source)

    def forget(self) -> None:
        """Let the optimiser begin anew."""
        if self.state is not None:
            self.state.fill(0)
        self.iterations = 0

    def detach(self) -> None:
        """Forget what `attach` settled."""
        self.losses, self.shares, self.metrics, self.state, self.attached = (), (), (), None, False

    def values(self, plan: Plan, sums: np.ndarray, rows: int) -> dict[str, float]:
        """Return the loss, penalties included, and the metrics, from sums over `rows` rows."""
        return self._values(plan, sums.tolist(), rows)

    def columns(self, plan: Plan, sums: np.ndarray, rows: int) -> dict[str, list[float]]:
        """Return the same of several epochs, one row of `sums` each, as lists."""
        return {name: column.tolist() for name, column in self._values(plan, list(sums.T), rows).items()}

    def _values(self, plan: Plan, sums: Sequence[Any], rows: int) -> dict[str, Any]:
        loss, found = 0.0, {"loss": 0.0}
        for accumulator, total in zip(plan.accumulators, sums, strict=True):
            value = total / rows
            if accumulator.share is not None:
                loss += accumulator.share * value
            if accumulator.name not in ("loss", "penalty"):
                found[accumulator.name] = value
        found["loss"] = loss
        return found

    def shaped(self, values: dict[str, float], as_dict: bool) -> float | list[float] | dict[str, float]:
        """Return values as Keras does: a dict, the loss alone, or a list."""
        if as_dict:
            return values
        names = list(values)
        if len(self.losses) > 1:  # then Keras has the metrics in alphabetical order
            first = 1 + len(self.losses)
            names[first:] = sorted(names[first:])
        return [values[name] for name in names] if len(names) > 1 else values["loss"]


def _values(several: object) -> list[Any]:
    return list(several.values()) if isinstance(several, dict) else list(several)  # type: ignore[call-overload]


def _leaves(metrics: object) -> list[Any]:
    """Return the metrics in nested lists and dicts as one list."""
    if metrics is None:
        return []
    if isinstance(metrics, list | tuple | dict):
        return [leaf for entry in _values(metrics) for leaf in _leaves(entry)]
    return [metrics]


def _per_output(metrics: object, names: list[str]) -> list[object]:
    """Return the metrics of each output."""
    if len(names) == 1 and not isinstance(metrics, dict):
        return [metrics]
    if isinstance(metrics, dict):
        unknown = set(metrics) - set(names)
        if unknown:
            raise ConfigurationError(f"metrics has the key {unknown.pop()!r}; the outputs are {names}")
        return [metrics.get(name) for name in names]
    if metrics is None:
        return [None] * len(names)
    if not isinstance(metrics, list | tuple) or len(metrics) != len(names):
        raise ConfigurationError(
            f"metrics must be a list with one entry, or list, for each of the outputs {names}, or a dict"
        )
    return list(metrics)


def _check_metrics(metrics: Sequence[metrics_.Metric], loss: Loss) -> None:
    seen: set[str] = set()
    for metric in metrics:
        if metric.name in seen or metric.name in ("loss", "penalty"):
            raise ConfigurationError(f"two metrics are named {metric.name!r}; give one another name=")
        seen.add(metric.name)
        if metric.sparse != loss.sparse:
            kind = "integer labels" if loss.sparse else "one target per output"
            raise ConfigurationError(
                f"metric {metric.name!r} does not suit {loss.name}, which takes {kind}; use 'accuracy'"
            )


@dataclass(frozen=True)
class Batch:
    """Checked arrays by the names that plans know them by.

    Attributes
    ----------
    arrays : dict of str to numpy.ndarray
    rows : int
    """

    arrays: dict[str, np.ndarray]
    rows: int

    @property
    def weighted(self) -> bool:
        """Whether there are sample weights."""
        return "sample_weight" in self.arrays


def features_of(model: Engine, x: object, empty: bool = False) -> Batch:
    """Return features, checked at the border."""
    graph = model.graph
    arrays: dict[str, np.ndarray] = {}
    rows = -1
    for tensor, value in zip(graph.inputs, data.by_name(x, model.input_names, "x"), strict=True):
        one = len(graph.inputs) == 1
        name = array_name("x", tensor, graph.inputs)
        said = "x" if one else f"x[{tensor.label!r}]"
        arrays[name] = data.as_features(value, tensor.columns, model.dtype, name=said, empty=empty)
        if rows >= 0 and arrays[name].shape[0] != rows:
            raise ShapeError(f"{said} has {arrays[name].shape[0]} rows but the inputs before it have {rows}")
        rows = arrays[name].shape[0]
    return Batch(arrays, rows)


def batch_of(
    model: Engine,
    x: object,
    y: object,
    sample_weight: object,
    class_weight: Mapping[int, float] | None = None,
) -> Batch:
    """Return features, targets and weights, checked at the border."""
    compiled = model._need_compiled()
    graph = model.graph
    features = features_of(model, x)
    rows, arrays = features.rows, features.arrays
    given = data.by_name(y, model.output_names, "y")
    for tensor, loss, value in zip(graph.outputs, compiled.losses, given, strict=True):
        one = len(graph.outputs) == 1
        arrays[array_name("y", tensor, graph.outputs)] = data.as_targets(
            value, rows, tensor.columns, loss, model.dtype, name="y" if one else f"y[{tensor.label!r}]"
        )
    if sample_weight is not None:
        arrays["sample_weight"] = data.as_sample_weight(sample_weight, rows, model.dtype)
    batch = Batch(arrays, rows)
    return batch if class_weight is None else _with_class_weights(batch, class_weight, compiled)


def _with_class_weights(batch: Batch, class_weight: Mapping[int, float], compiled: Compiled) -> Batch:
    if not isinstance(class_weight, Mapping):
        raise DTypeError(f"class_weight must be a dict of label to weight, got {class_weight!r}")
    if len(compiled.losses) != 1:
        raise ConfigurationError("class_weight is for models with one output; use sample_weight")
    targets = batch.arrays["y"]
    labels = targets if compiled.losses[0].sparse or targets.shape[1] == 1 else targets.argmax(1)[:, None]
    weights = np.ones((batch.rows, 1), targets.dtype)
    for label, weight in class_weight.items():
        weights[labels == check_count(label, "a class_weight label", 0)] = check_number(
            weight, f"class_weight[{label}]", 0.0
        )
    if batch.weighted:
        weights = weights * batch.arrays["sample_weight"]
    return Batch(batch.arrays | {"sample_weight": weights}, batch.rows)


def evaluate(model: Model, given: Batch, batch: int, n_threads: int) -> dict[str, float]:
    """Return the loss and the metrics on checked arrays."""
    compiled = model._need_compiled()
    # A mean over rows does not depend on batches; a loss that is a sum per batch does, as in Keras.
    means = all(loss.mean for loss in compiled.losses)
    with model._running:
        program = model._program("evaluate", weighted=given.weighted)
        result = program.run(given.arrays, given.rows, given.rows if means else batch, n_threads=n_threads)
    if result.exception is not None:
        raise result.exception
    return compiled.values(program.plan, result.sums[0], given.rows)


def train_on_batch(
    model: Model,
    x: object,
    y: object,
    sample_weight: object,
    class_weight: Mapping[int, float] | None,
    return_dict: bool,
) -> float | list[float] | dict[str, float]:
    """Make one step; see `Model.train_on_batch`."""
    model._need_compiled()
    with model._built_for(x):
        compiled = model._need_compiled()
        given = batch_of(model, x, y, sample_weight, class_weight)
    rows = given.rows
    with model._exclusive():
        program = model._program("train", rows, weighted=given.weighted)
        result = program.run(
            given.arrays,
            rows,
            rows,
            learning_rate=compiled.learning_rate,
            betas=compiled.betas,
            step=compiled.iterations,
            restore=True,
        )
        if result.exception is not None:
            raise result.exception
        values = compiled.values(program.plan, result.sums[0], rows)
        if not result.finite:
            if compiled.state is not None and not data.all_finite(compiled.state):
                compiled.forget()  # the step was made, to infinity, and is taken back
            warnings.warn("the loss of this batch is not finite; the step was not made", NonFiniteWarning, 3)
            return compiled.shaped(dict.fromkeys(values, math.nan), return_dict)
        compiled.iterations += 1
    return compiled.shaped(values, return_dict)


def fit(
    model: Model,
    x: object,
    y: object,
    *,
    batch_size: int | None,
    epochs: int,
    verbose: str | int,
    callbacks: Sequence[Callback] | None,
    validation_split: float,
    validation_data: tuple[Any, ...] | None,
    shuffle: bool,
    class_weight: Mapping[int, float] | None,
    sample_weight: object,
    initial_epoch: int,
    n_threads: int | None,
) -> History:
    """Train for a number of epochs; see `Model.fit`."""
    batch = check_count(32 if batch_size is None else batch_size, "batch_size")
    last = check_count(epochs, "epochs", 0)
    first = check_count(initial_epoch, "initial_epoch", 0)
    fraction = check_number(validation_split, "validation_split", 0.0, 1.0, open_maximum=True)
    shown = _verbosity(verbose)
    count = resolve_threads(n_threads)
    listeners = _listeners(callbacks)
    if not isinstance(shuffle, bool | np.bool_):
        raise DTypeError(f"shuffle must be True or False, got {shuffle!r}")
    with model._built_for(x):
        compiled = model._need_compiled()
        given = batch_of(model, x, y, sample_weight)
        held_out: Batch | None = None
        if validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
                raise DTypeError("validation_data must be (x, y) or (x, y, sample_weight)")
            apart = (*validation_data, None)[:3]
            try:
                held_out = batch_of(model, apart[0], apart[1], apart[2])
            except (ShapeError, DataError, DTypeError) as error:
                raise type(error)(f"in validation_data: {error}") from None
        elif fraction:
            train_part, test_part = data.split_validation(given.arrays, given.rows, fraction)
            given, held_out = _batch(train_part), _batch(test_part)
        if class_weight is not None:  # for training rows only
            given = _with_class_weights(given, class_weight, compiled)

    with model._exclusive():
        loop = _Loop(model, compiled, given, min(batch, given.rows), bool(shuffle), count)
        return loop.run(first, last, shown, listeners, held_out, batch)


def _batch(arrays: dict[str, np.ndarray]) -> Batch:
    return Batch(arrays, len(next(iter(arrays.values()))))


def _verbosity(verbose: str | int) -> int:
    if verbose == "auto":
        return 1
    if verbose not in (0, 1, 2):
        raise ConfigurationError(f"verbose must be 'auto', 0, 1 or 2, got {verbose!r}")
    return int(verbose)


def _listeners(callbacks: Sequence[Callback] | None) -> list[Callback]:
    found = [] if callbacks is None else list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in found:
        if not isinstance(callback, Callback):
            raise DTypeError(f"callbacks must be instances of fastnn.callbacks.Callback, got {callback!r}")
    return found


class _Loop:
    """One call of `fit`: the program, its arrays, and the epochs."""

    def __init__(
        self,
        model: Model,
        compiled: Compiled,
        given: Batch,
        batch: int,
        shuffle: bool,
        n_threads: int,
    ) -> None:
        self.model, self.compiled = model, compiled
        self.arrays = given.arrays
        self.rows, self.batch, self.n_threads = given.rows, batch, n_threads
        # One batch of all rows is the same set in every order.
        self.shuffle = shuffle and batch < given.rows
        self.program = model._program("train", batch, gather=self.shuffle, weighted=given.weighted)
        self.permutation = np.empty(self.rows, np.int32) if self.shuffle else None
        self.restorable = False  # whether an earlier run of this loop left weights to come back to

    def run(
        self,
        first: int,
        last: int,
        verbose: int,
        listeners: list[Callback],
        held_out: Batch | None,
        batch_size: int,
    ) -> History:
        model = self.model
        history = History()
        model.history, model.stop_training = history, False
        everyone = [*listeners, history]  # the history last: it records what callbacks add to logs
        steps = -(-self.rows // self.batch)
        for callback in everyone:
            callback.set_model(model)
            callback.set_params({"epochs": last, "steps": steps, "verbose": verbose})
            callback.on_train_begin({})
        watchers = [callback for callback in listeners if callback.wants_batches]
        attended = bool(listeners) or held_out is not None or verbose == 2
        bar = _bar(first, last) if verbose == 1 else None
        per_call = 1 if attended or bar is not None else _EPOCHS_PER_CALL
        epoch = first
        final: dict[str, float] = {}
        try:
            while epoch < last and not model.stop_training:
                began = time.perf_counter()
                for callback in listeners:
                    callback.on_epoch_begin(epoch, {})
                if watchers:
                    finite, columns = self._batches(watchers)
                else:
                    finite, columns = self._epochs(min(per_call, last - epoch))
                n_done = len(columns["loss"])
                values = {name: column[-1] for name, column in columns.items() if n_done}
                if not attended:
                    history.extend(epoch, columns)
                    final = values or final
                elif n_done:  # a single epoch
                    if held_out is not None:
                        found = evaluate(model, held_out, batch_size, self.n_threads)
                        values.update({f"val_{name}": value for name, value in found.items()})
                    final = dict(values)
                    for callback in everyone:
                        callback.on_epoch_end(epoch, values)
                    if verbose == 2:
                        _print_epoch(epoch, last, time.perf_counter() - began, values)
                epoch += n_done
                if bar is not None:
                    bar.update(n_done)
                    if values:
                        bar.set_postfix(
                            {name: f"{value:.4g}" for name, value in values.items()}, refresh=False
                        )
                if not finite:
                    self._warn(epoch)
                    break
                if bar is not None and not attended:
                    seconds = max(time.perf_counter() - began, 1e-6) / max(n_done, 1)
                    per_call = max(1, min(_EPOCHS_PER_CALL, int(_BAR_SECONDS / seconds)))
        finally:
            if bar is not None:
                bar.close()
        for callback in everyone:
            callback.on_train_end(final)
        return history

    def _epochs(self, n_epochs: int) -> tuple[bool, dict[str, list[float]]]:
        """Run epochs in one call; return whether all was finite, and lists of their losses and metrics."""
        compiled = self.compiled
        result = self._run(slice(0, self.rows), n_epochs, self.shuffle)
        compiled.epochs += n_epochs if result.finite and result.exception is None else result.epochs + 1
        if result.exception is not None:
            raise result.exception
        return result.finite, compiled.columns(self.program.plan, result.sums[: result.epochs], self.rows)

    def _batches(self, watchers: list[Callback]) -> tuple[bool, dict[str, list[float]]]:
        """Run one epoch batch by batch, with callbacks in between; return what `_epochs` does."""
        compiled = self.compiled
        if self.permutation is not None:
            order_of_rows(self.model.seed, compiled.epochs, self.permutation)
        compiled.epochs += 1
        sums = np.zeros(len(self.program.plan.accumulators))
        values: dict[str, float] = {}
        for number, begin in enumerate(range(0, self.rows, self.batch)):
            end = min(begin + self.batch, self.rows)
            for callback in watchers:
                callback.on_train_batch_begin(number, logs={})
            result = self._run(slice(begin, end), 1, False)
            if result.exception is not None:
                raise result.exception
            if not result.finite:
                return False, {"loss": []}
            sums += result.sums[0]
            values = compiled.values(self.program.plan, sums, end)
            told = dict(values)  # what callbacks add to it is not the epoch's
            for callback in watchers:
                callback.on_train_batch_end(number, logs=told)
            if self.model.stop_training:
                break
        return True, {name: [value] for name, value in values.items()}

    def _run(self, part: slice, n_epochs: int, shuffle: bool) -> Result:
        """Run the program on a part of the rows, and keep count of its steps."""
        compiled = self.compiled
        whole = self.permutation is not None  # then the order picks the rows
        rows = part.stop - part.start
        result = self.program.run(
            {name: a if whole else a[part] for name, a in self.arrays.items()},
            rows,
            self.batch,
            epochs=n_epochs,
            n_threads=self.n_threads,
            permutation=None if self.permutation is None else self.permutation[part],
            shuffle=shuffle,
            seed=self.model.seed,
            first_epoch=compiled.epochs,
            learning_rate=compiled.learning_rate,
            betas=compiled.betas,
            step=compiled.iterations,
            restore=True,
            restorable=self.restorable,
        )
        self.restorable = True
        compiled.iterations += result.steps
        if not result.finite:
            compiled.forget()
        return result

    def _warn(self, epoch: int) -> None:
        warnings.warn(
            f"the loss was not finite in epoch {epoch + 1}; training stopped, the last finite weights were "
            "restored and the optimizer's state begins anew. Lower the learning rate "
            f"({self.compiled.learning_rate:g}), or scale the inputs",
            NonFiniteWarning,
            stacklevel=5,
        )


def _bar(first: int, last: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=last, initial=first, unit="epoch", file=sys.stderr, mininterval=_BAR_SECONDS)


def _print_epoch(epoch: int, last: int, seconds: float, values: Mapping[str, float]) -> None:
    # A learning rate of 1e-5 is not 0.0000.
    numbers = " - ".join(
        f"{name}: {value:.4f}" if abs(value) > 1e-3 or not value else f"{name}: {value:.4e}"
        for name, value in values.items()
    )
    print(f"Epoch {epoch + 1}/{last} - {seconds:.2f}s - {numbers}")
