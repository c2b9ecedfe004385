"""What every panel does with an action and its outcome."""

from __future__ import annotations

import threading

from clipper_nb.panels.applications import ApplicationsPanel
from clipper_nb.panels.panel import Warned
from tests.panels.standing import is_asked, make_panel, outcome, settle
from tests.panels.states import application, cluster


def _fail() -> str:
    raise ValueError("<no>")


def test_outcome_is_a_line_with_a_sign_of_its_kind() -> None:
    panel, _ = make_panel(ApplicationsPanel, cluster(application()))
    for call, sign, kind in (
        (lambda: "It is done.", "✓", "done"),
        (lambda: Warned("It is a default."), "▲", "warned"),
        (_fail, "✖", "failed"),
    ):
        panel._act("Doing", call)
        settle(panel)
        assert sign in outcome(panel)
        assert f"cl-{kind}" in outcome(panel)
    assert "ValueError: &lt;no&gt;" in outcome(panel)


def test_nothing_else_begins_while_an_action_runs() -> None:
    panel, _ = make_panel(ApplicationsPanel, cluster(application()))
    may_end = threading.Event()
    panel._act("Doing", lambda: str(may_end.wait(5)))
    while not panel._poller._calls.empty():
        panel._poller._calls.get()()
    assert "Doing …" in outcome(panel)
    assert all(button.disabled for button in panel._buttons)
    assert panel._picture.value.count(" disabled>") == 2, "the buttons of the row"
    panel._ask("Really?", lambda: None, lambda: None)
    may_end.set()
    settle(panel)
    assert not is_asked(panel)
    assert " disabled>" not in panel._picture.value
