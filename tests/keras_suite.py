"""Keras's own unit tests, with fastnn in the place of what they test.

Keras's wheel has its tests beside the code.  Here such a module is loaded, and what it imported of Keras is
exchanged for what fastnn has of the same name: functions, classes, and the modules that hold them.  What
makes and compares arrays stays Keras's.  Names that fastnn does not have end a test as "missing".

``python tests/keras_suite.py [FILE...]`` runs them, and says of each that fails why.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import types
import unittest
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import fastnn

# Modules of Keras's tests, and where fastnn has the names.
FILES = {
    "activations.activations_test": ("activations",),
    "losses.losses_test": ("losses",),
    **{
        f"metrics.{name}_metrics_test": ("metrics",)
        for name in (
            "accuracy",
            "confusion",
            "correlation",
            "f_score",
            "hinge",
            "probabilistic",
            "reduction",
            "regression",
        )
    },
    **{
        f"optimizers.{name}_test": ("optimizers",)
        for name in (
            "adadelta",
            "adagrad",
            "adam",
            "adamax",
            "adamw",
            "ftrl",
            "lamb",
            "lion",
            "muon",
            "nadam",
            "rmsprop",
            "sgd",
        )
    },
    "optimizers.optimizer_test": ("optimizers",),
    "optimizers.schedules.learning_rate_schedule_test": ("optimizers.schedules", "optimizers"),
    "initializers.random_initializers_test": ("initializers",),
    "initializers.constant_initializers_test": ("initializers",),
    "initializers.initializer_test": ("initializers",),
    "regularizers.regularizers_test": ("regularizers",),
    "constraints.constraints_test": ("constraints",),
    **{
        f"callbacks.{name}_test": ("callbacks",)
        for name in (
            *("backup_and_restore", "callback", "csv_logger", "early_stopping", "lambda_callback"),
            *("learning_rate_scheduler", "model_checkpoint", "monitor_callback", "reduce_lr_on_plateau"),
            "terminate_on_nan",
        )
    },
    **{
        f"layers.{name}_test": ("layers",)
        for name in (
            *("activations.activation", "activations.elu", "activations.leaky_relu", "activations.prelu"),
            *("activations.relu", "activations.softmax", "core.dense", "core.embedding", "core.identity"),
            *("core.input_layer", "merging.merging", "normalization.batch_normalization"),
            *("normalization.layer_normalization", "normalization.rms_normalization"),
            *("normalization.unit_normalization", "preprocessing.normalization", "regularization.dropout"),
            *("regularization.activity_regularization", "regularization.alpha_dropout"),
            *("regularization.gaussian_dropout", "regularization.gaussian_noise", "reshaping.flatten"),
            "reshaping.reshape",
        )
    },
    **{f"models.{name}_test": ("", "layers") for name in ("cloning", "functional", "model", "sequential")},
}
KEPT = (
    "testing",
    "backend",
    "ops",
    "random",
    "tree",
    "utils",
    "saving",
    "export",
    "quantizers",
    "dtype_policies",
)


class Missing(Exception):
    """A test needs a name that fastnn does not have."""


class Stand(types.ModuleType):
    """A module of Keras, as far as fastnn has its names."""

    def __init__(self, name: str, places: tuple[str, ...]) -> None:
        super().__init__(name)
        self._places = places

    def __getattr__(self, name: str) -> Any:
        return ours(name, self._places)


def ours(name: str, places: tuple[str, ...]) -> Any:
    """Return what fastnn has of a name."""
    for place in places:
        with contextlib.suppress(AttributeError, ModuleNotFoundError):
            return getattr(importlib.import_module(f"fastnn.{place}".rstrip(".")), name)
    raise Missing(name)


def exchanged(name: str, value: Any, places: tuple[str, ...]) -> Any:
    """Return what stands in a module of tests for something that it imported."""
    origin = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", "")
    area = origin.split(".")[2] if origin.startswith("keras.src.") else ""
    if origin == "keras" and isinstance(value, types.ModuleType):
        return fastnn
    if not area or area in KEPT or origin.endswith("_test"):
        return value
    if isinstance(value, types.ModuleType):
        return Stand(name, tuple(dict.fromkeys((area if hasattr(fastnn, area) else "", *places, "layers"))))
    try:
        return ours(value.__name__, tuple(dict.fromkeys((*places, area, "layers", ""))))
    except Missing:
        return absent(value.__name__)


def absent(name: str) -> Any:
    def raiser(*args: Any, **kwargs: Any) -> Any:
        raise Missing(name)

    return raiser


@contextlib.contextmanager
def conftest_of_keras() -> Iterator[None]:
    """Have what those modules import of Keras's own `conftest`: marks of tests for other backends."""
    stand = types.ModuleType("conftest")
    stand.skip_if_backend = lambda *args: lambda test: test  # type: ignore[attr-defined]
    before = sys.modules.get("conftest")
    sys.modules["conftest"] = stand
    try:
        yield
    finally:
        del sys.modules["conftest"]
        if before is not None:
            sys.modules["conftest"] = before


def cases(file: str) -> Iterator[unittest.TestCase]:
    """Yield the tests of a module of Keras."""
    with conftest_of_keras():
        module = importlib.import_module(f"keras.src.{file}")
    for name, value in list(vars(module).items()):
        setattr(module, name, exchanged(name, value, FILES[file]))
    for suite in unittest.defaultTestLoader.loadTestsFromModule(module):
        yield from suite


def verdict(case: unittest.TestCase) -> str:
    """Run a test, and return "passed", "skipped", or why it failed."""
    result = unittest.TestResult()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        case.run(result)
    if result.skipped:
        return "skipped"
    for _, trace in result.errors + result.failures:
        return trace.strip().splitlines()[-1][:160]
    return "passed"


def main(files: list[str]) -> None:
    """Run files of Keras's tests, by default all, and print what became of them."""
    total: Counter[str] = Counter()
    for file in files or FILES:
        counts: Counter[str] = Counter()
        for case in cases(file):
            found = verdict(case)
            kind = found if found in ("passed", "skipped") else "missing" if "Missing" in found else "failed"
            counts[kind] += 1
            if kind not in ("passed", "skipped"):
                print(f"  {case.id().partition('keras.src.')[2]}: {found}")
        total += counts
        print(f"{file}: {dict(counts)}", flush=True)
    print(dict(total))


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "torch")
    main(sys.argv[1:])
