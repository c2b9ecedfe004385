"""What the embedded cluster never does: touch what is not its own, leave a process behind, or fill the disk."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from clipper_nb import ClipperConnection, ClusterFolderError, LocalContainerManager
from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.log_files import LARGEST_PART_SIZE_BYTES
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import eventually, leftovers, new_local_manager, removed_afterwards

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def kind() -> str:
    return "local"


# --- folders


@pytest.mark.parametrize("action", ["stop_all", "start_clipper"])
@pytest.mark.parametrize("kind_of_data", ["folder", "link", "file"])
def test_data_of_the_user_is_refused_by_name_and_stays(tmp_path: Path, action: str, kind_of_data: str) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project, elsewhere):
        folder.mkdir()
    data = project / "data"
    real = data if kind_of_data == "folder" else elsewhere
    if kind_of_data == "folder":
        data.mkdir()
    if kind_of_data == "link":
        data.symlink_to(elsewhere)
    thesis = data if kind_of_data == "file" else real / "images"  # a name that a cluster has, too
    thesis.write_text("all of it")
    conn = ClipperConnection(new_local_manager("data", root_folder=project))
    with pytest.raises(ClusterFolderError, match=str(data)):
        getattr(conn, action)()
    assert thesis.read_text() == "all of it"


@pytest.mark.parametrize("action", ["stop_all", "start_clipper"])
def test_linked_or_world_writable_root_is_refused_by_name(tmp_path: Path, action: str) -> None:
    (tmp_path / "real").mkdir()
    ClusterFolder(tmp_path / "real" / "c").create()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ClusterFolderError, match=f"{tmp_path / 'link'} is a symbolic link"):
        getattr(ClipperConnection(new_local_manager("c", root_folder=tmp_path / "link")), action)()
    (tmp_path / "real").chmod(0o777)
    with pytest.raises(ClusterFolderError, match=rf"Other users may write to the folder {tmp_path / 'real'} "):
        getattr(ClipperConnection(new_local_manager("c", root_folder=tmp_path / "real")), action)()
    assert (tmp_path / "real" / "c" / "images").is_dir()


def test_cluster_files_are_private_and_foreign_files_are_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The notebook's own umask makes files that all can read."""
    before = os.umask(0o022)
    try:
        manager = new_local_manager(root_folder=tmp_path)
        conn = ClipperConnection(manager)
        conn.start_clipper(num_frontend_replicas=2)
        folder = manager._folder.path
        create_endpoint(conn, "app", "doubles", _read_umask, slo_micros=5_000_000)
        assert conn.predict("app", [1.0]).output == 0o022  # files that models write are their users' business
    finally:
        os.umask(before)
    readable = [
        str(path) for path in (folder, *folder.rglob("*"))
        if not path.is_relative_to(folder / "images") and not path.is_symlink() and path.stat().st_mode & 0o077
    ]  # fmt: skip
    assert readable == []
    assert stat.S_IMODE((folder / "images").stat().st_mode) == 0o700
    (folder / "thesis.tex").write_text("all of it")
    with caplog.at_level(logging.WARNING):
        conn.stop_all()
    assert "thesis.tex" in caplog.text
    assert [path.name for path in folder.iterdir() if path.name != ".clipper_nb-cluster"] == ["thesis.tex"]
    with pytest.raises(ClusterFolderError, match=r"thesis\.tex"):
        conn.start_clipper()
    (folder / "thesis.tex").unlink()
    conn.stop_all()
    assert leftovers(manager) == []


def _read_umask(inputs: list[Any]) -> list[int]:
    mask = os.umask(0)
    os.umask(mask)
    return [mask for _ in inputs]


# --- processes


_CHILDREN = """
import os, subprocess, sys
wait = [sys.executable, "-c", "import time; time.sleep(600)"]
quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
started = [
    subprocess.Popen(wait, start_new_session=True),
    subprocess.Popen(wait, start_new_session=True, env={}),
    subprocess.Popen(wait, start_new_session=True, env={}, cwd="/", **quiet),
]
# And one that has left its parent.
daemon = "import os, subprocess, sys; print(subprocess.Popen({!r}, start_new_session=True, {}).pid)"
for how in ("stdout=2", "env={}, cwd='/', stdin=-3, stdout=-3, stderr=-3"):
    code = daemon.format(wait, how)
    told = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    started.append(int(told.stdout))
pids = [getattr(one, "pid", one) for one in started]
"""


def _start_children(inputs: list[Any]) -> list[Any]:
    """Start children of all kinds, which outlive this process unless they are ended."""
    names: dict[str, Any] = {}
    exec(_CHILDREN, names)
    return [names["pids"] for _ in inputs]


def _running(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody adopts orphans")
def test_model_children_always_end_with_their_replica() -> None:
    """Each end of a replica in turn: stopped, crashed, and with its cluster."""
    manager = new_local_manager()
    with removed_afterwards(manager) as conn:
        conn.start_clipper()
        create_endpoint(conn, "app", "doubles", _start_children, slo_micros=10_000_000)
        deploy_python_closure(conn, "other", 1, "doubles", _start_children)
        conn.register_application("other", "doubles", "-", 10_000_000)
        conn.link_model_to_app("other", "other")
        others = conn.predict("other", [1.0]).output

        children = conn.predict("app", [1.0]).output
        assert _running(children) == children
        conn.set_num_replicas("app", 0)
        hidden = children.pop()  # it had lost its parent before anybody could see it there, and hides all marks
        assert _running(children) == []

        conn.set_num_replicas("app", 1)
        children = conn.predict("app", [2.0]).output  # another input, which no cache answers
        assert _running(children) == children
        _wait_until_seen(manager, children)
        os.kill(_replica_pid(conn, "app:1"), signal.SIGKILL)
        eventually(lambda: _running(children[:-1]) == [], within_s=20, what="children of a crashed replica end")

        assert _running([*others, hidden]) == [*others, hidden]
        eventually(lambda: _zombies(manager) == [], within_s=20, what="orphans are reaped")
        conn.stop_all(graceful=False)
        assert _running([*children, *others, hidden]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody adopts orphans")
def test_model_children_end_even_if_the_supervisor_was_killed() -> None:
    manager = new_local_manager()
    with removed_afterwards(manager) as conn:
        conn.start_clipper()
        create_endpoint(conn, "app", "doubles", _start_children, slo_micros=10_000_000)
        children = conn.predict("app", [1.0]).output
        _wait_until_seen(manager, children)
        record = manager._folder.read_record()
        assert record is not None
        os.kill(record.supervisor_pid, signal.SIGKILL)
        eventually(lambda: not psutil.pid_exists(record.supervisor_pid), within_s=20, what="the supervisor is gone")
        assert _running(children) == children
        ClipperConnection(new_local_manager(manager.cluster_name)).stop_all()
        assert _running(children) == []


def _wait_until_seen(manager: LocalContainerManager, pids: list[int]) -> None:
    """Return when the supervisor knows of these processes, which it looks for every other second."""

    def seen() -> set[int]:
        return {process.pid for process in manager._folder.read_descendants()}

    eventually(lambda: seen() >= set(pids), within_s=20, what="the supervisor has seen the children")


def _zombies(manager: LocalContainerManager) -> list[psutil.Process]:
    record = manager._folder.read_record()
    assert record is not None
    found = []
    for child in psutil.Process(record.supervisor_pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has been reaped meanwhile
            if child.status() == psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


def _replica_pid(conn: ClipperConnection, model: str) -> int:
    replicas = conn.cm.observe_replicas()
    return next(replica.pid for replica in replicas if replica.model == model and replica.pid)


# --- disk


def _print_much(inputs: list[Any]) -> list[str]:
    print("\n".join(["x" * 99] * 80_000))
    print("the last line", flush=True)
    return ["done" for _ in inputs]


def test_log_of_a_verbose_model_is_bounded_and_its_end_is_read(shared: ClipperConnection, tmp_path: Path) -> None:
    create_endpoint(shared, "app", "doubles", _print_much, slo_micros=30_000_000)
    manager = shared.cm
    assert isinstance(manager, LocalContainerManager)
    name = manager.observe_replicas()[0].name
    folder = manager._folder

    def size_bytes() -> int:
        return sum(path.stat().st_size for path in folder.logs_path.glob(f"{name}.log*"))

    for round_number in range(6):  # 48 MB
        assert shared.predict("app", [float(round_number)]).output == "done"
        eventually(lambda: folder.log_path(name).stat().st_size <= LARGEST_PART_SIZE_BYTES, within_s=20, what="cut")
        assert manager.get_log_tail(name).endswith("the last line")  # a cut may lose some of the lines before it
    assert size_bytes() <= 5 * LARGEST_PART_SIZE_BYTES
    parts = [Path(path) for path in manager.get_logs(str(tmp_path)) if Path(path).name.startswith(name)]
    assert [part.name for part in parts] == [f"{name}.log", f"{name}.log.1", f"{name}.log.2"]
    assert parts[1].read_text().endswith("the last line\n")


def test_redis_file_is_bounded_however_often_something_changes(shared: ClipperConnection) -> None:
    manager = shared.cm
    assert isinstance(manager, LocalContainerManager)
    record = manager._folder.read_record()
    assert record is not None
    folder = manager._folder.redis_path
    with redis.Redis(unix_socket_path=str(manager._folder.redis_socket_path), password=record.redis_password) as client:
        with client.pipeline(transaction=True) as changes:
            for _ in range(2500):
                changes.set("clipper-test", "x" * 2000)
            changes.execute()
        client.delete("clipper-test")

    def size_bytes() -> int:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    eventually(lambda: size_bytes() < 1_000_000, within_s=20, what="5 MB of changes are rewritten")
