"""The command itself: its version, and its sub-commands in the order in which one meets them.

It must not know what they do.
"""

from __future__ import annotations

import click

import fastnn
from fastnn.command_line.arguments import Group
from fastnn.command_line.completion import completion
from fastnn.command_line.exporting import export, plot
from fastnn.command_line.measuring import benchmark, info
from fastnn.command_line.predicting import evaluate, predict
from fastnn.command_line.train import train

__all__ = ["program"]


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        print(f"fastnn {fastnn.__version__}")
        ctx.exit()


@click.group(cls=Group)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="show the version and exit",
)
def program() -> None:
    """Train multilayer perceptrons on the CPU, and measure how fast that is."""


for command in (train, evaluate, predict, export, plot, benchmark, info, completion):
    program.add_command(command)
