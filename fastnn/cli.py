"""The ``fastnn`` command: sub-commands ``train``, ``benchmark`` and ``info``.

This file turns words into calls of the public interface and results into lines. It must not know
plans, kernels or the inside of a model, and it imports what a sub-command needs only when that
sub-command runs, so that ``fastnn --help`` is quick.

Results go to standard output, errors and, on a terminal, progress to standard error. Exit codes: 0
done, 1 the work failed or its results could not be written, 2 wrong usage, 130 interrupted. A stream
that is closed gets nothing, and a reader that left is no noise. That there are no kernels to load shows
before this file runs; see `startup.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import fastnn
from fastnn.checks import MAXIMUM_SIZE
from fastnn.errors import FastnnError, NonFiniteWarning
from fastnn.startup import discard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastnn.benchmark.rivals import Rival
    from fastnn.benchmark.workloads import Workload

    Rows = tuple[NDArray[np.float32], NDArray[np.int64]]

__all__ = ["main"]

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

_N_CLASSES = 10
_LARGEST_SEED = 2**32 - 1
_COMPARISON_SECONDS = 15.0  # no further round starts after this


@dataclass(frozen=True)
class _Defaults:
    """What a data set is trained and compared with unless told otherwise."""

    batch_size: int
    epochs: int
    comparison_epochs: int
    comparison_rounds: int


_INFO_LABELS = {
    "version": "fastnn",
    "simd": "SIMD",
    "blas": "BLAS",
    "cpus": "CPUs",
    "python": "Python",
    "numpy": "NumPy",
    "scipy": "SciPy",
}

_DATASETS = {
    "digits": _Defaults(batch_size=32, epochs=20, comparison_epochs=10, comparison_rounds=5),
    "mnist": _Defaults(batch_size=200, epochs=20, comparison_epochs=1, comparison_rounds=3),
}


class CommandError(FastnnError, RuntimeError):
    """The work that a command was asked to do has failed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after the program's name; by default those of the process.

    Returns
    -------
    int
        The exit code: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted.

    Examples
    --------
    >>> from fastnn.cli import main
    >>> code = main(["--version"])  # doctest: +ELLIPSIS
    fastnn ...
    >>> code
    0
    """
    with contextlib.ExitStack() as stack:
        # Python has None for a closed stream: nobody can write there, and `print` turns to the other one.
        if sys.stdout is None:
            stack.enter_context(contextlib.redirect_stdout(_nowhere(stack)))
        if sys.stderr is None:
            stack.enter_context(contextlib.redirect_stderr(_nowhere(stack)))
        return _flushed(_caught(argv))


def _caught(argv: Sequence[str] | None) -> int:
    """Run the command line, and return the exit code; failures are said in a line."""
    try:
        return _run(argv)
    except KeyboardInterrupt:
        _complain("\nfastnn: interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_FAILED
    except (FastnnError, ImportError, MemoryError, OSError, RuntimeError, ValueError) as error:
        _complain(f"fastnn: error: {_one_line(error)}")
        return EXIT_FAILED


def _run(argv: Sequence[str] | None) -> int:
    texts = io.StringIO(), io.StringIO()
    try:
        # argparse would not say that its texts could not be written.
        with contextlib.redirect_stdout(texts[0]), contextlib.redirect_stderr(texts[1]):
            arguments = _parse(argv)
    except SystemExit as stop:  # argparse: 0 after --help and --version, 2 after wrong usage
        sys.stdout.write(texts[0].getvalue())
        _complain(texts[1].getvalue(), end="")
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    return int(arguments.run(arguments))


def _flushed(code: int) -> int:
    """Write what is still buffered, and return the exit code: that of a failure if that fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            discard(stream)
            if stream is sys.stdout and code == EXIT_DONE:
                code = EXIT_FAILED
                if not isinstance(error, BrokenPipeError):
                    _complain(f"fastnn: error: {_one_line(error)}")
    return code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked arguments, with the sub-command's function as ``run``."""
    parser = argparse.ArgumentParser(
        prog="fastnn", description="Train multilayer perceptrons on the CPU, and measure how fast that is."
    )
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_train(commands)
    _add_benchmark(commands)
    info = commands.add_parser("info", help="show versions, SIMD level, BLAS and threads")
    info.set_defaults(run=_info)

    arguments = parser.parse_args(argv)
    if not hasattr(arguments, "run"):
        parser.print_help(sys.stderr)
        parser.exit(EXIT_USAGE)
    if arguments.run is _train:
        _complete_train(arguments, parser)
    return arguments


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a network on handwritten digits and compare with NumPy",
        description="Train a ReLU network with a softmax output by stochastic gradient descent, report "
        "the accuracy on test images, and time the same steps in pure NumPy. Without options it needs "
        "no download.",
    )
    train.add_argument("--dataset", choices=sorted(_DATASETS), default="digits", help="default: digits")
    train.add_argument(
        "--data", metavar="FOLDER", help="folder with the MNIST files; default: FASTNN_DATA, cache, download"
    )
    train.add_argument(
        "--hidden",
        metavar="UNITS",
        type=_count,
        nargs="+",
        action="extend",
        help="units of the hidden layers, in order (default: 500)",
    )
    epochs = ", ".join(f"{defaults.epochs} for {name}" for name, defaults in _DATASETS.items())
    train.add_argument("--epochs", metavar="N", type=_count, help=f"default: {epochs}")
    batches = ", ".join(f"{defaults.batch_size} for {name}" for name, defaults in _DATASETS.items())
    train.add_argument("--batch-size", metavar="N", type=_count, help=f"default: {batches}")
    train.add_argument("--learning-rate", metavar="RATE", type=_rate, default=0.1, help="default: 0.1")
    train.add_argument(
        "--seed", metavar="N", type=_seed, default=0, help="of weights, row order and split (default: 0)"
    )
    train.add_argument("--no-compare", action="store_true", help="do not time the same steps in NumPy")
    train.add_argument("--quiet", action="store_true", help="no progress bar on a terminal either")
    train.set_defaults(run=_train)


def _add_benchmark(commands: Any) -> None:
    benchmark = commands.add_parser(
        "benchmark",
        help="time fastnn against NumPy, or against every rival that is installed",
        description="Time fastnn side by side with its rivals: training steps of fixed workloads against "
        "NumPy, or with --all everything against everyone that is installed.",
    )
    benchmark.add_argument("names", metavar="NAME", nargs="*", help="workloads to run (default: all)")
    benchmark.add_argument("--quick", action="store_true", help="fewer rounds: a rough answer, sooner")
    benchmark.add_argument("--all", action="store_true", help="every installed rival, and all parts")
    benchmark.add_argument(
        "--parts",
        metavar="PART,...",
        type=_words,
        help="of training, inference, kernels, busy, memory, startup, map (default: training)",
    )
    benchmark.add_argument(
        "--rivals",
        metavar="NAME,...",
        type=_words,
        help="of numpy, sklearn, torch, torch-compile, jax, jax-step, onnxruntime (default: numpy)",
    )
    benchmark.add_argument(
        "--report", metavar="DIR", help="write results.json, report.md and plots into that folder"
    )
    benchmark.add_argument("--render", metavar="DIR", help="only make report.md and plots from results.json")
    benchmark.add_argument("--minutes", metavar="M", type=_rate, help="begin nothing new after that time")
    benchmark.add_argument(
        "--data", metavar="FOLDER", help="folder with the MNIST files, for the time to 97 %%"
    )
    benchmark.set_defaults(run=_benchmark)


def _complete_train(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Fill in what depends on the data set, and refuse what does not go together."""
    if arguments.data is not None and arguments.dataset != "mnist":
        parser.error(
            f"--data is the folder of the MNIST files: add --dataset mnist, or leave --data out "
            f"({arguments.dataset} comes with the package)"
        )
    defaults = _DATASETS[arguments.dataset]
    arguments.hidden = arguments.hidden or [500]
    arguments.epochs = arguments.epochs or defaults.epochs
    arguments.batch_size = arguments.batch_size or defaults.batch_size


def _whole_number(text: str, minimum: int, maximum: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = minimum - 1
    if not minimum <= number <= maximum:
        raise argparse.ArgumentTypeError(f"expected a whole number from {minimum} to {maximum}, got {text!r}")
    return number


def _count(text: str) -> int:
    return _whole_number(text, 1, MAXIMUM_SIZE)


def _seed(text: str) -> int:
    return _whole_number(text, 0, _LARGEST_SEED)


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise argparse.ArgumentTypeError(f"expected names with commas between them, got {text!r}")
    return words


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise argparse.ArgumentTypeError(f"expected a finite number above 0, got {text!r}")
    return rate


def _train(arguments: argparse.Namespace) -> int:
    train, (x_test, y_test) = _load(arguments)
    x_train, y_train = train
    model = _build(arguments, x_train.shape[1])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonFiniteWarning)  # reported as this command's failure below
        start = time.perf_counter()
        history = model.fit(
            x_train,
            y_train,
            batch_size=arguments.batch_size,
            epochs=arguments.epochs,
            verbose=1 if sys.stderr.isatty() and not arguments.quiet else 0,
        )
        seconds = time.perf_counter() - start
    n_finite = sum(math.isfinite(loss) for loss in history.history.get("loss", ()))
    if n_finite < arguments.epochs:
        raise CommandError(
            f"the loss stopped being finite in epoch {n_finite + 1} of {arguments.epochs}; try a "
            f"--learning-rate smaller than {arguments.learning_rate:g}"
        )
    scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    assert isinstance(scores, dict)
    accuracy = scores["accuracy"]

    n_steps = math.ceil(len(x_train) / arguments.batch_size) * arguments.epochs
    workload = _workload(arguments, train)
    rows = [
        ("data", f"{arguments.dataset}: {len(x_train)} training and {len(x_test)} test images"),
        ("network", f"{workload.net}, {workload.parameters} parameters"),
        ("test accuracy", f"{accuracy:.4f}"),
        ("training time", f"{seconds:.3f} s ({n_steps} steps, {seconds / n_steps * 1e3:.3f} ms each)"),
    ]
    _print_rows(rows)
    if not arguments.no_compare:
        sys.stdout.flush()
        _print_rows([("pure NumPy", _compare_with_numpy(arguments, train))], width=len("training time"))
    return EXIT_DONE


def _load(arguments: argparse.Namespace) -> tuple[Rows, Rows]:
    from fastnn.datasets import _mnist, load_digits

    if arguments.dataset == "mnist":
        return _mnist.read_mnist(arguments.data, True, None, _mnist.ON_COMMAND_LINE)
    return load_digits(seed=arguments.seed)


def _build(arguments: argparse.Namespace, n_inputs: int) -> fastnn.Sequential:
    """Return a fresh compiled network; the same arguments give the same initial weights."""
    hidden = [fastnn.layers.Dense(units, activation="relu") for units in arguments.hidden]
    output = fastnn.layers.Dense(_N_CLASSES, activation="softmax")
    model = fastnn.Sequential([fastnn.Input((n_inputs,)), *hidden, output], seed=arguments.seed)
    model.compile(
        optimizer=fastnn.optimizers.SGD(arguments.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def _compare_with_numpy(arguments: argparse.Namespace, train: Rows) -> str:
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

    defaults = _DATASETS[arguments.dataset]
    workload = _workload(arguments, train)
    n_batches = len(train[0]) // workload.batch  # whole batches, so that both sides cut the rows alike
    x, y = train[0][: n_batches * workload.batch], train[1][: n_batches * workload.batch]
    n_epochs = min(arguments.epochs, defaults.comparison_epochs)
    weights = _build(arguments, x.shape[1]).get_weights()

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
                f"{our_loss:.7g} and NumPy {their_loss:.7g} (relative difference {difference:.1e}, "
                f"allowed {LOSS_TOLERANCE:.0e})"
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


def _workload(arguments: argparse.Namespace, train: Rows) -> Workload:
    """Return the training of the arguments in the words of the benchmark."""
    from fastnn.benchmark.workloads import Workload

    return Workload(
        name=arguments.dataset,
        widths=(train[0].shape[1], *arguments.hidden, _N_CLASSES),
        activation="relu",
        output_activation="softmax",
        loss="sparse_categorical_crossentropy",
        batch=min(arguments.batch_size, len(train[0])),
        optimizer="sgd",
        learning_rate=arguments.learning_rate,
        description="the network of the command line",
    )


def _benchmark(arguments: argparse.Namespace) -> int:
    from fastnn.benchmark import runner, suite

    if arguments.render is not None:
        return suite.render(arguments.render)
    options = {
        "every": arguments.all,
        "parts": arguments.parts,
        "rivals": arguments.rivals,
        "folder": arguments.report,
        "minutes": arguments.minutes,
        "data": arguments.data,
    }
    if given := {name: value for name, value in options.items() if value}:
        return suite.main(arguments.names, arguments.quick, **given)
    return int(runner.main(arguments.names, quick=arguments.quick))


def _info(arguments: argparse.Namespace) -> int:
    from fastnn.run import runtime

    _print_rows([(_INFO_LABELS.get(key, key), value) for key, value in runtime.build_info().items()])
    return EXIT_DONE


def _print_rows(rows: Sequence[tuple[str, object]], width: int = 0) -> None:
    """Print labels and values in two columns."""
    width = max(width, *(len(label) for label, _ in rows))
    for label, value in rows:
        print(f"{label:<{width}}  {value}")


def _one_line(error: BaseException) -> str:
    """Return an error's message without line breaks, or its type's name if it has none."""
    if isinstance(error, OSError) and error.strerror is not None:
        return error.strerror + (f": {error.filename}" if error.filename is not None else "")
    if isinstance(error, MemoryError) and not str(error):
        return "not enough memory"
    return " ".join(str(error).split()) or type(error).__name__


def _complain(text: str, end: str = "\n") -> None:
    """Write to standard error, if it takes anything: there is no other place to say that it does not."""
    with contextlib.suppress(OSError):
        print(text, end=end, file=sys.stderr, flush=True)


def _nowhere(stack: contextlib.ExitStack) -> TextIO:
    return stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
