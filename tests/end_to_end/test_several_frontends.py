"""Several query frontends behind one address: alike, added up, and there for each other."""

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

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.protocol.environment import WORKER_INDEX
from tests.support.clusters import eventually, kill, pid_of, running_cluster

NUM_FRONTENDS = 2


@pytest.fixture(scope="module")
def cluster(kind: str) -> Iterator[ClipperConnection]:
    """A cluster with two query frontends, whose application ``app`` adds the version's number to its input."""
    with running_cluster(kind, num_frontend_replicas=NUM_FRONTENDS) as conn:
        create_endpoint(conn, "app", "doubles", lambda inputs: [x[0] + 1 for x in inputs], slo_micros=20_000_000)
        deploy_python_closure(conn, "app", 2, "doubles", lambda inputs: [x[0] + 2 for x in inputs])
        conn.set_model_version("app", 1)
        eventually(lambda: len(workers(conn)) == NUM_FRONTENDS, within_s=20, what="both frontends run")
        yield conn


def workers(conn: ClipperConnection) -> list[psutil.Process]:
    """Return the processes that answer queries."""
    found = []
    with contextlib.suppress(psutil.Error, StopIteration):
        for process in psutil.Process(pid_of(conn, "query_frontend")).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if WORKER_INDEX in process.environ() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


def ask(conn: ClipperConnection, value: float) -> dict[str, Any]:
    """Return the reply to a query on a connection of its own; one that ended before its reply is asked again."""
    for _ in range(5):
        connection = http.client.HTTPConnection(conn.get_query_addr(), timeout=30)
        try:
            connection.request("POST", "/app/predict", json.dumps({"input": [value]}))
            response = connection.getresponse()
            assert response.status == 200
            reply: dict[str, Any] = json.loads(response.read())
            return reply
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            continue
        finally:
            connection.close()
    raise AssertionError("five connections ended before their reply")


def num_queries(conn: ClipperConnection) -> int:
    """Return how many queries were answered, as the metrics have it."""
    [series] = conn.inspect_instance()["clipper_app_queries_total"]
    return int(series["value"])


class Load:
    """Clients that ask all the time, each time on a new connection, and remember what was wrong."""

    def __init__(self, conn: ClipperConnection, num_clients: int = 4) -> None:
        self._conn = conn
        self._is_over = threading.Event()
        self.num_replies = 0
        self.wrong: list[object] = []
        self._threads = [threading.Thread(target=self._run, args=(1000 * n,)) for n in range(1, num_clients + 1)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int) -> None:
        """Return when so many more replies have come."""
        wanted = self.num_replies + count
        eventually(lambda: self.num_replies >= wanted or self.wrong, within_s=30, what=f"{count} more replies")

    def _run(self, value: float) -> None:
        while not self._is_over.is_set():
            value += 0.001
            try:
                reply = ask(self._conn, value)
                if reply["default"] or reply["output"] != value + 1:
                    self.wrong.append((value, reply))
            except Exception as exc:
                self.wrong.append(exc)
            self.num_replies += 1


def test_both_answer_and_their_metrics_add_up(cluster: ClipperConnection) -> None:
    before = num_queries(cluster)
    connections = [http.client.HTTPConnection(cluster.get_query_addr(), timeout=30) for _ in range(40)]
    ids = []
    for number, connection in enumerate(connections):  # all are open at once, as keep-alive connections are
        connection.request("POST", "/app/predict", json.dumps({"input": [number]}))
        reply = json.loads(connection.getresponse().read())
        assert reply["output"] == number + 1
        ids.append(reply["query_id"])
    for connection in connections:
        connection.close()
    assert len(set(ids)) < len(ids), "each frontend numbers its own queries, so two of them give some numbers twice"
    assert num_queries(cluster) - before == 40
    replicas = cluster.inspect_instance()["clipper_model_replicas"]
    assert [series["value"] for series in replicas] == [1, 1], "each replica serves both, and counts once"


def test_all_act_on_a_change_when_the_call_returns(cluster: ClipperConnection) -> None:
    for version in (2, 1, 2, 1):
        cluster.set_model_version("app", version)
        assert {ask(cluster, 0.5)["output"] for _ in range(20)} == {0.5 + version}


def test_replicas_are_ready_when_all_frontends_have_them(cluster: ClipperConnection) -> None:
    for num_replicas in (3, 1):
        cluster.set_num_replicas("app", num_replicas, version=1)
        assert len([name for name in cluster.get_all_model_replicas() if name.startswith("app:1:")]) == num_replicas
        assert not any(ask(cluster, 0.5)["default"] for _ in range(10))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_while_one_is_away_the_other_answers(cluster: ClipperConnection, end: signal.Signals) -> None:
    eventually(lambda: len(workers(cluster)) == NUM_FRONTENDS, within_s=20, what="both frontends run")
    with Load(cluster) as load:
        load.more(20)
        shown = num_queries(cluster)
        victim, other = workers(cluster)
        os.kill(victim.pid, end)
        load.more(50)
        assert num_queries(cluster) >= shown
        eventually(
            lambda: {process.pid for process in workers(cluster)} - {victim.pid, other.pid},
            within_s=20, what="another is there",
        )  # fmt: skip
        load.more(50)
        assert num_queries(cluster) >= shown
    assert load.wrong == []
    assert other.is_running()
    if end is signal.SIGTERM:
        time.sleep(0.1)
        before = num_queries(cluster)
        assert before >= shown
        ask(cluster, 0.5)
        assert num_queries(cluster) == before + 1


def test_when_their_parent_is_killed_all_come_back(cluster: ClipperConnection) -> None:
    processes = workers(cluster)
    before = {process.pid for process in processes}
    kill(cluster, "query_frontend")

    def are_back() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            now = {process.pid for process in workers(cluster)}
            return len(now) == NUM_FRONTENDS and not now & before and not ask(cluster, 0.5)["default"]
        return False

    eventually(are_back, within_s=30, what="both frontends serve again")
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)
    assert {ask(cluster, 0.5)["output"] for _ in range(20)} == {1.5}
