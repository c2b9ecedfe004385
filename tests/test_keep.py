"""When a process that keeps a cluster connects, and what it says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from clipper_nb import ClipperException, KubernetesContainerManager
from clipper_nb.keep import _manager, _parse, keep

FAILS = ClipperException("There is no cluster.")


class OverError(Exception):
    """All looks were made."""


class Connection:
    """A connection whose calls succeed or raise, as it is told."""

    def __init__(self, outcomes: Sequence[ClipperException | None]) -> None:
        self.cm = SimpleNamespace(cluster_name="c")
        self.calls: list[str] = []
        self._outcomes = list(outcomes)

    def connect(self) -> None:
        self._call("connect")

    def get_all_apps(self) -> list[Any]:
        self._call("look")
        return []

    def wait(self, _interval_s: float) -> None:
        if not self._outcomes:
            raise OverError

    def _call(self, name: str) -> None:
        self.calls.append(name)
        outcome = self._outcomes.pop(0)
        if outcome is not None:
            raise outcome


def run(*outcomes: ClipperException | None) -> list[str]:
    conn = Connection(outcomes)
    with pytest.raises(OverError):
        keep(conn, conn.wait)
    return conn.calls


def test_it_connects_once_and_looks_whether_the_cluster_is_there() -> None:
    assert run(None, None, None) == ["connect", "look", "look"]


def test_it_waits_for_a_cluster_and_says_why_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert run(FAILS, FAILS, FAILS, None, None) == ["connect"] * 4 + ["look"]
    assert caplog.messages == ["There is no cluster. It is tried again every 5 s.", "keeps cluster c"]


def test_it_connects_again_to_a_cluster_that_was_stopped(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert run(None, FAILS, FAILS, None, None) == ["connect", "look", "connect", "connect", "look"]
    assert caplog.messages.count("keeps cluster c") == 2


def test_a_cluster_on_kubernetes_has_a_namespace() -> None:
    manager = _manager(_parse(["kubernetes", "c", "--namespace", "team"]))
    assert isinstance(manager, KubernetesContainerManager)
    assert (manager.cluster_name, manager.namespace) == ("c", "team")
    with pytest.raises(SystemExit):
        _parse(["local", "c"])
