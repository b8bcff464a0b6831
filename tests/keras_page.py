"""What of Keras is in fastnn, what is not and why, and what fastnn adds: `docs/keras.md`, made from the code.

``python tests/keras_page.py`` writes the page anew; a test compares it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MODULES = (
    *("layers", "activations", "losses", "metrics", "optimizers", "optimizers.schedules", "callbacks"),
    *("initializers", "regularizers", "constraints", "models", "utils"),
)
MODEL = "Model"  # attributes of models stand below their modules
PAGE = Path(__file__).parents[1] / "docs" / "keras.md"
HEAD = """# fastnn and Keras

A script of dense layers that was written for Keras 3 runs after `import fastnn as keras`, with the same
numbers: outputs, losses, metrics, and weights after training from equal weights agree to what float32 can
hold.  Random numbers are others, as each library draws its own.

This page is made from the code, by `python tests/keras_page.py`, and compared by a test.  What it says of a
name that is not there is what the error says.  It is about Keras {version}.

- Tensors are (rows, features): there is no convolution, recurrence or attention.
- Models run on the CPU, in float32 or, by `dtype="float64"`, in float64.
- Models are graphs of layers, without Python in their steps.  Arrays are NumPy's.
- Losses and metrics may be functions of Python, which take arrays; a loss returns its gradient as well,
  ``(value, gradient)``.  What Keras gives such a metric as (rows,), if targets were, is (rows, 1) here.

Keras's own unit tests run with fastnn in its place: `tests/keras_suite.txt` says which pass, which fail and
why, and which are about what fastnn leaves out.
"""


def public(thing: Any) -> list[str]:
    """Return the public names of a module of Keras or of a class, without those of single letters."""
    return [name for name in dir(thing) if not name.startswith("_")]


def refusal(thing: Any, name: str) -> str | None:
    """Return what is said of a name that a module or model of fastnn does not have, or None if it has it."""
    try:
        getattr(thing, name)
    except AttributeError as error:
        return str(error).partition(": ")[2] or str(error)
    except Exception:  # a property that is there, and has no value yet
        return None
    return None


def differences(theirs: Any, ours: Any) -> Iterator[str]:
    """Yield what differs in the arguments of a class or method of both."""
    try:
        wanted, found = inspect.signature(theirs).parameters, inspect.signature(ours).parameters
    except (TypeError, ValueError):
        return
    open_ended = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    missing = [
        name
        for name, parameter in wanted.items()
        if name not in found and parameter.kind not in open_ended and name not in ("name", "dtype", "self")
    ]
    if missing:
        yield "without " + ", ".join(f"`{name}`" for name in missing)
    for name, parameter in found.items():
        if name != "name" and name in wanted and parameter.default != wanted[name].default:
            needed = parameter.default is parameter.empty
            yield (
                f"`{name}` is needed"
                if needed
                else (f"`{name}={parameter.default!r}` for Keras's `{wanted[name].default!r}`")
            )


def section(title: str, theirs: Any, ours: Any, names: list[str]) -> Iterator[str]:
    """Yield the lines on a module, or on models."""
    yield f"\n## {title}\n"
    wanted, refusals = public(theirs), {name: refusal(ours, name) for name in public(theirs)}
    there = [name for name in wanted if refusals[name] is None]
    yield f"There ({len(there)}): " + ", ".join(f"`{name}`" for name in there) + "."
    if own := [name for name in names if name not in wanted]:
        yield f"\nfastnn alone ({len(own)}): " + ", ".join(f"`{name}`" for name in own) + "."
    if lines := [
        f"| `{name}` | {'; '.join(found)} |"
        for name in there
        if callable(getattr(theirs, name, None))
        and (found := list(differences(getattr(theirs, name), getattr(ours, name))))
    ]:
        yield "\n| other arguments | |\n|---|---|"
        yield from lines
    groups: dict[str, list[str]] = {}
    for name, sentence in refusals.items():
        if sentence is not None and sentence.startswith("it is written"):
            groups.setdefault("they are written as classes here", []).append(name)
        elif sentence is not None:
            groups.setdefault("" if "has no attribute" in sentence else sentence, []).append(name)
    if groups:
        yield "\n| not there | |\n|---|---|"
        for sentence, absent in groups.items():
            yield f"| {', '.join(f'`{name}`' for name in absent)} | {sentence.replace('|', ' or ')} |"


def page(keras: Any) -> str:
    """Return the page."""
    import fastnn

    lines = [HEAD.format(version=keras.__version__)]
    for module in MODULES:
        theirs = importlib.import_module(f"keras.{module}")
        try:
            ours = importlib.import_module(f"fastnn.{module}")
        except ModuleNotFoundError:
            continue
        lines += section(f"`{module}`", theirs, ours, list(ours.__all__))
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)], seed=0)
    bare = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    backend = set(dir(importlib.import_module("torch").nn.Module))
    theirs = type("Attributes", (), {name: None for name in public(bare) if name not in backend})
    for name in ("compile", "fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "summary"):
        setattr(theirs, name, getattr(keras.Model, name))
    lines += section("Models", theirs, model, public(fastnn.Model))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import os

    os.environ.setdefault("KERAS_BACKEND", "torch")
    PAGE.write_text(page(importlib.import_module("keras")), encoding="utf-8")
