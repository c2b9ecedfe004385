"""From the steps that a call was seen to take to the cuts that are made."""

from __future__ import annotations

import random

from tests.end_to_end.cuts.steps import (
    AFTER,
    BEFORE,
    INTERRUPTED,
    REDIS_KILLED,
    REFUSED,
    REQUEST,
    STORE_WRITE,
    SUPERVISOR_COMMAND,
    Cut,
    Step,
    StepCounter,
    all_cuts,
    cuts_in_turn,
    worth_cutting,
)

_FAULTS = (REDIS_KILLED, INTERRUPTED, REFUSED)
_STEPS = [Step(REQUEST, "POST /admin/add_model"), Step(STORE_WRITE, "versions"), Step(SUPERVISOR_COMMAND, "start")]


def test_every_step_is_cut_by_every_fault_before_and_after() -> None:
    cuts = all_cuts("deploy", _STEPS, _FAULTS)
    assert len(set(cuts)) == len(cuts) == 2 * (2 + 2 + 3)
    assert {(cut.step, cut.moment) for cut in cuts} == {(step, moment) for step in _STEPS for moment in (BEFORE, AFTER)}


def test_only_what_can_refuse_refuses() -> None:
    assert {cut.step for cut in all_cuts("deploy", _STEPS, _FAULTS) if cut.fault == REFUSED} == {_STEPS[2]}


def test_a_wait_is_cut_twice_however_long_it_was() -> None:
    counter = StepCounter()
    recorded = [counter.next(REQUEST, "POST /admin/get_all_query_frontends") for _ in range(30)]
    assert [step.occurrence for step in worth_cutting(recorded)] == [1, 2]


def test_step_reported_twice_is_one_step() -> None:
    assert worth_cutting([_STEPS[0], _STEPS[0], _STEPS[1]]) == _STEPS[:2]


def test_in_turn_each_step_is_cut_once_and_no_fault_is_left_out() -> None:
    steps = [Step(SUPERVISOR_COMMAND, f"command {number}") for number in range(12)]
    cuts = cuts_in_turn("deploy", steps, _FAULTS, random.Random(1))
    assert [cut.step for cut in cuts] == steps
    assert len({(cut.moment, cut.fault) for cut in cuts[:6]}) == 6


def test_in_turn_a_seed_gives_the_same_cuts_again() -> None:
    first, again, other = (cuts_in_turn("deploy", _STEPS, _FAULTS, random.Random(seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_a_cut_survives_json() -> None:
    cut = Cut("deploy", _STEPS[1], AFTER, INTERRUPTED)
    assert Cut.from_dict(cut.to_dict()) == cut
