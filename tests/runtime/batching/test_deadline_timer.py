"""Every query of an application gets its default output at its deadline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.runtime.batching.deadline_timer import TOLERANCE_S, DeadlineTimer
from tests.support.examples import examples
from tests.support.fake_clock import FakeLoop
from tests.support.queries import make_query


class Watch:
    """A timer that answers with the default, and when it did."""

    def __init__(self):
        self.loop = FakeLoop(now_s=1000.0)
        self.late = []
        self.timer = DeadlineTimer(self.loop, self._on_deadline)

    def add(self, deadline_s):
        query = make_query(deadline_s)
        self.timer.add(query)
        return query

    def _on_deadline(self, query):
        self.late.append((self.loop.time(), query))
        query.answer_default("queued_too_long", "Late.")


def test_late_query_gets_default_output_at_its_deadline():
    watch = Watch()
    query = watch.add(1000.5)
    watch.loop.advance(0.499)
    assert watch.late == []
    watch.loop.advance(0.001)
    assert watch.late == [(1000.5, query)]


def test_answered_query_is_left_alone():
    watch = Watch()
    watch.add(1000.5).answer("3")
    watch.loop.advance(1.0)
    assert watch.late == []


def test_cancelled_query_is_left_alone():
    watch = Watch()
    watch.add(1000.5).cancel()
    watch.loop.advance(1.0)
    assert watch.late == []


def test_each_late_query_is_answered_at_its_own_deadline():
    watch = Watch()
    queries = [watch.add(1000.0 + number / 8) for number in range(1, 6)]
    queries[0].answer("3")
    queries[3].answer("3")
    watch.loop.advance(5.0)
    assert watch.late == [(query.deadline_s, query) for query in (queries[1], queries[2], queries[4])]


def test_one_timer_is_enough_for_all():
    watch = Watch()
    for number in range(100):
        watch.add(1001.0 + number)
    assert watch.loop.num_timers == 1


def test_idle_application_has_no_timer():
    watch = Watch()
    watch.add(1001.0)
    watch.loop.advance(2.0)
    assert watch.loop.num_timers == 0


def test_timer_is_set_again_for_a_query_that_comes_after_a_pause():
    watch = Watch()
    watch.add(1001.0)
    watch.loop.advance(5.0)
    query = watch.add(1006.0)
    watch.loop.advance(1.0)
    assert watch.late[1:] == [(1006.0, query)]


def test_late_timer_answers_all_that_are_due():
    """The loop may have been busy."""
    watch = Watch()
    queries = [watch.add(1001.0), watch.add(1002.0), watch.add(1003.0)]
    watch.loop.be_busy(2.5)
    watch.loop.advance(0.0)
    assert watch.late == [(1002.5, queries[0]), (1002.5, queries[1])]
    watch.loop.advance(1.0)
    assert watch.late[2:] == [(1003.0, queries[2])]


def test_query_due_within_timer_resolution_joins_the_previous():
    """A timer set for less than it can tell apart would only spin."""
    watch = Watch()
    queries = [watch.add(1001.0), watch.add(1001.0 + 0.9 * TOLERANCE_S), watch.add(1001.0 + 1.5 * TOLERANCE_S)]
    watch.loop.advance(1.0)
    assert watch.late == [(1001.0, queries[0]), (1001.0, queries[1])]
    watch.loop.advance(1.0)
    assert watch.late[2:] == [(queries[2].deadline_s, queries[2])]


def test_deadline_that_is_over_is_answered_soon():
    watch = Watch()
    query = watch.add(999.0)
    watch.loop.advance(0.0)
    assert watch.late == [(1000.0, query)]


def test_closed_timer_watches_nothing():
    watch = Watch()
    watch.add(1001.0)
    watch.timer.close()
    watch.loop.advance(5.0)
    assert watch.late == []
    assert watch.loop.num_timers == 0


def test_timer_may_be_closed_twice():
    watch = Watch()
    watch.timer.close()
    watch.timer.close()


@pytest.mark.parametrize("num_waiting", [0, 1, 50, 500])
def test_answered_queries_are_released_when_others_come(num_waiting):
    """Memory must not grow with the SLO."""
    watch = Watch()
    for _ in range(num_waiting):
        watch.add(1100.0)
    for _ in range(2000):
        watch.add(1100.0).answer("3")
        assert len(watch.timer._waiting) <= 2 * num_waiting + 64


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["wait", "answer", "cancel"])), max_size=20))
def test_unanswered_queries_are_late_exactly_on_time(arrivals):
    watch = Watch()
    expected = []
    for pause_s, fate in arrivals:
        watch.loop.advance(float(pause_s))
        query = watch.add(watch.loop.time() + 2.0)
        if fate == "wait":
            expected.append((query.deadline_s, query))
        elif fate == "answer":
            query.answer("3")
        else:
            query.cancel()
    watch.loop.advance(10.0)
    assert watch.late == expected
    assert watch.loop.num_timers == 0
