"""What is wrong after a cut is found: each kind of it once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.end_to_end.cuts.cluster_state import ClusterState
from tests.end_to_end.cuts.invariants import Observed, Outcome, problems
from tests.end_to_end.cuts.operations import Operation

_BEFORE = ClusterState({"app": "m"}, {"m:1": 1}, {"m": "1"})
_AFTER = ClusterState({"app": "m"}, {"m:1": 1, "m:2": 2}, {"m": "2"})
_CALL = Operation("deploy", _BEFORE, _AFTER, lambda conn: None)
_RETURNED, _KILLED = Outcome("returned"), Outcome("killed")
_RAISED = Outcome("raised", "ClusterUnreachableError", "It broke.")
_NOTHING = Outcome("raised", "StateUnavailableError", "Redis does not answer. Nothing was changed; try again.")
_OLD = Observed(_BEFORE.facts(), {"app": "m:1"}, {"app": "m:1"})
_NEW = Observed(_AFTER.facts(), {"app": "m:2"}, {"app": "m:2"})


@pytest.mark.parametrize("outcome", [_RAISED, _KILLED])
@pytest.mark.parametrize("observed", [_OLD, _NEW])
def test_call_without_a_clear_outcome_may_leave_either_state(observed: Observed, outcome: Outcome) -> None:
    assert problems(observed, _CALL, outcome) == []


def test_call_that_returned_has_taken_effect() -> None:
    assert problems(_NEW, _CALL, _RETURNED) == []
    assert "current version of m: 1, should be 2" in problems(_OLD, _CALL, _RETURNED)


def test_call_reported_as_unchanged_has_changed_nothing() -> None:
    assert problems(_OLD, _CALL, _NOTHING) == []
    assert "version m:2: 2 replicas, should be absent" in problems(_NEW, _CALL, _NOTHING)


def test_another_number_of_replicas_is_found() -> None:
    observed = replace(_NEW, facts={**_NEW.facts, "version m:2": "1 of 2 replicas connected"})
    assert problems(observed, _CALL, _RAISED) == [
        "version m:2: 1 of 2 replicas connected, should be absent or 2 replicas"
    ]


def test_replicas_of_an_unregistered_version_are_found() -> None:
    observed = replace(_OLD, facts={**_OLD.facts, "version m:2": "not registered, 2 replicas"})
    assert problems(observed, _CALL, _KILLED) == [
        "version m:2: not registered, 2 replicas, should be absent or 2 replicas"
    ]


def test_an_application_that_does_not_answer_is_found() -> None:
    observed = replace(_NEW, answers={"app": "default: no_ready_replica"})
    assert problems(observed, _CALL, _RAISED) == [
        "application app answers 'default: no_ready_replica' and its current version is m:2"
    ]


def test_an_orphan_is_found() -> None:
    assert problems(replace(_OLD, orphans=["process 1"]), _CALL, _KILLED) == ["orphan: process 1"]


def test_unrequested_fact_is_found() -> None:
    observed = replace(_OLD, facts={**_OLD.facts, "application other": "registered"})
    assert problems(observed, _CALL, _KILLED) == ["application other: registered, should be absent"]


def test_a_call_that_undoes_itself_leaves_no_half_when_it_raises() -> None:
    half = replace(_OLD, facts={**_OLD.facts, "version m:2": "2 replicas"})
    undoing = replace(_CALL, undoes_itself=True)
    assert problems(half, _CALL, _RAISED) == []
    assert problems(half, undoing, _RAISED) == ["version m:2: 2 replicas, should be absent"]
    assert problems(half, undoing, _KILLED) == []
