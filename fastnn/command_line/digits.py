"""``fastnn train`` on the handwritten digits that fastnn knows by name, and the same steps in NumPy.

It must not know plans or kernels.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import fastnn
from fastnn.command_line.output import CommandError, on_terminal, print_json, print_rows
from fastnn.errors import NonFiniteWarning

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastnn.benchmark.rivals import Rival
    from fastnn.benchmark.workloads import Workload

    Rows = tuple[NDArray[np.float32], NDArray[np.int64]]

__all__ = ["DEFAULTS", "Settings", "compare_with_numpy", "train_named"]

_N_CLASSES = 10
_COMPARISON_SECONDS = 15.0  # no further round starts after this


@dataclass(frozen=True)
class Defaults:
    """What a data set is trained and compared with unless told otherwise."""

    batch_size: int
    epochs: int
    comparison_epochs: int
    comparison_rounds: int


DEFAULTS = {
    "digits": Defaults(batch_size=32, epochs=20, comparison_epochs=10, comparison_rounds=5),
    "mnist": Defaults(batch_size=200, epochs=20, comparison_epochs=1, comparison_rounds=3),
}


@dataclass(frozen=True)
class Settings:
    """What is trained, and how."""

    dataset: str
    data: str | None
    hidden: tuple[int, ...]
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    compare: bool
    quiet: bool
    as_json: bool


def train_named(settings: Settings) -> int:
    """Train, report the accuracy, and compare; return the exit code."""
    train, (x_test, y_test) = _load(settings)
    x_train, y_train = train
    model = _build(settings, x_train.shape[1])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonFiniteWarning)  # reported as this command's failure below
        start = time.perf_counter()
        history = model.fit(
            x_train,
            y_train,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            verbose=1 if on_terminal(sys.stderr) and not settings.quiet and not settings.as_json else 0,
        )
        seconds = time.perf_counter() - start
    n_finite = sum(math.isfinite(loss) for loss in history.history.get("loss", ()))
    if n_finite < settings.epochs:
        raise CommandError(
            f"the loss stopped being finite in epoch {n_finite + 1} of {settings.epochs}; try a "
            f"--learning-rate smaller than {settings.learning_rate:g}"
        )
    scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    assert isinstance(scores, dict)
    accuracy = scores["accuracy"]

    n_steps = math.ceil(len(x_train) / settings.batch_size) * settings.epochs
    workload = _workload(settings, train)
    if settings.as_json:
        print_json(
            {
                "command": "train",
                "data": settings.dataset,
                "training_rows": len(x_train),
                "test_rows": len(x_test),
                "network": list(workload.widths),
                "parameters": workload.parameters,
                "test_accuracy": accuracy,
                "seconds": seconds,
                "steps": n_steps,
                "numpy": compare_with_numpy(settings, train) if settings.compare else None,
            }
        )
        return 0
    rows = [
        ("data", f"{settings.dataset}: {len(x_train)} training and {len(x_test)} test images"),
        ("network", f"{workload.net}, {workload.parameters} parameters"),
        ("test accuracy", f"{accuracy:.4f}"),
        ("training time", f"{seconds:.3f} s ({n_steps} steps, {seconds / n_steps * 1e3:.3f} ms each)"),
    ]
    print_rows(rows)
    if settings.compare:
        sys.stdout.flush()
        print_rows([("pure NumPy", compare_with_numpy(settings, train))], width=len("training time"))
    return 0


def _load(settings: Settings) -> tuple[Rows, Rows]:
    from fastnn.datasets import _mnist, load_digits

    if settings.dataset == "mnist":
        return _mnist.read_mnist(settings.data, True, None, _mnist.ON_COMMAND_LINE)
    return load_digits(seed=settings.seed)


def _build(settings: Settings, n_inputs: int) -> fastnn.Sequential:
    """Return a fresh compiled network; the same settings give the same initial weights."""
    hidden = [fastnn.layers.Dense(units, activation="relu") for units in settings.hidden]
    output = fastnn.layers.Dense(_N_CLASSES, activation="softmax")
    model = fastnn.Sequential([fastnn.Input((n_inputs,)), *hidden, output], seed=settings.seed)
    model.compile(
        optimizer=fastnn.optimizers.SGD(settings.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def compare_with_numpy(settings: Settings, train: Rows) -> str:
    """Return a sentence on how long a hand-written NumPy loop takes for the same training steps.

    Each run starts from the same weights and uses the same batches in the same order, each side with
    the better of one thread and all. The two take turns, and so does who is first; ratios are of runs
    of the same round. There is no ratio if the mean losses of the last epoch differ.
    """
    from fastnn.benchmark.machine import settle
    from fastnn.benchmark.rivals.fastnn_ import FastnnRival
    from fastnn.benchmark.rivals.numpy_ import NumpyRival
    from fastnn.benchmark.runner import LOSS_TOLERANCE
    from fastnn.run.runtime import available_cpus

    defaults = DEFAULTS[settings.dataset]
    workload = _workload(settings, train)
    n_batches = len(train[0]) // workload.batch  # whole batches, so that both sides cut the rows alike
    x, y = train[0][: n_batches * workload.batch], train[1][: n_batches * workload.batch]
    n_epochs = min(settings.epochs, defaults.comparison_epochs)
    weights = _build(settings, x.shape[1]).get_weights()

    def run(rival: type[Rival], n_threads: int) -> tuple[float, float]:
        """Return the seconds that a run takes and its loss."""
        contender = rival(workload, weights, x, y)
        settle()
        with rival.threads(n_threads):
            start = time.perf_counter()
            loss = contender.run_epochs(n_epochs)
            return time.perf_counter() - start, loss

    rivals: tuple[type[Rival], ...] = (FastnnRival, NumpyRival)
    begin = time.perf_counter()
    n_threads = {
        rival: min((run(rival, n)[0], n) for n in rival.thread_counts(available_cpus()))[1]
        for rival in rivals
    }
    ratios: list[float] = []
    differences: list[float] = []
    while len(ratios) < defaults.comparison_rounds:
        results = {rival: run(rival, n_threads[rival]) for rival in rivals[:: (-1) ** len(ratios)]}
        (our_seconds, our_loss), (their_seconds, their_loss) = (results[rival] for rival in rivals)
        difference = abs(our_loss - their_loss) / max(abs(their_loss), sys.float_info.min)
        if not difference <= LOSS_TOLERANCE:
            return (
                f"no ratio: after the same {n_epochs * n_batches} steps the losses differ, fastnn "
                f"{our_loss:.7g} and NumPy {their_loss:.7g} (relative difference {difference:.1e}, allowed "
                f"{LOSS_TOLERANCE:.0e})"
            )
        differences.append(difference)
        ratios.append(their_seconds / our_seconds)
        if time.perf_counter() - begin > _COMPARISON_SECONDS:
            break
    threads = ", ".join(f"{rival.name} {n}" for rival, n in n_threads.items())
    return (
        f"takes {statistics.median(ratios):.2f} times as long for the same {n_epochs * n_batches} steps "
        f"(median of {len(ratios)} round{'s' * (len(ratios) > 1)}, {min(ratios):.2f} to {max(ratios):.2f}; "
        f"losses agree to {max(differences):.0e}; threads: {threads})"
    )


def _workload(settings: Settings, train: Rows) -> Workload:
    """Return the training of the settings in the words of the benchmark."""
    from fastnn.benchmark.workloads import Workload

    return Workload(
        name=settings.dataset,
        widths=(train[0].shape[1], *settings.hidden, _N_CLASSES),
        activation="relu",
        output_activation="softmax",
        loss="sparse_categorical_crossentropy",
        batch=min(settings.batch_size, len(train[0])),
        optimizer="sgd",
        learning_rate=settings.learning_rate,
        description="the network of the command line",
    )
