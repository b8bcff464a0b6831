"""Training: what `compile` froze, the epoch loop, validation, and the way back from a bad loss.

Everything that can be wrong is checked before the first step.  Epochs that nobody listens to
between run in one call of the executor.  This file must not know kernels or plans' insides.
"""

from __future__ import annotations

import math
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import data
from fastnn import metrics as metrics_
from fastnn.callbacks import Callback, History
from fastnn.checks import check_count, check_number
from fastnn.errors import BusyError, ConfigurationError, DataError, DTypeError, NonFiniteWarning, ShapeError
from fastnn.graph import Graph
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.plan import OpCode, Plan
from fastnn.program import Result, aligned_array, aligned_copy, order_of_rows
from fastnn.runtime import resolve_threads

if TYPE_CHECKING:
    from fastnn.model import Model

__all__ = ["Compiled", "Exclusive", "batch_of", "evaluate", "externals_of", "fit", "train_on_batch"]

_EPOCHS_PER_CALL = 65536
_BAR_SECONDS = 0.1  # between two updates of the progress bar


class Exclusive:
    """Keeps other threads from training, or changing the weights of, a model meanwhile."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise BusyError("another thread is training this model; wait for it, or use a model of your own")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


class Compiled:
    """What `compile` froze, and the optimiser's life: learning rate, step count, state.

    Attributes
    ----------
    description : Optimizer
    loss : Loss
    metrics : tuple of Metric
    iterations : int
        Steps made.
    epochs : int
        Epochs begun, which number the orders of rows.
    """

    def __init__(
        self, optimizer: Optimizer, loss: Loss, metrics: Sequence[str | metrics_.Metric], reference: bool
    ) -> None:
        self.description = optimizer
        self.loss = loss
        self.metrics: tuple[metrics_.Metric, ...] = ()
        self.reference = reference
        self.iterations = 0
        self.epochs = 0
        self.state: np.ndarray | None = None
        self.attached = False
        self._learning_rate = optimizer.learning_rate
        self._metric_names = metrics
        for name in metrics:  # unknown names are found now, not when the width is known
            metrics_.get(name, loss, 2)

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

    def attach(self, graph: Graph, parameters: np.ndarray) -> None:
        """Settle what depends on the graph: which accuracy is meant, the size of the state."""
        outputs = graph.output.columns
        metrics = tuple(metrics_.get(name, self.loss, outputs) for name in self._metric_names)
        seen: set[str] = set()
        for metric in metrics:
            if metric.name in seen or metric.name in ("loss", "penalty"):
                raise ConfigurationError(f"two metrics are named {metric.name!r}; give one another name=")
            seen.add(metric.name)
            if metric.sparse != self.loss.sparse:
                kind = "integer labels" if self.loss.sparse else "one target per output"
                raise ConfigurationError(
                    f"metric {metric.name!r} does not suit {self.loss.name}, which takes {kind}; "
                    "use 'accuracy'"
                )
        if self.loss.fuses is not None and self.loss.code is OpCode.CROSSENTROPY and outputs < 2:
            raise ConfigurationError(
                f"{self.loss.name} needs at least 2 outputs, one per class, and the model has {outputs}; "
                "for one output use binary_crossentropy"
            )
        self.state = aligned_array(parameters.size * len(self.description.states), parameters.dtype)
        self.metrics, self.attached = metrics, True

    def forget(self) -> None:
        """Let the optimiser begin anew."""
        if self.state is not None:
            self.state.fill(0)
        self.iterations = 0

    def detach(self) -> None:
        """Forget what `attach` settled."""
        self.metrics, self.state, self.attached = (), None, False

    def values(self, plan: Plan, sums: np.ndarray, rows: int) -> dict[str, float]:
        """Return the loss, penalties included, and the metrics, from sums over `rows` rows."""
        found = {a.name: float(s) / rows for a, s in zip(plan.accumulators, sums, strict=True)}
        found["loss"] += found.pop("penalty", 0.0)
        return found

    def shaped(self, values: dict[str, float], as_dict: bool) -> float | list[float] | dict[str, float]:
        """Return values as Keras does: a dict, the loss alone, or a list."""
        if as_dict:
            return values
        return list(values.values()) if self.metrics else values["loss"]


def batch_of(
    model: Model,
    x: object,
    y: object,
    sample_weight: object,
    class_weight: Mapping[int, float] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return features, targets and weights, checked at the border."""
    compiled = model._need_compiled()
    graph = model.graph
    features = data.as_features(x, graph.input.columns, model.dtype)
    rows = features.shape[0]
    targets = data.as_targets(y, rows, graph.output.columns, compiled.loss, model.dtype)
    weights = None if sample_weight is None else data.as_sample_weight(sample_weight, rows, model.dtype)
    if class_weight is not None:
        weights = _times_class_weights(weights, class_weight, targets, compiled.loss)
    return features, targets, weights


def _times_class_weights(
    sample_weight: np.ndarray | None, class_weight: Mapping[int, float], targets: np.ndarray, loss: Loss
) -> np.ndarray:
    if not isinstance(class_weight, Mapping):
        raise DTypeError(f"class_weight must be a dict of label to weight, got {class_weight!r}")
    labels = targets if loss.sparse or targets.shape[1] == 1 else targets.argmax(1)[:, None]
    weights = np.ones((targets.shape[0], 1), targets.dtype)
    for label, weight in class_weight.items():
        weights[labels == check_count(label, "a class_weight label", 0)] = check_number(
            weight, f"class_weight[{label}]", 0.0
        )
    return weights if sample_weight is None else weights * sample_weight


def externals_of(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return arrays by the names that plans know them by."""
    arrays = {"x": x, "y": y}
    if weights is not None:
        arrays["sample_weight"] = weights
    return arrays


def evaluate(
    model: Model, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None, batch: int, n_threads: int
) -> dict[str, float]:
    """Return the loss and the metrics on checked arrays."""
    compiled = model._need_compiled()
    rows = x.shape[0]
    # A mean over rows does not depend on batches; a loss that is a sum per batch does, as in Keras.
    with model._running:
        program = model._program("evaluate", weighted=weights is not None)
        result = program.run(
            externals_of(x, y, weights), rows, rows if compiled.loss.mean else batch, n_threads=n_threads
        )
    if result.exception is not None:
        raise result.exception
    return compiled.values(program.plan, result.sums[0], rows)


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
        features, targets, weights = batch_of(model, x, y, sample_weight, class_weight)
    rows = features.shape[0]
    with model._exclusive():
        program = model._program("train", rows, weighted=weights is not None)
        result = program.run(
            externals_of(features, targets, weights),
            rows,
            rows,
            learning_rate=compiled.learning_rate,
            betas=compiled.betas,
            step=compiled.iterations,
            restore=True,
        )
        if result.exception is not None:
            raise result.exception
        if not result.finite:
            if compiled.state is not None and not data.all_finite(compiled.state):
                compiled.forget()  # the step was made, to infinity, and is taken back
            warnings.warn("the loss of this batch is not finite; the step was not made", NonFiniteWarning, 3)
            return compiled.shaped(
                dict.fromkeys(["loss", *(m.name for m in compiled.metrics)], math.nan), return_dict
            )
        compiled.iterations += 1
    return compiled.shaped(compiled.values(program.plan, result.sums[0], rows), return_dict)


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
        features, targets, weights = batch_of(model, x, y, sample_weight)
        held_out: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None = None
        if validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
                raise DTypeError("validation_data must be (x, y) or (x, y, sample_weight)")
            given = (*validation_data, None)[:3]
            try:
                held_out = batch_of(model, given[0], given[1], given[2])
            except (ShapeError, DataError, DTypeError) as error:
                raise type(error)(f"in validation_data: {error}") from None
        elif fraction:
            arrays = (features, targets) if weights is None else (features, targets, weights)
            train_part, test_part = data.split_validation(arrays, fraction)
            features, targets = train_part[:2]
            weights = None if weights is None else train_part[2]
            held_out = (test_part[0], test_part[1], None if len(test_part) == 2 else test_part[2])
        if class_weight is not None:  # for training rows only
            weights = _times_class_weights(weights, class_weight, targets, compiled.loss)

    with model._exclusive():
        loop = _Loop(
            model, compiled, features, targets, weights, min(batch, len(features)), bool(shuffle), count
        )
        return loop.run(first, last, shown, listeners, held_out, batch)


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
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        batch: int,
        shuffle: bool,
        n_threads: int,
    ) -> None:
        self.model, self.compiled = model, compiled
        self.arrays = externals_of(x, y, weights)
        self.rows, self.batch, self.n_threads = len(x), batch, n_threads
        # One batch of all rows is the same set in every order.
        self.shuffle = shuffle and batch < len(x)
        self.program = model._program("train", batch, gather=self.shuffle, weighted=weights is not None)
        self.permutation = np.empty(self.rows, np.int32) if self.shuffle else None
        self.restorable = False  # whether an earlier run of this loop left weights to come back to

    def run(
        self,
        first: int,
        last: int,
        verbose: int,
        listeners: list[Callback],
        held_out: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None,
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
                    finite, logs = self._batches(watchers)
                else:
                    finite, logs = self._epochs(min(per_call, last - epoch))
                for values in logs:
                    if held_out is not None:
                        found = evaluate(model, *held_out, batch_size, self.n_threads)
                        values.update({f"val_{name}": value for name, value in found.items()})
                    final = dict(values)
                    for callback in everyone:
                        callback.on_epoch_end(epoch, values)
                    if verbose == 2:
                        _print_epoch(epoch, last, time.perf_counter() - began, values)
                    epoch += 1
                if bar is not None:
                    bar.update(len(logs))
                    if logs:
                        bar.set_postfix(
                            {name: f"{value:.4g}" for name, value in logs[-1].items()}, refresh=False
                        )
                if not finite:
                    self._warn(epoch)
                    break
                if bar is not None and not attended:
                    seconds = max(time.perf_counter() - began, 1e-6) / max(len(logs), 1)
                    per_call = max(1, min(_EPOCHS_PER_CALL, int(_BAR_SECONDS / seconds)))
        finally:
            if bar is not None:
                bar.close()
        for callback in everyone:
            callback.on_train_end(final)
        return history

    def _epochs(self, n_epochs: int) -> tuple[bool, list[dict[str, float]]]:
        """Run epochs in one call; return whether all was finite, and each one's loss and metrics."""
        compiled = self.compiled
        result = self._run(slice(0, self.rows), n_epochs, self.shuffle)
        compiled.epochs += n_epochs if result.finite and result.exception is None else result.epochs + 1
        if result.exception is not None:
            raise result.exception
        return result.finite, [
            compiled.values(self.program.plan, sums, self.rows) for sums in result.sums[: result.epochs]
        ]

    def _batches(self, watchers: list[Callback]) -> tuple[bool, list[dict[str, float]]]:
        """Run one epoch batch by batch, with callbacks in between."""
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
                return False, []
            sums += result.sums[0]
            values = compiled.values(self.program.plan, sums, end)
            told = dict(values)  # what callbacks add to it is not the epoch's
            for callback in watchers:
                callback.on_train_batch_end(number, logs=told)
            if self.model.stop_training:
                break
        return True, [values]

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
