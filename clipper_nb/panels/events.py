"""The panel of events: what changed and when, while a panel was on the page."""

from __future__ import annotations

from typing import ClassVar

from clipper_nb.display.html import Html, Severity
from clipper_nb.panels.cluster_state import Status
from clipper_nb.panels.markup import badge, format_day_time, paragraph, table, unbroken
from clipper_nb.panels.panel import Panel

_MAX_ROWS = 40
_WORDS: dict[Severity, str] = {"ok": "well", "warning": "warning", "problem": "problem", "idle": "info"}


class EventsPanel(Panel):
    """Shows the latest events, newest first."""

    title: ClassVar[str] = "Events"

    def render(self) -> Html:
        """Return a table of events."""
        events = list(self._poller.events)[::-1][:_MAX_ROWS]
        if not events:
            return paragraph("Nothing has happened yet. Changes are seen while a panel is on the page.")
        now = self._poller.state.seen_at
        rows = [
            [unbroken(format_day_time(event.at, now)), badge(Status(event.level, _WORDS[event.level])), event.text]
            for event in events
        ]
        return table(("Time", "Level", "What"), rows, caption="Events")
