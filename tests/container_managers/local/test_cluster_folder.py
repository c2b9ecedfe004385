"""The folder of one embedded cluster."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict
from pathlib import Path

import pytest

from clipper_nb.container_managers.local.cluster_folder import (
    ClusterFolder,
    cluster_folder,
    default_root_folder,
)
from clipper_nb.errors import ClusterFolderError, ClusterStartError, InvalidNameError, InvalidRequestError
from clipper_nb.protocol.cluster_record import ClusterRecord, ProcessIdentity

RECORD = ClusterRecord(
    cluster_name="default-cluster",
    package_version="0.1.0",
    admin_token="token",
    redis_password="secret",
    owner_pid=123,
    owner_start="boot/15",
    query_port=1337,
    management_port=1338,
    rpc_port=7000,
    supervisor_pid=456,
)


@pytest.fixture
def folder(tmp_path):
    """A folder that has been made."""
    made = ClusterFolder(tmp_path / "c")
    made.create()
    return made


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_has_all_subfolders_and_is_private(folder):
    assert mode_of(folder.path) == 0o700
    assert all(path.is_dir() for path in (folder.redis_path, folder.logs_path, folder.images_path))
    assert folder.redis_socket_path.parent == folder.redis_path


def test_created_root_is_private(tmp_path):
    ClusterFolder(tmp_path / "root" / "c").create()
    assert mode_of(tmp_path / "root") == 0o700


def test_existing_folder_is_not_taken_over(folder):
    with pytest.raises(ClusterStartError, match="cannot be created"):
        folder.create()


def test_root_that_is_a_file_is_reported(tmp_path):
    (tmp_path / "root").write_text("")
    with pytest.raises(ClusterStartError, match="cannot be created"):
        ClusterFolder(tmp_path / "root" / "c").create()


def test_path_too_long_for_sockets_is_refused_before_creation(tmp_path):
    too_long = tmp_path / ("x" * 110)
    with pytest.raises(ClusterStartError, match=r"too long for its sockets.*root_folder="):
        ClusterFolder(too_long).create()
    assert not too_long.exists()


def test_length_of_a_path_is_counted_in_bytes():
    with pytest.raises(ClusterStartError, match="too long"):
        ClusterFolder(Path("/no-such-folder") / ("é" * 45)).create()


def test_record_is_found_again(folder):
    assert folder.read_record() is None
    folder.write_record(RECORD)
    assert folder.read_record() == RECORD


def test_record_with_secrets_is_readable_by_its_user_only(folder):
    folder.write_record(RECORD)
    assert mode_of(folder.record_path) == 0o600


def test_record_is_replaced_in_one_step(folder):
    folder.write_record(RECORD)
    before = os.stat(folder.record_path).st_ino
    folder.write_record(RECORD)
    assert os.stat(folder.record_path).st_ino != before, "written in place: a reader could see half of it"
    assert list(folder.path.glob("cluster*")) == [folder.record_path]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"cluster_name": "x"}',
        json.dumps(asdict(RECORD))[:-20],
    ],
)
def test_unreadable_record_is_none(folder, text):
    folder.record_path.write_text(text)
    assert folder.read_record() is None


def test_record_of_a_missing_folder_is_none(tmp_path):
    assert ClusterFolder(tmp_path / "missing").read_record() is None


def test_binary_record_is_none(folder):
    folder.record_path.write_bytes(b"\xff\xfe")
    assert folder.read_record() is None


OLD_RECORD = {
    **{name: value for name, value in asdict(RECORD).items() if name not in ("owner_start", "supervisor_start")},
    "cluster_name": "c",
    "owner_started_at": 1.5,
}
"""As release 0.1 wrote it."""


@pytest.mark.parametrize(("owner_pid", "owner_started_at"), [(123, 1.5), (None, None)])
def test_release_0_1_record_is_read_without_owner_identity(folder, owner_pid, owner_started_at):
    old = {**OLD_RECORD, "owner_pid": owner_pid, "owner_started_at": owner_started_at}
    folder.record_path.write_text(json.dumps(old))
    record = folder.read_record()
    assert (record.owner_pid, record.owner, record.supervisor_pid) == (owner_pid, None, 456)


def test_release_0_1_folder_is_removed_but_a_lookalike_is_not(tmp_path):
    for name in ("c", "other"):
        (tmp_path / name / "logs").mkdir(parents=True)
        (tmp_path / name / "cluster.json").write_text(json.dumps(OLD_RECORD))
    assert ClusterFolder(tmp_path / "c").check()
    assert ClusterFolder(tmp_path / "c").remove() == []
    with pytest.raises(ClusterFolderError, match=f"{tmp_path / 'other'} is not the folder of a cluster"):
        ClusterFolder(tmp_path / "other").remove()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_record_behind_a_link_is_not_read(folder, tmp_path):
    folder.write_record(RECORD)
    (tmp_path / "link").symlink_to(folder.path)
    assert ClusterFolder(tmp_path / "link").read_record() is None
    folder.record_path.rename(tmp_path / "record")
    folder.record_path.symlink_to(tmp_path / "record")
    assert folder.read_record() is None


def test_folder_that_is_not_there_is_nothing_to_remove(tmp_path):
    for path in (tmp_path / "c", tmp_path / "root" / "c"):
        assert not ClusterFolder(path).check()
        assert ClusterFolder(path).remove() == []
    assert list(tmp_path.iterdir()) == []


def test_folder_is_removed_with_all_files_of_the_cluster(folder):
    folder.write_record(RECORD)
    folder.write_descendants([])
    for name in ("supervisor.log", "supervisor.log.2", "redis/appendonly.aof", "logs/a.log.1", "images/m"):
        (folder.path / name).write_text("")
    (folder.path / "workers").mkdir()
    (folder.path / "spark-x1").mkdir()
    assert folder.remove() == []
    assert list(folder.path.parent.iterdir()) == []


def test_descendants_are_found_again_and_are_none_without_a_file(folder):
    assert folder.read_descendants() == set()
    seen = [ProcessIdentity(1, "boot/1"), ProcessIdentity(2, "boot/2")]
    folder.write_descendants(seen)
    assert folder.read_descendants() == set(seen)


def test_logs_and_images_have_their_places(folder):
    assert folder.log_path("redis-0") == folder.path / "logs" / "redis-0.log"
    assert folder.image_path("digits-net:1.0") == folder.path / "images" / "digits-net" / "1.0"


def test_lock_is_held_by_one_at_a_time_and_leaves_nothing(tmp_path):
    first, second = ClusterFolder(tmp_path / "root" / "a"), ClusterFolder(tmp_path / "root" / "b")
    complaint = "Another cluster is being started"
    with first.lock(timeout_s=1.0), pytest.raises(ClusterStartError, match=complaint), second.lock(timeout_s=0.0):
        pass
    with second.lock(timeout_s=0.0):
        pass
    assert list((tmp_path / "root").iterdir()) == []


def test_lock_ends_with_an_error(tmp_path):
    folder = ClusterFolder(tmp_path / "a")
    with pytest.raises(ZeroDivisionError), folder.lock(timeout_s=0.0):
        raise ZeroDivisionError
    with folder.lock(timeout_s=0.0):
        pass


def test_root_can_be_chosen_by_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("CLIPPER_HOME", str(tmp_path / "home"))
    assert default_root_folder() == tmp_path / "home"
    assert cluster_folder("a", None).path == tmp_path / "home" / "a"
    assert cluster_folder("a", tmp_path).path == tmp_path / "a"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cluster_folder("a", "~/clusters").path == tmp_path / "clusters" / "a"
    with pytest.raises(InvalidRequestError, match="root_folder must be the path"):
        cluster_folder("a", 5)


def test_root_is_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLIPPER_HOME", "home")
    assert default_root_folder() == tmp_path / "home"


@pytest.mark.parametrize("home", ["", None])
def test_root_without_a_usable_home_is_a_temporary_folder(monkeypatch, home):
    if home is None:
        monkeypatch.delenv("CLIPPER_HOME", raising=False)
    else:
        monkeypatch.setenv("CLIPPER_HOME", home)
    assert default_root_folder().is_absolute()
    assert default_root_folder().name.startswith("clipper_nb-")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "a\0"])
def test_cluster_name_cannot_lead_out_of_the_root(tmp_path, name):
    with pytest.raises(InvalidNameError):
        cluster_folder(name, tmp_path)


def test_clearing_keeps_what_a_cluster_is_resumed_from(folder):
    kept = [folder.redis_path / "appendonly.aof", folder.image_path("m:1"), folder.log_path("m_1-a"),
            folder.record_path, folder.path / "thesis.tex"]  # fmt: skip
    gone = [folder.control_socket_path, folder.path / "descendants.json", folder.path / "workers",
            folder.logs_path / "m_1-a.ready"]  # fmt: skip
    for path in (*kept, *gone):
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    folder.clear()
    assert [path for path in (*kept, *gone) if path.exists()] == kept
    ClusterFolder(folder.path.with_name("none")).clear()


def test_clearing_refuses_a_folder_that_is_not_a_clusters(tmp_path):
    (tmp_path / "c" / "workers").mkdir(parents=True)
    with pytest.raises(ClusterFolderError, match="no marker"):
        ClusterFolder(tmp_path / "c").clear()
    assert (tmp_path / "c" / "workers").exists()
