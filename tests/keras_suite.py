"""Keras's own unit tests, with fastnn in the place of what they test.

Keras's wheel has its tests beside the code.  Here such a module is loaded, and what it imported of Keras is
exchanged for what fastnn has of the same name, see `keras_swap`: functions, classes, and the modules that
hold them.  What makes and compares arrays stays Keras's.

``python tests/keras_suite.py [FILE...]`` runs them, and says of each that does not pass why.  With
``--write`` it writes what it finds to `tests/keras_suite.txt`, where the rows of other files stay; a test
holds what passes there.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import sys
import types
import unittest
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from keras_swap import exchanged, swapped

import fastnn

TABLE = Path(__file__).with_name("keras_suite.txt")
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
            "iou",
            "probabilistic",
            "reduction",
            "regression",
        )
    },
    **{
        f"optimizers.{name}_test": ("optimizers",)
        for name in (
            "adadelta",
            "adafactor",
            "adagrad",
            "adam",
            "adamax",
            "adamw",
            "ftrl",
            "lamb",
            "lion",
            "loss_scale_optimizer",
            "multi_optimizer",
            "muon",
            "nadam",
            "rmsprop",
            "schedule_free_adamw",
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
            *("remote_monitor", "swap_ema_weights", "tensorboard", "terminate_on_nan"),
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

# What is left out on purpose: the reason, and what tells it by a test's name or by its error.
NOT_OURS = {
    "quantization and lora": (
        "quantize|lora|awq|gptq|float8|int4|overwrite_with_gradient",
        "quantize|lora_rank",
    ),
    "other backends": ("indexed_slices|tf_checkpoint|layout", "No module named 'tensorflow'"),
    "numbers that are not finite, which are refused before training": (
        "",
        "values that are NaN or infinite",
    ),
    "slips that Keras takes with a warning": ("", "mode must be 'auto', 'min' or 'max', got 'unknown'"),
    "random generators of Keras": ("", "SeedGenerator|seed_generator"),
    "sound, and layers of sequences": ("", "Missing: (STFT|MultiHeadAttention)$"),
    "float16": ("", "Missing: LossScaleOptimizer|loss_scale_factor"),
    "optimizers are values: equal ones have equal names": ("auto_naming", ""),
    "optimizers without a model": ("", "no model was compiled with this"),
    "sparse and ragged tensors": ("sparse_(tensor|add|input)|ragged|_sparse$", "Sparse is un|Ragged is"),
    "masks": ("mask", "Masking|mask_zero|compute_mask"),
    "tensors of other ranks": (
        "higher_dim|_3d|sets_static_shape",
        r"must be one (number of features|width)|tensors are \(rows|shape \(rows, features\)|y_true has shape"
        r"|it must be \(rows, outputs\)|shared_axes must be None|Missing: (Conv|mobilenet)"
        r"|got \(\d+, \d+, \d+\);|must be \(rows, features\), got shape|x.reshape\(len\(x\)",
    ),
    "dropout of whole axes": ("noise_shape", "leave noise_shape out"),
    "dtype policies and other dtypes": (
        "_dtype|autocast",
        "no argument dtype|argument 'dtype'|attribute 'dtype'|has dtype 'float16'"
        "|got '(float16|bfloat16|int32|int)'",
    ),
    "losses of sequences, and of pairs of rows": ("", "Missing: (CTC|Circle)$"),
    "configurations that leave arguments out": (
        "",
        r"\{'(axis|delta)': .* != \{'name': '\w+', 'reduction': 'sum'\}",
    ),
    "thresholds with ends that nobody gave": ("manual_thresholds", "(?!)"),
    "unknown names of losses, which are refused at once": ("", "unknown loss 'crossentropy'"),
    "layers, models and losses with Python in their steps": (
        "subclass|custom_compute_loss|custom_model",
        "cannot be built from a width|cannot run: layers are those|needs inputs and outputs"
        "|has no add_variable|CanaryLayer|got <function",
    ),
    "variables and tensors of the backend": (
        "tf_variables",
        "no attribute '(variables|value|true_positives|constraint|shape|add_variable)'"
        "|no values; build a model|SymbolicTensor'",
    ),
    "renorm": ("renorm", "no argument renorm"),
    "optional inputs": ("optional", "no argument optional"),
    "inputs that lead nowhere": ("unused_inputs", "leads to no output"),
    "several losses for one output": ("invalid_nested_list", r"a loss is a name or a Loss, got \["),
    "what compile finds, and not only fit": (
        "",
        "(loss must have|metrics has) the keys? .*_c'|the keys .'dense'",
    ),
    "texts of warnings": ("mismatched_inputs_structure|extra_field", ""),
    "the inside of Keras": (
        "verbose_logging",
        "attribute '(_[a-z]|load_own|call')|validate_float_arg|compute_fans|monitor_op|MonitorCallback"
        "|input_spec|MeanMetricWrapper",
    ),
    "numbers and shapes that mean one thing, and that Keras refuses": (
        "beta_integer|threshold_not_float|^test_errors$",
        "(?!)",
    ),
    "labels as outputs of models": ("", "takes labels that were found, and a model"),
    "weights without fractions": ("float_weight", "(?!)"),
    "sequences that stay lists": ("", r"\(1, 0\) != \[1, 0\]"),
}
REFUSED = re.compile(r"has no (argument )?\w+: ")  # with what there is instead


class Verdict(NamedTuple):
    """What became of a test: "passed", "failed" or "not ours", and why."""

    kind: str
    reason: str = ""


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


def cases(file: str) -> Iterator[tuple[str, unittest.TestCase]]:
    """Yield the names and the tests of a module of Keras."""
    with conftest_of_keras():
        module = importlib.import_module(f"keras.src.{file}")
    for name, value in list(vars(module).items()):
        setattr(module, name, exchanged(name, value, FILES[file]))
    for suite in unittest.defaultTestLoader.loadTestsFromModule(module):
        for case in suite:
            if isinstance(case, unittest.TestCase):
                _exchange_parameters(getattr(type(case), case._testMethodName), FILES[file])
                yield case.id().split(" ")[0].partition(f"{file}.")[2], case


def _exchange_parameters(test: Any, places: tuple[str, ...]) -> None:
    """Exchange the classes of Keras among the parameters that a decorator keeps for a test."""
    for cell in getattr(test, "__closure__", None) or ():
        given = cell.cell_contents
        for name, value in list(given.items()) if isinstance(given, dict) else ():
            if isinstance(value, type):
                given[name] = exchanged(name, value, places)


def verdict(name: str, case: unittest.TestCase) -> Verdict:
    """Run a test."""
    result = unittest.TestResult()
    np.random.seed(0)
    fastnn.utils.set_random_seed(0)
    silent = contextlib.redirect_stdout(io.StringIO())
    with warnings.catch_warnings(), silent, swapped(case):
        warnings.simplefilter("ignore")
        case.run(result)
    if result.skipped:
        return Verdict("not ours", result.skipped[0][1][:70])
    for _, trace in result.errors + result.failures:
        return judged(name, trace)
    return Verdict("passed")


def judged(name: str, trace: str) -> Verdict:
    """Return what a test's traceback says of it."""
    lines = [
        line
        for line in trace.strip().splitlines()
        if re.match(r"[\w.]+(Error|Missing|NotOurs|Skipped)\b", line)
    ]
    kind, _, text = (lines[-1] if lines else trace.strip().splitlines()[-1]).partition(":")
    kind, text = kind.rpartition(".")[2], re.sub(r" at 0x[0-9a-f]+|/tmp/\S+", "", text).strip()
    if kind in ("NotOurs", "Skipped"):
        return Verdict("not ours", text[:70])
    for reason, (in_name, in_text) in NOT_OURS.items():
        told = in_name and re.search(in_name, name.partition(".")[2])
        if told or (in_text and re.search(in_text, f"{kind}: {text}")):
            return Verdict("not ours", reason)
    if REFUSED.search(text):
        return Verdict("not ours", text[:106])
    if kind == "Missing":
        for place in ("", *{area for areas in FILES.values() for area in areas}):
            said = fastnn.absent.instead(place, text)
            if said.startswith("not ours: "):
                return Verdict("not ours", said.removeprefix("not ours: ")[:106])
        return Verdict("failed", f"no {text}")
    text = text or "other numbers"
    return Verdict("failed", text if len(text) < 110 else text[:106].rstrip() + " ...")


def judgements(file: str) -> dict[str, Verdict]:
    """Return what becomes of each test of a file."""
    try:
        return {name: verdict(name, case) for name, case in cases(file)}
    except ModuleNotFoundError as error:
        return {"all": Verdict("not ours", f"needs {error.name}")}


def section(file: str, found: dict[str, Verdict]) -> list[str]:
    """Return the lines of the table on a file."""
    counts = Counter(one.kind for one in found.values())
    said = ", ".join(f"{counts[kind]} {kind}" for kind in ("passed", "failed", "not ours") if counts[kind])
    lines = [f"  {kind} {name}" + (f": {reason}" if reason else "") for name, (kind, reason) in found.items()]
    return ["", f"{file}: {said}", *lines]


def sections_of(text: str) -> dict[str, list[str]]:
    """Return the lines of a table by their files."""
    found: dict[str, list[str]] = {}
    for part in text.rstrip("\n").split("\n\n")[1:]:
        found[part.partition(":")[0]] = ["", *part.splitlines()]
    return found


def table(sections: dict[str, list[str]]) -> str:
    """Return the table of all files, in their order."""
    import keras

    rows = [line for lines in sections.values() for line in lines]
    total = {
        kind: sum(row.startswith(f"  {kind} ") for row in rows) for kind in ("passed", "failed", "not ours")
    }
    lines = [
        f"Unit tests of Keras {keras.__version__}, with fastnn in its place; made by",
        f"python tests/keras_suite.py --write: {total['passed']} passed, {total['failed']} failed, and",
        f"{total['not ours']} not ours, as they are about what fastnn leaves out on purpose.",
    ]
    for file in FILES:
        lines += sections.get(file, [])
    return "\n".join(lines) + "\n"


def passing() -> dict[str, list[str]]:
    """Return the tests that the table says pass, by file."""
    found: dict[str, list[str]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            file = line.partition(":")[0]
        elif line.startswith("  passed "):
            found.setdefault(file, []).append(line.removeprefix("  passed "))
    return found


def lost(file: str, names: list[str]) -> dict[str, str]:
    """Return which of a file's tests, named so, do not pass, and why."""
    there = dict(cases(file))
    missing = {name: "there is no such test" for name in names if name not in there}
    found = {name: verdict(name, there[name]) for name in names if name in there}
    return missing | {name: f"{kind}: {why}" for name, (kind, why) in found.items() if kind != "passed"}


def main(arguments: list[str]) -> None:
    """Run files of Keras's tests, by default all, and print, and write, what became of them."""
    files = [one for one in arguments if one != "--write"]
    sections = {}
    for file in files or FILES:
        sections[file] = section(file, judgements(file))
        print("\n".join(sections[file] if files else sections[file][:2]), flush=True)
    if "--write" in arguments:
        TABLE.write_text(table(sections_of(TABLE.read_text(encoding="utf-8")) | sections), encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "torch")
    main(sys.argv[1:])
