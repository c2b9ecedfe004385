"""Clusters begin and end: ports, names, second connections, logs, and what is left afterwards."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from clipper_nb import ClipperConnection, ClusterNotFoundError, ClusterUnreachableError, ExistsError
from clipper_nb.clients import management_client
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import (
    connection_beside,
    http_request,
    leftovers,
    new_manager,
    observe,
    port_of,
    query,
    release,
    removed_afterwards,
    running_cluster,
)
from tests.support.ports import quiet_port

pytestmark = pytest.mark.cluster


@contextlib.contextmanager
def _connection_to(conn: ClipperConnection) -> Iterator[ClipperConnection]:
    """Give a connection, made anew as by another notebook, to the cluster of *conn*."""
    other = connection_beside(conn)
    other.connect()
    try:
        yield other
    finally:
        release(other.cm)


@pytest.mark.same_on_docker
def test_two_clusters_live_side_by_side(kind: str) -> None:
    with running_cluster(kind) as first, running_cluster(kind) as second:
        create_endpoint(first, "app", "doubles", lambda xs: ["first" for _ in xs], slo_micros=5_000_000)
        create_endpoint(second, "app", "doubles", lambda xs: ["second" for _ in xs], slo_micros=5_000_000)
        assert query(first, "app", {"input": []})[1]["output"] == "first"
        first.stop_all()
        assert query(second, "app", {"input": []})[1]["output"] == "second"


@pytest.mark.not_on_kubernetes("a Service has ports of its own")
def test_busy_ports_are_replaced_and_free_ones_are_kept(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        busy_port, free_port = busy.getsockname()[1], quiet_port()
        wanted = {
            "clipper_query_port": busy_port,
            "clipper_management_port": free_port,
            "clipper_rpc_port": busy_port,
        }
        with running_cluster(kind, manager=new_manager(kind, **wanted)) as conn:
            manager = conn.cm
            assert manager.clipper_management_port == free_port
            ports = {manager.clipper_query_port, manager.clipper_rpc_port, manager.clipper_management_port, busy_port}
            assert len(ports) == 4
            assert conn.get_query_addr().endswith(f":{manager.clipper_query_port}")
            assert http_request(conn.get_query_addr(), "GET", "/livez")[0] == 200


@pytest.mark.same_on_docker
def test_a_second_connection_finds_the_cluster_and_its_token(
    conn: ClipperConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(management_client, "_READ_SETTLES_WITHIN_S", 0.5)  # nothing restarts here
    create_endpoint(conn, "app", "doubles", lambda xs: [1 for _ in xs], slo_micros=5_000_000)
    with _connection_to(conn) as other:
        assert port_of(other.get_query_addr()) == port_of(conn.get_query_addr())
        assert other.get_all_apps() == ["app"]
        other.set_num_replicas("app", 2)
        assert conn.get_num_replicas("app") == 2
        conn.stop_all()
        with pytest.raises(ClusterUnreachableError):
            other.get_all_apps()
        assert repr(other).endswith("out of reach>")
        with pytest.raises(ClusterNotFoundError, match=conn.cm.cluster_name):
            other.connect()


@pytest.mark.same_on_docker
def test_stopping_twice_or_what_never_ran_is_silent(kind: str) -> None:
    with removed_afterwards(new_manager(kind)) as conn:
        conn.stop_all()
        conn.start_clipper()
        conn.stop_all(graceful=False)
        conn.stop_all()
        assert leftovers(conn.cm) == []
        conn.start_clipper()


@pytest.mark.same_on_docker
def test_with_stops_only_its_own_cluster_even_after_an_error(conn: ClipperConnection) -> None:
    conn.stop_all()
    with pytest.raises(ZeroDivisionError), conn:
        raise ZeroDivisionError
    assert leftovers(conn.cm) == []
    conn.start_clipper()
    with conn:  # started by start_clipper(), so it is this connection's too
        with _connection_to(conn) as found, found:
            pass
        assert conn.get_all_apps() == []
    assert leftovers(conn.cm) == []


@pytest.mark.same_on_docker
def test_logs_are_copied_one_file_per_process(conn: ClipperConnection, kind: str, tmp_path: Path) -> None:
    def predict(xs: list) -> list:
        print("predicting", len(xs))
        return [1 for _ in xs]

    create_endpoint(conn, "app", "doubles", predict, slo_micros=5_000_000, num_replicas=2)
    query(conn, "app", {"input": [1]})
    paths = conn.get_clipper_logs(str(tmp_path / "logs"))
    expected = ["app_1", "app_1", "management_frontend", "query_frontend", "redis"]
    if kind == "local":  # the Docker Engine, and the API server, are nobody's to copy
        expected.append("supervisor.log")
    if kind == "kubernetes":  # the names of pods
        expected = [f"{conn.cm.cluster_name}-app-1"] * 2 + ["mgmt-frontend-at", "query-frontend-at", "redis-at"]
    assert (tmp_path / "logs").stat().st_mode & 0o077 == 0
    assert not any(Path(path).stat().st_mode & 0o077 for path in paths)
    names = sorted(Path(path).name for path in paths)
    assert len(names) == len(expected)
    assert all(any(name.startswith(begin) for name in names) for begin in expected), names
    replica_logs = [Path(path).read_text() for path in paths if "app_1" in path.replace("-", "_")]
    assert any("predicting 1" in log for log in replica_logs)


@pytest.mark.same_on_docker
@pytest.mark.not_on_kubernetes("its processes are those of nodes")
def test_an_idle_cluster_uses_next_to_no_processor_time(conn: ClipperConnection) -> None:
    create_endpoint(conn, "app", "doubles", lambda xs: [1 for _ in xs], slo_micros=5_000_000)
    firsts = [psutil.Process(container.pid) for container in observe(conn)]
    processes = [process for first in firsts for process in (first, *first.children(recursive=True))]
    before = [sum(process.cpu_times()[:2]) for process in processes]
    time.sleep(3)
    used_s = [sum(process.cpu_times()[:2]) - start for process, start in zip(processes, before, strict=True)]
    assert max(used_s) < 0.3  # a tenth of a core; a busy wait would take a whole one


@pytest.mark.same_on_docker
def test_concurrent_starts_of_one_cluster_create_one(kind: str) -> None:
    with removed_afterwards(new_manager(kind)) as first:
        others = [ClipperConnection(new_manager(kind, first.cm.cluster_name)) for _ in range(2)]
        outcomes: list[str] = []

        def start(conn: ClipperConnection) -> None:
            try:
                conn.start_clipper()
                outcomes.append("started")
            except ExistsError:
                outcomes.append("exists")

        threads = [threading.Thread(target=start, args=(conn,)) for conn in (first, *others)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert sorted(outcomes) == ["exists", "exists", "started"]
        first.connect()
        assert first.get_all_apps() == []
        for other in others:
            release(other.cm)
