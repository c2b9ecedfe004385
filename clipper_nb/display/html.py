"""HTML in small pieces: whatever is not HTML already is escaped. (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

Severity = Literal["ok", "warning", "problem", "idle"]
"""The state of something; ``"idle"`` is neither good nor bad."""

SIGNS: dict[Severity, str] = {"ok": "●", "warning": "▲", "problem": "✖", "idle": "○"}

# Jupyter's style sheet aligns cells right, which only a style overrides; an untrusted notebook keeps both.
LEFT = 'style="text-align:left"'
RIGHT = 'align="right"'


class Html(str):
    """Text that is HTML already; any other is escaped."""

    __slots__ = ()


def as_html(text: str) -> str:
    """Return text escaped, and HTML as it is."""
    return text if isinstance(text, Html) else escape(text)


def table(
    rows: Sequence[Sequence[str]],
    *,
    columns: Sequence[str],
    head: Sequence[str] = (),
    attributes: str = "",
    caption: str = "",
    is_named_by_first: bool = False,
    keys: Sequence[str] = (),
) -> Html:
    """Return a table.

    Parameters
    ----------
    rows : list of list of str
    columns : list of str
        For each column the attributes of its cells, such as ``LEFT``.
    head : list of str
        Names of the columns, if they have any.
    attributes : str
        Of the table itself.
    caption : str
        What a screen reader calls the table, which it then reads by the names of its columns.
    is_named_by_first : bool
        Whether the first cell of a row is the row's name.
    keys : list of str
        What each row is about, for scripts, if any needs it.
    """
    scope = ' scope="col"' if caption else ""
    names = "".join(f"<th{scope} {how}>{as_html(name)}</th>" for name, how in zip(head, columns, strict=False))
    openings = [f'<tr data-key="{escape(key)}">' for key in keys] or ["<tr>"] * len(rows)
    cells = [_cells(row, columns, is_named_by_first) for row in rows]
    lines = "".join(f"{opening}{line}</tr>" for opening, line in zip(openings, cells, strict=True))
    label = f'aria-label="{escape(caption)}"' if caption else ""
    opening = " ".join(filter(None, ("table", attributes, label)))
    thead = f"<thead><tr>{names}</tr></thead>" if head else ""
    return Html(f"<{opening}>{thead}<tbody>{lines}</tbody></table>")


def _cells(row: Sequence[str], columns: Sequence[str], is_named_by_first: bool) -> str:
    cells = [f"<td {how}>{as_html(cell)}</td>" for cell, how in zip(row, columns, strict=True)]
    if is_named_by_first:
        cells[0] = f'<th scope="row" {columns[0]}>{as_html(row[0])}</th>'
    return "".join(cells)
