"""Which query frontends live, told from what they say."""

from __future__ import annotations

from clipper_nb.protocol.records import FrontendPresence
from clipper_nb.protocol.redis_keys import PRESENCE_TIMEOUT_S
from clipper_nb.runtime.management_frontend.liveness import FrontendLiveness


def said(frontend_id, announced_at):
    return FrontendPresence(frontend_id, applied_revision=1, announced_at=announced_at)


def observe_each_second(liveness, presence_at, *, begin_s, seconds):
    """Look once a second; return the names of those that live and are dead in the end."""
    living, dead = [], []
    for second in range(seconds):
        now_s = begin_s + second
        living, dead = liveness.observe(presence_at(now_s), now_s=now_s)
    return [frontend.frontend_id for frontend in living], [frontend.frontend_id for frontend in dead]


def test_frontend_that_is_seen_first_lives():
    """However long ago it spoke: its clock may be another."""
    living, dead = FrontendLiveness().observe([said("a", -1e9)], now_s=0.0)
    assert ([frontend.frontend_id for frontend in living], dead) == (["a"], [])


def test_frontend_that_goes_on_speaking_lives():
    liveness = FrontendLiveness()
    outcome = observe_each_second(liveness, lambda now_s: [said("a", now_s)], begin_s=0.0, seconds=60)
    assert outcome == (["a"], [])


def test_frontend_that_is_silent_for_too_long_is_dead():
    liveness = FrontendLiveness()
    seconds = int(PRESENCE_TIMEOUT_S) + 1
    both = lambda now_s: [said("silent", 0.0), said("loud", now_s)]  # noqa: E731
    assert observe_each_second(liveness, both, begin_s=0.0, seconds=seconds) == (["silent", "loud"], [])
    assert observe_each_second(liveness, both, begin_s=float(seconds), seconds=1) == (["loud"], ["silent"])


def test_frontend_that_speaks_again_lives():
    liveness = FrontendLiveness()
    observe_each_second(liveness, lambda now_s: [said("a", 0.0)], begin_s=0.0, seconds=5)
    observe_each_second(liveness, lambda now_s: [said("a", 1.0)], begin_s=5.0, seconds=5)
    assert observe_each_second(liveness, lambda now_s: [said("a", 1.0)], begin_s=10.0, seconds=1) == (["a"], [])


def test_clock_that_is_set_back_is_news_too():
    liveness = FrontendLiveness()
    outcome = observe_each_second(liveness, lambda now_s: [said("a", -now_s)], begin_s=0.0, seconds=30)
    assert outcome == (["a"], [])


def test_unreadable_store_makes_no_frontend_dead():
    """While it cannot be read nobody can be heard."""
    liveness = FrontendLiveness()
    liveness.observe([said("a", 0.0)], now_s=0.0)
    living, dead = liveness.observe([said("a", 0.0)], now_s=600.0)
    assert [frontend.frontend_id for frontend in living] == ["a"]
    assert dead == []


def test_withdrawn_frontend_starts_over_when_it_returns():
    liveness = FrontendLiveness()
    observe_each_second(liveness, lambda now_s: [said("a", 0.0)], begin_s=0.0, seconds=6)
    liveness.observe([], now_s=6.0)
    assert observe_each_second(liveness, lambda now_s: [said("a", 0.0)], begin_s=7.0, seconds=6) == (["a"], [])
