"""The folder of one embedded cluster: its processes find each other here, and keep all their files here.

====================  ==========================================================================
.clipper_nb-cluster   the marker: empty, created with the folder; without it nothing is removed
cluster.json          :class:`ClusterRecord`; readable by its user only, because it holds the token
descendants.json      processes that the cluster's processes started
supervised.json       processes that should run, for a supervisor that follows one that was killed
supervisor.sock       the supervisor's control socket
admin.sock            the management frontend's socket, for admin calls of this user
supervisor.log        what the supervisor wrote; older parts are supervisor.log.1, ...
redis/                Redis's configuration file, socket and append-only file
logs/                 one log file per process, and its older parts
images/               one folder per image
rpc/                  the Unix sockets on which query frontends serve replicas
secrets/              what each process was told in a file: a replica its token, a frontend what tokens are made from
workers/              counters of several query frontends, and the sockets that report them
monitoring.json       where Prometheus and Grafana answer, if they run
monitoring/           their configuration and data
copied_logs/          where get_clipper_logs() copies logs to if it is not told where
spark-*/              temporary files of replicas that run Spark
====================  ==========================================================================

Nothing in it is readable by other users, whatever the mode of the folder itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.container_managers.local.own_folder import (
    add_marker,
    check_marked,
    is_own_file,
    make_marked_folder,
    make_root,
    opened_own_folder,
    opened_root,
    remove_entries,
    remove_marked_folder,
)
from clipper_nb.errors import ClusterFolderError, ClusterStartError
from clipper_nb.protocol.cluster_record import RECORD_FILE, ClusterRecord, ProcessIdentity, is_old_record, parse_record
from clipper_nb.protocol.handed_sockets import rpc_socket_name
from clipper_nb.protocol.names import check_cluster_name
from clipper_nb.protocol.user_paths import user_path

_DESCENDANTS = "descendants.json"
_SUPERVISED = "supervised.json"
_MONITORING = "monitoring.json"
_FOLDERS = ("redis", "logs", "images", "rpc", "secrets")
_OF_PROCESSES = (
    RECORD_FILE + ".new", _DESCENDANTS, _DESCENDANTS + ".new", _SUPERVISED, _SUPERVISED + ".new", "supervisor.sock",
    "admin.sock", _MONITORING, _MONITORING + ".new", "workers", "spark-*", "core", "core.*",
)  # fmt: skip
"""Patterns of the names of entries that mean nothing once the cluster's processes have ended."""
_OURS = (*_OF_PROCESSES, RECORD_FILE, "supervisor.log", "supervisor.log.*", "copied_logs", "monitoring", *_FOLDERS)
"""Patterns of all names that processes of a cluster put here; entries of other names are never removed."""

_LONGEST_SOCKET_PATH = 103  # bytes; macOS takes 104 with the final NUL, Linux 108


class ClusterFolder:
    """The paths in one cluster's folder.

    Parameters
    ----------
    path : Path
        The folder; it may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_path = path / RECORD_FILE
        self.control_socket_path = path / "supervisor.sock"
        self.admin_socket_path = path / "admin.sock"
        self.supervisor_log_path = path / "supervisor.log"
        self.redis_path = path / "redis"
        self.redis_socket_path = path / "redis" / "redis.sock"
        self.rpc_path = path / "rpc"
        self.rpc_socket_path = self.rpc_path / rpc_socket_name(0)
        self.secrets_path = path / "secrets"
        self.logs_path = path / "logs"
        self.images_path = path / "images"
        self.copied_logs_path = path / "copied_logs"
        self.monitoring_path = path / "monitoring"

    def make_copied_logs(self) -> Path:
        """Return the folder for copies of the logs, which is created, for this user only, where that is possible."""
        try:
            self.copied_logs_path.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError:
            raise
        except OSError:
            pass  # get_logs() fails too, and reports why
        return self.copied_logs_path

    def create(self) -> None:
        """Create the folder, for this user only.

        Raises
        ------
        ClusterStartError
            It cannot be created, or its path is too long for a socket.
        """
        if len(os.fsencode(self.redis_socket_path)) > _LONGEST_SOCKET_PATH:
            raise ClusterStartError(
                f"The path of the cluster's folder is too long for its sockets: {self.path}. "
                "Pass a shorter one: LocalContainerManager(root_folder=...)."
            )
        make_root(self.path.parent)
        with opened_root(self.path.parent) as root_fd:
            make_marked_folder(self.path, _FOLDERS, root_fd=root_fd)

    def check(self) -> bool:
        """Return whether the folder exists.

        Raises
        ------
        ClusterFolderError
            Something else is there, or others may write to the folder that it is in.
        """
        with contextlib.suppress(FileNotFoundError), self._opened() as (_, folder_fd):
            if not self._holds_old_record(folder_fd):
                check_marked(self.path, folder_fd)
            return True
        return False

    def remove(self) -> list[str]:
        """Remove the cluster's files, and the folder once it is empty; return the names of what is left in it.

        Raises
        ------
        ClusterFolderError
            Something else is there; it was not touched.
        """
        with contextlib.suppress(FileNotFoundError), self._opened() as (root_fd, folder_fd):
            if self._holds_old_record(folder_fd):
                add_marker(folder_fd)
            check_marked(self.path, folder_fd)
            return remove_marked_folder(self.path, _OURS, root_fd=root_fd, folder_fd=folder_fd)
        return []

    def clear(self) -> None:
        """Remove what its processes left that have ended; configuration, images, record and logs stay.

        Raises
        ------
        ClusterFolderError
            Something else is there; it was not touched.
        """
        with contextlib.suppress(FileNotFoundError), self._opened() as (_, folder_fd):
            check_marked(self.path, folder_fd)
            remove_entries(_OF_PROCESSES, folder_fd=folder_fd)
            with opened_own_folder(self.logs_path, root_fd=folder_fd) as logs_fd:
                remove_entries(("*.ready",), folder_fd=logs_fd)
            with opened_own_folder(self.secrets_path, root_fd=folder_fd) as secrets_fd:
                remove_entries(("*",), folder_fd=secrets_fd)

    @contextlib.contextmanager
    def lock(self, *, timeout_s: float) -> Iterator[None]:
        """Prevent other callers from starting a cluster below the same root meanwhile; leaves no file.

        Raises
        ------
        ClusterStartError
            Another caller held it for *timeout_s*.
        """
        make_root(self.path.parent)
        deadline_s = time.monotonic() + timeout_s
        with opened_root(self.path.parent) as root_fd:
            while True:
                try:
                    fcntl.flock(root_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline_s:
                        raise ClusterStartError(
                            f"Another cluster is being started below {self.path.parent}, for {timeout_s:g} s now."
                        ) from None
                    time.sleep(0.05)
            yield

    def write_record(self, record: ClusterRecord) -> None:
        """Write the record in one step."""
        self._write_json(RECORD_FILE, record)

    def write_descendants(self, processes: Iterable[ProcessIdentity]) -> None:
        """Write in one step what the cluster's processes started, for cleaning up after a killed supervisor."""
        self._write_json(_DESCENDANTS, [[process.pid, process.start] for process in processes])

    def read_descendants(self) -> set[ProcessIdentity]:
        """Return what the cluster's processes started; some may have ended since."""
        try:
            with self._opened() as (_, folder_fd):
                return {ProcessIdentity(pid, start) for pid, start in _read_json(_DESCENDANTS, folder_fd)}
        except (OSError, ValueError, TypeError, ClusterFolderError):
            return set()

    def write_supervised(self, supervised: Sequence[object]) -> None:
        """Write in one step which processes should run: records, whose fields JSON can hold."""
        self._write_json(_SUPERVISED, supervised)

    def read_supervised(self) -> object:
        """Return what was written last of the processes that should run: a list, empty if there is none."""
        try:
            with self._opened() as (_, folder_fd):
                return _read_json(_SUPERVISED, folder_fd)
        except (OSError, ValueError, ClusterFolderError):
            return []

    def write_monitoring(self, monitoring: object) -> None:
        """Write in one step where Prometheus answers: a record, whose fields JSON can hold."""
        self._write_json(_MONITORING, monitoring)

    def read_monitoring(self) -> dict[str, Any] | None:
        """Return the fields of that record; ``None`` if there is none."""
        try:
            with self._opened() as (_, folder_fd):
                found = _read_json(_MONITORING, folder_fd)
        except (OSError, ValueError, ClusterFolderError):
            return None
        return found if isinstance(found, dict) else None

    def read_record(self) -> ClusterRecord | None:
        """Return the record, or ``None`` if this user has none there that can be read."""
        try:
            with self._opened() as (_, folder_fd):
                fields = _read_json(RECORD_FILE, folder_fd)
            return parse_record(fields)
        except (OSError, ValueError, TypeError, ClusterFolderError):
            return None

    def write_secret(self, container_name: str, what: str, content: str) -> Path:
        """Write what only one process of this user is told, and return the file's path."""
        path = self.secrets_path / f"{container_name}.{what}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with open(os.open(path, flags, 0o600), "w") as file:
            file.write(content)
        return path

    def remove_secrets(self, container_name: str) -> None:
        """Remove what a process was told that runs no more."""
        for path in self.secrets_path.glob(f"{container_name}.*"):
            path.unlink(missing_ok=True)

    def log_path(self, container_name: str) -> Path:
        """Return the path of one process's log."""
        return self.logs_path / f"{container_name}.log"

    def image_path(self, image: str) -> Path:
        """Return the folder of an image whose tag is ``repository:version``."""
        return self.images_path / image.replace(":", "/")

    def _write_json(self, name: str, value: object) -> None:
        new_name = name + ".new"
        with self._opened() as (_, folder_fd):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with open(os.open(new_name, flags, 0o600, dir_fd=folder_fd), "w") as file:
                file.write(json.dumps(value, default=vars))
            os.replace(new_name, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[int, int]]:
        """Yield descriptors of the root and of this folder, which belong to this user and are not links."""
        with opened_root(self.path.parent) as root_fd, opened_own_folder(self.path, root_fd=root_fd) as folder_fd:
            yield root_fd, folder_fd

    def _holds_old_record(self, folder_fd: int) -> bool:
        """Return whether this is a cluster's folder of release 0.1, which has no marker but an unmistakable record."""
        try:
            fields = _read_json(RECORD_FILE, folder_fd)
        except (OSError, ValueError):
            return False
        return is_old_record(fields, self.path.name)


def _read_json(name: str, folder_fd: int) -> Any:
    """Return the parsed content of a file that belongs to this user."""
    if not is_own_file(name, folder_fd=folder_fd):
        raise FileNotFoundError(name)
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder_fd), "rb") as file:
        return json.load(file)


def default_root_folder() -> Path:
    """Return the root folder of this user's embedded clusters: ``$CLIPPER_HOME``, or one among the temporary folders.

    On purpose not below the home folder: sockets need a short path on a local disk.
    """
    home = os.environ.get("CLIPPER_HOME")
    if home:
        return Path(home).expanduser().absolute()
    # The supervisor, which is told its folder, starts sooner without these.
    import getpass
    import tempfile

    return Path(tempfile.gettempdir()) / f"clipper_nb-{getpass.getuser()}"


def cluster_folder(cluster_name: str, root_folder: str | os.PathLike[str] | None) -> ClusterFolder:
    """Return the folder of the cluster with that name, below the caller's *root_folder* or the default one."""
    root = default_root_folder() if root_folder is None else user_path("root_folder", root_folder).absolute()
    return ClusterFolder(root / check_cluster_name(cluster_name))


def stays_sentence(path: Path, names: Sequence[str]) -> str:
    """Return why a cluster's folder was not removed; *names* are what is left in it."""
    return (
        f"The folder {path} stays, for it holds what this cluster has not put there or cannot remove: "
        f"{', '.join(names)}. Move that elsewhere, and call stop_all()."
    )
