"""Many threads on one model, on models that share layers, and on models of their own.

Whatever the others do, a call answers what it would answer alone, bit for bit; while weights are replaced,
what belongs to all of the old ones or all of the new ones; and what would change a model in training is
refused.

    python tests/stress/threads.py --seconds 60 --seed 0
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from common import (
    CLASSES,
    LOSS,
    READS,
    chain,
    data,
    first_of,
    frozen,
    residual,
    switching,
    teams,
    together,
)
from harness import Part, Round

import fastnn
from fastnn import callbacks, kernels, layers
from fastnn.errors import BusyError

PART = Part(__file__)
main = PART.main
READERS = 6
SECONDS = 60.0
BUILDS: dict[str, Callable[[], fastnn.Model]] = {
    "small": lambda: chain((16,)),
    "large": lambda: chain((128, 128)),
    "graph": residual,
    "linear": lambda: chain(()),
}


class Reader:
    """Reads a model in many ways, and compares with what it answered alone.

    Parameters
    ----------
    model : fastnn.Model
        With the weights that the answers are for.
    sizes : sequence of int
        Numbers of rows.
    names : sequence of str, optional
        Of `common.READS`.
    """

    def __init__(
        self,
        model: fastnn.Model,
        sizes: tuple[int, ...] = (1, 33, 600),
        names: tuple[str, ...] = tuple(READS),
    ) -> None:
        self.model = model
        x, y = data(max(sizes), 3)
        x = np.ascontiguousarray(x, model.dtype)
        self.calls = [(name, x[:size], y[:size]) for name in names for size in sizes]
        self.wanted: list[set[Any]] = [set() for _ in self.calls]
        self.learn(model)

    def learn(self, model: fastnn.Model) -> None:
        """Take what a model answers as right, too."""
        for (name, x, y), wanted in zip(self.calls, self.wanted, strict=True):
            wanted.add(frozen(READS[name](model, x, y)))

    def read(self, round_: Round, rng: np.random.Generator, times: int) -> None:
        """Make some calls, and tell of wrong answers."""
        for i in rng.integers(0, len(self.calls), times):
            name, x, y = self.calls[i]
            round_.did("answers")
            try:
                found = frozen(READS[name](self.model, x, y))
            except Exception as error:
                round_.wrong(f"{name} of {len(x)} rows raised {type(error).__name__}: {error}")
                continue
            if found not in self.wanted[i]:
                round_.wrong(f"{name} of {len(x)} rows gave what it never gives alone")


def _beside(
    round_: Round, reader: Reader, *works: Callable[[int], None], readers: int = READERS, times: int = 30
) -> None:
    """Let threads read, and others do some work with numbers 0, 1, ... until all have read enough."""
    reading = [readers]
    lock = threading.Lock()

    def read(rng: np.random.Generator) -> None:
        try:
            reader.read(round_, rng, times)
        finally:
            with lock:
                reading[0] -= 1

    def work(step: Callable[[int], None]) -> None:
        number = 0
        while reading[0]:
            step(number)
            number += 1

    with switching():
        together(
            round_,
            *(functools.partial(work, step) for step in works),
            *(functools.partial(read, rng) for rng in round_.rng.spawn(readers)),
        )


@functools.cache
def _reader(kind: str) -> Reader:
    return Reader(BUILDS[kind](), (1, 7, 33, 150, 600))


@PART.scenario(short=6)
def readers(round_: Round) -> None:
    """Threads that only read one model."""
    kind = list(BUILDS)[round_.index % len(BUILDS)]
    reader = _reader(kind)
    rngs = round_.rng.spawn(READERS)
    with switching():
        together(round_, *(functools.partial(reader.read, round_, rng, 40) for rng in rngs))


# -- weights


def _two_weights(model: fastnn.Model) -> list[list[np.ndarray]]:
    """Return the weights of a model, and others."""
    return [model.get_weights(), [0.5 - w for w in model.get_weights()]]


@PART.scenario(short=6)
def set_weights(round_: Round) -> None:
    """All weights of a model are replaced, again and again, while threads read."""
    model = BUILDS[list(BUILDS)[round_.index % len(BUILDS)]]()
    weights = _two_weights(model)
    reader = Reader(model)
    model.set_weights(weights[1])
    reader.learn(model)

    def write(number: int) -> None:
        model.set_weights(weights[number % 2])
        round_.did("weights set")

    _beside(round_, reader, write)


@PART.scenario(short=4)
def set_weights_of_shared(round_: Round) -> None:
    """The same through another model, or a layer, that shares all layers but the last."""
    x = fastnn.Input((20,))
    layer = layers.Dense(160, "relu")
    h = layer(x)
    model = fastnn.Model(x, layers.Dense(CLASSES, "softmax")(h), seed=0)
    model.compile("adam", LOSS)
    other = fastnn.Model(x, layers.Dense(3)(h), seed=1)
    written: Any = layer if round_.index % 2 else other
    weights = _two_weights(written)
    reader = Reader(model)
    written.set_weights(weights[1])
    reader.learn(model)

    def write(number: int) -> None:
        written.set_weights(weights[number % 2])
        round_.did("weights set")

    _beside(round_, reader, write)


@PART.scenario(short=3)
def several_set_weights(round_: Round) -> None:
    """Several threads replace weights: each succeeds, or is told that another one is at it."""
    model = BUILDS["large"]()
    weights = _two_weights(model)
    reader = Reader(model)
    model.set_weights(weights[1])
    reader.learn(model)

    def write(number: int) -> None:
        try:
            model.set_weights(weights[number % 2])
            round_.did("weights set")
        except BusyError:
            round_.did("refused")

    _beside(round_, reader, write, write, readers=4)
    round_.expect(frozen(model.get_weights()) in map(frozen, weights), "weights are a mixture in the end")


# -- building


@PART.scenario(short=4)
def new_models(round_: Round) -> None:
    """New models over a model's layers are made while threads read it."""
    x = fastnn.Input((20,))
    h = layers.Dense(64, "relu")(x)
    model = fastnn.Model(x, layers.Dense(CLASSES, "softmax")(h), seed=0)
    model.compile("adam", LOSS)
    reader = Reader(model, (1, 33, 300))
    shared = frozen(model.get_weights()[:2])
    rows = data(9, 4)[0]
    kept = []

    def make(number: int) -> None:
        width = 1 + number % 3
        tensor = layers.Dense(width)(h)
        if number % 4 == 3:  # two stores become one
            apart = chain((64,), seed=number)
            tensor = layers.Add()([tensor, layers.Dense(width)(first_of(apart)(x))])
        made = fastnn.Model(x, tensor, seed=number)
        round_.did("models made")
        round_.expect(frozen(first_of(model).get_weights()) == shared, "a shared layer's weights changed")
        found = made.predict(rows)
        round_.expect(frozen(made(rows)) == frozen(found), "a new model answers this and that")
        kept[: len(kept) > 5] = [made]  # the others are gone

    _beside(round_, reader, make)


@PART.scenario(short=3)
def several_new_models(round_: Round) -> None:
    """Several threads make new models over one layer at once."""
    x = fastnn.Input((20,))
    h = layers.Dense(64, "relu")(x)
    model = fastnn.Model(x, layers.Dense(CLASSES, "softmax")(h), seed=0)
    model.compile("adam", LOSS)
    reader = Reader(model, (1, 33))
    rows, _ = data(9, 4)
    made: list[fastnn.Model] = []

    def make(number: int) -> None:
        try:
            one = fastnn.Model(x, layers.Dense(2)(h), seed=number)
        except BusyError:
            round_.did("refused")
            return
        round_.did("models made")
        one.predict(rows)
        if len(made) < 20:
            made.append(one)

    _beside(round_, reader, make, make, readers=3)
    model.fit(*data(48), verbose=0)
    weights = frozen(model.get_weights()[:2])
    for one in made:
        round_.expect(frozen(one.get_weights()[:2]) == weights, "a new model does not share the layer")
        round_.expect(frozen(one.predict(rows)) == frozen(one(rows)), "a new model answers this and that")


@PART.scenario(short=4)
def compile_beside_readers(round_: Round) -> None:
    """A model is compiled, again and again, while threads read it."""
    model = BUILDS[list(BUILDS)[round_.index % len(BUILDS)]]()
    reader = Reader(model, (1, 33, 300))

    def again(number: int) -> None:
        model.compile(("sgd", "adam")[number % 2], LOSS, metrics=["accuracy"])
        round_.did("compiled")

    _beside(round_, reader, again)


# -- training


class Calls(callbacks.Callback):
    """Calls a function at the end of an epoch, and of a batch."""

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__()
        self.function = function

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.function()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.function()


@functools.cache
def _fitted(kind: str) -> tuple[Any, Any]:
    model = BUILDS[kind]()
    history = model.fit(*data(300), batch_size=100, epochs=3, verbose=0).history
    return frozen(history), frozen(model.get_weights())


def _expect_fitted(round_: Round, kind: str, model: fastnn.Model, history: Any) -> None:
    wanted = _fitted(kind)
    round_.did("fits")
    round_.expect(frozen(history) == wanted[0], "fit had other losses than undisturbed")
    round_.expect(frozen(model.get_weights()) == wanted[1], "fit ended with other weights than undisturbed")


def _refused(round_: Round, what: str, call: Callable[[], object]) -> None:
    try:
        call()
    except BusyError:
        round_.did("refused")
    except Exception as error:
        round_.wrong(f"{what} during fit raised {type(error).__name__}: {error}")
    else:
        round_.wrong(f"{what} during fit was not refused")


@PART.scenario(short=4)
def compile_in_a_callback(round_: Round) -> None:
    """`compile` in a callback is refused, and so it is in another thread meanwhile."""
    kind = list(BUILDS)[round_.index % len(BUILDS)]
    model = BUILDS[kind]()

    def compile_() -> None:
        _refused(round_, "compile in a callback", lambda: model.compile("sgd", LOSS))

    def other() -> None:
        thread = threading.Thread(
            target=_refused, args=(round_, "compile in another thread", lambda: model.compile("sgd", LOSS))
        )
        thread.start()
        thread.join(SECONDS)

    history = model.fit(
        *data(300),
        batch_size=100,
        epochs=3,
        verbose=0,
        callbacks=[Calls(other if round_.index % 2 else compile_)],
    )
    _expect_fitted(round_, kind, model, history.history)


@PART.scenario(short=4)
def compile_during_fit(round_: Round) -> None:
    """Another thread calls `compile` all the time that a model trains."""
    model = chain((64,), optimizer="adam")
    alone = chain((64,), optimizer="adam")
    x, y = data(300)
    arguments: dict[str, Any] = {"batch_size": 100, "epochs": 40, "verbose": 0}
    wanted = frozen(alone.fit(x, y, **arguments).history), frozen(alone.get_weights())
    begun, done = threading.Event(), threading.Event()
    found: list[Any] = []

    def fit() -> None:
        listener = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: begun.set())
        try:
            found.append(frozen(model.fit(x, y, callbacks=[listener], **arguments).history))
        finally:
            begun.set()
            done.set()

    def compile_() -> None:
        begun.wait(SECONDS)
        while not done.is_set():
            try:
                model.compile("sgd", LOSS)
            except BusyError:
                round_.did("refused")
            else:  # `fit` was through
                return
            time.sleep(0)

    with switching():
        together(round_, fit, compile_)
    round_.did("fits")
    round_.expect(found == [wanted[0]], "fit had other losses than undisturbed")
    round_.expect(frozen(model.get_weights()) == wanted[1], "fit ended with other weights than undisturbed")


@PART.scenario(short=4)
def two_fits(round_: Round) -> None:
    """Two threads train one model: one does, the other is refused, or comes after it."""
    kind = list(BUILDS)[round_.index % len(BUILDS)]
    model = BUILDS[kind]()
    x, y = data(300)
    outcomes: list[Any] = []

    def fit() -> None:
        try:
            outcomes.append(model.fit(x, y, batch_size=100, epochs=3, verbose=0).history)
        except BusyError:
            round_.did("refused")

    with switching():
        together(round_, fit, fit)
    if len(outcomes) == 1:
        _expect_fitted(round_, kind, model, outcomes[0])
    elif round_.expect(len(outcomes) == 2, "both were refused"):
        alone = BUILDS[kind]()
        wanted = [alone.fit(x, y, batch_size=100, epochs=3, verbose=0).history for _ in range(2)]
        round_.did("fits", 2)
        round_.expect(
            sorted(map(frozen, outcomes)) == sorted(map(frozen, wanted)), "two fits mixed their losses"
        )
        round_.expect(
            frozen(model.get_weights()) == frozen(alone.get_weights()), "two fits mixed their steps"
        )


@PART.scenario(short=4)
def second_fit_in_training(round_: Round) -> None:
    """What would change a model is refused while `fit` waits in a callback of another thread."""
    kind = list(BUILDS)[round_.index % len(BUILDS)]
    model = BUILDS[kind]()
    x, y = data(300)
    reached, go_on = threading.Event(), threading.Event()
    histories: list[Any] = []

    def wait() -> None:
        reached.set()
        go_on.wait(SECONDS)

    def fit() -> None:
        history = model.fit(x, y, batch_size=100, epochs=3, verbose=0, callbacks=[Calls(wait)])
        histories.append(history.history)

    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    try:
        reached.wait(SECONDS)
        weights = model.get_weights()
        for what, call in {
            "fit": lambda: model.fit(x, y, verbose=0),
            "train_on_batch": lambda: model.train_on_batch(x, y),
            "set_weights": lambda: model.set_weights(weights),
            "a layer's set_weights": lambda: first_of(model).set_weights(weights[:2]),
            "compile": lambda: model.compile("sgd", LOSS),
        }.items():
            _refused(round_, what, call)
    finally:
        go_on.set()
        thread.join(SECONDS)
    if round_.expect(len(histories) == 1, "fit failed"):
        _expect_fitted(round_, kind, model, histories[0])


@PART.scenario(short=3)
def readers_of_training(round_: Round) -> None:
    """Threads read a model while it trains: no call fails, and training is as if alone."""
    kind = list(BUILDS)[round_.index % len(BUILDS)]
    model = BUILDS[kind]()
    x, y = data(300)
    done = threading.Event()
    histories: list[Any] = []

    def fit() -> None:
        try:
            histories.append(model.fit(x, y, batch_size=100, epochs=3, verbose=0).history)
        finally:
            done.set()

    def read() -> None:
        while not done.is_set():
            for name in READS:
                READS[name](model, x[:50], y[:50])
                round_.did("answers")

    with switching():
        together(round_, fit, read, read)
    if histories:
        _expect_fitted(round_, kind, model, histories[0])


def _random_model(rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return arguments of `chain` and of `fit`."""
    widths = tuple(int(w) for w in rng.choice([3, 16, 30, 64, 130], rng.integers(0, 4)))
    optimizer = ["adam", "sgd", "rmsprop"][rng.integers(3)]
    built = {"widths": widths, "optimizer": optimizer, "dtype": ["float32", "float64"][rng.integers(2)]}
    fitted = {
        "batch_size": int(rng.choice([16, 50, 150, 300])),
        "epochs": int(rng.integers(1, 5)),
        "shuffle": bool(rng.integers(2)),
        "verbose": 0,
    }
    return {**built, "seed": int(rng.integers(1000))}, fitted


def _result(built: dict[str, Any], fitted: dict[str, Any]) -> Any:
    model = chain(**built)
    history = model.fit(*data(300), **fitted).history
    return frozen(history), frozen(model.get_weights())


@PART.scenario(short=4)
def many_fits(round_: Round) -> None:
    """Models train in threads at the same time, as they would in turn."""
    described = [_random_model(round_.rng) for _ in range(5)]
    wanted = [_result(*one) for one in described]
    found: dict[int, Any] = {}

    def fit(number: int) -> None:
        found[number] = _result(*described[number])

    with switching():
        together(round_, *(functools.partial(fit, number) for number in range(len(described))))
    round_.did("fits", len(found))
    for number, result in found.items():
        round_.expect(result == wanted[number], f"trained otherwise beside others: {described[number]}")


@contextlib.contextmanager
def _busy(processes: int = 2) -> Iterator[None]:
    """Keep cores busy with processes that do nothing else."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


@PART.scenario(short=1)
def teams_beside_busy_processes(round_: Round) -> None:
    """Fits with teams of threads, on cores that others use too, are what they are with one thread."""
    with _busy(), teams():
        for _ in range(8):
            built, fitted = _random_model(round_.rng)
            wanted = _result(built, {**fitted, "n_threads": 1})
            for n_threads in (2, 3, 4):
                for _ in range(2):
                    round_.did("fits")
                    found = _result(built, {**fitted, "n_threads": n_threads})
                    if found != wanted:
                        round_.wrong(f"{n_threads} threads gave other numbers than one: {built}, {fitted}")


@PART.scenario(short=3)
def teams_in_threads(round_: Round) -> None:
    """The same in several threads at once, beside calls of single kernels that share helpers."""
    described = [_random_model(round_.rng) for _ in range(3)]
    z = round_.rng.standard_normal((1024, 2050)).astype(np.float32)
    with fastnn.threads(1):
        activated = frozen(kernels.tanh_forward(z))
    with teams():
        wanted = [_result(built, {**fitted, "n_threads": 1}) for built, fitted in described]

        def fit(number: int) -> None:
            built, fitted = described[number]
            for n_threads in (2, 4):
                round_.did("fits")
                found = _result(built, {**fitted, "n_threads": n_threads})
                round_.expect(found == wanted[number], f"{n_threads} threads: {built}, {fitted}")

        def activate() -> None:
            for _ in range(5):
                round_.did("kernels")
                round_.expect(frozen(kernels.tanh_forward(z)) == activated, "tanh of a large array")

        with switching():
            together(round_, *(functools.partial(fit, number) for number in range(3)), activate)


if __name__ == "__main__":
    PART.command_line()
