"""What the API server says of pods, and which of it means that they will never start."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from clipper_nb.container_managers.kubernetes.observations import (
    find_problem,
    is_ending,
    is_over,
    is_ready,
    is_surely_over,
    observe_pod,
    oldest_first,
)
from clipper_nb.errors import ImageNotFoundError, ReplicaStartError
from clipper_nb.protocol.names import ModelId

CREATED = datetime(2026, 11, 29, 12, 0, 0, tzinfo=timezone.utc)
MODEL = ModelId("m", "1")


def pod(state=None, *, last=None, restarts=0, name="p", conditions=(), **metadata):
    status = {"phase": "Pending" if state is None else "Running", "conditions": list(conditions)}
    if state is not None:
        container = {"name": "main", "state": state, "restartCount": restarts, "lastState": last or {}}
        status["containerStatuses"] = [container]
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": "2026-11-29T12:00:00Z",
            "labels": {"ai.clipper.role": "replica"},
            "annotations": {"ai.clipper.model": "m:1", "ai.clipper.image": "lab-m:1-0a"},
            **metadata,
        },
        "spec": {"nodeName": "n2", "containers": [{"image": "r/lab-m@sha256:0b"}]},
        "status": status,
    }


def ended(code, reason="Error"):
    return {"terminated": {"exitCode": code, "reason": reason}}


def waiting(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


RUNNING = {"running": {"startedAt": "2026-11-29T12:00:05Z"}}


def test_a_running_pod_is_observed_as_its_version_has_it():
    seen = observe_pod(pod(RUNNING))
    assert (seen.name, seen.role, seen.model, seen.image) == ("p", "replica", "m:1", "lab-m:1-0a")
    assert (seen.is_running, seen.num_exits, seen.exit_status, seen.was_out_of_memory) == (True, 0, None, False)


@pytest.mark.parametrize(
    ("observed", "num_exits", "status", "is_memory"),
    [
        (pod(ended(1)), 1, 1, False),
        (pod(waiting("CrashLoopBackOff"), last=ended(3), restarts=2), 2, 3, False),
        (pod(RUNNING, last=ended(137, "OOMKilled"), restarts=1), 1, -9, True),
        (pod(ended(143), restarts=1), 2, -15, False),
        (pod(), 0, None, False),
    ],
)
def test_ends_are_counted_and_their_status_is_as_python_counts(observed, num_exits, status, is_memory):
    seen = observe_pod(observed)
    assert (seen.num_exits, seen.exit_status, seen.was_out_of_memory) == (num_exits, status, is_memory)


def test_a_deleted_pod_ends_and_is_over_when_its_container_is():
    gone = {"deletionTimestamp": "2026-11-29T12:01:00Z"}
    assert not is_ending(pod(RUNNING))
    assert is_ending(pod(RUNNING, **gone))
    assert not is_over(pod(RUNNING, **gone))
    assert is_over(pod(waiting("ContainerCreating"), **gone))
    assert not is_surely_over(pod(waiting("ContainerCreating"), **gone))  # it may run, and its node has not said so yet
    assert is_surely_over(pod(waiting("ErrImagePull"), **gone))
    assert is_over(pod(ended(0), **gone))
    assert not is_over(pod(ended(0)))
    assert is_ready(pod(RUNNING, conditions=[{"type": "Ready", "status": "True"}]))
    assert not is_ready(pod(RUNNING))


def test_the_oldest_comes_first_of_one_second_the_first_that_ran():
    young = pod(RUNNING, name="a", creationTimestamp="2026-11-29T12:00:09Z")
    waits, late = pod(name="b"), pod({"running": {"startedAt": "2026-11-29T12:00:07Z"}}, name="c")
    first = pod(RUNNING, name="d")
    assert [each["metadata"]["name"] for each in oldest_first([young, waits, late, first])] == ["d", "c", "b", "a"]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImageNeverPull", 'Container image "i" is not present with pull policy of Never'),
        ("ImagePullBackOff", 'Back-off pulling image "i"'),
        ("InvalidImageName", "couldn't parse image reference"),
        ("ErrImagePull", "manifest for r/m:1 not found: manifest unknown"),
        ("ErrImagePull", "no basic auth credentials"),
    ],
)
def test_an_image_that_cannot_be_had_is_an_image_not_found(reason, message):
    problem = find_problem([pod(RUNNING), pod(waiting(reason, message))])
    assert problem is not None
    error = problem.error(MODEL)
    assert isinstance(error, ImageNotFoundError)
    assert "'lab-m:1-0a'" in error.msg
    assert f"on node n2 ({reason}): {message}" in error.msg


@pytest.mark.parametrize("state", [None, RUNNING, waiting("ContainerCreating"), waiting("ErrImagePull", "i/o timeout")])
def test_what_may_pass_by_itself_is_no_problem(state):
    assert find_problem([pod(state)]) is None


def test_a_pod_without_a_node_has_the_schedulers_sentence():
    condition = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu.",
    }  # fmt: skip
    unscheduled = pod(conditions=[condition])
    assert find_problem([unscheduled], now=CREATED + timedelta(seconds=9)) is None
    problem = find_problem([unscheduled], now=CREATED + timedelta(seconds=10))
    assert problem is not None
    error = problem.error(MODEL)
    assert isinstance(error, ReplicaStartError)
    assert "A replica of m:1 finds no node: 0/3 nodes are available: 3 Insufficient cpu. Ask for less" in error.msg


def test_a_container_that_cannot_be_created_is_told():
    problem = find_problem([pod(waiting("CreateContainerConfigError", 'secret "s" not found'))])
    assert problem is not None
    assert (
        'cannot be started on node n2 (CreateContainerConfigError): secret "s" not found.' in problem.error(MODEL).msg
    )


def test_a_quota_that_is_used_up_is_told():
    condition = {"type": "ReplicaFailure", "status": "True", "message": 'pods "m" is forbidden: exceeded quota: q'}
    problem = find_problem([], {"status": {"conditions": [condition]}})
    assert problem is not None
    assert "exceeded quota: q. The namespace's quota is used up" in problem.error(MODEL).msg
    assert find_problem([], {"status": {}}) is None
