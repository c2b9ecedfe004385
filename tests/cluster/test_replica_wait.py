"""When a deploy is done, and what it says when it never will be, with query frontends that do not agree."""

from __future__ import annotations

import threading
import time

import pytest

from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.replica_wait import wait_for_replicas
from clipper_nb.errors import ClaimLostError, ClusterUnreachableError, ReplicaStartError, StartTimeoutError
from clipper_nb.protocol.descriptions import FrontendInfo
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.rest import AwaitedReplicas, ClaimHeld
from tests.support.records import make_replica_info

NET = ModelId("net", "1")
HELD = ClaimHeld(is_held=True)
CONNECTED = ClaimHeld(is_held=True, is_complete=True)


class Cluster:
    """A manager, a management client and a claim in one.

    Its holds end with *answers*, one after the other; then one stays open. *counts* are the numbers of connected
    replicas of the query frontends.
    """

    def __init__(self, *answers, counts=(0,), problem=None):
        self.problem = problem
        self.answers, self.counts, self.is_lost = list(answers), counts, False
        self.asked = []
        self.is_over = threading.Event()

    def hold(self, awaited):
        self.asked.append(awaited)
        if not self.answers:
            self.is_over.wait(20.0)
            return ClaimHeld(is_held=False)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.is_lost = not answer.is_held
        return answer

    def get_query_frontends(self):
        replica, other = make_replica_info(*NET), make_replica_info("other", "1")
        return [FrontendInfo(frontend_id="f", replicas=[replica] * count + [other]) for count in self.counts]

    def observe_replicas(self, model_id):
        return []

    def find_start_problem(self, model_id):
        return self.problem

    def check(self):
        if self.is_lost:
            raise ClaimLostError("net:1")

    def wait(self, num_replicas, timeout_s=20.0):
        new = NewVersion(NET, InputType.DOUBLES, num_replicas=num_replicas, timeout_s=timeout_s)
        try:
            wait_for_replicas(self, self, self, new, observed_before=[], started_s=time.monotonic())
        finally:
            self.is_over.set()


def test_wait_ends_when_the_frontend_confirms():
    cluster = Cluster(CONNECTED)
    cluster.wait(2)
    assert cluster.asked == [AwaitedReplicas(2, InputType.DOUBLES)]


def test_hold_that_ends_without_news_is_repeated():
    cluster = Cluster(HELD, HELD, CONNECTED)
    cluster.wait(1)
    assert len(cluster.asked) == 3


def test_wait_ends_with_the_claim():
    with pytest.raises(ClaimLostError):
        Cluster(ClaimHeld(is_held=False)).wait(1)


def test_wait_raises_when_the_frontend_is_away():
    with pytest.raises(ClusterUnreachableError, match="away"):
        Cluster(ClusterUnreachableError("away")).wait(1)


def test_nothing_is_asked_once_the_wait_is_over():
    """A frontend that answers at once would otherwise be asked without a pause, in a thread, for ever."""
    cluster = Cluster(*[HELD] * 1_000_000)
    with pytest.raises(StartTimeoutError):
        cluster.wait(1, timeout_s=0.01)
    for thread in threading.enumerate():
        if thread.name == "clipper_nb replicas of net:1":
            thread.join(5.0)
            assert not thread.is_alive()
    assert cluster.answers


def test_replicas_missing_at_some_query_frontends_are_explained():
    with pytest.raises(StartTimeoutError) as info:
        Cluster(counts=[1, 0, 0]).wait(1, timeout_s=0.01)
    assert info.value.num_ready == 0
    assert "connected to 1 of the 3 query frontends" in str(info.value)
    assert "start_clipper(num_frontend_replicas=1)" in str(info.value)


@pytest.mark.parametrize("counts", [[0], [0, 0], [1, 1], []])
def test_a_slow_start_is_not_blamed_on_query_frontends(counts):
    with pytest.raises(StartTimeoutError, match=r"of 2 replicas.*pass timeout_s=") as info:
        Cluster(counts=counts).wait(2, timeout_s=0.01)
    assert "query frontends" not in str(info.value)


def test_why_no_replica_can_start_is_raised_before_the_timeout():
    with pytest.raises(ReplicaStartError, match="finds no node"):
        Cluster(problem=ReplicaStartError("net:1", "finds no node")).wait(1)


def test_another_input_type_is_reported():
    with pytest.raises(ReplicaStartError, match="serves inputs of type ints"):
        Cluster(ClaimHeld(is_held=True, other_input_type="ints")).wait(1)
