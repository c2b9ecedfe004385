"""Folders that certainly belong to this user: opened without following a link, marked at creation, removed by entry.

A marked folder is one that :func:`make_marked_folder` created. Everything here uses file descriptors of folders, so
a link that another user puts in place of a checked name has no effect.
"""

from __future__ import annotations

import contextlib
import fnmatch
import grp
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from clipper_nb.errors import ClusterFolderError, ClusterStartError

MARKER = ".clipper_nb-cluster"

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_root(root: Path) -> None:
    """Create the folder that holds the clusters' folders, for this user only, unless it exists."""
    if root.is_symlink():
        raise _linked(root)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ClusterStartError(f"The folder {root} cannot be created: {exc.strerror}.") from exc


@contextlib.contextmanager
def opened_root(root: Path) -> Iterator[int]:
    """Yield a descriptor of a root folder that only this user may write to; folders above it may be links.

    Raises
    ------
    ClusterFolderError
        It is a link, belongs to another user, or others may write there: they could run code in a cluster.
    FileNotFoundError
        It is not there.
    """
    if root.is_symlink():
        raise _linked(root)
    try:
        root_fd = os.open(root, _OPEN_FOLDER)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise ClusterFolderError(f"The folder {root} cannot be opened: {exc.strerror}. {_OTHER_ROOT}") from exc
    try:
        _check_root(root, os.fstat(root_fd))
        yield root_fd
    finally:
        os.close(root_fd)


def make_marked_folder(path: Path, subfolders: Sequence[str], *, root_fd: int) -> None:
    """Create a folder with its marker and *subfolders*, for this user only; it appears in one step, complete."""
    if path.name in os.listdir(root_fd):
        raise ClusterStartError(f"The cluster's folder {path} cannot be created: it exists already.")
    unfinished = _unfinished_name(path.name)
    try:
        _remove_unfinished(unfinished, subfolders, root_fd=root_fd)
        os.mkdir(unfinished, 0o700, dir_fd=root_fd)
        folder_fd = os.open(unfinished, _OPEN_FOLDER, dir_fd=root_fd)
        try:
            add_marker(folder_fd)
            for name in subfolders:
                os.mkdir(name, 0o700, dir_fd=folder_fd)
        finally:
            os.close(folder_fd)
        os.rename(unfinished, path.name, src_dir_fd=root_fd, dst_dir_fd=root_fd)
    except OSError as exc:
        raise ClusterStartError(
            f"The cluster's folder {path} cannot be made by way of {path.with_name(unfinished)}: {exc.strerror}."
        ) from exc


@contextlib.contextmanager
def opened_own_folder(path: Path, *, root_fd: int) -> Iterator[int]:
    """Yield a descriptor of a folder that belongs to this user.

    Raises
    ------
    ClusterFolderError
        It is a link, not a folder, or another user's.
    FileNotFoundError
        It is not there.
    """
    found = os.stat(path.name, dir_fd=root_fd, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        raise _linked(path)
    try:
        folder_fd = os.open(path.name, _OPEN_FOLDER, dir_fd=root_fd)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise _not_ours(path, f"it cannot be opened as a folder: {exc.strerror}") from exc
    try:
        owner = os.fstat(folder_fd).st_uid
        if owner != os.getuid():
            raise _not_ours(path, f"it belongs to another user (uid {owner})")
        yield folder_fd
    finally:
        os.close(folder_fd)


def check_marked(path: Path, folder_fd: int) -> None:
    """Raise ClusterFolderError unless the folder has the marker of a cluster's folder."""
    if not is_own_file(MARKER, folder_fd=folder_fd):
        raise _not_ours(path, f"it carries no marker ({MARKER}) of a cluster")


def add_marker(folder_fd: int) -> None:
    """Mark a folder that is known to be a cluster's."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder_fd))


def is_own_file(name: str, *, folder_fd: int) -> bool:
    """Return whether *name* is a regular file, not a link, that belongs to this user."""
    try:
        found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid()


def remove_marked_folder(path: Path, known: Sequence[str], *, root_fd: int, folder_fd: int) -> list[str]:
    """Remove the *known* entries of an opened, marked folder, and the folder if nothing else is in it.

    *known* are patterns of names. An entry with another name or owner stays, and with it the folder and its marker;
    the names of such entries are returned. A removal that was cut off can be repeated.
    """
    stays = []
    for name in sorted(os.listdir(folder_fd)):
        if name != MARKER and not _remove_known(name, known, folder_fd):
            stays.append(name)
    if stays:
        return stays
    # Renamed first: if the removal is cut off after the marker is gone, an unmarked folder would block the next start.
    unfinished = _unfinished_name(path.name)
    try:
        _remove_unfinished(unfinished, (), root_fd=root_fd)
        os.rename(path.name, unfinished, src_dir_fd=root_fd, dst_dir_fd=root_fd)
        _remove_unfinished(unfinished, (), root_fd=root_fd)
    except FileNotFoundError:  # removed by another process at the same time
        return []
    except OSError:
        return [str(path.with_name(unfinished))]
    return []


def remove_entries(patterns: Sequence[str], *, folder_fd: int) -> None:
    """Remove the entries of an opened, marked folder whose names have one of the patterns."""
    for name in os.listdir(folder_fd):
        _remove_known(name, patterns, folder_fd)


def _remove_known(name: str, known: Sequence[str], folder_fd: int) -> bool:
    if not any(fnmatch.fnmatchcase(name, pattern) for pattern in known):
        return False
    try:
        if os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_uid != os.getuid():
            return False
        _remove_entry(name, folder_fd)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _remove_entry(name: str, folder_fd: int) -> None:
    """Remove a file, a link (never what it leads to), or a folder with everything in it."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder_fd)
        return
    inner_fd = os.open(name, _OPEN_FOLDER, dir_fd=folder_fd)
    try:
        with contextlib.suppress(OSError):
            os.fchmod(inner_fd, 0o700)  # a model may have made its folder read-only
        for inner in os.listdir(inner_fd):
            with contextlib.suppress(FileNotFoundError):
                _remove_entry(inner, inner_fd)
    finally:
        os.close(inner_fd)
    os.rmdir(name, dir_fd=folder_fd)


def _remove_unfinished(name: str, subfolders: Sequence[str], *, root_fd: int) -> None:
    """Remove what a cut-off start or removal left: a folder that holds only the marker and empty folders."""
    try:
        folder_fd = os.open(name, _OPEN_FOLDER, dir_fd=root_fd)
    except FileNotFoundError:
        return
    try:
        for inner in subfolders:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(inner, dir_fd=folder_fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(MARKER, dir_fd=folder_fd)
    finally:
        os.close(folder_fd)
    os.rmdir(name, dir_fd=root_fd)


def _unfinished_name(name: str) -> str:
    return f".{name}.unfinished"  # no cluster's name begins with a dot


def _check_root(root: Path, found: os.stat_result) -> None:
    if found.st_uid != os.getuid():
        raise ClusterFolderError(f"The folder {root} belongs to another user (uid {found.st_uid}). {_OTHER_ROOT}")
    others_write = found.st_mode & stat.S_IWOTH
    group_writes = found.st_mode & stat.S_IWGRP and not _is_private_group(found.st_gid)
    if others_write or group_writes:
        raise ClusterFolderError(
            f"Other users may write to the folder {root} (mode {stat.S_IMODE(found.st_mode):04o}), and so could put "
            f"code into a cluster. Run `chmod go-w {root}`, or use another one. {_OTHER_ROOT}"
        )


def _is_private_group(group_id: int) -> bool:
    """Return whether a group has only this user, as on systems that create one for each user but root."""
    if os.getuid() == 0:
        return False
    try:
        user, group = pwd.getpwuid(os.getuid()), grp.getgrgid(group_id)
    except KeyError:
        return False
    return group.gr_name == user.pw_name and group_id == user.pw_gid and set(group.gr_mem) <= {user.pw_name}


_OTHER_ROOT = "Set CLIPPER_HOME, or pass LocalContainerManager(root_folder=...), to use a folder of your own."


def _linked(path: Path) -> ClusterFolderError:
    return ClusterFolderError(
        f"{path} is a symbolic link, which is not followed; nothing was touched. Pass the folder that it leads to, or "
        "another one: LocalContainerManager(root_folder=...)."
    )


def _not_ours(path: Path, why: str) -> ClusterFolderError:
    return ClusterFolderError(
        f"{path} is not the folder of a cluster: {why}. Nothing was touched. Use another cluster_name or root_folder, "
        "or remove it yourself."
    )
