"""How long a process that ended waits before it is started again."""

from __future__ import annotations

import pytest

from clipper_nb.protocol.restart_delay import (
    FIRST_RESTART_DELAY_S,
    LONGEST_RESTART_DELAY_S,
    STEADY_AFTER_S,
    RestartDelays,
    restart_delay_s,
)


@pytest.mark.parametrize(
    ("num_quick_exits", "delay_s"), [(0, 0.05), (1, 0.05), (2, 0.1), (3, 0.2), (8, 6.4), (9, 10.0), (100, 10.0)]
)
def test_wait_doubles_up_to_a_limit(num_quick_exits, delay_s):
    assert restart_delay_s(num_quick_exits) == pytest.approx(delay_s)


@pytest.mark.parametrize(("num_quick_exits", "delay_s"), [(0, 0.05), (1, 0.05), (5, 0.8), (6, 1.0), (100, 1.0)])
def test_a_replica_that_was_ready_waits_for_a_second_at_most(num_quick_exits, delay_s):
    assert restart_delay_s(num_quick_exits, was_ready=True) == pytest.approx(delay_s)


def test_process_that_crashed_for_hours_is_still_restarted():
    """At one start in ten seconds the count passes a thousand before three hours are over."""
    assert restart_delay_s(100_000) == LONGEST_RESTART_DELAY_S


def test_wait_never_shrinks_while_a_process_keeps_crashing():
    delays_s = [restart_delay_s(number) for number in range(1, 500)]
    assert delays_s == sorted(delays_s)
    assert delays_s[0] == FIRST_RESTART_DELAY_S


def test_quick_ends_double_the_delay_and_a_long_run_resets_it():
    delays = RestartDelays()
    lives_s = [0.1, STEADY_AFTER_S - 0.01, 0.1, STEADY_AFTER_S, 0.1, 3600.0]
    assert [delays.after_end(lived_s=lived_s) for lived_s in lives_s] == [0.05, 0.1, 0.2, 0.05, 0.1, 0.05]


def test_process_that_was_ready_counts_among_its_quick_ends():
    delays = RestartDelays()
    waits_s = [delays.after_end(lived_s=0.1, was_ready=number % 2 == 0) for number in range(8)]
    assert waits_s == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 1.0, 6.4])
