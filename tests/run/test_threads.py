"""Threads and processes: models side by side, one model in many threads, fork, and `n_threads`.

Nothing here measures speed.  What would hang is joined with a time limit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import fastnn
from fastnn import callbacks, layers, optimizers
from fastnn.errors import BusyError, ConfigurationError, DTypeError
from fastnn.run import runtime

SECONDS = 300.0  # after which something hangs
RNG = np.random.default_rng(13)
X = RNG.standard_normal((600, 20)).astype(np.float32)
LABELS = RNG.integers(0, 5, 600)


def build(seed: int = 0, width: int = 32) -> fastnn.Sequential:
    model = fastnn.Sequential(
        [fastnn.Input((20,)), layers.Dense(width, "relu"), layers.Dense(5, "softmax")], seed=seed
    )
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def bits(model: fastnn.Model) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


def side_by_side(*functions: Callable[[], Any]) -> list[Any]:
    """Return what the functions return when each runs in a thread of its own; raise what they raise."""
    results: list[Any] = [None] * len(functions)
    errors: list[BaseException] = []
    together = threading.Barrier(len(functions))

    def run(index: int) -> None:
        try:
            together.wait(SECONDS)
            results[index] = functions[index]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
    return results


class Pause(callbacks.Callback):
    """Holds `fit` at the end of its first epoch until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.reached.set()
        assert self.go_on.wait(SECONDS)


@pytest.fixture
def training() -> Iterator[fastnn.Sequential]:
    """Yield a model that another thread is training, and that waits between two epochs."""
    model, pause = build(), Pause()
    thread = threading.Thread(
        target=lambda: model.fit(X, LABELS, epochs=2, verbose=0, callbacks=[pause]), daemon=True
    )
    thread.start()
    assert pause.reached.wait(SECONDS)
    yield model
    pause.go_on.set()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert len(model.history.epoch) == 2


@pytest.fixture
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let teams of four start on any machine."""
    monkeypatch.setattr(runtime, "available_cpus", lambda: 4)
    monkeypatch.delenv("FASTNN_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


# --- models in several threads ---------------------------------------------------------------------------


@pytest.mark.parametrize(("n_models", "width"), [(2, 32), (4, 8), (2, 400)])
def test_models_trained_at_once_equal_models_trained_in_turn(n_models: int, width: int) -> None:
    options: dict[str, Any] = {"batch_size": 100, "epochs": 4, "verbose": 0, "validation_split": 0.2}
    in_turn = [build(seed, width) for seed in range(n_models)]
    expected = [model.fit(X, LABELS, **options).history for model in in_turn]
    at_once = [build(seed, width) for seed in range(n_models)]
    histories = side_by_side(*(lambda m=model: m.fit(X, LABELS, **options).history for model in at_once))
    assert histories == expected
    assert [bits(model) for model in at_once] == [bits(model) for model in in_turn]


def blas_threads() -> list[int]:
    """Return the numbers of threads of the BLAS libraries in this process."""
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_blas_is_kept_at_one_thread_whichever_thread_asks() -> None:
    with runtime.blas_single_threaded():
        assert set(blas_threads()) == {1}
    before = blas_threads()
    entered, left = threading.Event(), threading.Event()

    def other() -> list[int]:
        with runtime.blas_single_threaded():
            entered.set()
            assert left.wait(SECONDS)
            return blas_threads()

    def first() -> None:
        with runtime.blas_single_threaded():
            assert entered.wait(SECONDS)
        left.set()

    for _ in range(2):
        assert set(side_by_side(other, first)[0]) == {1}
        assert blas_threads() == before  # set back by the thread that left last
        entered.clear()
        left.clear()


def test_brief_runs_keep_the_gil_and_others_let_threads_in() -> None:
    """A thread gets in only where the GIL is given away, as nobody's time with it ends."""
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(8, "relu"), layers.Dense(1)], seed=0)
    model.compile("adam", "mse")
    x, y = X[:8, :4].copy(), X[:8, :1].copy()
    entries, ended = [0], threading.Event()

    def enter() -> None:
        while not ended.is_set():
            entries[0] += 1
            time.sleep(0)  # lets others in

    def entered(function: Callable[[], Any]) -> bool:
        before = entries[0]
        function()
        return entries[0] > before

    calls: list[Callable[[], Any]] = [lambda: model.train_on_batch(x, y)]
    calls += [lambda: model.evaluate(x, y, verbose=0), lambda: model.fit(x, y, epochs=2, verbose=0)]
    for call in calls:
        call()
    interval, thread = sys.getswitchinterval(), threading.Thread(target=enter)
    sys.setswitchinterval(1000.0)
    try:
        thread.start()
        for call in calls:
            assert not any(entered(call) for _ in range(20))
        assert entered(lambda: model.fit(x, y, epochs=50_000, verbose=0))
    finally:
        ended.set()
        sys.setswitchinterval(interval)
        thread.join(SECONDS)


def test_what_would_change_a_model_in_training_is_refused(training: fastnn.Sequential) -> None:
    before = bits(training)
    for call in (
        lambda: training.fit(X, LABELS, verbose=0),
        lambda: training.train_on_batch(X, LABELS),
        lambda: training.set_weights(training.get_weights()),
        lambda: training.layers[0].set_weights(training.layers[0].get_weights()),
        lambda: training.compile("sgd", "sparse_categorical_crossentropy"),
    ):
        with pytest.raises(BusyError, match="another thread is training this model, or building one"):
            call()
    assert bits(training) == before


def test_a_model_in_training_can_be_read(training: fastnn.Sequential) -> None:
    copy = build()
    copy.set_weights(training.get_weights())
    np.testing.assert_array_equal(training.predict(X), copy.predict(X))
    assert training.evaluate(X, LABELS, verbose=0) == copy.evaluate(X, LABELS, verbose=0)
    assert training.loss_and_gradients(X, LABELS)[0] == copy.loss_and_gradients(X, LABELS)[0]
    np.testing.assert_array_equal(training.predict(X[:1]), copy.predict(X[:1]))


def test_a_fit_that_fails_lets_go_of_the_model() -> None:
    class Fails(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise OSError("disk full")

    model = build()
    with pytest.raises(OSError, match="disk full"):
        side_by_side(lambda: model.fit(X, LABELS, epochs=2, verbose=0, callbacks=[Fails()]))
    assert len(model.fit(X, LABELS, verbose=0).epoch) == 1


@pytest.mark.parametrize("n_threads", [None, 1])
def test_eight_threads_of_predictions_on_one_model(n_threads: int | None) -> None:
    model = build()
    parts = [X[i : i + 50 + 7 * i] for i in range(8)]
    expected = [model.predict(part).tobytes() for part in parts]

    def predict(index: int) -> set[bytes]:
        return {model.predict(parts[index], n_threads=n_threads).tobytes() for _ in range(100)}

    results = side_by_side(*(lambda i=i: predict(i) for i in range(8)))
    assert results == [{answer} for answer in expected]


def test_all_that_reads_and_one_that_trains_together() -> None:
    """Many programs of many sizes come and go in the model's cache meanwhile."""
    interval = sys.getswitchinterval()
    model = build(width=4)
    sizes = range(1, 40)

    def train() -> None:
        for size in sizes:
            model.train_on_batch(X[:size], LABELS[:size])

    def read(method: Callable[..., Any], *arrays: np.ndarray) -> None:
        for size in sizes:
            method(*(array[:size] for array in arrays))

    sys.setswitchinterval(1e-6)
    try:
        side_by_side(
            train,
            lambda: read(model.predict, X),
            lambda: read(model.loss_and_gradients, X, LABELS),
            lambda: read(model.evaluate, X, LABELS),
        )
    finally:
        sys.setswitchinterval(interval)
    alone = build(width=4)
    for size in sizes:
        alone.train_on_batch(X[:size], LABELS[:size])
    assert bits(model) == bits(alone)


# --- n_threads -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("four_cpus")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_number_of_threads_does_not_change_a_bit(dtype: str, team_sizes: list[int]) -> None:
    x, y = np.repeat(X, 4, axis=0).astype(dtype), np.repeat(LABELS, 4)
    results = []
    for n_threads in (1, 2, 3, 4):
        model = fastnn.Sequential(
            [
                fastnn.Input((20,)),
                layers.Dense(300, "tanh"),
                layers.Dense(200, "relu"),
                layers.Dense(5, "softmax"),
            ],
            dtype=dtype,
            seed=3,
        )
        model.compile(optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
        team_sizes.clear()
        history = model.fit(x, y, batch_size=300, epochs=2, verbose=0, n_threads=n_threads).history
        assert max(team_sizes, default=1) == n_threads
        output = model.predict(x, n_threads=n_threads)
        loss = model.evaluate(x, y, verbose=0, n_threads=n_threads)
        results.append((history, bits(model), output.tobytes(), loss))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (0, ConfigurationError, "n_threads must be at least 1, got 0"),
        (-1, ConfigurationError, "n_threads must be at least 1, got -1"),
        (2**31, ConfigurationError, "n_threads must be at most"),
        ("many", DTypeError, r"n_threads must be an integer, got 'many' \(str\)"),
        (True, DTypeError, r"n_threads must be an integer, got True \(bool\)"),
        (2.0, DTypeError, r"n_threads must be an integer, got 2.0 \(float\)"),
    ],
)
def test_impossible_numbers_of_threads_are_refused(
    bad: Any, error: type[Exception], message: str, refused: Any
) -> None:
    model = build()
    for call in (
        lambda: model.fit(X, LABELS, verbose=0, n_threads=bad),
        lambda: model.evaluate(X, LABELS, verbose=0, n_threads=bad),
        lambda: model.predict(X, n_threads=bad),
        lambda: fastnn.threads(bad).__enter__(),
    ):
        with refused(model, error, match=message):
            call()


def test_more_threads_than_cpus_are_cut_to_them() -> None:
    cpus = runtime.available_cpus()
    assert 1 <= cpus <= runtime.MAXIMUM_THREADS
    assert runtime.resolve_threads(10_000) == cpus
    assert runtime.resolve_threads(np.int64(1)) == 1
    usual, many = build(), build()
    usual.fit(X, LABELS, epochs=2, verbose=0)
    many.fit(X, LABELS, epochs=2, verbose=0, n_threads=10_000)
    assert bits(usual) == bits(many)
    assert many.predict(X, n_threads=10_000).tobytes() == usual.predict(X).tobytes()


@pytest.mark.usefixtures("four_cpus")
def test_threads_is_for_the_block_and_for_this_thread() -> None:
    assert runtime.default_threads() == 4
    with fastnn.threads(3):
        assert runtime.default_threads() == runtime.resolve_threads(None) == 3
        with fastnn.threads(1):
            assert runtime.default_threads() == 1
            assert fastnn.build_info()["threads"] == 1
            assert side_by_side(runtime.default_threads) == [4]
        assert runtime.default_threads() == 3
        assert runtime.resolve_threads(2) == 2
        with pytest.raises(KeyError, match="out"), fastnn.threads(2):
            raise KeyError("out")
        assert runtime.default_threads() == 3
    with fastnn.threads(10_000):
        assert runtime.default_threads() == 4
    assert runtime.default_threads() == 4


@pytest.mark.usefixtures("four_cpus")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, 4),
        ({"FASTNN_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"FASTNN_NUM_THREADS": "3", "OMP_NUM_THREADS": "2"}, 2),
        ({"FASTNN_NUM_THREADS": "64"}, 4),
        ({"FASTNN_NUM_THREADS": " 2 "}, 2),
        ({"FASTNN_NUM_THREADS": "9" * 30}, 4),
        ({"FASTNN_NUM_THREADS": ""}, 4),
        # Others read this one too, and have more to say with it.
        ({"OMP_NUM_THREADS": "0"}, 4),
        ({"OMP_NUM_THREADS": "-2"}, 4),
        ({"OMP_NUM_THREADS": "all"}, 4),
        ({"OMP_NUM_THREADS": ""}, 4),
    ],
    ids=str,
)
def test_the_environment_lowers_the_default(
    environment: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert runtime.default_threads() == runtime.default_threads() == expected


@pytest.mark.usefixtures("four_cpus")
@pytest.mark.parametrize(
    "value", ["0", "-2", "all", "2.5", "3,2", "two", "9" * 5000, "\udcff"], ids=lambda text: f"{text!a:.9}"
)
def test_what_is_no_number_of_threads_in_the_environment_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch, refused: Any
) -> None:
    model = build()
    monkeypatch.setenv("FASTNN_NUM_THREADS", value)
    for call in (
        runtime.default_threads,
        lambda: model.fit(X, LABELS, verbose=0),
        lambda: model.evaluate(X, LABELS, verbose=0),
        lambda: model.predict(X),
        fastnn.build_info,
    ):
        with refused(
            model,
            ConfigurationError,
            match="FASTNN_NUM_THREADS must be a whole number of at least 1, got .*; without it all CPUs",
        ):
            call()
    # What is said in Python counts, and the variable is not asked.
    with fastnn.threads(2):
        model.fit(X, LABELS, verbose=0)
    model.predict(X, n_threads=1)
    monkeypatch.setenv("FASTNN_NUM_THREADS", "2")
    assert runtime.default_threads() == 2


@pytest.mark.usefixtures("four_cpus")
def test_the_environment_is_read_anew_only_when_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short calls ask for the number every time."""
    runtime._limit.cache_clear()
    for value in ("2", "2", "3", "3", "3"):
        monkeypatch.setenv("FASTNN_NUM_THREADS", value)
        assert runtime.default_threads() == int(value)
    assert runtime._limit.cache_info().misses == 2


# --- processes -------------------------------------------------------------------------------------------

FORK = """
import multiprocessing, warnings
import numpy as np
import fastnn
from fastnn import layers

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
x = np.random.default_rng(0).standard_normal((3000, 20)).astype(np.float32)
y = np.arange(3000) % 5


def build():
    model = fastnn.Sequential(
        [fastnn.Input((20,)), layers.Dense(300, "tanh"), layers.Dense(300, "relu"), layers.Dense(5)], seed=0
    )
    model.compile("sgd", fastnn.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def work(queue, model):
    before = model.predict(x).tobytes()
    model.fit(x, y, batch_size=500, epochs=2, verbose=0)
    queue.put((before, model.predict(x).tobytes()))


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    model = build()
    model.fit(x, y, batch_size=500, epochs=2, verbose=0)  # teams and BLAS threads have run
    queues = [context.Queue() for _ in range(2)]
    children = [context.Process(target=work, args=(queue, model)) for queue in queues]
    for child in children:
        child.start()
    answers = [queue.get(timeout=120) for queue in queues]
    for child in children:
        child.join(120)
        assert child.exitcode == 0, child.exitcode
    before = model.predict(x).tobytes()
    model.fit(x, y, batch_size=500, epochs=2, verbose=0)
    after = model.predict(x).tobytes()
    assert answers == [(before, after)] * 2
    print("equal")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_children_forked_after_a_fit_predict_and_train(tmp_path: Path) -> None:
    script = tmp_path / "fork.py"
    script.write_text(FORK, encoding="utf-8")
    package = str(Path(fastnn.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("equal", 0), done.stderr
