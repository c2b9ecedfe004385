"""The folder in which the management frontend's container makes its socket: this user's alone."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from clipper_nb.container_managers.docker.admin_folder import (
    INSIDE,
    AdminFolder,
    find_admin_folder,
    make_admin_folder,
    mountable,
    remove_folder_of_start,
    remove_mounted_folders,
    removed_on_failure,
)
from clipper_nb.errors import ClusterError
from clipper_nb.protocol.environment import HTTP_UNIX_PATH

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere engines run in a machine of their own")

LOCAL = "http+docker://localhost"
USER = "2013265922:2013265922"
START = "0123456789abcdef"


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for this user's state, with a short path: sockets need that."""
    path = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("XDG_STATE_HOME", str(path))
    return path


def _mounted(source: Path, destination: str = INSIDE, kind: str = "bind") -> dict[str, Any]:
    return {"Mounts": [{"Type": kind, "Source": str(source), "Destination": destination}]}


def test_folder_is_found_by_its_mount_and_leaves_nothing(temporary: Path) -> None:
    folder = make_admin_folder(LOCAL, USER, START)
    assert folder is not None
    assert stat.S_IMODE(folder.path.stat().st_mode) == stat.S_IMODE(folder.shared_path.stat().st_mode) == 0o700
    assert find_admin_folder(_mounted(folder.shared_path)) == folder
    folder.socket_path.touch()
    (folder.make_copied_logs() / "redis-0.log").touch()
    assert stat.S_IMODE(folder.copied_logs_path.stat().st_mode) == 0o700
    folder.remove()
    assert list((temporary / "clipper_nb").iterdir()) == []


@pytest.mark.parametrize("mode", [0o701, 0o750, 0o777])
def test_folder_that_others_can_enter_is_not_trusted(temporary: Path, mode: int) -> None:
    (temporary / "shared").mkdir()
    temporary.chmod(mode)
    assert find_admin_folder(_mounted(temporary / "shared")) is None


def test_folder_of_another_user_is_not_trusted(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_admin_folder(LOCAL, USER, START)
    assert folder is not None
    monkeypatch.setattr(os, "getuid", lambda: folder.path.stat().st_uid + 1)
    assert find_admin_folder(_mounted(folder.shared_path)) is None


def test_link_to_a_folder_is_not_trusted(temporary: Path) -> None:
    folder = make_admin_folder(LOCAL, USER, START)
    assert folder is not None
    (temporary / "link").symlink_to(folder.path)
    assert find_admin_folder(_mounted(temporary / "link" / "shared")) is None


def test_container_without_the_mount_has_no_folder(temporary: Path) -> None:
    assert find_admin_folder({"Mounts": []}) is None
    assert find_admin_folder(_mounted(temporary / "shared", "/data")) is None
    assert find_admin_folder(_mounted(temporary / "gone" / "shared")) is None


@pytest.mark.usefixtures("temporary")
@pytest.mark.parametrize("url", ["http://engine:2375", "https://engine:2376", "http+docker://ssh"])
def test_engine_elsewhere_shares_no_folder(url: str) -> None:
    assert make_admin_folder(url, USER, START) is None


def test_missing_folder_is_made_for_the_engine_to_mount(temporary: Path) -> None:
    folder = make_admin_folder(LOCAL, USER, START)
    assert folder is not None
    with mountable(_mounted(folder.shared_path)):
        pass
    assert folder.is_own()
    folder.remove()
    with mountable(_mounted(folder.shared_path)):
        assert folder.is_own()
        assert folder.shared_path.is_dir()
    assert list((temporary / "clipper_nb").iterdir()) == []
    (temporary / "file").touch()
    with pytest.raises(ClusterError, match="cannot be made"), mountable(_mounted(temporary / "file" / "shared")):
        pass


def test_path_that_is_too_long_for_a_socket_is_not_used(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = temporary / ("d" * 100)
    monkeypatch.setenv("XDG_STATE_HOME", str(deep))
    assert make_admin_folder(LOCAL, USER, START) is None
    assert list((deep / "clipper_nb").iterdir()) == []


def test_home_that_cannot_be_written_means_a_port(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (temporary / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(temporary / "file"))
    assert make_admin_folder(LOCAL, USER, START) is None


def test_failed_start_leaves_no_folder(temporary: Path) -> None:
    with pytest.raises(KeyboardInterrupt), removed_on_failure(make_admin_folder(LOCAL, USER, START)):
        raise KeyboardInterrupt
    assert list((temporary / "clipper_nb").iterdir()) == []


@pytest.mark.parametrize(("uid", "user"), [(0, USER), (1000, "1000:100")])
def test_container_of_a_user_runs_as_that_user(monkeypatch: pytest.MonkeyPatch, uid: int, user: str) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setattr(os, "getgid", lambda: 100)
    assert AdminFolder(Path("/t/f")).container_user(USER) == user


def test_mount_and_path_are_added_to_the_arguments() -> None:
    arguments = AdminFolder(Path("/t/f")).arguments({"environment": {"A": "1"}, "mounts": ["theirs"]})
    [mount, theirs] = arguments["mounts"]
    assert (mount["Source"], mount["Target"], theirs) == ("/t/f/shared", INSIDE, "theirs")
    assert arguments["environment"] == {HTTP_UNIX_PATH: f"{INSIDE}/admin.sock", "A": "1"}


@pytest.mark.parametrize("has_shared", [True, False], ids=["whole", "half"])
def test_folder_is_removed_by_the_start_that_made_it(temporary: Path, has_shared: bool) -> None:
    folder, other = make_admin_folder(LOCAL, USER, START), make_admin_folder(LOCAL, USER, "another")
    assert folder is not None
    assert other is not None
    if not has_shared:
        folder.shared_path.rmdir()
    remove_folder_of_start(START)
    assert list((temporary / "clipper_nb").iterdir()) == [other.path]
    remove_folder_of_start(START)


def test_folder_goes_with_the_container_that_mounted_it(temporary: Path) -> None:
    folder = make_admin_folder(LOCAL, USER, START)
    assert folder is not None
    remove_mounted_folders([{"Mounts": []}, _mounted(folder.shared_path)])
    assert list((temporary / "clipper_nb").iterdir()) == []
