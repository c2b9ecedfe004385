"""The panel of models: its rows and what they do."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.panels.models import ModelsPanel
from clipper_nb.protocol.autoscaling import Autoscaling
from tests.panels.standing import StandingConnection, click, click_in_row, is_asked, make_panel, outcome
from tests.panels.states import cluster, version

OLD, NEW = version("1", is_current=False, wanted=2), version("2", at=2.0)
Made = tuple[Any, StandingConnection]


@pytest.fixture
def made() -> Made:
    return make_panel(ModelsPanel, cluster(version(model="alone", wanted=0, is_containerless=True), NEW, OLD))


def test_row_has_the_actions_that_are_possible(made: Made) -> None:
    html = made[0]._picture.value
    assert 'aria-label="Make current net:1"' in html
    assert 'aria-label="Make current net:2"' not in html
    assert 'aria-label="Logs net:2"' in html
    assert 'aria-label="Logs alone:1"' not in html, "it has no replica of ours"
    assert "button" not in made[0].render()


def test_row_of_an_autoscaled_version_has_its_bounds() -> None:
    panel, _ = make_panel(ModelsPanel, cluster(version(wanted=2, autoscaling=Autoscaling(1, 8))))
    assert "2 of 1-8" in panel.render().replace("\xa0", " ").replace("&nbsp;", " ")


def test_row_shows_its_log(made: Made) -> None:
    panel, _ = made
    click_in_row(panel, "logs", "net:2")
    assert "the log of net_2-0" in panel._log.value


def test_row_is_made_current(made: Made) -> None:
    panel, conn = made
    click_in_row(panel, "make-current", "net:1")
    assert conn.calls == [("set_model_version", "net", "1", None)]


def test_row_is_chosen_to_be_scaled(made: Made) -> None:
    panel, conn = made
    click_in_row(panel, "scale", "net:1")
    assert (panel._model.value, panel._version.value, panel._num_replicas.value) == ("net", "1", 2)
    panel._num_replicas.value = 3
    click(panel, next(button for button in panel._buttons if button.description == "Set replicas"))
    assert conn.calls == [("set_num_replicas", "net", 3, "1")]
    assert "net:1 has 3 replicas" in outcome(panel)


def test_row_is_stopped_after_a_yes(made: Made) -> None:
    panel, conn = made
    click_in_row(panel, "stop", "net:2")
    assert "It is current" in panel._question._text.value
    click_in_row(panel, "stop", "net:1")
    assert is_asked(panel)
    click(panel, panel._question.yes)
    assert conn.calls == [("stop_versioned_models", {"net": ["1"]})], "the first question was taken back"
