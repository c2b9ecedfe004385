"""The load of a version, from the announcements of query frontends."""

from __future__ import annotations

import pytest

from clipper_nb.protocol.autoscaling import VersionLoad
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import FrontendPresence
from clipper_nb.runtime.management_frontend.load_history import Load, LoadHistory

NET = ModelId("net", "1")


def frontend(at_s, num_queries=0, waited=0.0, busy_s=0.0, name="one"):
    loads = (VersionLoad("other", "1", 9, 9.0, 9.0), VersionLoad("net", "1", num_queries, waited, busy_s))
    return FrontendPresence(name, 1, at_s, loads=loads)


def test_load_is_that_of_the_last_period():
    history = LoadHistory(NET, 10.0)
    for at_s in range(0, 31, 2):
        is_late = at_s > 20
        history.add([frontend(at_s, 10 * at_s, (at_s - 20) * 5.0 if is_late else 0.0, 0.3 * at_s)])
    assert history.load() == Load(0.5, pytest.approx(0.3)), "50 of the last 100 queries' SLOs, 3 of 10 s"


def test_nothing_is_known_before_a_period_is_over():
    history = LoadHistory(NET, 10.0)
    history.add([frontend(0.0, 5)])
    history.add([frontend(9.0, 90, 90.0, 9.0)])
    assert history.load() is None
    history.add([frontend(10.0, 100, 100.0, 10.0)])
    assert history.load() == Load(pytest.approx(100 / 95), 1.0)


def test_same_announcement_counts_once():
    history = LoadHistory(NET, 1.0)
    for at_s in (0.0, 0.0, 1.0, 1.0):
        history.add([frontend(at_s)])
    assert history.load() == Load(0.0, 0.0)


def test_frontends_are_summed_and_one_that_is_gone_is_not():
    history = LoadHistory(NET, 1.0)
    for at_s in (0.0, 1.0):
        history.add([frontend(at_s, int(at_s), at_s, at_s), frontend(at_s, int(3 * at_s), 0.0, at_s, name="two")])
    assert history.load() == Load(0.25, 2.0)
    history.add([frontend(2.0, 2, 2.0, 2.0)])
    assert history.load() == Load(1.0, 1.0)


def test_frontend_that_was_started_again_is_observed_anew():
    history = LoadHistory(NET, 1.0)
    for at_s, num_queries in ((0.0, 0), (1.0, 50)):
        history.add([frontend(at_s, num_queries)])
    history.add([frontend(2.0, 3, 3.0, 0.5)])
    assert history.load() is None
    history.add([frontend(3.0, 4, 3.5, 1.5)])
    assert history.load() == Load(0.5, 1.0)
