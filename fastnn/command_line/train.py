"""``fastnn train``: which of its options belong to which data, and who trains.

It must not know how anything is trained.
"""

from __future__ import annotations

import click

from fastnn.command_line import digits
from fastnn.command_line.arguments import (
    LARGEST_SEED,
    Choice,
    Command,
    Rate,
    WholeNumber,
    json_option,
    option,
    refuse,
)

__all__ = ["train"]


def _each(field: str) -> str:
    return ", ".join(f"{getattr(defaults, field)} for {name}" for name, defaults in digits.DEFAULTS.items())


@click.command(cls=Command, short_help="train a network on handwritten digits and compare with NumPy")
@option("--dataset", type=Choice(sorted(digits.DEFAULTS)), default="digits", help="default: digits")
@option("--data", metavar="FOLDER", help="folder with the MNIST files; default: FASTNN_DATA, cache, download")
@option(
    "--hidden",
    metavar="UNITS...",
    type=WholeNumber(),
    several=True,
    help="units of the hidden layers, in order (default: 500)",
)
@option("--epochs", metavar="N", type=WholeNumber(), help=f"default: {_each('epochs')}")
@option("--batch-size", metavar="N", type=WholeNumber(), help=f"default: {_each('batch_size')}")
@option("--learning-rate", metavar="RATE", type=Rate(), default=0.1, help="default: 0.1")
@option(
    "--seed",
    metavar="N",
    type=WholeNumber(0, LARGEST_SEED),
    default=0,
    help="of weights, row order and split (default: 0)",
)
@option("--no-compare", is_flag=True, help="do not time the same steps in NumPy")
@option("--quiet", is_flag=True, help="no progress bar on a terminal either")
@json_option
def train(
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
    """Train a ReLU network with a softmax output by stochastic gradient descent.

    Reports the accuracy on test images, and times the same steps in pure NumPy. Without options it needs no
    download.
    """
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
