"""The options that all commands have that read a table.

It must not know how a table is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from fastnn.command_line.arguments import option, refuse
from fastnn.command_line.reading import Format, header_of

__all__ = ["columns_of", "format_of", "table_options"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def table_options(function: _Function) -> _Function:
    """Add options that say how CSV is written."""
    options = (
        option(
            "--separator", metavar="MARK", help="between the fields of CSV (default: comma, semicolon or tab)"
        ),
        option("--encoding", metavar="NAME", default="utf-8", help="of CSV (default: utf-8)"),
        option(
            "--missing",
            metavar="TEXT",
            multiple=True,
            help="stands for a missing value, as nothing, NA, NaN and null do; repeat it",
        ),
    )
    for add in reversed(options):
        function = add(function)
    return function


def format_of(separator: str | None, encoding: str, missing: tuple[str, ...]) -> Format:
    """Return how CSV is written, of what the options say."""
    mark = {"tab": "\t", "\\t": "\t"}.get(separator or "", separator)
    if mark is not None and (len(mark) != 1 or mark in '"\r\n' or not mark.isascii()):
        raise refuse(f"argument --separator: expected one character, or tab, got {separator!r}")
    return Format(mark, encoding, missing)


def columns_of(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return names of the table's columns, to be completed in a shell."""
    # Words in front of an option whose value is to come have not been given to arguments yet.
    table = ctx.params.get("table") or (ctx.args[-1] if ctx.args else None)
    return [name for name in header_of(table) if name.startswith(incomplete)] if table else []
