"""When a deploy is done, and what it says when it never will be, with query frontends that do not agree."""

from __future__ import annotations

import time

import pytest

from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.replica_wait import wait_for_replicas
from clipper_nb.errors import ReplicaStartError, StartTimeoutError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId

NET = ModelId("net", "1")


class Cluster:
    """A manager and a management client in one: each look sees the next of *states*, and then the last for ever.

    A state has the number of connected replicas of each query frontend.
    """

    def __init__(self, *states, input_type="doubles"):
        self.states, self.num_looks, self.input_type = list(states), 0, input_type

    def get_query_frontends(self):
        state = self.states[min(self.num_looks, len(self.states) - 1)]
        self.num_looks += 1
        replica = {"model_id": "net:1", "input_type": self.input_type}
        return [{"replicas": [replica] * number + [{"model_id": "other:1", "input_type": "x"}]} for number in state]

    def observe_replicas(self, model_id):
        return []

    def wait(self, num_replicas, timeout_s=20.0):
        wait_for_replicas(
            self, self, NewVersion(NET, InputType.DOUBLES, num_replicas=num_replicas, timeout_s=timeout_s),
            observed_before=[], started_s=time.monotonic(), check=lambda: None,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("num_replicas", "states"),
    [
        (1, [[0], [1]]),
        (2, [[0, 0], [2, 0], [2, 1], [1, 2], [2, 2]]),
        (1, [[3, 3], [1, 3], [1, 1]]),  # fewer than before
        (0, [[1, 1], [0, 1], [0, 0]]),
        (2, [[], [2]]),
    ],
)
def test_it_is_done_when_every_query_frontend_has_as_many(num_replicas, states):
    cluster = Cluster(*states)
    cluster.wait(num_replicas)
    assert cluster.num_looks == len(states)


def test_none_wanted_is_done_where_no_query_frontend_lives():
    Cluster([]).wait(0)


def test_replicas_that_only_some_query_frontends_have_are_explained():
    with pytest.raises(StartTimeoutError) as info:
        Cluster([1, 0, 0]).wait(1, timeout_s=0.01)
    assert info.value.num_ready == 0
    assert "connected to 1 of the 3 query frontends" in str(info.value)
    assert "start_clipper(num_frontend_replicas=1)" in str(info.value)


@pytest.mark.parametrize("state", [[0], [0, 0], [1, 1], []])
def test_a_slow_start_is_not_blamed_on_query_frontends(state):
    with pytest.raises(StartTimeoutError, match=r"of 2 replicas.*pass timeout_s=") as info:
        Cluster(state).wait(2, timeout_s=0.01)
    assert "query frontends" not in str(info.value)


def test_another_input_type_is_told_whichever_query_frontend_saw_it():
    with pytest.raises(ReplicaStartError, match="serves inputs of type ints"):
        Cluster([0, 1], input_type="ints").wait(1)
