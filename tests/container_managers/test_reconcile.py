"""From desired and observed replicas to what to start and what to stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.container_managers.reconcile import missing_replicas, reconcile_replicas, undesired_replicas
from clipper_nb.protocol.containers import REPLICA, ObservedContainer
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.rest import DesiredReplicas
from tests.support.examples import examples

IMAGE = "c-m:1"


def observed(*exits):
    """Return replicas, oldest first, that ended so often."""
    return [
        ObservedContainer(f"r{number}", REPLICA, "m:1", is_running=True, image=IMAGE, num_exits=num_exits)
        for number, num_exits in enumerate(exits)
    ]


@pytest.mark.parametrize(
    ("num_desired", "exits", "num_to_start", "names_to_stop"),
    [
        (0, (), 0, ()),
        (2, (), 2, ()),
        (2, (0, 0), 0, ()),
        (3, (0,), 2, ()),
        (1, (0, 0, 0), 0, ("r2", "r1")),
        (0, (0, 0), 0, ("r1", "r0")),
        (2, (5, 0, 0), 0, ("r0",)),
        (1, (0, 3, 7, 0), 0, ("r2", "r1", "r3")),
    ],
)
def test_difference_is_minimal_and_stops_worst_replicas_first(num_desired, exits, num_to_start, names_to_stop):
    difference = reconcile_replicas(num_desired, observed(*exits), IMAGE)
    assert difference.num_to_start == num_to_start
    assert difference.names_to_stop == names_to_stop


def test_replica_that_waits_to_be_started_again_counts():
    """Its supervisor starts it; another one would be one too many."""
    waiting = [ObservedContainer("r0", REPLICA, "m:1", is_running=False, image=IMAGE, num_exits=3)]
    assert reconcile_replicas(1, waiting, IMAGE).num_to_start == 0


@examples(100)
@given(st.integers(0, 8), st.lists(st.integers(0, 3), max_size=8))
def test_applying_the_difference_leaves_none(num_desired, exits):
    replicas = observed(*exits)
    difference = reconcile_replicas(num_desired, replicas, IMAGE)
    assert difference.num_to_start == 0 or not difference.names_to_stop
    left = [replica for replica in replicas if replica.name not in difference.names_to_stop]
    assert len(left) == len(replicas) - len(difference.names_to_stop)
    left += [
        ObservedContainer(f"n{number}", REPLICA, "m:1", True, image=IMAGE) for number in range(difference.num_to_start)
    ]
    assert len(left) == num_desired
    again = reconcile_replicas(num_desired, left, IMAGE)
    assert (again.num_to_start, again.names_to_stop) == (0, ())
    stopped = [replica for replica in replicas if replica.name in difference.names_to_stop]
    kept = [replica for replica in replicas if replica not in stopped]
    assert all(one.num_exits >= other.num_exits for one in stopped for other in kept)


def test_replicas_of_another_image_stop_and_do_not_count():
    """They serve the function of a caller that lost the version to another one."""
    others = [ObservedContainer(name, REPLICA, "m:1", True, image="c-m:old") for name in ("x", "y")]
    difference = reconcile_replicas(2, [*others, *observed(0)], IMAGE)
    assert (difference.num_to_start, difference.names_to_stop) == (1, ("x", "y"))


@pytest.mark.parametrize(
    ("desired", "names"),
    [
        (DesiredReplicas(1, {"m:1": 2}, {"m:1": IMAGE}, []), []),
        (DesiredReplicas(1, {"m:1": 3}, {"m:1": IMAGE}, []), []),
        (DesiredReplicas(1, {"m:1": 1}, {"m:1": IMAGE}, []), ["r1"]),
        (DesiredReplicas(1, {"m:1": 2}, {"m:1": "c-m:other"}, []), ["r0", "r1"]),
        (DesiredReplicas(1, {"m:1": 0}, {"m:1": IMAGE}, ["m:1"]), []),
        (DesiredReplicas(1, {}, {}, ["m:1"]), []),
        (DesiredReplicas(1, {}, {}, ["m:2"]), ["r1", "r0"]),
        (DesiredReplicas(1, {}, {}, []), ["r1", "r0"]),
    ],
)
def test_replica_neither_desired_nor_claimed_is_stopped(desired, names):
    assert sorted(undesired_replicas(observed(0, 0), desired)) == sorted(names)


@pytest.mark.parametrize(
    ("num_desired", "num_observed", "autoscaled", "claimed", "is_missing"),
    [
        (3, 2, ["m:1"], [], True),
        (2, 2, ["m:1"], [], False),
        (3, 2, [], [], False),
        (3, 2, ["m:1"], ["m:1"], False),
        (3, 0, ["m:1"], [], False),
    ],
)
def test_missing_replicas_are_those_of_autoscaled_versions(num_desired, num_observed, autoscaled, claimed, is_missing):
    desired = DesiredReplicas(7, {"m:1": num_desired}, {"m:1": IMAGE}, claimed, autoscaled)
    assert missing_replicas(observed(*[0] * num_observed), desired) == ([ModelId("m", "1")] if is_missing else [])
