"""What a cell keeps of a panel."""

from __future__ import annotations

from clipper_nb.panels.applications import ApplicationsPanel
from clipper_nb.panels.frame import Frame
from tests.panels.standing import make_panel
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
