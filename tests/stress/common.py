"""Models, calls and promises that the parts share.

A `Subject` is a model with a second one over one of its layers, and data.  `broken` tells which promises do
not hold any more after something happened to it: BLAS has its threads back, no lock is held, weights are
finite, numbers are right, and the two models still share.
"""

from __future__ import annotations

import contextlib
import functools
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from harness import Round
from threadpoolctl import ThreadpoolController

import fastnn
from fastnn import callbacks, kernels, layers, optimizers
from fastnn.compiler import schedule
from fastnn.run import program, runtime

Array = np.ndarray
LIMIT = 20.0  # seconds after which something hangs that takes some milliseconds
FEATURES, CLASSES = 20, 5
ROWS, LARGE_ROWS = 48, 1024
SWITCH = 1e-5  # seconds between two switches of threads
LOSS = "sparse_categorical_crossentropy"


def first_of(model: Any) -> Any:
    """Return the first layer of a model that has weights."""
    return next(layer for layer in model.layers if layer.weights)


def frozen(value: Any) -> Any:
    """Return a value as something that is equal only if every bit is."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, dict):
        return tuple((name, frozen(value[name])) for name in sorted(value))
    if isinstance(value, list | tuple):
        return tuple(frozen(one) for one in value)
    return struct.pack("<d", value) if isinstance(value, float) else value


@functools.cache
def _controller() -> ThreadpoolController:
    kernels.relu_forward(np.zeros((1, 1)))  # now the BLAS of the kernels is there
    return ThreadpoolController()


def blas_threads() -> list[int]:
    """Return the numbers of threads of the BLAS libraries in this process."""
    return [library["num_threads"] for library in _controller().info() if library["user_api"] == "blas"]


# -- threads


@contextlib.contextmanager
def switching(seconds: float = SWITCH) -> Iterator[None]:
    """Let threads switch often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextlib.contextmanager
def teams(size: int = 4) -> Iterator[None]:
    """Let small nets have teams of up to `size` threads on any machine."""
    changed: list[tuple[Any, str, Any]] = []

    def change(owner: Any, name: str, value: Any) -> None:
        changed.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    for name in list(vars(schedule)):
        if name.startswith(("MINIMUM_", "PREFERRED_")):
            change(schedule, name, 2)
    change(program.pool, "run_pays", lambda *_: True)
    change(runtime, "available_cpus", lambda: size)
    try:
        yield
    finally:
        for owner, name, value in reversed(changed):
            setattr(owner, name, value)


def where_threads_are() -> str:
    """Return the stacks of all threads."""
    return "\n".join("".join(traceback.format_stack(frame)) for frame in sys._current_frames().values())


def together(round_: Round, *functions: Callable[[], None], limit: float = 60.0) -> bool:
    """Run functions in threads of their own that begin at once; tell the round what they raise.

    Return whether all have ended; if not, the process is tainted.
    """
    begin = threading.Barrier(len(functions))

    def run(function: Callable[[], None]) -> None:
        try:
            begin.wait(limit)
            function()
        except BaseException:
            round_.wrong(traceback.format_exc())

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    end = time.monotonic() + limit
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0.1))
    if any(thread.is_alive() for thread in threads):
        round_.hung(where_threads_are())
        round_.tainted = True
        return False
    return True


# -- models


def data(rows: int = ROWS, seed: int = 0) -> tuple[Array, Array]:
    """Return features and labels."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, FEATURES)).astype(np.float32), rng.integers(0, CLASSES, rows)


def chain(
    widths: Sequence[int] = (16,), seed: int = 0, optimizer: object = "adam", dtype: str = "float32"
) -> fastnn.Sequential:
    """Return a compiled chain of layers."""
    hidden = [layers.Dense(width, "relu") for width in widths]
    model = fastnn.Sequential(
        [fastnn.Input((FEATURES,)), *hidden, layers.Dense(CLASSES, "softmax")], dtype=dtype, seed=seed
    )
    model.compile(_optimizer(optimizer), LOSS, metrics=["accuracy"])
    return model


def _optimizer(optimizer: object) -> object:
    return optimizers.Adam(0.01) if optimizer == "adam" else optimizer


def residual(seed: int = 0, width: int = 16) -> fastnn.Model:
    """Return a compiled graph in float64: its hidden layer is added to what it made of it."""
    x = fastnn.Input((FEATURES,))
    h = layers.Dense(width, "tanh")(x)
    y = layers.Dense(CLASSES, "softmax")(layers.Add()([h, layers.Dense(width, "relu")(h)]))
    model = fastnn.Model(x, y, dtype="float64", seed=seed)
    model.compile(_optimizer("adam"), LOSS, metrics=["accuracy"])
    return model


LARGE = (128, 128)  # hidden layers with products in which BLAS would start threads of its own


def prepared(model: fastnn.Model, x: Array) -> Array:
    """Return features of the model's dtype, so that nothing is converted."""
    return np.ascontiguousarray(x, model.dtype)


READS: dict[str, Callable[[fastnn.Model, Array, Array], Any]] = {
    "predict": lambda model, x, y: model.predict(x),
    "call": lambda model, x, y: model(x),
    "evaluate": lambda model, x, y: model.evaluate(x, y, verbose=0),
    "loss_and_gradients": lambda model, x, y: model.loss_and_gradients(x, y),
    "input_gradients": lambda model, x, y: model.input_gradients(x),
    "get_weights": lambda model, x, y: model.get_weights(),
}


class Recorder(callbacks.Callback):
    """Keeps what `make` makes of the model before the first step, and after each."""

    def __init__(self, make: Callable[[fastnn.Model], Any]) -> None:
        super().__init__()
        self.make, self.made = make, []  # type: ignore[var-annotated]

    def on_train_begin(self, logs: Any = None) -> None:
        self.made.append(self.make(self.model))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.made.append(self.make(self.model))


# -- subjects


class Subject:
    """A model, a second one over its first layer, and data.

    Attributes
    ----------
    model, sibling : fastnn.Model
    hidden : SymbolicTensor
        What both models make their outputs of.
    x, y : numpy.ndarray
        Some rows.
    many, labels : numpy.ndarray
        Many rows.
    """

    def __init__(self, large: bool = False, seed: int = 0, optimizer: object = "adam") -> None:
        self.arguments = large, seed, optimizer
        widths = LARGE if large else (16,)
        self.inputs = tensor = fastnn.Input((FEATURES,))
        for number, width in enumerate(widths):
            tensor = layers.Dense(width, "relu", name=f"shared_{number}")(tensor)
        self.hidden = tensor
        self.model = fastnn.Model(
            self.inputs, layers.Dense(CLASSES, "softmax", name="own")(tensor), seed=seed
        )
        self.sibling = fastnn.Model(self.inputs, layers.Dense(3, name="other")(tensor), seed=seed + 1)
        self.x, self.y = data(ROWS, seed)
        self.many, self.labels = data(LARGE_ROWS, seed + 1)
        self.three = self.x[:, :3].copy()
        self.compile()

    def compile(self) -> None:
        self.model.compile(_optimizer(self.arguments[2]), LOSS, metrics=["accuracy"])
        self.sibling.compile("sgd", "mse")

    def twin(self) -> fastnn.Model:
        """Return a model of its own with the same weights."""
        # What is cut into other tiles, for teams, has other bits.
        model = _twin(*self.arguments, schedule.MINIMUM_ROWS).model
        model.set_weights(self.model.get_weights())
        return model


@functools.cache
def _twin(large: bool, seed: int, optimizer: object, tiles: int) -> Subject:
    return Subject(large, seed, optimizer)  # one for all comparisons: its programs are compiled once


def _check_numbers(subject: Subject) -> None:
    model, twin = subject.model, subject.twin()
    for name, read in READS.items():
        if frozen(read(model, subject.x, subject.y)) != frozen(read(twin, subject.x, subject.y)):
            raise AssertionError(f"{name} gives wrong numbers")
    if frozen(model.predict(subject.many)) != frozen(twin.predict(subject.many)):
        raise AssertionError("predict of many rows gives wrong numbers")


def _check_sharing(trained: fastnn.Model, other: fastnn.Model, x: Array, y: Array) -> None:
    before = trained.get_weights()[:2], other.get_weights()[:2]
    trained.fit(x, y, batch_size=ROWS, verbose=0)
    after = trained.get_weights()[:2], other.get_weights()[:2]
    if frozen(before[0]) != frozen(before[1]) or frozen(after[0]) != frozen(after[1]):
        raise AssertionError("models that shared a layer do so no more")
    if frozen(before) == frozen(after):
        raise AssertionError("training changed nothing")


def _new_model(subject: Subject) -> None:
    made = fastnn.Model(subject.inputs, layers.Dense(2)(subject.hidden))
    if frozen(made.get_weights()[:2]) != frozen(subject.model.get_weights()[:2]):
        raise AssertionError("a new model over a layer has other weights")
    made.predict(subject.x)


# Everything that can be done with a model.  What the later ones do costs compiled programs.
_USES: tuple[dict[str, Callable[[Subject], object]], ...] = (
    {
        "numbers": _check_numbers,
        "set_weights": lambda s: s.model.set_weights(s.model.get_weights()),
        "the layer's set_weights": lambda s: first_of(s.model).set_weights(first_of(s.model).get_weights()),
        "train_on_batch": lambda s: s.model.train_on_batch(s.x, s.y),
        "fit": lambda s: _check_sharing(s.model, s.sibling, s.x, s.y),
        "fit of the other model": lambda s: _check_sharing(s.sibling, s.model, s.x, s.three),
        "fit of many rows": lambda s: s.model.fit(s.many[:512], s.labels[:512], batch_size=512, verbose=0),
    },
    {"new model": _new_model, "compile": lambda s: s.compile()},
)


def _use(subject: Subject, phase: int, where: str) -> list[str]:
    """Use a model in many ways; return what does not work."""
    found: dict[str, list[str]] = {}
    for name, step in _USES[phase].items():
        try:
            step(subject)
        except BaseException as error:
            found.setdefault(f"{type(error).__name__}: {error}", []).append(name)
    return [f"{where}: {', '.join(names)}: {error}" for error, names in found.items()]


class Outside:
    """What the process was like outside of fastnn's calls."""

    def __init__(self) -> None:
        self.blas, self.threads = blas_threads(), runtime.default_threads()

    def broken(self) -> list[str]:
        """Return what is no longer as it was."""
        found = []
        if (now := blas_threads()) != self.blas:
            found.append(f"BLAS has {now} threads, had {self.blas}")
        if (count := runtime.default_threads()) != self.threads:
            found.append(f"default_threads() is {count}, was {self.threads}")
        return found


def broken(subject: Subject, outside: Outside, limit: float = LIMIT) -> list[str]:
    """Return which promises do not hold any more; trains the subject, and must be the last to use it."""
    found = outside.broken()
    for model in (subject.model, subject.sibling):
        if not all(np.isfinite(one).all() for one in model.get_weights()):
            found.append("weights are not finite")
    for phase in range(len(_USES)):
        found += _use(subject, phase, "in this thread")
        found += _in_another_thread(lambda phase=phase: _use(subject, phase, "in another thread"), limit)
        if any(what.startswith("another thread") for what in found):
            break
    return found + [f"{what}, after use" for what in outside.broken() if what not in found]


def _in_another_thread(function: Callable[[], list[str]], limit: float) -> list[str]:
    told: list[list[str]] = []
    thread = threading.Thread(target=lambda: told.append(function()), daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        frame = sys._current_frames().get(thread.ident or 0)
        return ["another thread hangs:\n" + "".join(traceback.format_stack(frame)[-4:])]
    return told[0] if told else ["another thread ended early"]
