"""The columns that flow through a Pipeline in ONNX: whole matrices or single columns, numbers or texts.

What reads a column first says what it holds.  This file must not know transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fastnn.errors import ConfigurationError
from fastnn.export.onnx import Writer

__all__ = ["Content", "Piece", "Table"]

Content = Literal["numbers", "texts"]


class Piece:
    """Columns that lie side by side in one value.

    Parameters
    ----------
    value : str
    width : int
    content : {"numbers", "texts"}, optional
        None if that is not known yet.
    source : Piece, optional
        Of which these are some columns.
    filled : bool
        Whether nothing is missing any more.
    """

    def __init__(
        self,
        value: str,
        width: int,
        content: Content | None = None,
        source: Piece | None = None,
        filled: bool = False,
    ) -> None:
        self.value, self.width, self.content, self.filled = value, width, content, filled
        self._source = source

    def read_as(self, content: Content) -> str:
        """Return the value, which holds that."""
        if self._source is not None:
            self._source.read_as(content)
        if self.content not in (None, content):
            raise ConfigurationError(
                f"the column {self.value!r} is read as {self.content} by one step and as {content} by "
                "another; have it twice, under two names"
            )
        self.content = content
        return self.value

    def only(self, w: Writer, columns: Sequence[int]) -> Piece:
        """Return some of the columns."""
        if list(columns) == list(range(self.width)):
            return self
        value = w.node("Gather", self.value, w.whole(*columns), axis=1)
        return Piece(value, len(columns), self.content, self, self.filled)


class Table:
    """Pieces, side by side.

    Parameters
    ----------
    w : Writer
    pieces : sequence of Piece
    """

    def __init__(self, w: Writer, pieces: Sequence[Piece]) -> None:
        self._w, self.pieces = w, list(pieces)

    @property
    def width(self) -> int:
        """How many columns there are."""
        return sum(piece.width for piece in self.pieces)

    def numbers(self) -> str:
        """Return all columns as one matrix of numbers."""
        return self._whole("numbers")

    def texts(self) -> str:
        """Return all columns as one matrix of texts."""
        return self._whole("texts")

    def _whole(self, content: Content) -> str:
        values = [piece.read_as(content) for piece in self.pieces]
        return values[0] if len(values) == 1 else self._w.node("Concat", *values, axis=1)

    def select(self, columns: Sequence[int]) -> Table:
        """Return some of the columns, in this order."""
        places = [(piece, column) for piece in self.pieces for column in range(piece.width)]
        runs: list[tuple[Piece, list[int]]] = []
        for piece, column in (places[number] for number in columns):
            if not runs or runs[-1][0] is not piece:
                runs.append((piece, []))
            runs[-1][1].append(column)
        return Table(self._w, [piece.only(self._w, some) for piece, some in runs])

    def columns(self) -> list[Table]:
        """Return each column."""
        return [self.select([column]) for column in range(self.width)]
