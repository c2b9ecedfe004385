"""Which claims have a holder that lives."""

from __future__ import annotations

from clipper_nb.runtime.management_frontend.claim_holding import LAPSE_AFTER_S, LOOK_INTERVAL_S, ClaimHolding


def look(holding, claim_ids, *, begin_s, seconds):
    """Look regularly; return what has lapsed at the last look."""
    lapsed = []
    for step in range(round(seconds / LOOK_INTERVAL_S) + 1):
        lapsed = holding.lapsed(claim_ids, now_s=begin_s + step * LOOK_INTERVAL_S)
    return lapsed


def test_unheld_claim_lapses():
    holding = ClaimHolding()
    assert look(holding, ["a"], begin_s=0.0, seconds=LAPSE_AFTER_S) == []
    assert look(holding, ["a"], begin_s=LAPSE_AFTER_S, seconds=1.0) == ["a"]


def test_claim_that_is_held_does_not_lapse():
    holding = ClaimHolding()
    holding.opened("a")
    holding.opened("a")  # the next request comes before the last one has ended
    holding.closed("a")
    assert look(holding, ["a", "b"], begin_s=0.0, seconds=60.0) == ["b"]
    holding.closed("a")
    assert look(holding, ["a"], begin_s=60.0, seconds=LAPSE_AFTER_S) == []
    assert look(holding, ["a"], begin_s=60.0 + LAPSE_AFTER_S, seconds=1.0) == ["a"]


def test_claim_held_again_in_time_gets_its_full_period():
    holding = ClaimHolding()
    look(holding, ["a"], begin_s=0.0, seconds=LAPSE_AFTER_S - 0.5)
    holding.opened("a")
    holding.closed("a")
    assert look(holding, ["a"], begin_s=LAPSE_AFTER_S, seconds=LAPSE_AFTER_S - 0.5) == []


def test_time_of_a_stalled_frontend_does_not_count():
    holding = ClaimHolding()
    assert holding.lapsed(["a"], now_s=0.0) == []
    assert holding.lapsed(["a"], now_s=1000.0) == []
    assert holding.lapsed(["a"], now_s=1000.0 + LOOK_INTERVAL_S) == []
