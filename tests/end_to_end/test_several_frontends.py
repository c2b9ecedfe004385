"""Several query frontends on one address: all serve, all hear of changes, one can go while the others answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from clipper_nb import ClipperConnection, KubernetesContainerManager, StartTimeoutError
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.replica_wait import wait_for_replicas
from clipper_nb.cluster.version_claim import VersionClaim
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.query_frontend.app import QUERY_IDS_PER_START
from tests.end_to_end.test_rpc_conformance import ClipperContainer
from tests.support.clusters import (
    connection_beside,
    disconnect,
    end_query_frontend,
    eventually,
    http_request,
    observe,
    query,
    query_frontends_of,
    running_cluster,
    worker_pids,
)
from tests.support.load import Load

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

NUM_FRONTENDS = 2
_IDENTITY_SLO_MICROS = 5_000_000


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    """One cluster for the whole file: whatever a test kills comes back."""
    options = {"num_frontend_replicas": NUM_FRONTENDS, "accept_clipper_containers": ["old:1"]}
    with running_cluster(kind, **options) as conn:
        conn.register_application("probe", "doubles", "", 1_000_000)
        yield conn


@pytest.fixture(autouse=True)
def _all_serve(conn: ClipperConnection) -> None:
    _wait_until_all_serve(conn)


def _wait_until_all_serve(conn: ClipperConnection) -> None:
    eventually(lambda: len(query_frontends_of(conn)) == NUM_FRONTENDS, within_s=60, what="all query frontends run")
    eventually(lambda: _num_known(conn) == NUM_FRONTENDS, within_s=30, what="all query frontends have said so")


def _num_known(conn: ClipperConnection) -> int:
    return len(conn._management_client().get_query_frontends())


class Kept:
    """Connections that stay open, so that each goes on asking the same query frontend; each frontend has some.

    A frontend that gets no processor for a moment leaves all to the others; then they are opened anew.
    """

    def __init__(self, conn: ClipperConnection, number: int = 16) -> None:
        self._conn = conn
        host, port = conn.get_query_addr().split(":")
        self._connections = [http.client.HTTPConnection(host, int(port), timeout=30) for _ in range(number)]
        self.frontends: list[int] = []
        """Which frontend has each connection."""
        self.num_attempts = 0

    def __enter__(self) -> Kept:
        eventually(self._reach_all, within_s=30, what="each query frontend has some of the connections")
        return self

    def _reach_all(self) -> bool:
        self.num_attempts += 1
        for connection in self._connections:
            connection.close()
            connection.connect()
        time.sleep(0.2)  # they are taken as they come, and the first queries count
        replies = self.ask("probe", [0.0] * len(self._connections))
        self.frontends = [_frontend_of(self._conn, reply["query_id"]) for reply in replies]
        return len(set(self.frontends)) == NUM_FRONTENDS

    def __exit__(self, *exc: object) -> None:
        for connection in self._connections:
            connection.close()

    def ask(self, application: str, values: list[float]) -> list[dict[str, Any]]:
        """Return the reply to one query on each connection."""
        replies = []
        for connection, value in zip(self._connections, values, strict=True):
            connection.request("POST", f"/{application}/predict", json.dumps({"input": [value]}))
            reply = connection.getresponse()
            replies.append({"status": reply.status, **json.loads(reply.read())})
        return replies


def _frontend_of(conn: ClipperConnection, query_id: int) -> int:
    """Return which query frontend gave an id: those of one parent differ in remainders, a pod begins with others."""
    in_pods = isinstance(conn.cm, KubernetesContainerManager)
    return query_id // QUERY_IDS_PER_START if in_pods else query_id % NUM_FRONTENDS


def _create_identity(conn: ClipperConnection, name: str, **options: Any) -> None:
    create_endpoint(
        conn, name, "doubles", lambda xs: [x[0] for x in xs], "default", slo_micros=_IDENTITY_SLO_MICROS, **options
    )


def _total(conn: ClipperConnection, name: str, **labels: str) -> float:
    series = conn.inspect_instance()[name]
    return sum(one.get("value", one.get("count")) for one in series if labels.items() <= one["labels"].items())


@pytest.mark.also_on_docker
def test_connections_are_spread_over_all_and_each_predicts(conn: ClipperConnection) -> None:
    _create_identity(conn, "spread")
    with Kept(conn, 40) as kept:
        replies = kept.ask("spread", [float(i) for i in range(40)])
    assert [reply["output"] for reply in replies] == [float(i) for i in range(40)]
    assert len({_frontend_of(conn, reply["query_id"]) for reply in replies}) == NUM_FRONTENDS
    assert kept.num_attempts <= 5, "once is enough, unless the machine stalls"


def test_every_replica_serves_all(conn: ClipperConnection, kind: str) -> None:
    _create_identity(conn, "shared", num_replicas=3)
    frontends = conn._management_client().get_query_frontends()
    ids = [frontend.frontend_id for frontend in frontends]
    on_kubernetes = [each.name for each in observe(conn, "query_frontend")]
    own = ["query_frontend-0-worker-0", "query_frontend-0-worker-1"]
    assert sorted(ids) == (sorted(on_kubernetes) if kind == "kubernetes" else own)
    for frontend in frontends:
        assert [replica.model for replica in frontend.replicas].count("shared:1") == 3
    assert _total(conn, "clipper_model_replicas", model="shared") == 3


@pytest.mark.also_on_kubernetes
def test_changes_are_seen_by_all_when_they_return(conn: ClipperConnection, kind: str) -> None:
    for version in ("a", "b"):
        deploy_python_closure(conn, "which", version, "doubles", lambda xs, version=version: [version for _ in xs])
    with Kept(conn, 8) as kept:
        for turn in range(40 if kind == "local" else 15):
            values = [float(turn * 8 + i) for i in range(8)]
            conn.register_application("turns", "doubles", f"default-{turn}", 2_000_000)
            assert {(r["output"], r["default_reason"]) for r in kept.ask("turns", values)} == {
                (f"default-{turn}", "not_linked")
            }
            conn.link_model_to_app("turns", "which")
            for version in ("a", "b"):
                conn.set_model_version("which", version)
                assert {reply["output"] for reply in kept.ask("turns", values)} == {version}
            conn.unlink_model_from_app("turns", "which")
            assert {reply["default_reason"] for reply in kept.ask("turns", values)} == {"not_linked"}
            conn.unregister_application("turns")
            assert {reply["status"] for reply in kept.ask("turns", values)} == {404}


def test_scaling_is_done_at_all_when_it_returns(conn: ClipperConnection) -> None:
    _create_identity(conn, "scaled")
    for wanted in (3, 1, 2, 0, 1):
        conn.set_num_replicas("scaled", wanted)
        for frontend in conn._management_client().get_query_frontends():
            assert [replica.model for replica in frontend.replicas].count("scaled:1") == wanted
        assert len([r for r in conn.get_all_model_replicas() if r.startswith("scaled:")]) == wanted
    with Kept(conn) as kept:
        assert {reply["default"] for reply in kept.ask("scaled", [float(i) for i in range(16)])} == {False}


def test_scaling_down_under_load_loses_no_query(conn: ClipperConnection) -> None:
    _create_identity(conn, "down", num_replicas=3)
    with Load(conn.get_query_addr(), "down") as load:
        load.wait_for(100)
        conn.set_num_replicas("down", 1)
        load.wait_for(100)
    assert {(reply.status, reply.body["default"]) for reply in load.replies} == {(200, False)}
    assert all(reply.body["output"] == reply.value for reply in load.replies)


def test_metrics_add_up_exactly_at_every_frontend(conn: ClipperConnection) -> None:
    _create_identity(conn, "counted")
    with Kept(conn) as kept:
        for turn in range(5):
            kept.ask("counted", [float(16 * turn + i) for i in range(16)])
        for _ in range(10):  # each on a connection of its own
            assert _total(conn, "clipper_app_queries_total", app="counted") == 80
            assert _total(conn, "clipper_model_predictions_total", model="counted") == 80
            assert _total(conn, "clipper_app_latency_seconds", app="counted") == 80
        kept.ask("counted", [-1.0] * 16)
        hits = _total(conn, "clipper_model_cache_hits_total", model="counted")
        misses = _total(conn, "clipper_model_cache_misses_total", model="counted")
        assert hits + misses == 96
        assert misses == 80 + NUM_FRONTENDS  # each has a cache of its own
    conn.unregister_application("counted")
    series = conn.inspect_instance().get("clipper_app_queries_total", [])
    assert not [one for one in series if one["labels"]["app"] == "counted"]


class WatchedCounter:
    """Reads one counter again and again, and keeps what it read."""

    def __init__(self, conn: ClipperConnection, application: str) -> None:
        self.values: list[float] = []
        self._address = conn.get_query_addr()
        self._begin = f'clipper_app_queries_total{{app="{application}"}} '
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> WatchedCounter:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stopping.wait(0.01):
            with contextlib.suppress(OSError, http.client.HTTPException):  # asked of the one that was killed
                text = http_request(self._address, "GET", "/metrics?of=cluster")[1]
                self.values += [float(line.split()[1]) for line in text.splitlines() if line.startswith(self._begin)]


def test_killed_frontend_loses_only_its_own_connections(conn: ClipperConnection) -> None:
    num_clients = 8
    _create_identity(conn, "killed", num_replicas=2)
    with Load(conn.get_query_addr(), "killed", num_clients=num_clients) as load, WatchedCounter(conn, "killed") as seen:
        load.wait_for(200)
        for _ in range(3):
            before = query_frontends_of(conn)
            num_seen = len(seen.values)
            end_query_frontend(conn, before[0], at_once=True)
            eventually(
                lambda before=before: len(set(query_frontends_of(conn)) - set(before)) == 1,
                within_s=60, what="it is started again",
            )  # fmt: skip
            load.wait_for(200)
            eventually(lambda: len(seen.values) > num_seen + 3, within_s=20, what="the counter was read")  # noqa: B023
    answered = [reply for reply in load.replies if reply.status]
    assert {(reply.status, reply.body["default"]) for reply in answered} == {(200, False)}
    assert all(reply.body["output"] == reply.value for reply in answered)
    # Connections are spread evenly, or nearly so: never does one have all.
    assert len(load.replies) - len(answered) < 3 * num_clients
    assert seen.values == sorted(seen.values)
    assert seen.values[-1] <= len(load.replies)


def test_kill_does_not_affect_other_connections(conn: ClipperConnection) -> None:
    _create_identity(conn, "untouched")
    with Kept(conn, 16) as kept:
        kept.ask("untouched", [float(i) for i in range(16)])
        ended = query_frontends_of(conn)[0]
        end_query_frontend(conn, ended, at_once=True)
        eventually(lambda: ended not in query_frontends_of(conn), within_s=20, what="it is gone")
        broken = []
        for number, connection in enumerate(kept._connections):
            try:
                connection.request("POST", "/untouched/predict", json.dumps({"input": [100.0 + number]}))
                reply = connection.getresponse()
                assert reply.status == 200
                assert json.loads(reply.read())["output"] == 100.0 + number
            except (OSError, http.client.HTTPException):
                broken.append(number)
    [frontend] = {kept.frontends[number] for number in broken}
    assert broken == [number for number in range(16) if kept.frontends[number] == frontend]


def test_frontend_stopped_on_request_loses_no_query(conn: ClipperConnection) -> None:
    def predict(xs: list) -> list:
        time.sleep(0.005)  # so that something is under way
        return [x[0] for x in xs]

    create_endpoint(conn, "ended", "doubles", predict, "default", slo_micros=_IDENTITY_SLO_MICROS, num_replicas=2)
    with Load(conn.get_query_addr(), "ended", retries=True) as load, WatchedCounter(conn, "ended") as seen:
        load.wait_for(200)
        for _ in range(3):
            before = query_frontends_of(conn)
            end_query_frontend(conn, before[-1], at_once=False)
            eventually(
                lambda before=before: len(set(query_frontends_of(conn)) - set(before)) == 1,
                within_s=60, what="it is started again",
            )  # fmt: skip
            load.wait_for(200)
    assert {(reply.status, reply.body.get("default_reason")) for reply in load.replies} == {(200, None)}
    assert all(reply.body["output"] == reply.value for reply in load.replies)
    assert seen.values == sorted(seen.values)
    # None was killed, so every single query was counted.
    assert _total(conn, "clipper_app_queries_total", app="ended") == len(load.replies)


def test_returning_frontend_applies_the_changes_it_missed(conn: ClipperConnection) -> None:
    _create_identity(conn, "away")
    for turn in range(3):
        end_query_frontend(conn, query_frontends_of(conn)[turn % NUM_FRONTENDS], at_once=True)
        conn.register_application(f"away-{turn}", "doubles", "0", 1_000_000)
        with Kept(conn, 8) as kept:
            replies = kept.ask(f"away-{turn}", [1.0] * 8)
            assert {reply["status"] for reply in replies} == {200}
            assert {reply["default"] for reply in kept.ask("away", [float(turn)] * 8)} == {False}
        _wait_until_all_serve(conn)


@pytest.mark.also_on_docker
@pytest.mark.not_on_kubernetes("each has a pod of its own")
def test_all_frontends_restart_after_their_parent_is_killed(conn: ClipperConnection) -> None:
    _create_identity(conn, "parent")
    assert _predicts(conn, "parent")
    num_shown = _total(conn, "clipper_app_queries_total", app="parent")
    before = worker_pids(conn)
    os.kill(psutil.Process(before[0]).ppid(), signal.SIGKILL)
    eventually(lambda: len(_worker_pids_or_none(conn) - set(before)) == NUM_FRONTENDS, within_s=30, what="all are back")
    eventually(lambda: _predicts(conn, "parent"), within_s=20, what="there are predictions again")
    eventually(lambda: _num_known(conn) == NUM_FRONTENDS, within_s=20, what="all have said so")
    with Kept(conn) as kept:
        assert {reply["default"] for reply in kept.ask("parent", [float(i) for i in range(16)])} == {False}
    assert _total(conn, "clipper_app_queries_total", app="parent") >= num_shown + 16, "they count on"


def _worker_pids_or_none(conn: ClipperConnection) -> set[int]:
    """Return the workers, none while what runs them is away."""
    try:
        return set(worker_pids(conn))
    except (StopIteration, psutil.Error):
        return set()


def _predicts(conn: ClipperConnection, application: str) -> bool:
    try:
        return not query(conn, application, {"input": [-5.0]})[1]["default"]
    except (OSError, http.client.HTTPException):
        return False


def test_another_connection_scales_at_every_frontend(conn: ClipperConnection) -> None:
    _create_identity(conn, "known")
    other = connection_beside(conn)
    other.connect()
    try:
        other.set_num_replicas("known", 2)
        for frontend in other._management_client().get_query_frontends():
            assert [replica.model for replica in frontend.replicas].count("known:1") == 2
    finally:
        disconnect(other.cm)


@pytest.mark.not_on_kubernetes("the RPC port is not published")
def test_container_at_one_of_several_frontends_is_not_ready(conn: ClipperConnection) -> None:
    """As Clipper's own know ``CLIPPER_IP`` and ``CLIPPER_PORT`` alone."""
    with ClipperContainer(conn.cm.clipper_rpc_port, "old", "1", 3, lambda inputs: [b"1" for _ in inputs]):
        frontends = conn._management_client().get_query_frontends
        eventually(
            lambda: any(replica.model == "old:1" for one in frontends() for replica in one.replicas),
            within_s=20, what="one query frontend has it",
        )  # fmt: skip
        assert [replica for replica in conn.get_all_model_replicas() if replica.startswith("old:")] == []
        management = conn._management_client()
        new = NewVersion(ModelId("old", "1"), InputType.DOUBLES, timeout_s=1.0)
        with (
            VersionClaim(management, new.model_id, is_new=True) as claim,
            pytest.raises(StartTimeoutError, match=r"connected to 1 of the 2 query frontends.*replicas=1"),
        ):
            wait_for_replicas(conn.cm, management, claim, new, observed_before=[], started_s=time.monotonic())


@pytest.mark.not_on_kubernetes("each has a log of its own")
def test_the_log_says_which_of_them_wrote(conn: ClipperConnection) -> None:
    name = observe(conn, "query_frontend")[0].name
    log = conn.cm.get_log_tail(name, max_lines=10_000)
    assert "INFO worker 0 clipper_nb" in log
    assert "INFO worker 1 clipper_nb" in log
