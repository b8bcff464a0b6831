"""Tables for notebooks, in HTML.

Colours are those of the page, so that it is legible in dark and in light.  This file must not know models.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

__all__ = ["table"]

_MOST_ROWS = 60
_LINE = "1px solid rgba(128, 128, 128, 0.4)"
_CELL = "padding: 0.25em 0.8em; background: transparent; color: inherit;"
_TABLE = "border-collapse: collapse; background: transparent; color: inherit; font-size: 90%;"


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    foot: str = "",
    *,
    numbers: Sequence[int] = (),
) -> str:
    """Return a table; the middle of a very long one is left out.

    Parameters
    ----------
    caption : str
        What stands above it.
    head : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        Text, which is escaped.
    foot : str
        What stands below it.
    numbers : sequence of int
        Which columns hold numbers, that stand at the right.

    Returns
    -------
    str

    Examples
    --------
    >>> text = table("two", ["name", "size"], [["<a>", "1"], ["b", "2"]], numbers=[1])
    >>> "&lt;a&gt;" in text, "<a>" in text, text.count("<tr")
    (True, False, 3)
    """

    def line(cells: Sequence[str], tag: str, rule: str) -> str:
        sides = ("right" if place in numbers else "left" for place in range(len(cells)))
        made = (
            f'<{tag} style="{_CELL} text-align: {side}; border: 0; border-bottom: {rule};">'
            f"{html.escape(cell)}</{tag}>"
            for cell, side in zip(cells, sides, strict=True)
        )
        return f'<tr style="background: transparent;">{"".join(made)}</tr>'

    shown = list(rows)
    middle = ""
    if len(shown) > _MOST_ROWS:
        half, left_out = _MOST_ROWS // 2, len(shown) - _MOST_ROWS
        middle = (
            f'<tr style="background: transparent;"><td colspan="{len(head)}" '
            f'style="{_CELL} text-align: left; border: 0;">&hellip; {left_out} more &hellip;</td></tr>'
        )
        first, last = shown[:half], shown[-half:]
    else:
        first, last = shown, []
    body = [line(row, "td", _LINE) for row in first] + [middle] + [line(row, "td", _LINE) for row in last]
    parts = [
        "<div>",
        f"<div>{html.escape(caption)}</div>",
        f'<table style="{_TABLE}"><thead>{line(head, "th", "1px solid currentColor")}</thead>',
        f"<tbody>{''.join(body)}</tbody></table>",
        f"<div>{html.escape(foot)}</div>" if foot else "",
        "</div>",
    ]
    return "".join(parts)
