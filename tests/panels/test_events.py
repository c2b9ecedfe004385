"""The table of events."""

from __future__ import annotations

from clipper_nb.panels.changes import Event
from clipper_nb.panels.events import EventsPanel
from tests.panels.standing import make_panel
from tests.panels.states import cluster


def test_events_have_a_word_for_their_level_newest_first() -> None:
    panel, _ = make_panel(EventsPanel, cluster())
    assert "Nothing has happened yet" in panel.render()
    panel._poller.events.extend([Event(1.0, "idle", "<unlinked>"), Event(2.0, "warning", "late")])
    html = panel.render()
    assert "○</span> info" in html
    assert "&lt;unlinked&gt;" in html
    assert html.index("▲</span> warning") < html.index("○</span> info")
