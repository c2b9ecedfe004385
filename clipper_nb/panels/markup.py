"""Pieces of HTML for panels: they look plain where no style sheet is, as in a saved notebook. (pure)"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape

from clipper_nb.display import html
from clipper_nb.display.html import LEFT, RIGHT, SIGNS, Html, as_html
from clipper_nb.panels.cluster_state import Status

_SPARKLINE_WIDTH, _SPARKLINE_HEIGHT = 90, 20


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str,
    numbers: Sequence[int] = (),
    keys: Sequence[str] = (),
) -> Html:
    """Return a table.

    Parameters
    ----------
    head : list of str
    rows : list of list of str
    caption : str
        For screen readers.
    numbers : list of int
        The columns that are aligned right.
    keys : list of str
        What each row is about: a live picture keeps the row's elements while its key stays in its place.
    """
    columns = [RIGHT if index in numbers else LEFT for index in range(len(head))]
    attributes = 'class="cl-table" cellpadding="4"'
    return html.table(rows, head=head, columns=columns, attributes=attributes, caption=caption, keys=keys)


def row_actions(name: str, labels: Mapping[str, str], *, is_enabled: bool) -> Html:
    """Return buttons that act on the row about *name*: their labels by action."""
    disabled = "" if is_enabled else " disabled"
    buttons = "".join(
        f'<button type="button" class="cl-row-action" data-action="{action}" '
        f'aria-label="{escape(f"{label} {name}")}"{disabled}>{escape(label)}</button>'
        for action, label in labels.items()
    )
    return Html(f'<div class="cl-row-actions">{buttons}</div>')


def facts(rows: Sequence[tuple[str, str]], *, caption: str) -> Html:
    """Return a table of names and values."""
    attributes = 'class="cl-facts" cellpadding="4"'
    return html.table(rows, columns=(LEFT, LEFT), attributes=attributes, caption=caption, is_named_by_first=True)


def badge(status: Status) -> Html:
    """Return a status as symbol, word and colour."""
    return Html(
        f'<span class="cl-badge cl-{status.level}"><span aria-hidden="true">'
        f"{SIGNS[status.level]}</span> {escape(status.text)}</span>"
    )


def two_lines(first: str, second: str) -> Html:
    """Return a name with something smaller below it."""
    return Html(f'<strong>{escape(first)}</strong><br><span class="cl-small">{escape(second)}</span>')


def unbroken(text: str) -> Html:
    """Return text that stays on one line."""
    return Html(f'<span class="cl-unbroken">{escape(text)}</span>')


def code(text: str) -> Html:
    """Return a name of something in the cluster, or nothing."""
    return Html(f'<code class="cl-chip">{escape(text)}</code>') if text else Html("")


def shortened(text: str, length: int) -> str:
    """Return at most *length* characters of a text, and that there are more."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def paragraph(text: str) -> Html:
    """Return a sentence."""
    return Html(f"<p>{as_html(text)}</p>")


def preformatted(text: str, *, label: str, also: str = "") -> Html:
    """Return text as it is, such as a log; it can be scrolled with the keyboard. *also* is another CSS class."""
    classes = f"cl-pre {also}".rstrip()
    return Html(f'<pre class="{classes}" tabindex="0" role="region" aria-label="{escape(label)}">{escape(text)}</pre>')


def sparkline(values: Sequence[float], *, label: str) -> Html:
    """Return a small line of the values, from zero to their maximum."""
    width, height = _SPARKLINE_WIDTH, _SPARKLINE_HEIGHT
    if len(values) < 2:
        return Html("")
    top = max(max(values), 1e-9)
    step = width / (len(values) - 1)
    points = " ".join(
        f"{index * step:.1f},{height - 2 - (height - 4) * max(value, 0.0) / top:.1f}"
        for index, value in enumerate(values)
    )
    return Html(
        f'<svg class="cl-spark" role="img" aria-label="{escape(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><polyline points="{points}" fill="none" stroke="currentColor" '
        'stroke-width="1.5"/></svg>'
    )


def format_rate(per_s: float) -> str:
    """Return a rate: ``"0"``, ``"0.4"``, ``"12"``, ``"1,250"``."""
    return f"{per_s:.1f}" if 0 < per_s < 9.95 else f"{per_s:,.0f}"


def format_ms(seconds: float | None) -> str:
    """Return a latency in milliseconds, or a dash without one."""
    if seconds is None:
        return "-"
    return f"{seconds * 1e3:.1f}" if seconds < 0.00995 else f"{seconds * 1e3:,.0f}"


def format_share(share: float | None) -> str:
    """Return a share in percent, or a dash without one."""
    if share is None:
        return "-"
    return "0 %" if share == 0 else f"{share * 100:.1f} %" if share < 0.0995 else f"{share:.0%}".replace("%", " %")


def format_clock(at: float) -> str:
    """Return the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def format_time(at: float) -> str:
    """Return the local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def format_day_time(at: float, now: float) -> str:
    """Return the local time, with the date when that is not today's."""
    is_today = time.localtime(at)[:3] == time.localtime(now)[:3]
    return format_clock(at) if is_today else time.strftime("%b %d %H:%M", time.localtime(at))
