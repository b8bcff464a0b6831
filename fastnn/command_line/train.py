"""``fastnn train``: which of its options belong to which data, and who trains.

It must not know how anything is trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import click

from fastnn.checks import shown
from fastnn.command_line import digits, tables
from fastnn.command_line.arguments import (
    FILE,
    LARGEST_SEED,
    Choice,
    Command,
    Rate,
    Share,
    WholeNumber,
    given,
    json_option,
    option,
    refuse,
)
from fastnn.command_line.reading import header_of, listed
from fastnn.command_line.table_options import columns_of, format_of, table_options

__all__ = ["train"]


def _each(field: str) -> str:
    return ", ".join(f"{getattr(defaults, field)} for {name}" for name, defaults in digits.DEFAULTS.items())


_OF_DIGITS = ("dataset", "data", "hidden", "batch_size", "learning_rate", "no_compare")
_OF_TABLES = (
    *("target", "task", "save", "validation_fraction", "drop", "categorical", "time_limit"),
    *("separator", "encoding", "missing"),
)


@click.command(cls=Command, short_help="train a network, on a table or on handwritten digits")
@click.argument("table", metavar="[TABLE]", required=False, type=FILE)
@option("--target", metavar="NAME", shell_complete=columns_of, help="the column that is to be predicted")
@option("--save", metavar="FILE", type=FILE, help="keep the model, as model.safetensors")
@option(
    "--task",
    type=Choice(["classification", "regression"]),
    help="default: classes if the target is text, true and false, or few whole numbers; else numbers",
)
@option(
    "--drop",
    metavar="NAME",
    multiple=True,
    shell_complete=columns_of,
    help="a column to leave out; repeat it",
)
@option(
    "--categorical",
    metavar="NAME",
    multiple=True,
    shell_complete=columns_of,
    help="a column of numbers that are names; repeat it",
)
@option(
    "--validation-fraction",
    metavar="SHARE",
    type=Share(),
    default=0.2,
    help="of the rows, held out for the score (default: 0.2)",
)
@option("--time-limit", metavar="SECONDS", type=Rate(), help="training ends with the epoch after that")
@table_options
@option("--dataset", type=Choice(sorted(digits.DEFAULTS)), default="digits", help="default: digits")
@option("--data", metavar="FOLDER", help="folder with the MNIST files; default: FASTNN_DATA, cache, download")
@option(
    "--hidden",
    metavar="UNITS...",
    type=WholeNumber(),
    several=True,
    help="units of the hidden layers, in order (default: 500)",
)
@option("--batch-size", metavar="N", type=WholeNumber(), help=f"default: {_each('batch_size')}")
@option("--learning-rate", metavar="RATE", type=Rate(), default=0.1, help="default: 0.1")
@option("--no-compare", is_flag=True, help="do not time the same steps in NumPy")
@option("--epochs", metavar="N", type=WholeNumber(), help=f"default: {_each('epochs')}, 256 for a table")
@option(
    "--seed",
    metavar="N",
    type=WholeNumber(0, LARGEST_SEED),
    default=0,
    help="of weights, row order and split (default: 0)",
)
@option("--quiet", is_flag=True, help="no progress bar on a terminal either")
@json_option
def train(
    table: str | None,
    target: str | None,
    save: str | None,
    task: str | None,
    drop: tuple[str, ...],
    categorical: tuple[str, ...],
    validation_fraction: float,
    time_limit: float | None,
    separator: str | None,
    encoding: str,
    missing: tuple[str, ...],
    dataset: str,
    data: str | None,
    hidden: tuple[int, ...],
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float,
    seed: int,
    no_compare: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Train a network on a TABLE, CSV or parquet, to predict one of its columns.

    Says what is in the table, holds some rows out, and scores the predictions of them. Options of its own are
    --target to --missing.

    Without a TABLE it trains a ReLU network with a softmax output on handwritten digits by stochastic
    gradient descent, reports the accuracy on test images, and times the same steps in pure NumPy.
    Options of its own are --dataset to --no-compare. Without options it needs no download.
    """
    if table is not None:
        _refuse(_OF_DIGITS, "is for the handwritten digits, and a table is given: leave one of them out")
        if table in digits.DEFAULTS and not os.path.exists(table):
            raise refuse(f"there is no file {table!r}; for the handwritten digits, type --dataset {table}")
        if target is None:
            names = header_of(table)
            there = f"; {shown(table)} has {listed(names)}" if names else ""
            raise refuse(f"--target is missing: the name of the column that is to be predicted{there}")
        return tables.train_table(
            tables.Training(
                table=table,
                form=format_of(separator, encoding, missing),
                target=target,
                task=task,
                drop=drop,
                categorical=categorical,
                held_out=validation_fraction,
                epochs=epochs,
                time_limit=time_limit,
                seed=seed,
                save=save,
                quiet=quiet,
                as_json=as_json,
            )
        )
    _refuse(_OF_TABLES, "is for a table, and none is given: fastnn train table.csv --target NAME")
    if data is not None and dataset != "mnist":
        raise refuse(
            "--data is the folder of the MNIST files: add --dataset mnist, or leave --data out "
            f"({dataset} comes with the package)"
        )
    defaults = digits.DEFAULTS[dataset]
    settings = digits.Settings(
        dataset=dataset,
        data=data,
        hidden=hidden or (500,),
        epochs=epochs or defaults.epochs,
        batch_size=batch_size or defaults.batch_size,
        learning_rate=learning_rate,
        seed=seed,
        compare=not no_compare,
        quiet=quiet,
        as_json=as_json,
    )
    return digits.train_named(settings)


def _refuse(names: Iterable[str], why: str) -> None:
    if found := given(names):
        raise refuse(f"argument {found[0]}: it {why}")
