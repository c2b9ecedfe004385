"""The panel of applications: its rows, what they do, and its questions."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.panels.applications import ApplicationsPanel
from tests.panels.standing import StandingConnection, click, click_in_row, is_asked, make_panel, outcome, settle, show
from tests.panels.states import application, cluster, version

LINKED, ALONE = application("digits"), application("alone", linked_model=None)
STATE = cluster(ALONE, LINKED, version())
Made = tuple[Any, StandingConnection]


@pytest.fixture
def made() -> Made:
    return make_panel(ApplicationsPanel, STATE)


def test_row_has_the_actions_that_are_possible(made: Made) -> None:
    panel, _ = made
    html = panel._picture.value
    assert '<tr data-key="digits">' in html
    assert 'data-action="unlink" aria-label="Unlink digits"' in html
    assert 'data-action="link" aria-label="Link… alone"' in html
    assert 'aria-label="Unlink alone"' not in html
    assert 'aria-label="Link… digits"' not in html
    assert 'data-action="try"' not in html, "there is no panel to try it in"


def test_saved_table_has_no_buttons(made: Made) -> None:
    assert "button" not in made[0].render()
    assert "Actions" not in made[0].render()


def test_long_default_output_is_shortened() -> None:
    panel, _ = make_panel(ApplicationsPanel, cluster(application(default_output="x" * 500)))
    assert f"default {'x' * 23}…" in panel.render()


def test_row_is_unregistered_after_a_yes(made: Made) -> None:
    panel, conn = made
    click_in_row(panel, "unregister", "alone")
    assert "Unregister alone?" in panel._question._text.value
    assert conn.calls == []
    click(panel, panel._question.yes)
    assert conn.calls == [("unregister_application", "alone")]
    assert not is_asked(panel)


def test_row_is_chosen_to_be_linked(made: Made) -> None:
    panel, _ = made
    panel._application.value = "digits"
    click_in_row(panel, "link", "alone")
    assert panel._application.value == "alone"


def test_row_of_an_application_that_is_gone_does_nothing(made: Made) -> None:
    panel, conn = made
    click_in_row(panel, "unregister", "gone")
    assert not is_asked(panel)
    assert conn.calls == []


def test_row_opens_the_panel_to_try_it(made: Made) -> None:
    panel, _ = made
    tried: list[str] = []
    panel.on_try = tried.append
    show(panel, STATE)
    assert 'data-action="try" aria-label="Try digits"' in panel._picture.value
    click_in_row(panel, "try", "digits")
    assert tried == ["digits"]


def test_later_action_takes_an_open_question_back(made: Made) -> None:
    panel, conn = made
    click_in_row(panel, "unregister", "digits")
    assert is_asked(panel)
    panel._application.value, panel._model.value = "alone", "net"
    panel._link()
    settle(panel)
    assert "alone is linked to net" in outcome(panel)
    assert not is_asked(panel)
    num_calls = len(conn.calls)
    click(panel, panel._question.yes)
    assert len(conn.calls) == num_calls


def test_question_goes_when_its_application_changes(made: Made) -> None:
    panel, _ = made
    click_in_row(panel, "unlink", "digits")
    assert is_asked(panel)
    show(panel, cluster(ALONE, LINKED, version()))
    assert is_asked(panel), "nothing has changed"
    show(panel, cluster(ALONE, application("digits", linked_model="other"), version()))
    assert not is_asked(panel)
