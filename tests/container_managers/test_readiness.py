"""What makes waiting for a cluster senseless."""

from __future__ import annotations

import pytest

from clipper_nb.container_managers.readiness import check_core, pause_s
from clipper_nb.container_managers.specs import REDIS_NAME
from clipper_nb.errors import ClusterStartError
from clipper_nb.protocol.containers import REDIS, REPLICA, ObservedContainer


def _ended(role: str, num_exits: int) -> ObservedContainer:
    return ObservedContainer(f"{role}-0", role, None, is_running=False, num_exits=num_exits, exit_status=3)


def test_core_container_may_end_once():
    check_core([_ended(REDIS, 1)], str)


def test_core_container_that_keeps_ending_is_named_with_its_log():
    with pytest.raises(ClusterStartError, match="redis-0 ended with status 3, again and again") as excinfo:
        check_core([_ended(REDIS, 2)], lambda name: f"log of {name}")
    assert f"log of {REDIS_NAME}" in str(excinfo.value)


def test_replica_that_keeps_ending_does_not_concern_the_core():
    check_core([_ended(REPLICA, 9)], str)


def test_what_is_waited_for_is_noticed_soon_after_it_comes():
    """A start of 0.3 s is noticed after at most 16 ms, and one of 10 s costs few questions."""
    assert pause_s(0.0) == 0.001
    assert pause_s(0.3) == pytest.approx(0.016)
    assert pause_s(10.0) == 0.05
