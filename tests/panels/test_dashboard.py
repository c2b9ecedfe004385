"""How the panels of a dashboard work together."""

from __future__ import annotations

import pytest

from clipper_nb.panels import ApplicationsPanel, dashboard
from clipper_nb.panels.poller import poller_of
from tests.panels.standing import StandingConnection
from tests.panels.states import application, cluster


def test_application_is_tried_in_its_tab(monkeypatch: pytest.MonkeyPatch) -> None:
    conn = StandingConnection()
    poller = poller_of(conn)  # type: ignore[arg-type]
    monkeypatch.setattr(poller, "watch", lambda _paint: None)
    poller.state = cluster(application("alone", linked_model=None), application("digits"))
    frame = dashboard.show(conn)  # type: ignore[arg-type]
    applications, *_, trying, _ = frame._panels
    applications._act_on_row("try", "digits")
    while not poller._calls.empty():
        poller._calls.get()()
    assert frame._tabs is not None
    assert frame._tabs.selected_index == 4
    assert trying._application.value == "digits"  # type: ignore[attr-defined]


def test_applications_alone_have_nothing_to_be_tried_in(monkeypatch: pytest.MonkeyPatch) -> None:
    conn = StandingConnection()
    monkeypatch.setattr(poller_of(conn), "watch", lambda _paint: None)  # type: ignore[arg-type]
    frame = dashboard.show(conn, ApplicationsPanel)  # type: ignore[arg-type]
    assert frame._panels[0].on_try is None  # type: ignore[attr-defined]
