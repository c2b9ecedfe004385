"""A cluster that was stopped to be kept, or died with its machine, comes back with everything that it had."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipper_nb import (
    ClipperConnection,
    ClusterNotFoundError,
    ClusterStartError,
    DockerContainerManager,
    InvalidRequestError,
    LocalContainerManager,
)
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.container_managers.local.processes import kill_processes_of, processes_of
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import disconnect, eventually, new_local_manager, new_manager, removed_afterwards
from tests.support.ports import quiet_port

pytestmark = pytest.mark.cluster

WORKER = "query_frontend-0-worker-"


@pytest.fixture(scope="module")
def kind() -> str:
    return "local"


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[ClipperConnection]:
    """A cluster in a folder of the user's own, with one application."""
    with removed_afterwards(new_local_manager(root_folder=tmp_path)) as conn:
        conn.start_clipper(cache_size=1000)
        create_endpoint(conn, "app", "doubles", lambda xs: [x.sum() for x in xs], slo_micros=5_000_000)
        yield conn


def _copy_of(conn: ClipperConnection) -> LocalContainerManager:
    """Return a manager as another notebook makes it, of the same cluster."""
    assert isinstance(conn.cm, LocalContainerManager)
    return new_local_manager(conn.cm.cluster_name, root_folder=conn.cm._folder.path.parent)


def _running(manager: ContainerManager) -> list[Any]:
    """Return what runs of a cluster."""
    if isinstance(manager, LocalContainerManager):
        return processes_of(manager._folder)
    assert isinstance(manager, DockerContainerManager)
    return [container for container in manager._containers.find() if container.status != "exited"]


def _everything(conn: ClipperConnection) -> list[Any]:
    """Return what must be the same when a cluster is back."""
    return [
        conn.get_query_addr(), conn.get_admin_addr(), conn.cm.get_admin_token(), conn.get_all_apps(verbose=True),
        conn.get_all_models(verbose=True),
    ]  # fmt: skip


def _num_queries(conn: ClipperConnection) -> float:
    return sum(series["value"] for series in conn.inspect_instance()["clipper_app_queries_total"])


def _sum_and_word(inputs: list[Any]) -> list[str]:
    return [f"{os.environ['TEST_WORD']} {x.sum():g}" for x in inputs]


@pytest.mark.parametrize("kind", ["local", pytest.param("docker", marks=pytest.mark.docker)])
def test_kept_cluster_comes_back_with_all_that_it_had(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Also one in a temporary folder, which ends with its notebook otherwise."""
    ports = {"clipper_query_port": quiet_port(), "clipper_management_port": quiet_port()}
    manager = new_manager(kind, **ports)
    with removed_afterwards(manager) as conn:
        conn.start_clipper()
        create_endpoint(conn, "app", "doubles", _sum_and_word, slo_micros=5_000_000,
                        environment_variables={"TEST_WORD": "one"})  # fmt: skip
        deploy_python_closure(conn, "app", 2, "doubles", lambda xs: ["two" for _ in xs])
        conn.set_model_version("app", 1, num_replicas=2)
        conn.predict("app", [1.0, 2.0])
        before = _everything(conn)
        conn.stop_all(keep=True)
        assert _running(manager) == []
        other = ClipperConnection(type(manager)(manager.cluster_name))
        with pytest.raises(ClusterNotFoundError, match=r"is stopped, and kept .* start_clipper\(\) brings it back"):
            other.connect()
        with caplog.at_level(logging.INFO, logger="clipper_nb.progress"):
            other.start_clipper()
        assert "Resume 1 application, 2 model versions, 3 replicas" in caplog.text
        assert _everything(other) == before
        assert sorted(other.get_all_model_replicas()) == ["app:1:0", "app:1:1", "app:2:0"]
        assert other.predict("app", [1.0, 2.0]).output == "one 3"
        other.set_model_version("app", 2)
        assert other.predict("app", [1.0, 2.0]).output == "two"
        assert _num_queries(other) == 3, "it counts on"
        disconnect(other.cm)


def test_cluster_in_the_users_folder_comes_back_after_a_kill(mine: ClipperConnection) -> None:
    mine.predict("app", [1.0, 2.0])
    assert _num_queries(mine) == 1
    kill_processes_of(mine.cm._folder)
    other = ClipperConnection(_copy_of(mine))
    other.start_clipper(num_frontend_replicas=2)
    assert _num_queries(other) == 1, "what was shown stays"
    # The one that was killed does not count.
    assert {each.frontend_id[:-1] for each in other._management_client().get_query_frontends()} == {WORKER}
    assert other.predict("app", [1.0, 2.0]).output == 3.0
    record = other.cm._folder.read_record()
    assert (record.options["cache_size_bytes"], record.options["num_frontend_replicas"]) == (1000, 2)


def test_cluster_is_kept_when_its_processes_are_told_to_end(mine: ClipperConnection) -> None:
    """As those of a machine are that is switched off."""
    folder = mine.cm._folder
    os.kill(folder.read_record().guardian_pid, signal.SIGTERM)
    eventually(lambda: processes_of(folder) == [], within_s=30, what="all processes have ended")
    mine.start_clipper()
    assert mine.predict("app", [1.0, 2.0]).output == 3.0


KEEPING_NOTEBOOK = """
import sys
from clipper_nb import ClipperConnection, LocalContainerManager
conn = ClipperConnection(LocalContainerManager(sys.argv[1], root_folder=sys.argv[2]))
conn.start_clipper()
"""


def test_kept_cluster_outlives_a_notebook_that_resumed_it(mine: ClipperConnection) -> None:
    """It would be gone because a notebook was closed without stop_all(keep=True) once."""
    folder = mine.cm._folder
    mine.stop_all(keep=True)
    command = [sys.executable, "-c", KEEPING_NOTEBOOK, mine.cm.cluster_name, str(folder.path.parent)]
    subprocess.run(command, check=True, timeout=60)
    eventually(lambda: processes_of(folder) == [], within_s=30, what="the cluster has ended with its owner")
    mine.start_clipper()
    assert mine.predict("app", [1.0, 2.0]).output == 3.0


def test_fresh_start_removes_a_kept_cluster(mine: ClipperConnection) -> None:
    mine.stop_all(keep=True)
    mine.start_clipper(fresh=True)
    assert mine.get_all_apps() == mine.get_all_models() == []


def test_killed_cluster_of_a_temporary_folder_is_not_resumed() -> None:
    """A notebook that runs from its top again begins with an empty cluster."""
    with removed_afterwards(new_local_manager()) as conn:
        conn.start_clipper()
        conn.register_application("app", "doubles", "", 100_000)
        kill_processes_of(conn.cm._folder)
        conn.start_clipper()
        assert conn.get_all_apps() == []


def test_failed_resumption_keeps_the_cluster(
    mine: ClipperConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.stop_all(keep=True)
    folder = mine.cm._folder
    kept = folder.read_record()
    folder.write_record(replace(kept, python_version="2.7"))
    with pytest.raises(ClusterStartError, match=r"run by Python 2\.7"):
        mine.start_clipper()
    folder.write_record(kept)
    broken = tmp_path / "bin" / "redis-server"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'no memory for redis' >&2\nexit 1\n")
    broken.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
        with pytest.raises(ClusterStartError, match="no memory for redis"):
            mine.start_clipper()
    assert processes_of(folder) == []
    mine.start_clipper()
    assert mine.predict("app", [1.0, 2.0]).output == 3.0


def test_model_that_loads_no_more_is_reported_and_others_serve(
    mine: ClipperConnection, caplog: pytest.LogCaptureFixture
) -> None:
    create_endpoint(mine, "lost", "doubles", lambda xs: xs, slo_micros=5_000_000)
    mine.stop_all(keep=True)
    for path in (mine.cm._folder.images_path).glob("*lost/*/func.pkl"):
        path.write_bytes(b"")
    mine.start_clipper()
    assert "lost:1 is resumed without all of its replicas" in caplog.text
    assert mine.predict("app", [1.0, 2.0]).output == 3.0
    assert mine.predict("lost", [1.0]).default


def _command_in(unit: Path, key: str) -> list[str]:
    """Return the command of a systemd unit, as systemd splits it."""
    [line] = [line for line in unit.read_text().splitlines() if line.startswith(f"{key}=")]
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line.partition("=")[2])]


def test_service_brings_a_cluster_back_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    manager = new_local_manager(root_folder=tmp_path / "clusters", detach=True)
    with removed_afterwards(manager) as conn:
        conn.start_clipper()
        create_endpoint(conn, "app", "doubles", lambda xs: [x.sum() for x in xs], slo_micros=5_000_000)
        unit = manager.install_service()
        subprocess.run(_command_in(unit, "ExecStart"), check=True, timeout=60)  # it runs already
        kill_processes_of(manager._folder)  # as a reboot does
        subprocess.run(_command_in(unit, "ExecStart"), check=True, timeout=60)
        conn.connect()
        assert conn.predict("app", [1.0, 2.0]).output == 3.0
        subprocess.run(_command_in(unit, "ExecStop"), check=True, timeout=60)
        with pytest.raises(ClusterNotFoundError, match="brings it back"):
            conn.connect()


def test_service_needs_a_cluster_that_lives_on() -> None:
    with pytest.raises(InvalidRequestError, match=r"detach=True, root_folder=\.\.\."):
        new_local_manager(detach=True).install_service()
