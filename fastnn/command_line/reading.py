"""Files of tables, CSV and parquet, as data frames; what is wrong with a file is said with its line.

CSV is parsed by polars, pyarrow or pandas, whichever is there. They differ in what they let pass, as rows
that are too short, so lines are looked at before that, by Python's own reader. It must not know models.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from fastnn.absent import near
from fastnn.checks import shown
from fastnn.command_line.output import CommandError

__all__ = ["BACKENDS", "Format", "header_of", "is_boolean", "listed", "need", "read_table"]

BACKENDS = ("polars", "pyarrow", "pandas")
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
_SEPARATORS = (",", ";", "\t")
_KINDS = {
    b"PK\x03\x04": "a spreadsheet or an archive; save it as CSV",
    b"\xd0\xcf\x11\xe0": "a spreadsheet; save it as CSV",
    b"\x1f\x8b": "compressed; unpack it",
    b"\x28\xb5\x2f\xfd": "compressed; unpack it",
}
_WIDE = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Format:
    """How CSV is written, where that does not show in the file.

    Attributes
    ----------
    separator : str or None
        What stands between fields; by default what the first line has of comma, semicolon and tabulator.
    encoding : str
    missing : tuple of str
        What stands for a missing value, beside nothing, NA, NaN and null.
    """

    separator: str | None = None
    encoding: str = "utf-8"
    missing: tuple[str, ...] = ()


def read_table(path: str, form: Format, texts: Sequence[str] = ()) -> Any:
    """Return a file's table as a data frame of narwhals.

    Parameters
    ----------
    path : str
        A file, or ``-`` for standard input.
    form : Format
    texts : sequence of str
        Columns that are text, whatever they look like.

    Raises
    ------
    CommandError
        If it is no table, or a damaged one.
    ImportError
        If there is nothing that could read it.
    OSError
        If it cannot be read.
    """
    backend = _backend()
    data = _contents(path)
    name = shown(path)
    if not data.strip():
        raise CommandError(f"{name} is empty; a table has a line of names and rows below it")
    if data[:4] == b"PAR1":
        return _as_texts(_parquet(backend, data, name), texts)
    for start, what in _KINDS.items():
        if data.startswith(start):
            raise CommandError(f"{name} is neither CSV nor parquet but {what}")
    text = _decoded(data, form.encoding, name)
    if b"\0" in data[:4096] and "\0" in text[:4096]:
        raise CommandError(f"{name} is neither CSV nor parquet: it has bytes that no text has")
    text = _checked(text, form, name)
    separator = form.separator or _separator(text)
    data, missing = text.encode(), [*MISSING, *form.missing]
    header = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    texts = [column for column in texts if column in header]
    frame = _csv(backend, data, separator, missing, texts, name)
    truths = [column for column in frame.columns if is_boolean(frame[column])]
    if truths:  # what is a truth value differs between the three, so they stay as they are written
        frame = _csv(backend, data, separator, missing, [*texts, *truths], name)
    return frame


def need(frame: Any, columns: Sequence[str], path: str) -> None:
    """Raise unless a table has the columns, in whatever order."""
    there = list(frame.columns)
    absent = [column for column in columns if column not in there]
    if not absent:
        return
    meant = near(absent[0], there)
    hint = f" (did you mean {meant!r}?)" if meant else ""
    more = f" and {len(absent) - 1} more that are needed" if len(absent) > 1 else ""
    raise CommandError(
        f"{shown(path)} has no column {absent[0]!r}{hint}{more}; its columns are {listed(there)}"
    )


def listed(names: Iterable[object], most: int = 8) -> str:
    """Return names in a sentence, the first ones of many."""
    words = [str(name) for name in names]
    return ", ".join(words[:most]) + f" and {len(words) - most} more" * (len(words) > most)


def header_of(path: str) -> list[str]:
    """Return the names of a CSV's columns, or nothing where they cannot be read: for the shell."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            line = file.readline(1_000_000)
        return next(csv.reader([line], delimiter=_separator(line)), [])
    except (OSError, UnicodeError, csv.Error):
        return []


def _backend() -> str:
    """Return the first library that is there and reads tables."""
    if find_spec("narwhals") is not None:
        for name in BACKENDS:
            if find_spec(name) is not None:
                return name
    raise ImportError(
        "tables are read with narwhals and one of polars, pyarrow and pandas: `pip install narwhals polars`"
    )


def _contents(path: str) -> bytes:
    if path == "-":
        return bytes(sys.stdin.buffer.read())
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        folder, name = os.path.split(path)
        there = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
        meant = near(name, there)
        hint = f"; did you mean {os.path.join(folder, meant)!r}?" if meant else ""
        raise CommandError(f"there is no file {shown(path)}{hint}") from None
    except IsADirectoryError:
        raise CommandError(f"{shown(path)} is a folder; name a file in it") from None


def _decoded(data: bytes, encoding: str, name: str) -> str:
    """Return the text of a file."""
    for mark, wide in _WIDE.items():
        if data.startswith(mark) and not encoding.replace("_", "-").lower().startswith("utf-16"):
            raise CommandError(f"{name} is not {encoding.upper()} but {wide.upper()}: add --encoding {wide}")
    try:
        text = data.decode(encoding)
    except LookupError:
        raise CommandError(
            f"there is no encoding {shown(encoding)}; known are utf-8, latin-1, cp1252"
        ) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CommandError(
            f"{name} is not {encoding.upper()}: byte 0x{data[error.start]:02x} in line {line}; save it as "
            "UTF-8, or say what it is, as by --encoding latin-1"
        ) from None
    text = text.removeprefix("\ufeff")
    return text if "\n" in text else text.replace("\r", "\n")  # as old Macs end lines


def _separator(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return next((mark for mark in _SEPARATORS if mark in first), ",")


def _checked(text: str, form: Format, name: str) -> str:
    """Return a text whose rows are as long as its header, without empty lines."""
    separator = form.separator or _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    limit = csv.field_size_limit(sys.maxsize)
    try:
        header = next((row for row in reader if row), [])
        _check_header(header, name)
        count, empty, start = 0, reader.line_num > 1, reader.line_num
        for row in reader:
            if len(row) != len(header):
                if row:
                    raise CommandError(
                        f"line {start + 1} of {name} has {len(row)} field{'s' * (len(row) > 1)}, and the "
                        f"header has {len(header)}; fields that hold {separator!r} stand in double quotes"
                    )
                empty = True
            else:
                count += 1
            start = reader.line_num
    except csv.Error as error:
        raise CommandError(f"line {reader.line_num} of {name} cannot be read as CSV: {error}") from None
    finally:
        csv.field_size_limit(limit)
    if not count:
        raise CommandError(f"{name} has a line of names and no rows below it")
    if not empty:
        return text
    written = io.StringIO(newline="")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    csv.writer(written, delimiter=separator).writerows(row for row in rows if row)
    return written.getvalue()


def _check_header(header: list[str], name: str) -> None:
    for position, column in enumerate(header):
        if not column.strip():
            raise CommandError(
                f"column {position + 1} of {name} has no name in the first line; name it, or leave it out "
                "(pandas writes its row numbers there unless told index=False)"
            )
        if column in header[:position]:
            first = header.index(column) + 1
            raise CommandError(
                f"column {column!r} stands twice in the first line of {name}, at {first} and {position + 1}; "
                "give each a name of its own"
            )
    if header and all(map(_is_number, header)) and header != [str(n) for n in range(len(header))]:
        raise CommandError(
            f"the first line of {name} holds numbers, {listed(header, 3)}, and no names of columns; put them "
            "there"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_boolean(column: Any) -> bool:
    """Return whether a column has truth values; of those with gaps, pandas makes objects."""
    if str(column.dtype) != "Object":
        return str(column.dtype) == "Boolean"
    present = column.drop_nulls().to_list()
    return bool(present) and all(isinstance(value, bool) for value in present)


def _as_texts(frame: Any, texts: Sequence[str]) -> Any:
    """Return a data frame with some columns as text."""
    import narwhals as nw

    numbers = [name for name in texts if name in frame.columns and frame[name].dtype.is_numeric()]
    return frame.with_columns(nw.col(numbers).cast(nw.String)) if numbers else frame


def _csv(
    backend: str, data: bytes, separator: str, missing: list[str], texts: Sequence[str], name: str
) -> Any:
    """Return the data frame of a CSV that is known to be even."""
    import narwhals as nw

    file = io.BytesIO(data)
    try:
        if backend == "polars":
            import polars

            native: Any = polars.read_csv(
                file,
                separator=separator,
                infer_schema_length=None,
                null_values=missing,
                schema_overrides=dict.fromkeys(texts, polars.String),
            )
        elif backend == "pyarrow":
            import pyarrow
            from pyarrow import csv as arrow

            native = arrow.read_csv(
                file,
                # In one block: rows that are longer than a block are refused.
                arrow.ReadOptions(block_size=max(len(data) + 1, 2**20)),
                arrow.ParseOptions(delimiter=separator, newlines_in_values=True),
                arrow.ConvertOptions(
                    null_values=missing,
                    strings_can_be_null=True,
                    column_types=dict.fromkeys(texts, pyarrow.string()),
                ),
            )
        else:
            import pandas

            native = pandas.read_csv(
                file,
                sep=separator,
                na_values=missing,
                keep_default_na=False,
                index_col=False,
                low_memory=False,
                dtype=dict.fromkeys(texts, str),
            )
    except Exception as error:  # each library has its own
        raise CommandError(f"{name} cannot be read as CSV: {_first_line(error)}") from error
    return nw.from_native(native, eager_only=True)


def _parquet(backend: str, data: bytes, name: str) -> Any:
    """Return the data frame of a parquet file."""
    import narwhals as nw

    file = io.BytesIO(data)
    try:
        if backend == "polars":
            import polars

            native: Any = polars.read_parquet(file)
        elif backend == "pyarrow":
            from pyarrow import parquet

            native = parquet.read_table(file)
        else:
            import pandas

            native = pandas.read_parquet(file)
        frame = nw.from_native(native, eager_only=True)
    except ImportError as error:
        raise ImportError("parquet is read with polars or pyarrow: `pip install pyarrow`") from error
    except Exception as error:  # each library has its own
        raise CommandError(f"{name} cannot be read as parquet: {_first_line(error)}") from error
    if not len(frame):
        raise CommandError(f"{name} has no rows")
    return frame


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
