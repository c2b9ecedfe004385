"""What people and machines do to containers, under load: nothing is lost, and everything comes back by itself."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clipper_nb import ClipperConnection, ClusterUnreachableError, DockerContainerManager, StateUnavailableError
from clipper_nb.container_managers.secret_files import FOLDER as SECRETS
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import disconnect, eventually, query, running_cluster
from tests.support.docker_clusters import container_of, containers_of, network_of
from tests.support.load import Load

pytestmark = [pytest.mark.docker, pytest.mark.slow]

_SLO_S = 0.5
_GRACE_S = 0.1  # for a client on a busy machine
_BACK_S = 25.0
_SILENCE_S = 30.0  # after which both ends of a connection without a word give it up


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClipperConnection]:
    """A cluster whose applications ``patient`` and ``quick`` have two replicas and one."""

    def predict(inputs: list) -> list:
        time.sleep(0.005)  # so that a replica that is killed has a batch
        return [x[0] for x in inputs]

    with running_cluster("docker") as conn:
        create_endpoint(conn, "patient", "doubles", predict, slo_micros=10_000_000, num_replicas=2)
        create_endpoint(conn, "quick", "doubles", predict, slo_micros=int(_SLO_S * 1e6), network_access=True)
        yield conn


@pytest.fixture(autouse=True)
def _configuration_is_kept(cluster: ClipperConnection) -> Iterator[None]:
    before = _configuration(cluster)
    yield
    eventually(lambda: _all_are_connected(cluster), within_s=_SILENCE_S + _BACK_S, what="all replicas are connected")
    assert _configuration(cluster) == before
    assert not query(cluster, "patient", {"input": [time.monotonic()]})[1]["default"]
    reason = query(cluster, "quick", {"input": [time.monotonic()]})[1].get("default_reason")
    assert reason in (None, "model_too_slow", "queued_too_long")  # a busy machine may need longer than its SLO, once
    eventually(lambda: _serves(cluster, "quick"), within_s=_BACK_S, what="predictions within the SLO")


def _configuration(conn: ClipperConnection) -> list:
    return [conn.get_all_apps(verbose=True), conn.get_all_models(verbose=True)]


def _all_are_connected(conn: ClipperConnection) -> bool:
    connected = sorted(replica["model_name"] for replica in conn.get_all_model_replicas(verbose=True))
    return connected == ["patient", "patient", "quick"]


def _replica_of(conn: ClipperConnection, model: str) -> Any:
    return next(c for c in containers_of(conn, "replica") if c.labels["ai.clipper.model.name"] == model)


def _is_running(container: Any) -> bool:
    container.reload()
    return container.status == "running"


def _crash(container: Any) -> None:
    """Kill its process behind the engine's back, and wait until the engine has started it again."""
    container.reload()
    num_restarts = container.attrs["RestartCount"]  # of the whole life of the container: other tests crash it too
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
    eventually(
        lambda: _is_running(container) and container.attrs["RestartCount"] > num_restarts,
        within_s=_BACK_S, what=f"{container.name} runs again",
    )  # fmt: skip


def _end_its_process(container: Any) -> None:
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)


def _remove(container: Any) -> None:
    container.remove(force=True)


def _serves(conn: ClipperConnection, application: str) -> bool:
    status, reply = query(conn, application, {"input": [time.monotonic()]})
    return status == 200 and not reply["default"]


def _check_all_were_predicted(load: Load) -> None:
    assert {(reply.status, reply.body["default"]) for reply in load.replies} == {(200, False)}
    assert all(reply.body["output"] == reply.value for reply in load.replies)


def _wait_for_defaults(load: Load, number: int) -> None:
    """Return when there were so many default outputs: no client would have its second if it waited for the replica."""
    eventually(
        lambda: sum(reply.body["default"] for reply in load.replies) >= number,
        within_s=20, what=f"{number} default outputs",
    )  # fmt: skip


def _check_all_were_answered_in_time(load: Load) -> None:
    """Predictions, and defaults while there were none; by the SLO, but for those that a stall of the machine delays.

    In one stall these are one query of each client, which is a quarter of the defaults at most.
    """
    assert {reply.status for reply in load.replies} == {200}
    defaults = [reply for reply in load.replies if reply.body["default"]]
    assert defaults
    assert {reply.body["default_reason"] for reply in defaults} <= {
        "model_too_slow", "queued_too_long", "no_ready_replica"
    }  # fmt: skip
    in_time = [reply for reply in defaults if reply.latency_s < _SLO_S + _GRACE_S]
    assert len(in_time) >= 0.7 * len(defaults)
    assert not all(reply.body["default"] for reply in load.replies[-50:])


# --- killed


def test_manually_killed_replica_loses_no_query_and_restarts(cluster: ClipperConnection) -> None:
    with Load(cluster.get_query_addr(), "patient") as load:
        load.wait_for(200)
        for replica in [c for c in containers_of(cluster, "replica") if c.labels["ai.clipper.model.name"] == "patient"]:
            replica.kill()
            load.wait_for(100)
            eventually(lambda: _all_are_connected(cluster), within_s=_BACK_S, what="both replicas are back")
            load.wait_until_answered()  # what the killed one had is tried again now: no kill may hit it a second time
        load.wait_for(100)
    _check_all_were_predicted(load)


def test_engine_alone_restarts_crashed_containers(cluster: ClipperConnection) -> None:
    cluster.cm._end_watch()  # as when the notebook is closed
    try:
        for role in ("replica", "management_frontend", "redis", "query_frontend"):
            _crash(container_of(cluster, role))
        eventually(lambda: _admin_answers(cluster), within_s=_BACK_S, what="admin calls work again")
        eventually(lambda: _all_are_connected(cluster), within_s=_BACK_S, what="replicas are connected again")
        eventually(lambda: _can_query(cluster), within_s=_BACK_S, what="the query frontend serves again")
        # Killed by hand is another matter: that needs a connected notebook.
        killed = _replica_of(cluster, "quick")
        killed.kill()
        time.sleep(2.0)
        assert not _is_running(killed)
    finally:
        cluster.cm._begin_watch()
    eventually(lambda: _serves(cluster, "quick"), within_s=_BACK_S, what="the replica is back with the watcher")


def test_forgotten_connection_leaves_no_threads(cluster: ClipperConnection) -> None:
    """A cell that connects is run again and again."""
    before = _num_watches(cluster)
    for _ in range(3):
        conn = ClipperConnection(DockerContainerManager(cluster.cm.cluster_name))
        conn.connect()
        engine = conn.cm._engine
        assert _num_watches(cluster) == before + 1
        del conn
        gc.collect()
        eventually(lambda: _num_watches(cluster) == before, within_s=10, what="the watch has ended")
        engine.client.close()
        engine.stream_client.close()


def _num_watches(conn: ClipperConnection) -> int:
    return [thread.name for thread in threading.enumerate()].count(f"clipper_nb watch {conn.cm.cluster_name}")


def test_earlier_crashes_do_not_prevent_connecting(cluster: ClipperConnection) -> None:
    frontend = container_of(cluster, "management_frontend")
    for _ in range(3):
        _crash(frontend)
    cluster.connect()  # while it is not ready yet
    assert cluster.get_all_apps() == ["patient", "quick"]


def test_killed_query_frontend_recovers_its_state_and_replicas(cluster: ClipperConnection) -> None:
    with Load(cluster.get_query_addr(), "patient") as load:
        load.wait_for(100)
        container_of(cluster, "query_frontend").kill()
        eventually(lambda: _can_query(cluster), within_s=_BACK_S, what="the query frontend serves again")
        load.wait_for(100)
    statuses = [reply.status for reply in load.replies]
    assert set(statuses) == {0, 200}
    served = [reply for reply in load.replies if reply.status == 200]
    assert {reply.body.get("default_reason") for reply in served} <= {None, "no_ready_replica"}
    assert not load.replies[-1].body["default"]


def _can_query(conn: ClipperConnection) -> bool:
    try:
        return _serves(conn, "patient")
    except (OSError, ValueError):
        return False


@pytest.mark.parametrize("role", ["management_frontend", "redis"])
def test_predictions_continue_while_the_rest_is_killed(cluster: ClipperConnection, role: str) -> None:
    with Load(cluster.get_query_addr(), "patient") as load:
        load.wait_for(50)
        container_of(cluster, role).kill()
        load.wait_for(50)
        eventually(lambda: _admin_answers(cluster), within_s=_BACK_S, what="admin calls work again")
        cluster.register_application("afterwards", "doubles", "0", 1_000_000)
        assert query(cluster, "afterwards", {"input": []})[1]["default_reason"] == "not_linked"
        cluster.unregister_application("afterwards")
        load.wait_for(50)
    _check_all_were_predicted(load)


def _admin_answers(conn: ClipperConnection) -> bool:
    try:
        conn.get_all_apps()
    except (StateUnavailableError, ClusterUnreachableError):
        return False
    return True


# --- removed


@pytest.mark.parametrize("role", ["replica", "management_frontend", "redis", "query_frontend"])
def test_container_removed_by_hand_is_recreated_unchanged(cluster: ClipperConnection, role: str) -> None:
    removed = container_of(cluster, role)
    removed.remove(force=True)
    eventually(lambda: _named(cluster, removed.name), within_s=_BACK_S, what=f"{removed.name} is there again")
    eventually(lambda: _admin_answers(cluster), within_s=_BACK_S, what="admin calls work again")
    eventually(lambda: _all_are_connected(cluster), within_s=_BACK_S, what="replicas are connected again")
    eventually(lambda: _can_query(cluster), within_s=_BACK_S, what="the query frontend serves again")
    (made,) = _named(cluster, removed.name)
    assert made.id != removed.id
    assert _identity(made) == _identity(removed)


def test_container_stopped_by_another_notebook_is_not_recreated(cluster: ClipperConnection) -> None:
    other = ClipperConnection(DockerContainerManager(cluster.cm.cluster_name))
    other.connect()
    try:
        before = {container.name for container in containers_of(cluster, "replica")}
        other.set_num_replicas("patient", 1)
        left = {container.name for container in containers_of(cluster, "replica")}
        assert len(before - left) == 1
        # Both watches see events in their order: when this one is mended, they have seen the other.
        removed = _replica_of(cluster, "quick")
        removed.remove(force=True)
        eventually(lambda: _named(cluster, removed.name), within_s=_BACK_S, what="the removed replica is there again")
        assert {container.name for container in containers_of(cluster, "replica")} == left
    finally:
        disconnect(other.cm)
        cluster.set_num_replicas("patient", 2)


def _named(conn: ClipperConnection, name: str) -> list[Any]:
    return [container for container in containers_of(conn, "replica") + _core(conn) if container.name == name]


def _core(conn: ClipperConnection) -> list[Any]:
    return [c for role in ("management_frontend", "redis", "query_frontend") for c in containers_of(conn, role)]


def _identity(container: Any) -> dict[str, Any]:
    """Return what the others, and a user, know a container by, and what it may do."""
    attributes = container.attrs
    networks = attributes["NetworkSettings"]["Networks"]
    return {
        "image": attributes["Image"],
        "config": {key: value for key, value in attributes["Config"].items() if key != "Hostname"},
        "host": attributes["HostConfig"],
        "volumes": sorted(_volume_of(mount) for mount in attributes["Mounts"]),
        "networks": {name: set(found["Aliases"] or ()) - {container.short_id} for name, found in networks.items()},
    }


def _volume_of(mount: dict[str, Any]) -> tuple[str, str]:
    """Return a mount's volume and place; the volume of secrets has no name, and a new container has a new one."""
    return "" if mount["Destination"] == SECRETS else mount.get("Name", mount["Source"]), mount["Destination"]


# --- a published port that somebody else has taken


@pytest.mark.parametrize(("role", "end"), [("management_frontend", _end_its_process), ("query_frontend", _remove)])
def test_port_taken_by_another_program_is_taken_back(cluster: ClipperConnection, role: str, end: Any) -> None:
    container = container_of(cluster, role)
    with _taken(_port_of(cluster, role), lambda: end(container)):
        time.sleep(2.0)
        assert not any(_is_running(each) for each in _named(cluster, container.name))
    eventually(lambda: any(map(_is_running, _named(cluster, container.name))), within_s=10, what="it runs again")
    eventually(lambda: _admin_answers(cluster), within_s=_BACK_S, what="admin calls work again")
    eventually(lambda: _can_query(cluster), within_s=_BACK_S, what="the query frontend serves again")


@contextlib.contextmanager
def _taken(port: int, release: Callable[[], None]) -> Iterator[None]:
    """Hold a port that *release* sets free, from the first moment on."""
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        releasing = threading.Thread(target=release)
        releasing.start()
        eventually(lambda: _has_bound(stranger, port), within_s=20, what=f"port {port} is free")
        stranger.listen()
        releasing.join()
        yield


def _has_bound(stranger: socket.socket, port: int) -> bool:
    try:
        stranger.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def _port_of(conn: ClipperConnection, role: str) -> int:
    return conn.cm.clipper_query_port if role == "query_frontend" else conn.cm.clipper_management_port


# --- paused


@contextlib.contextmanager
def _paused(container: Any) -> Iterator[None]:
    container.pause()
    try:
        yield
    finally:
        container.unpause()


@pytest.mark.serial
def test_replies_meet_the_slo_while_a_replica_is_paused(cluster: ClipperConnection) -> None:
    with Load(cluster.get_query_addr(), "quick") as load:
        load.wait_for(100)
        with _paused(_replica_of(cluster, "quick")):
            _wait_for_defaults(load, 32)  # four of each client
        eventually(lambda: _serves(cluster, "quick"), within_s=_BACK_S, what="the replica serves again")
        load.wait_for(100)
    _check_all_were_answered_in_time(load)


def test_paused_query_frontend_answers_every_query_on_resume(cluster: ClipperConnection) -> None:
    with Load(cluster.get_query_addr(), "patient") as load:
        load.wait_for(50)
        with _paused(container_of(cluster, "query_frontend")):
            time.sleep(1.0)
        load.wait_for(50)
    _check_all_were_predicted(load)


def test_paused_redis_fails_admin_calls_but_no_prediction(cluster: ClipperConnection) -> None:
    with Load(cluster.get_query_addr(), "patient") as load:
        load.wait_for(50)
        with _paused(container_of(cluster, "redis")):
            # The management frontend itself says so: a caller that waits in vain raises another error.
            with pytest.raises(StateUnavailableError, match="Redis does not answer"):
                cluster.register_application("never", "doubles", "0", 1000)
            load.wait_for(50)
        eventually(lambda: _admin_answers(cluster), within_s=_BACK_S, what="admin calls work again")
        load.wait_for(50)
    # What was refused as not carried out may not appear later; what was in doubt may, and then is taken back.
    if "never" in cluster.get_all_apps():
        cluster.unregister_application("never")
    _check_all_were_predicted(load)


# --- disconnected


@contextlib.contextmanager
def _disconnected(network: Any, container: Any, aliases: list[str]) -> Iterator[None]:
    network.disconnect(container)
    try:
        yield
    finally:
        network.connect(container, aliases=aliases)


@pytest.mark.serial
def test_replies_meet_the_slo_while_a_replica_is_disconnected(cluster: ClipperConnection) -> None:
    with Load(cluster.get_query_addr(), "quick", num_clients=2, max_s=90.0) as load:
        load.wait_for(50)
        with _disconnected(network_of(cluster, "proven"), _replica_of(cluster, "quick"), []):
            _wait_for_defaults(load, 8)  # four of each client; the engine may say so before the network is gone
        eventually(lambda: _serves(cluster, "quick"), within_s=_SILENCE_S + _BACK_S, what="the replica serves again")
        load.wait_for(50)
    _check_all_were_answered_in_time(load)


def test_predictions_go_on_without_the_private_network(cluster: ClipperConnection) -> None:
    frontend = container_of(cluster, "query_frontend")
    with Load(cluster.get_query_addr(), "patient") as load:
        load.wait_for(50)
        with _disconnected(network_of(cluster, "private"), frontend, ["query_frontend-0"]):
            load.wait_for(100)
            time.sleep(1.0)
        load.wait_for(50)
        cluster.register_application("afterwards", "doubles", "0", 1_000_000)
        assert query(cluster, "afterwards", {"input": []})[1]["default_reason"] == "not_linked"
        cluster.unregister_application("afterwards")
    _check_all_were_predicted(load)
