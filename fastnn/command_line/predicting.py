"""``fastnn evaluate`` and ``fastnn predict``: a saved model and a table.

It must not know what a model is.
"""

from __future__ import annotations

import click

from fastnn.command_line import tables
from fastnn.command_line.arguments import FILE, Command, json_option, option
from fastnn.command_line.table_options import columns_of, format_of, table_options

__all__ = ["evaluate", "predict"]


@click.command(cls=Command, short_help="score a saved model on a table")
@click.argument("model", metavar="MODEL", type=FILE)
@click.argument("table", metavar="TABLE", type=FILE)
@option(
    "--target",
    metavar="NAME",
    required=True,
    shell_complete=columns_of,
    help="the column with what should be predicted",
)
@table_options
@json_option
def evaluate(
    model: str,
    table: str,
    target: str,
    separator: str | None,
    encoding: str,
    missing: tuple[str, ...],
    as_json: bool,
) -> int:
    """Score a MODEL that `fastnn train` has saved on a TABLE with known answers.

    Columns are found by their names, in whatever order; further ones are left aside.
    """
    return tables.evaluate_table(model, table, target, format_of(separator, encoding, missing), as_json)


@click.command(cls=Command, short_help="predict the rows of a table with a saved model")
@click.argument("model", metavar="MODEL", type=FILE)
@click.argument("table", metavar="TABLE", type=FILE)
@option("--out", metavar="FILE", type=FILE, help="where to write CSV (default: standard output)")
@option("--probabilities", is_flag=True, help="of each class, in columns of their own")
@table_options
@json_option
def predict(
    model: str,
    table: str,
    out: str | None,
    probabilities: bool,
    separator: str | None,
    encoding: str,
    missing: tuple[str, ...],
    as_json: bool,
) -> int:
    """Predict the rows of a TABLE with a MODEL that `fastnn train` has saved, a line of CSV a row.

    Columns are found by their names, in whatever order; further ones are left aside. TABLE may be -, standard
    input.
    """
    return tables.predict_table(
        model, table, format_of(separator, encoding, missing), out, probabilities, as_json
    )
