"""What comes next in a roll-out, from what was counted and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.roll_out import ArmCounts, RollOut, RollOutCounts, RollOutPlan, RollOutProgress
from clipper_nb.protocol.route import make_route
from clipper_nb.runtime.routing.roll_out_counter import RollOutCounter
from clipper_nb.runtime.routing.roll_out_policy import decide, describe, look

PLAN = RollOutPlan(
    "app", "m", "2", (10.0, 50.0, 100.0), step_s=60.0, max_latency_s=0.1, min_queries=50, patience_s=600.0
)
BEGUN = RollOut("id", PLAN, make_route({"m:1": 1}), started_at=1000.0, step_started_at=1000.0)


def counts(num, num_defaults=0, num_others=0, num_defaults_others=0, **more):
    return RollOutCounts(ArmCounts(num, num_defaults, **more), ArmCounts(num_others, num_defaults_others))


def after(*readings, roll_out=BEGUN, progress=RollOutProgress()):  # noqa: B008 - a frozen record
    for reading in readings:
        progress = look(roll_out, progress, reading)
    return progress


def test_step_lasts_as_long_as_it_should():
    progress = after(counts(100, 0, 900))
    assert decide(BEGUN, progress, now=1059.9).kind == "wait"
    assert decide(BEGUN, progress, now=1060.0).kind == "next"


def test_step_needs_answers_of_its_own():
    """Those of the step before do not count again."""
    progress = after(counts(70, 0, 700))
    second = replace(BEGUN, step=1, step_started_at=1060.0)
    progress = after(counts(100, 0, 730), roll_out=second, progress=progress)
    assert decide(second, progress, now=1200.0).kind == "wait"
    progress = after(counts(120, 0, 750), roll_out=second, progress=progress)
    assert decide(second, progress, now=1200.0).kind == "next"


def test_too_few_answers_pause_it_and_more_go_on():
    progress = after(counts(3, 0, 40))
    move = decide(BEGUN, progress, now=1600.0)
    assert (move.kind, move.reason.split(";")[0]) == (
        "pause", "m:2 gave 3 answers at 10 % within 600 s, and a step needs 50"
    )  # fmt: skip
    paused = replace(BEGUN, status="paused")
    assert decide(paused, progress, now=9999.0).kind == "wait"
    assert decide(paused, after(counts(60, 0, 500), progress=progress), now=9999.0).kind == "next"


def test_no_answers_at_all_are_no_failure():
    assert decide(BEGUN, after(counts(0)), now=1030.0).kind == "wait"


def test_worse_version_is_rolled_back_with_the_numbers():
    move = decide(BEGUN, after(counts(40, 8, 400, 0)), now=1001.0)
    assert move.kind == "roll_back"
    assert move.reason.startswith(
        "m:2 is worse: 20 % of its 40 answers are default outputs, and 0 % of the 400 others meanwhile (evidence "
    )
    assert move.reason.endswith("limit 20)")


def test_slow_and_badly_scored_versions_are_rolled_back():
    slow = RollOutCounts(ArmCounts(40, 0, 9), ArmCounts(400, 0, 2))
    assert "took too long (over 100 ms)" in decide(BEGUN, after(slow), now=1001.0).reason
    scored = RollOutCounts(ArmCounts(40, 0, 0, 40, 12), ArmCounts(400, 0, 0, 400, 8))
    assert "have a bad score" in decide(BEGUN, after(scored), now=1001.0).reason


@pytest.mark.parametrize(
    ("num", "total", "expected"), [(10, 7, (10, 3)), (3, 2.1, (3, 1)), (0, 0, (0, 0)), (2, 5, (2, 0))]
)
def test_scores_are_good_and_bad_answers(num, total, expected):
    counts = ArmCounts.of_scores(num, total)
    assert counts == ArmCounts(0, 0, 0, *expected)


def test_what_is_not_watched_ends_nothing():
    careless = replace(BEGUN, plan=replace(PLAN, watch=("latency",)))
    assert decide(careless, after(counts(40, 40, 400, 0), roll_out=careless), now=1001.0).kind == "wait"


def test_paused_roll_out_is_watched():
    paused = replace(BEGUN, status="paused")
    assert decide(paused, after(counts(40, 8, 400, 0)), now=9999.0).kind == "roll_back"


def test_looks_add_up_and_repeated_ones_change_nothing():
    """A management frontend that ended between its two writes looks at the same counts again."""
    reading = counts(40, 3, 400, 1)
    once = after(reading)
    assert after(reading, progress=once) == once
    assert after(counts(1, 1, 9, 0), progress=after(counts(0, 0, 0, 0))).counts == counts(1, 1, 9, 0)


def test_lost_counts_are_no_evidence():
    """A Redis that was restored to an older state has less than was looked at."""
    progress = after(counts(40, 3, 400, 1))
    assert after(counts(10, 1, 100, 0), progress=progress).log_evidence == progress.log_evidence


def test_users_are_told_beforehand_what_can_be_seen():
    info = describe(BEGUN, RollOutProgress())
    assert info.plan.startswith("m:2 for 'app': 10 % → 50 % → 100 %. It takes at least 120 s")
    assert info.share == 0.1
    assert describe(replace(BEGUN, status="promoted"), RollOutProgress()).share == 1.0
    assert describe(replace(BEGUN, status="rolled_back"), RollOutProgress()).share == 0.0
    assert str(info).startswith("m:2 for 'app': running at 10 %; 0 answers")


def test_answers_are_counted_by_version_and_reason():
    counter = RollOutCounter(BEGUN)
    for model, reason, latency_s in (
        ("m:2", None, 0.01), ("m:2", None, 0.2), ("m:2", "model_error", 0.2), ("m:2", "queued_too_long", 0.1),
        ("m:1", "model_too_slow", 0.1), ("other:2", None, 0.01), ("m:1", "no_ready_replica", 0.0),
    ):  # fmt: skip
        counter.answered(ModelId(*model.split(":")), reason, latency_s)
    counter.answered(None, "not_linked", 0.0)
    assert counter.counts() == RollOutCounts(ArmCounts(4, 2, 2), ArmCounts(4, 3, 2))
