"""Files of models and places for results, looked at before work is done for them.

It must not know what is in a model.
"""

from __future__ import annotations

import os
from typing import Any

import fastnn
from fastnn.checks import shown
from fastnn.command_line.output import CommandError

__all__ = ["anything_of", "check_place", "estimator_of"]


def anything_of(path: str) -> tuple[Any, bool]:
    """Return the model or the estimator that a file holds, and whether it is an estimator."""
    from fastnn.saving.container import Container

    try:
        with Container(path) as file:
            is_estimator = "estimator" in file.description
    except FileNotFoundError:
        raise CommandError(f"there is no file {shown(path)}") from None
    return (fastnn.load_estimator if is_estimator else fastnn.load_model)(path), is_estimator


def estimator_of(path: str) -> Any:
    """Return the estimator that a file holds."""
    found, is_estimator = anything_of(path)
    if not is_estimator:
        raise CommandError(
            f"{shown(path)} holds a model without the names of columns; what is wanted is an estimator, as "
            "`fastnn train table.csv --target y --save model.safetensors` saves it"
        )
    return found


def check_place(path: str, option: str, *sources: str) -> None:
    """Raise unless a file can be written there, and is none of those that are read."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise CommandError(f"{option} {path} is a folder; name a file in it")
    if not os.path.isdir(folder):
        raise CommandError(f"{option} {path}: there is no folder {shown(folder)}; make it first")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise CommandError(f"{option} {path} may not be written")
    for source in sources:
        if os.path.exists(path) and os.path.exists(source) and os.path.samefile(path, source):
            raise CommandError(f"{option} {path} would replace what is read; choose another name")
