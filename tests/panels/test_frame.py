"""What a cell keeps of a panel."""

from __future__ import annotations

from clipper_nb.panels.applications import ApplicationsPanel
from clipper_nb.panels.events import EventsPanel
from clipper_nb.panels.frame import Frame
from tests.panels.standing import click_in_row, is_asked, make_panel, settle
from tests.panels.states import application, cluster


def test_saved_output_hides_what_jupyter_says_of_the_live_one() -> None:
    panel, _ = make_panel(ApplicationsPanel, cluster(application()))
    panel._poller.watch = lambda _paint: None
    frame = Frame(panel._poller, [panel])
    saved = frame._snapshot()["text/html"]
    assert saved.startswith("<style>.jp-OutputArea-child:has(> .jupyter-widgets)")
    assert f'<div id="{frame._id}">' in saved
    assert "<style" not in frame._repr_html_()
    assert "button" not in saved


def test_question_is_taken_back_when_another_tab_is_opened() -> None:
    panel, conn = make_panel(ApplicationsPanel, cluster(application()))
    panel._poller.watch = lambda _paint: None
    frame = Frame(panel._poller, [panel, EventsPanel(conn, panel._poller)])  # type: ignore[arg-type]
    click_in_row(panel, "unregister", "digits")
    assert is_asked(panel)
    frame.select("Events")
    settle(panel)
    assert not is_asked(panel)
    panel._question.yes.click()
    settle(panel)
    assert conn.calls == []
