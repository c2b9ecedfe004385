"""Only what is surely this user's own, and marked, is removed; everything else is refused and stays as it is."""

from __future__ import annotations

import os
import stat

import pytest

from clipper_nb.container_managers.local import own_folder
from clipper_nb.container_managers.local.own_folder import (
    MARKER,
    check_marked,
    make_marked_folder,
    make_root,
    opened_own_folder,
    opened_root,
    remove_marked_folder,
)
from clipper_nb.errors import ClusterFolderError, ClusterStartError

KNOWN = ("logs", "images", "record.json", "spark-*")
ROOT_UID = 0
ANOTHER_UID = 12345

root_only = pytest.mark.skipif(os.getuid() != ROOT_UID, reason="gives files to another user")


@pytest.fixture
def folder(tmp_path):
    """A folder that was made with its marker."""
    with opened_root(tmp_path) as root_fd:
        make_marked_folder(tmp_path / "c", ("logs", "images"), root_fd=root_fd)
    return tmp_path / "c"


def remove(path):
    with opened_root(path.parent) as root_fd, opened_own_folder(path, root_fd=root_fd) as folder_fd:
        check_marked(path, folder_fd)
        return remove_marked_folder(path, KNOWN, root_fd=root_fd, folder_fd=folder_fd)


def test_folder_and_its_contents_are_private(folder):
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())} == {
        "c": 0o700, "logs": 0o700, "images": 0o700, MARKER: 0o600,
    }  # fmt: skip


def test_our_files_are_removed_with_the_folder(folder):
    (folder / "record.json").write_text("{}")
    (folder / "spark-1").mkdir()
    (folder / "images" / "m" / "1").mkdir(parents=True)
    (folder / "images" / "m" / "1" / "model").write_text("")
    (folder / "images" / "m").chmod(0o500)  # as a model may leave it
    assert remove(folder) == []
    assert list(folder.parent.iterdir()) == []


def test_unknown_entries_stay_and_keep_the_folder(folder):
    (folder / "thesis.tex").write_text("all of it")
    (folder / "logs" / "a.log").write_text("")
    assert remove(folder) == ["thesis.tex"]
    assert sorted(path.name for path in folder.iterdir()) == [MARKER, "thesis.tex"]
    (folder / "thesis.tex").unlink()
    assert remove(folder) == []
    assert not folder.exists()


@root_only
def test_known_names_of_another_user_stay(folder):
    (folder / "record.json").write_text("theirs")
    os.chown(folder / "record.json", ANOTHER_UID, -1)
    assert remove(folder) == ["record.json"]
    assert (folder / "record.json").read_text() == "theirs"


def test_link_in_the_folder_is_removed_and_not_followed(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("all of it")
    (folder / "images" / "data").symlink_to(other)
    (folder / "logs").rmdir()
    (folder / "logs").symlink_to(other)
    assert remove(folder) == []
    assert (other / "thesis.tex").read_text() == "all of it"


def test_link_that_appears_during_the_removal_is_not_followed(folder, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("all of it")
    (folder / "images" / "m").mkdir()
    real_open = os.open

    def swap_and_open(path, *args, **kwargs):
        if path == "m":
            (folder / "images" / "m").rmdir()
            (folder / "images" / "m").symlink_to(other)
        return real_open(path, *args, **kwargs)

    monkeypatch.setattr(own_folder.os, "open", swap_and_open)
    assert remove(folder) == ["images"]
    assert (other / "thesis.tex").read_text() == "all of it"


@pytest.mark.parametrize("kind", ["no marker", "marker is a link", "marker is a folder"])
def test_folder_without_our_marker_is_refused_and_untouched(tmp_path, kind):
    data = tmp_path / "data"
    data.mkdir()
    (data / "logs").write_text("my own")
    if kind == "marker is a link":
        (tmp_path / "file").write_text("")
        (data / MARKER).symlink_to(tmp_path / "file")
    if kind == "marker is a folder":
        (data / MARKER).mkdir()
    with pytest.raises(ClusterFolderError, match=rf"{data} is not the folder of a cluster: it carries no marker"):
        remove(data)
    assert (data / "logs").read_text() == "my own"


@root_only
def test_marker_of_another_user_does_not_count(folder):
    os.chown(folder / MARKER, ANOTHER_UID, -1)
    with pytest.raises(ClusterFolderError, match="no marker"):
        remove(folder)


@root_only
def test_folder_of_another_user_is_refused(folder):
    os.chown(folder, ANOTHER_UID, -1)
    with pytest.raises(ClusterFolderError, match=rf"belongs to another user \(uid {ANOTHER_UID}\)"):
        remove(folder)
    assert (folder / "logs").exists()


def test_link_in_place_of_the_folder_is_refused(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ClusterFolderError, match=rf"{tmp_path / 'link'} is a symbolic link"):
        remove(tmp_path / "link")
    assert (folder / MARKER).exists()


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("my own")
    with pytest.raises(ClusterFolderError, match=rf"{tmp_path / 'file'} is not the folder of a cluster"):
        remove(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "my own"


def test_link_in_place_of_the_root_is_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    with pytest.raises(ClusterFolderError, match=rf"{link} is a symbolic link"):
        make_root(link)
    with pytest.raises(ClusterFolderError, match=rf"{link} is a symbolic link"), opened_root(link):
        pass


def test_links_above_the_root_are_followed(tmp_path):
    """As /tmp and /var are links on macOS."""
    (tmp_path / "private").mkdir()
    (tmp_path / "tmp").symlink_to(tmp_path / "private")
    make_root(tmp_path / "tmp" / "root")
    with opened_root(tmp_path / "tmp" / "root"):
        assert (tmp_path / "private" / "root").is_dir()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_root_that_others_may_write_is_refused(tmp_path, mode):
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(mode)
    told = rf"Other users may write to the folder {root} .*chmod go-w"
    with pytest.raises(ClusterFolderError, match=told), opened_root(root):
        pass


@root_only
@pytest.mark.parametrize(("uid", "group_is_theirs_alone"), [(ROOT_UID, False), (ANOTHER_UID, True)])
def test_group_writable_root_is_refused_unless_group_is_private(tmp_path, monkeypatch, uid, group_is_theirs_alone):
    """Where each user has a group of the same name, folders are group-writable by default."""
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(0o770)
    os.chown(root, uid, ANOTHER_UID)
    monkeypatch.setattr(own_folder.os, "getuid", lambda: uid)
    names = {"gr_name": "ada", "gr_mem": []}, {"pw_name": "ada", "pw_gid": ANOTHER_UID}
    group, user = (type("Entry", (), fields)() for fields in names)
    monkeypatch.setattr(own_folder.grp, "getgrgid", lambda _: group)
    monkeypatch.setattr(own_folder.pwd, "getpwuid", lambda _: user)
    if group_is_theirs_alone:
        with opened_root(root):
            pass
        group.gr_mem = ["bob"]
    with pytest.raises(ClusterFolderError, match="Other users may write"), opened_root(root):
        pass


@root_only
def test_root_of_another_user_is_refused(tmp_path):
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    os.chown(root, ANOTHER_UID, -1)
    with pytest.raises(ClusterFolderError, match="belongs to another user"), opened_root(root):
        pass


def test_existing_folder_is_not_created_again(folder):
    with opened_root(folder.parent) as root_fd, pytest.raises(ClusterStartError, match="it exists already"):
        make_marked_folder(folder, (), root_fd=root_fd)


def test_unfinished_folder_is_created_again(tmp_path):
    unfinished = tmp_path / ".c.unfinished"
    (unfinished / "logs").mkdir(parents=True)
    (unfinished / MARKER).write_text("")
    with opened_root(tmp_path) as root_fd:
        make_marked_folder(tmp_path / "c", ("logs",), root_fd=root_fd)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_only_a_marked_unfinished_folder_counts_as_one(tmp_path):
    unfinished = tmp_path / ".c.unfinished"
    unfinished.mkdir()
    (unfinished / "thesis.tex").write_text("all of it")
    with opened_root(tmp_path) as root_fd, pytest.raises(ClusterStartError, match=str(unfinished)):
        make_marked_folder(tmp_path / "c", ("logs",), root_fd=root_fd)
    assert (unfinished / "thesis.tex").read_text() == "all of it"
