"""Each process of the cluster is killed with SIGKILL, under load; nothing is lost, and it comes back by itself."""

from __future__ import annotations

import http.client
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipper_nb import ClipperConnection, ClusterUnreachableError, StateUnavailableError
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import eventually, freeze, http_request, kill, processes_of, query
from tests.support.load import Load

pytestmark = pytest.mark.cluster


def _deploy_busy_model(conn: ClipperConnection, *, num_replicas: int, slo_micros: int = 5_000_000) -> None:
    def predict(inputs: list) -> list:
        time.sleep(0.005)  # so that a replica that is killed has a batch
        return [x[0] for x in inputs]

    create_endpoint(conn, "app", "doubles", predict, "default", slo_micros=slo_micros, num_replicas=num_replicas)


@pytest.mark.same_on_docker
def test_a_killed_replica_loses_no_query_and_comes_back(conn: ClipperConnection) -> None:
    _deploy_busy_model(conn, num_replicas=2)
    with Load(conn.get_query_addr(), "app") as load:
        load.wait_for(200)
        for _ in range(3):
            killed = kill(conn, "replica")
            load.wait_for(200)
            eventually(
                lambda killed=killed: killed not in processes_of(conn, "replica")
                and len(conn.get_all_model_replicas()) == 2,
                within_s=60, what="both replicas are back",
            )  # fmt: skip
            # What the killed one had is tried again now; the next kill must not hit it a second time.
            load.wait_until_answered()
    assert {reply.status for reply in load.replies} == {200}
    # Another replica answered what the killed one had: the SLO left time enough.
    assert [reply.body for reply in load.replies if reply.body["default"]] == []
    assert all(reply.body["output"] == reply.value for reply in load.replies)


@pytest.mark.serial
@pytest.mark.same_on_docker
def test_killed_only_replica_causes_timely_defaults_and_restarts(conn: ClipperConnection) -> None:
    slo_s, num_clients = 0.15, 8
    _deploy_busy_model(conn, num_replicas=1, slo_micros=int(1e6 * slo_s))
    with Load(conn.get_query_addr(), "app", num_clients=num_clients) as load:
        load.wait_for(100)
        _kill_again_and_again(conn)
        load.wait_for(100)
        eventually(lambda: len(conn.get_all_model_replicas()) == 1, within_s=60, what="the replica is back")
        back_s = time.monotonic()
        load.wait_for(100)
    assert {reply.status for reply in load.replies} == {200}
    defaults = [reply for reply in load.replies if reply.body["default"]]
    # A replica is back so soon that a query may lose two within its SLO; it is given up then.
    others = [reply for reply in defaults if "Two replicas of app:1 were lost" not in reply.body["default_explanation"]]
    assert {reply.body["default_reason"] for reply in others} <= {
        "no_ready_replica", "model_too_slow", "queued_too_long"
    }  # fmt: skip
    assert len(defaults) - len(others) <= 4 * num_clients  # five kills, and each client has one query at a time
    # If queries waited for the replica, each client would get one late answer and send no other query meanwhile.
    in_time = [reply for reply in defaults if reply.latency_s < slo_s + 0.15]
    assert len(in_time) > 3 * num_clients
    assert len(in_time) > 0.9 * len(defaults)
    assert any(not reply.body["default"] for reply in load.replies if reply.received_s > back_s)


def _kill_again_and_again(conn: ClipperConnection) -> None:
    """Kill the only replica five times: once, it is back before the second default."""
    killed = None
    for _ in range(5):

        def runs(before: object = killed) -> bool:
            return bool(set(processes_of(conn, "replica")) - {before})

        eventually(runs, within_s=60, what="it runs again")
        killed = kill(conn, "replica")


@pytest.mark.same_on_docker
def test_an_input_that_ends_replicas_is_given_up_after_two(conn: ClipperConnection) -> None:
    def predict(inputs: list) -> list:
        if inputs[0][0] < 0:
            os._exit(9)
        return [x[0] for x in inputs]

    create_endpoint(conn, "app", "doubles", predict, slo_micros=20_000_000, num_replicas=1, batch_size=1)
    reply = query(conn, "app", {"input": [-1.0]})[1]
    assert reply["default_reason"] == "model_error"
    assert "Two replicas of app:1 were lost" in reply["default_explanation"]
    # Not until a replica is listed: for some milliseconds the one that was lost still is.
    eventually(lambda: query(conn, "app", {"input": [1.0]})[1]["output"] == 1.0, within_s=20, what="it answers again")


@pytest.mark.same_on_docker
def test_a_killed_query_frontend_is_back_with_its_configuration(conn: ClipperConnection, kind: str) -> None:
    _deploy_busy_model(conn, num_replicas=2)
    with Load(conn.get_query_addr(), "app") as load:
        load.wait_for(200)
        kill(conn, "query_frontend")
        if kind == "local":
            # The port stays open, so a new connection waits for the frontend instead of being refused.
            assert query(conn, "app", {"input": [-1.0]})[0] == 200
        else:
            # The Docker Engine closes the port of a container that does not run; so does Kubernetes.
            eventually(lambda: _frontend_answers(conn), within_s=60, what="the query frontend answers again")
        back_s = time.monotonic()
        eventually(
            lambda: not query(conn, "app", {"input": [time.monotonic()]})[1]["default"],
            within_s=20, what="replicas are connected again",
        )  # fmt: skip
        load.wait_for(200)
    broken = [reply for reply in load.replies if reply.status == 0]
    assert all(reply.received_s - reply.latency_s < back_s for reply in broken)
    if kind == "local":
        assert len(broken) <= 8  # what was under way on the eight connections that died with it
    assert {reply.status for reply in load.replies} <= {0, 200}
    assert not load.replies[-1].body["default"]
    conn.register_application("other", "ints", "0", 1000)
    assert conn.get_all_apps() == ["app", "other"]


@pytest.mark.same_on_docker
def test_killed_management_frontend_does_not_affect_predictions(conn: ClipperConnection, kind: str) -> None:
    _deploy_busy_model(conn, num_replicas=1)
    with Load(conn.get_query_addr(), "app") as load:
        load.wait_for(50)
        kill(conn, "management_frontend")
        if kind != "local":  # its port too is closed meanwhile
            eventually(lambda: _answers(conn), within_s=60, what="the management frontend answers again")
        conn.register_application("other", "ints", "0", 1000)
        assert conn.get_all_apps() == ["app", "other"]
        load.wait_for(50)
    assert {(reply.status, reply.body["default"]) for reply in load.replies} == {(200, False)}


@pytest.mark.same_on_docker
@pytest.mark.not_on_kubernetes("its processes are those of nodes")
def test_frozen_redis_fails_admin_calls_and_no_query(conn: ClipperConnection) -> None:
    """It holds its socket and answers nothing; killed, it is gone and then started again."""
    _deploy_busy_model(conn, num_replicas=1)
    with Load(conn.get_query_addr(), "app") as load:
        load.wait_for(50)
        freeze(conn, "redis")
        with ThreadPoolExecutor() as beside:  # each answer takes nine seconds
            readiness = beside.submit(http_request, conn.get_admin_addr(), "GET", "/readyz")
            # The management frontend itself says so: a caller that waits in vain raises another error.
            with pytest.raises(StateUnavailableError, match="Redis does not answer"):
                conn.register_application("never", "doubles", "0", 1000)
            assert readiness.result()[0] == 503
        load.wait_for(50)
        kill(conn, "redis")
        load.wait_for(50)
        eventually(lambda: _answers(conn), within_s=60, what="admin calls work again")
        assert conn.get_all_apps() == ["app"]
    assert {(reply.status, reply.body["default"]) for reply in load.replies} == {(200, False)}


@pytest.mark.same_on_docker
def test_killed_redis_loses_no_change_and_no_query(conn: ClipperConnection) -> None:
    _deploy_busy_model(conn, num_replicas=1)
    with Load(conn.get_query_addr(), "app") as load:
        load.wait_for(50)
        for turn in range(20):
            conn.register_application(f"app-{turn}", "doubles", "0", 1000)
        before = conn.get_all_apps(verbose=True)
        kill(conn, "redis")
        load.wait_for(50)
        eventually(lambda: _answers(conn), within_s=60, what="admin calls work again")
        assert conn.get_all_apps(verbose=True) == before
        conn.register_application("after", "doubles", "0", 1000)
        assert query(conn, "after", {"input": []})[1]["default_reason"] == "not_linked"
        load.wait_for(50)
    assert {(reply.status, reply.body["default"]) for reply in load.replies} == {(200, False)}


def _answers(conn: ClipperConnection) -> bool:
    try:
        conn.get_all_apps()
    except (StateUnavailableError, ClusterUnreachableError):
        return False
    return True


def _frontend_answers(conn: ClipperConnection) -> bool:
    try:
        return query(conn, "app", {"input": [-1.0]})[0] == 200
    except (OSError, http.client.HTTPException):
        time.sleep(0.2)  # as clients do
        return False


@pytest.mark.same_on_docker
def test_prediction_longer_than_the_silence_timeout_succeeds(conn: ClipperConnection) -> None:
    """The heartbeat thread speaks while the model computes; shortened here by looking for its heartbeats."""

    def predict(inputs: list) -> list:
        end_s = time.monotonic() + 7.0  # longer than the heartbeat interval of 5 s
        while time.monotonic() < end_s:
            pass  # holds the interpreter lock as a busy model does
        return [1 for _ in inputs]

    create_endpoint(conn, "app", "doubles", predict, "default", slo_micros=20_000_000)
    assert query(conn, "app", {"input": [1.0]})[1]["output"] == 1
