"""A sentence in the cell and in the log."""

from __future__ import annotations

import logging

import pytest

from clipper_nb.display import announcement
from clipper_nb.display.announcement import Announcement, announce


def test_sentence_is_shown_without_quotes_and_escaped() -> None:
    told = Announcement("Deployed <net>:2.")
    assert (repr(told), told._repr_html_()) == ("Deployed <net>:2.", "<p>Deployed &lt;net&gt;:2.</p>")


def test_sentence_is_logged_and_shown(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr(announcement, "show_in_cell", shown.append)
    with caplog.at_level(logging.INFO, "clipper_nb.progress"):
        announce("Deployed net:2.")
    assert caplog.messages == ["Deployed net:2."]
    assert shown == [Announcement("Deployed net:2.")]
