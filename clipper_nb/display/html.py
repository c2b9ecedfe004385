"""HTML in small pieces: whatever is not HTML already is escaped. (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

Severity = Literal["ok", "warning", "problem", "idle"]
"""How something does; ``"idle"`` is neither good nor bad."""

SIGNS: dict[Severity, str] = {"ok": "●", "warning": "▲", "problem": "✖", "idle": "○"}

# Attributes of old, not styles: they are short, and stay in a notebook that is not trusted.
LEFT = 'align="left"'
RIGHT = 'align="right"'
# Where no style sheet of ours is: JupyterLab aligns cells right, which only a style overrides.
STYLED = 'style="text-align:left;vertical-align:top;padding:2px 16px 2px 0"'
STYLED_UNBROKEN = 'style="text-align:left;vertical-align:top;padding:2px 16px 2px 0;white-space:nowrap"'


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
    caption: str = "",
    css_class: str = "",
    is_named_by_first: bool = False,
) -> Html:
    """Return a table.

    Parameters
    ----------
    rows : list of list of str
    columns : list of str
        For each column the attributes of its cells, such as ``LEFT``.
    head : list of str
        Names of the columns, if they have any.
    caption : str
        What a screen reader calls the table.
    css_class : str
    is_named_by_first : bool
        Whether the first cell of a row is the row's name.
    """
    its_class = f' class="{css_class}"' if css_class else ""
    label = f' aria-label="{escape(caption)}"' if caption else ""
    lines = "".join(f"<tr>{_cells(row, columns, is_named_by_first)}</tr>" for row in rows)
    thead = f"<thead><tr>{_names(head, columns)}</tr></thead>" if head else ""
    return Html(f'<table cellpadding="4"{its_class}{label}>{thead}<tbody>{lines}</tbody></table>')


def _names(head: Sequence[str], columns: Sequence[str]) -> str:
    return "".join(f'<th scope="col" {how}>{as_html(name)}</th>' for name, how in zip(head, columns, strict=True))


def _cells(row: Sequence[str], columns: Sequence[str], is_named_by_first: bool) -> str:
    cells = [f"<td {how}>{as_html(cell)}</td>" for cell, how in zip(row, columns, strict=True)]
    if is_named_by_first:
        cells[0] = f'<th scope="row" {columns[0]}>{as_html(row[0])}</th>'
    return "".join(cells)
