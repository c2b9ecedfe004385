"""The folder of one embedded cluster."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict
from pathlib import Path

import pytest

from clipper_nb.container_managers.cluster_folder import (
    ClusterFolder,
    ClusterRecord,
    cluster_folder,
    default_root_folder,
)
from clipper_nb.errors import ClusterStartError, InvalidNameError

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


def test_folder_has_room_for_everything_and_is_its_users_alone(folder):
    assert mode_of(folder.path) == 0o700
    assert all(path.is_dir() for path in (folder.redis_path, folder.logs_path, folder.images_path))
    assert folder.redis_socket_path.parent == folder.redis_path


def test_root_is_made_for_the_user_alone(tmp_path):
    ClusterFolder(tmp_path / "root" / "c").create()
    assert mode_of(tmp_path / "root") == 0o700


def test_folder_that_is_there_is_not_taken_over(folder):
    with pytest.raises(ClusterStartError, match="cannot be made"):
        folder.create()


def test_root_that_is_a_file_is_told(tmp_path):
    (tmp_path / "root").write_text("")
    with pytest.raises(ClusterStartError, match="cannot be made"):
        ClusterFolder(tmp_path / "root" / "c").create()


def test_path_that_is_too_long_for_a_socket_is_refused_before_anything_is_made(tmp_path):
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


def test_record_holds_secrets_and_is_readable_by_its_user_alone(folder):
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
        json.dumps({**asdict(RECORD), "no_such_field": 1}),
        json.dumps(asdict(RECORD))[:-20],
    ],
)
def test_record_that_cannot_be_read_is_none(folder, text):
    folder.record_path.write_text(text)
    assert folder.read_record() is None


def test_record_of_a_missing_folder_is_none(tmp_path):
    assert ClusterFolder(tmp_path / "missing").read_record() is None


def test_record_that_is_no_text_is_none(folder):
    folder.record_path.write_bytes(b"\xff\xfe")
    assert folder.read_record() is None


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


def test_root_is_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLIPPER_HOME", "home")
    assert default_root_folder() == tmp_path / "home"


@pytest.mark.parametrize("home", ["", None])
def test_root_is_among_the_temporary_folders_otherwise(monkeypatch, home):
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
