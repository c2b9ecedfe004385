"""The systemd unit of a detached cluster."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path

import pytest

from clipper_nb.container_managers.local.service_unit import quoted, quoted_command, render_unit, unit_path, write_unit
from clipper_nb.errors import InvalidRequestError


def test_unit_starts_and_stops_the_cluster_with_this_python():
    unit = render_unit("c", Path("/data/my clusters"), {"PATH": "/usr/bin", "HOME": "/home/me"})
    assert f'ExecStart="{sys.executable}" "-m" "clipper_nb.service" "start" "c" "/data/my clusters"' in unit
    assert f'ExecStop="{sys.executable}" "-m" "clipper_nb.service" "stop" "c" "/data/my clusters"' in unit
    assert 'Environment="PATH=/usr/bin"\n' in unit


def test_words_are_not_expanded_by_systemd():
    words = ["a b", "50%", "$HOME", 'say "x"', "back\\slash"]
    assert quoted(words) == '"a b" "50%%" "$HOME" "say \\"x\\"" "back\\\\slash"'
    assert quoted_command(words) == quoted(words).replace("$", "$$")
    assert [word.replace("%%", "%") for word in shlex.split(quoted(words))] == words


def test_unit_is_where_the_users_systemd_looks(tmp_path):
    assert unit_path("c", {"XDG_CONFIG_HOME": "/x"}) == Path("/x/systemd/user/clipper_nb-c.service")
    assert unit_path("c", {}) == Path.home() / ".config/systemd/user/clipper_nb-c.service"


def test_missing_systemd_is_named_and_the_unit_written(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    with caplog.at_level(logging.WARNING):
        path = write_unit("c", Path("/data"))
    assert path.read_text() == render_unit("c", Path("/data"))
    assert "no systemctl" in caplog.text


def test_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(InvalidRequestError, match="cannot be written"):
        write_unit("c", Path("/data"))
