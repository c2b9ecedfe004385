"""The folder through which this machine calls the management frontend in its container: only one user can enter it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipper_nb.errors import ClusterError
from clipper_nb.images.docker_engine import docker_module
from clipper_nb.protocol import environment

logger = logging.getLogger(__name__)

INSIDE = "/run/clipper_nb-admin"
"""Where the container has it."""
NOT_MOUNTED = ("invalid mount config", "statfs")
"""What engines say, Docker's and Podman's, that do not find the folder or may not look at it."""
_SOCKET = "admin.sock"
_LONGEST_SOCKET_PATH = 107
LOCAL_ENGINE = "http+docker://localhost"
"""The URL by which docker-py calls an engine through a Unix socket."""
_ROOT = 0


@dataclass(frozen=True)
class AdminFolder:
    """A folder of this user, and in it one that the container shares and may write to."""

    path: Path

    @property
    def shared_path(self) -> Path:
        """The folder that is mounted into the container."""
        return self.path / "shared"

    @property
    def socket_path(self) -> Path:
        """The management frontend's socket."""
        return self.shared_path / _SOCKET

    @property
    def copied_logs_path(self) -> Path:
        """Where logs are copied to if the caller names no folder."""
        return self.path / "copied_logs"

    def make_copied_logs(self) -> Path:
        """Return the folder for logs, which is created, for this user only."""
        self.copied_logs_path.mkdir(mode=0o700, exist_ok=True)
        return self.copied_logs_path

    def is_own(self) -> bool:
        """Return whether it is this user's, and nobody else can enter."""
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077

    def container_user(self, otherwise: str) -> str:
        """Return user and group of the container: this user, who owns the folder; root's is *otherwise*."""
        return otherwise if os.getuid() == _ROOT else f"{os.getuid()}:{os.getgid()}"

    def arguments(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Return the user's own arguments for the container and what the folder needs."""
        mount = docker_module().types.Mount(INSIDE, str(self.shared_path), type="bind")
        variables = {environment.HTTP_UNIX_PATH: f"{INSIDE}/{_SOCKET}"}
        return {
            **extra,
            "mounts": [mount, *extra.get("mounts", ())],
            "environment": {**variables, **extra.get("environment", {})},
        }

    def remove(self) -> None:
        """Remove it, and the socket and the logs in it."""
        shutil.rmtree(self.copied_logs_path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.socket_path.unlink()
        for folder in (self.shared_path, self.path):
            with contextlib.suppress(OSError):
                folder.rmdir()


def make_admin_folder(engine_url: str, container_user: str, start_id: str) -> AdminFolder | None:
    """Create that of a start, if the engine at that URL may be on this machine and see its files.

    Root's is shared with *container_user*, who is no account here.
    """
    if sys.platform != "linux" or engine_url != LOCAL_ENGINE:
        return None
    try:
        folder = _folder_of_start(start_id)
        folder.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.path.mkdir(mode=0o700)
        folder.shared_path.mkdir(mode=0o700)
        if os.getuid() == _ROOT:
            os.chown(folder.shared_path, *map(int, container_user.split(":")))
    except OSError as exc:
        logger.info("admin calls go through a port: no folder can be made for a socket: %s", exc)
        return None
    if len(os.fsencode(folder.socket_path)) > _LONGEST_SOCKET_PATH:
        folder.remove()
        return None
    return folder


def remove_folder_of_start(start_id: str) -> None:
    """Remove the folder that a start of this user made, whether or not a container was made that mounts it."""
    folder = _folder_of_start(start_id)
    if folder.is_own():
        folder.remove()


def remove_mounted_folders(containers: Iterable[Mapping[str, Any]]) -> None:
    """Remove the folders that these containers, which are gone, mounted."""
    for container in containers:
        folder = find_admin_folder(container)
        if folder is not None:
            folder.remove()


@contextlib.contextmanager
def removed_on_failure(folder: AdminFolder | None) -> Iterator[None]:
    """Remove the folder if the block raises."""
    try:
        yield
    except BaseException:
        if folder is not None:
            folder.remove()
        raise


def _root() -> Path:
    """Return where the folders are: not among temporary files, for containers come back when a machine starts again."""
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "clipper_nb"


def _folder_of_start(start_id: str) -> AdminFolder:
    """Return the folder of a start, by the id that the engine notes before anything is made."""
    return AdminFolder(_root() / f"admin-{start_id}")


def find_admin_folder(container: Mapping[str, Any]) -> AdminFolder | None:
    """Return the folder of a management frontend, as the engine inspected it, if it is this user's."""
    folder = _mounted_folder(container)
    return folder if folder is not None and folder.is_own() else None


@contextlib.contextmanager
def mountable(container: Mapping[str, Any]) -> Iterator[None]:
    """Within the block the engine can mount what the container mounts: the folder is there, if need be an empty one.

    The engine reads no file of a container one of whose mounts is missing, and a stopped cluster has no folder.
    """
    folder = _mounted_folder(container)
    if folder is None or not _is_missing(folder.shared_path):
        yield
        return
    try:
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.shared_path.mkdir(mode=0o700)
    except OSError as exc:
        raise ClusterError(f"The folder {folder.shared_path}, which the cluster needs, cannot be made: {exc}") from exc
    try:
        yield
    finally:
        folder.remove()


def _is_missing(path: Path) -> bool:
    """Return whether there is no such path; one that only another user can see may be there."""
    try:
        os.stat(path)
    except PermissionError:
        return False
    except OSError:
        return True
    return False


def _mounted_folder(container: Mapping[str, Any]) -> AdminFolder | None:
    for mount in container["Mounts"]:
        if mount["Destination"] == INSIDE and mount["Type"] == "bind":
            return AdminFolder(Path(mount["Source"]).parent)
    return None
