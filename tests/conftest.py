"""Fixtures for all tests. Nothing here may need more than one test file would need alone."""

from __future__ import annotations

import contextlib
import csv
import importlib
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def plans_of_other_tests_are_forgotten() -> None:
    """Let no test get plans that another one made with other thresholds."""
    from fastnn.compiler import shared_plans

    shared_plans._plans.clear()


_STATES: dict[str, Any] = {}  # of the generators that test files have, once all files are read


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the state of each test file's generator, a Generator or RandomState."""
    for item in items:
        module = getattr(item, "module", None)
        if (generator := getattr(module, "RNG", None)) is not None:
            legacy = hasattr(generator, "get_state")
            state = generator.get_state() if legacy else generator.bit_generator.state
            _STATES.setdefault(module.__name__, state)


@pytest.fixture(autouse=True)
def numbers_are_those_of_the_test_alone(request: pytest.FixtureRequest) -> None:
    """Let the numbers that a test draws not depend on which tests ran before it."""
    if (state := _STATES.get(request.module.__name__)) is not None:
        generator = request.module.RNG
        if hasattr(generator, "set_state"):
            generator.set_state(state)
        else:
            generator.bit_generator.state = state


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Return the folder that holds the four MNIST files, or skip the test."""
    from fastnn.datasets._mnist import find_files

    for place in _data_folders():
        if (paths := find_files(place)) is not None:
            return paths[0].parent
    pytest.skip("the MNIST files are neither in FASTNN_DATA nor in ../shared/data of the repository")


@pytest.fixture(scope="session")
def published() -> Callable[[str], dict[str, list[str]]]:
    """Return a function that reads a CSV file of the data folder, or skips the test with the reason.

    ``published("bike_sharing/hour.csv")["cnt"]`` is a column as it is written in the file.
    """

    def read(name: str) -> dict[str, list[str]]:
        for place in _data_folders():
            if (place / name).is_file():
                with (place / name).open(newline="", encoding="utf-8") as stream:
                    header, *rows = csv.reader(stream)
                return {column: list(values) for column, *values in zip(header, *rows, strict=True)}
        pytest.skip(f"{name} is neither in FASTNN_DATA nor in ../shared/data of the repository")

    return read


def _data_folders() -> list[Path]:
    """Return the folders in which data sets may lie, the one that the user named first."""
    beside_the_repository = Path(__file__).resolve().parents[2] / "shared" / "data"
    named = os.environ.get("FASTNN_DATA")
    return [*([Path(named).expanduser()] if named else []), beside_the_repository]


@pytest.fixture(scope="session")
def peer() -> Callable[[str], ModuleType]:
    """Return a function that imports another library, or skips the test with the reason.

    With the environment variable FASTNN_PEERS_REQUIRED set, a missing library fails the test.
    """

    def find(name: str) -> ModuleType:
        if name == "keras":
            os.environ.setdefault("KERAS_BACKEND", "torch")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what others warn of while they load is theirs
                return importlib.import_module(name)
        except ImportError as error:
            reason = f"{name} cannot be imported ({error})"
            if os.environ.get("FASTNN_PEERS_REQUIRED"):
                pytest.fail(f"{reason}, and FASTNN_PEERS_REQUIRED is set")
            pytest.skip(reason)

    return find


@pytest.fixture(scope="session")
def soon() -> Callable[..., bool]:
    """Return a function that waits until a condition holds, and returns whether it does.

    ``assert soon(condition)``, or ``soon(condition, meanwhile)`` to do something again and again instead of
    sleeping. It gives up after a minute, so that what would never happen does not hang: no test may expect
    that something happens within some time.
    """

    def wait(
        condition: Callable[[], bool], meanwhile: Callable[[], object] = lambda: time.sleep(0.001)
    ) -> bool:
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                return False
            meanwhile()
        return True

    return wait


@pytest.fixture(scope="session")
def dismiss_helpers(soon: Callable[..., bool]) -> Callable[[], None]:
    """Return a function that waits until no thread waits to help, and lets earlier ones be forgotten."""
    from fastnn._core import pool

    def dismiss() -> None:
        assert soon(lambda: pool.count_workers() == 0, pool.retire)
        pool.forget()

    return dismiss


@pytest.fixture(scope="session")
def lines_run() -> Callable[[Callable[[], object]], int]:
    """Return a function that counts the lines of Python which a call runs, busy as the machine may be.

    Loops of NumPy, and of Python itself such as a search in a list, are one line.
    """

    def count(call: Callable[[], object]) -> int:
        lines, before = 0, sys.gettrace()

        def trace(frame: object, event: str, argument: object) -> object:
            nonlocal lines
            lines += event == "line"
            return trace

        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(before)
        return lines

    return count


@pytest.fixture
def signals() -> Callable[[Callable[[], None]], contextlib.AbstractContextManager[None]]:
    """Return a context that calls a handler again and again, wherever the main thread is then.

    ``with signals(handler): model.fit(...)``
    """
    if not hasattr(signal, "setitimer"):
        pytest.skip("this system has no timer that sends signals")

    @contextlib.contextmanager
    def sent(handler: Callable[[], None]) -> Iterator[None]:
        ended = False

        def handle(*details: object) -> None:
            try:
                handler()
            finally:
                if not ended:
                    signal.setitimer(signal.ITIMER_REAL, 0.01)  # from now on, as a handler may be slow

        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        try:
            yield
        finally:
            ended = True
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    return sent


@pytest.fixture
def interrupted(signals: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that interrupts work in the midst of a run, and returns the run's result.

    ``interrupted(lambda: model.fit(...), once)``: the first signal raises that is handled once a condition
    holds; all epochs are one run. The test fails if the executor does not hear it: then Python raises after
    the run, and there is no result.
    """
    from fastnn.model import call_lengths
    from fastnn.run.program import Program

    results: list[Any] = []
    real = Program.run

    def run(*arguments: Any, **options: Any) -> Any:
        results.append(real(*arguments, **options))
        return results[-1]

    def interrupt(work: Callable[[], object], once: Callable[[], bool]) -> Any:
        raised: list[bool] = []

        def handler() -> None:
            if not raised and once():
                raised.append(True)
                raise KeyboardInterrupt

        results.clear()
        with signals(handler), pytest.raises(KeyboardInterrupt):
            work()
        assert [type(result.exception) for result in results] == [KeyboardInterrupt]
        return results[0]

    monkeypatch.setattr(call_lengths, "CALL_FLOPS", 10**30)
    monkeypatch.setattr(call_lengths, "MOST_EPOCHS", 2**40)
    monkeypatch.setattr(Program, "run", run)
    return interrupt


@pytest.fixture
def team_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of threads of each run that has more than one."""
    from fastnn.run.program import Program

    sizes: list[int] = []
    decide = Program.team_size

    def noted(program: Program, *work: int) -> int:
        size = decide(program, *work)
        if size > 1:
            sizes.append(size)
        return size

    monkeypatch.setattr(Program, "team_size", noted)
    return sizes


def _state(model: Any) -> dict[str, object]:
    """Return all that training changes in a model, as bytes and numbers."""
    compiled = model._now.optimizer
    return {
        "built": model.built,
        "weights": [w.tobytes() for w in model.get_weights()] if model.built else None,
        "layers": [layer.name for layer in model.layers],
        "compiled": compiled,
        "learning rate": None if compiled is None else compiled.learning_rate,
        "iterations": None if compiled is None else compiled.iterations,
        "epochs": None if compiled is None else compiled.progress.epochs,
        "state": None if compiled is None or compiled.state is None else compiled.state.tobytes(),
    }


@pytest.fixture(scope="session")
def refused() -> Callable[..., contextlib.AbstractContextManager[None]]:
    """Return a context that asserts an error with its message, and a model that it left as it was.

    ``with refused(model, ShapeError, match="rows"): model.fit(...)``; weights bit for bit.
    """

    @contextlib.contextmanager
    def check(model: Any, error: type[BaseException], match: str) -> Iterator[None]:
        before = _state(model)
        with pytest.raises(error, match=match):
            yield
        after = _state(model)
        assert after == before, [name for name, value in after.items() if value != before[name]]

    return check


# -- tolerances: every number that the tests of the core compare with stands here, once

TOLERANCES: dict[str, float] = {
    # units in the last place of the exact result, over the whole range of the argument
    "sigmoid ulp": 2.5,
    "tanh ulp": 1.5,
    "exp ulp": 1.0,
    "elu ulp": 4.0,
    "softplus ulp": 2.5,
    "gelu ulp": 4.0,
    "tanh_shrink ulp": 16.0,
    # normal numbers, relative, in units of eps: 6e-7 and 3e-14
    "normal float32": 5.0,
    "normal float64": 135.0,
    # in units of eps, relative to the sum of the absolute values that were added up, times sqrt(length)
    "sum": 4.0,
    # in units of eps, relative to the largest element
    "element": 8.0,
    # float32, relative to the sum of the absolute values that were added up, of any number of them
    "long sum": 1e-5,
    # relative, float64: finite differences of order 4; weights and sums after several steps
    "finite difference": 1e-6,
    "trained float64": 1e-12,
    # relative, float32 against float64: outputs; gradients; weights and sums after several steps
    "forward float32": 1e-5,
    "gradient float32": 1e-4,
    "trained float32": 1e-4,
    # bytes by which a process may grow
    "growth": 2.0**20,
}


@pytest.fixture(scope="session")
def tolerances() -> dict[str, float]:
    """Return the table of tolerances."""
    return TOLERANCES


@pytest.fixture(params=["base", "v3", "v4"])
def simd_level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test once per SIMD level that this build has and this machine can run."""
    from fastnn._core import table

    before = table.level()
    try:
        level = table.load(request.param)
    except ValueError as error:
        pytest.skip(f"no kernels of this level here: {error}")
    yield level
    table.load(before)
