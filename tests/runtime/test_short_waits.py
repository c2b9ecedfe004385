"""A process polls only while messages come at short intervals, and while nobody else needs its core."""

from __future__ import annotations

import pytest

from clipper_nb.runtime import short_waits
from clipper_nb.runtime.short_waits import DISTURBED_S, MAX_WAIT_S, REST_S, ShortWaits, WakefulLoop, has_spare_core
from tests.support.fake_clock import FakeClock


def waits_of(*waits_s: float, is_allowed: bool = True) -> ShortWaits:
    waits = ShortWaits(is_allowed=is_allowed)
    for wait_s in waits_s:
        waits.waited(wait_s)
    return waits


def test_first_message_is_waited_for_asleep():
    assert waits_of().poll_for_s(now_s=1.0) == 0.0


def test_short_intervals_are_waited_for_awake_and_not_for_long():
    poll_for_s = waits_of(*[0.0001] * 30).poll_for_s(now_s=1.0)
    assert MAX_WAIT_S < poll_for_s < 0.001


@pytest.mark.parametrize("pause_s", [0.001, 1.0, 3600.0])
def test_slow_clients_are_waited_for_asleep(pause_s):
    waits = waits_of(*[0.0001] * 30)
    polled_s = 0.0
    for _ in range(1000):
        polled_s += waits.poll_for_s(now_s=1.0)
        waits.waited(pause_s)
    assert polled_s < 0.005, "a few looks, then never again"


def test_one_pause_does_not_end_the_polling():
    assert waits_of(*[0.0001] * 30, 5.0).poll_for_s(now_s=1.0) > 0.0


def test_without_a_spare_core_nothing_polls():
    assert waits_of(*[0.0001] * 30, is_allowed=False).poll_for_s(now_s=1.0) == 0.0


def test_polling_rests_when_another_process_needed_the_core():
    waits = waits_of(*[0.0001] * 30)
    assert waits.poll_for_s(now_s=1.0) > 0.0
    assert waits.looked(now_s=1.0 + 0.5 * DISTURBED_S)
    assert not waits.looked(now_s=1.0 + 3 * DISTURBED_S)
    assert waits.poll_for_s(now_s=1.0 + 0.9 * REST_S) == 0.0
    assert waits.poll_for_s(now_s=1.0 + 1.1 * REST_S) > 0.0


def test_loop_is_awake_until_the_answer():
    next_turn, clock = [], FakeClock()
    awake = WakefulLoop(next_turn.append, clock, waits_of(*[0.0001] * 30))
    awake.asked(clock.now_s)
    for _ in range(5):
        [look] = next_turn
        next_turn.clear()
        look()
    assert next_turn, "the next turn does not sleep"
    awake.answered(clock.now_s)
    next_turn.pop()()
    assert not next_turn


def test_loop_sleeps_when_the_answer_takes_long():
    next_turn, clock = [], FakeClock()
    awake = WakefulLoop(next_turn.append, clock, waits_of(*[0.0001] * 30))
    awake.asked(clock.now_s)
    num_turns = 0
    while next_turn and num_turns < 1000:
        clock.advance(0.5 * DISTURBED_S)
        next_turn.pop()()
        num_turns += 1
    assert 5 < num_turns < 20


@pytest.mark.parametrize(
    ("files", "num_cores", "is_spare"),
    [
        ({}, 2, True),
        ({}, 1, False),
        ({"cpu.max": "max 100000\n"}, 2, True),
        ({"cpu.max": "50000 100000\n"}, 2, False),
        ({"cpu/cpu.cfs_quota_us": "-1\n"}, 2, True),
        ({"cpu/cpu.cfs_quota_us": "50000\n"}, 2, False),
    ],
)
def test_limited_or_single_core_is_not_kept_busy(tmp_path, monkeypatch, files, num_cores, is_spare):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(short_waits.os, "sched_getaffinity", lambda pid: set(range(num_cores)), raising=False)
    assert has_spare_core(tmp_path) is is_spare
