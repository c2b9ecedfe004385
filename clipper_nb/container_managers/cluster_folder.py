"""The folder of one embedded cluster: where its processes find each other, and where everything of it lies.

================  ==============================================================================
cluster.json      :class:`ClusterRecord`; readable by its user alone, for it holds the token
supervisor.sock   the supervisor's control socket
supervisor.log    what the supervisor wrote
redis/            Redis's configuration file, socket and append-only file
logs/             one log file per process
images/           one folder per image
workers/          what several query frontends have counted, and the sockets that they tell it on
================  ==============================================================================
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from clipper_nb.errors import ClusterStartError
from clipper_nb.protocol.names import check_cluster_name

_LONGEST_SOCKET_PATH = 103  # bytes; macOS takes 104 with the final NUL, Linux 108


@dataclass(frozen=True)
class ClusterRecord:
    """What a process needs to know to join a running cluster."""

    cluster_name: str
    package_version: str
    admin_token: str
    redis_password: str
    owner_pid: int | None
    """The cluster ends with this process; ``None`` for a detached cluster."""
    owner_started_at: float | None
    query_port: int
    management_port: int
    rpc_port: int
    supervisor_pid: int = 0


class ClusterFolder:
    """The paths in one cluster's folder.

    Parameters
    ----------
    path : Path
        The folder; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_path = path / "cluster.json"
        self.control_socket_path = path / "supervisor.sock"
        self.supervisor_log_path = path / "supervisor.log"
        self.redis_path = path / "redis"
        self.redis_socket_path = path / "redis" / "redis.sock"
        self.logs_path = path / "logs"
        self.images_path = path / "images"

    def create(self) -> None:
        """Make the folder, for this user alone.

        Raises
        ------
        ClusterStartError
            It cannot be made, or its path is too long for a socket.
        """
        if len(os.fsencode(self.redis_socket_path)) > _LONGEST_SOCKET_PATH:
            raise ClusterStartError(
                f"The path of the cluster's folder is too long for its sockets: {self.path}. "
                "Pass a shorter one: LocalContainerManager(root_folder=...)."
            )
        self.make_root()
        try:
            self.path.mkdir(mode=0o700)
            for folder in (self.redis_path, self.logs_path, self.images_path):
                folder.mkdir()
        except OSError as exc:
            raise ClusterStartError(f"The cluster's folder {self.path} cannot be made: {exc.strerror}.") from exc

    def make_root(self) -> None:
        """Make the folder that the clusters' folders lie in, unless it is there.

        Raises
        ------
        ClusterStartError
            It cannot be made, or belongs to somebody else: who can write there could run code in the cluster.
        """
        root = self.path.parent
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = root.stat().st_uid
        except OSError as exc:
            raise ClusterStartError(f"The folder {root} cannot be made: {exc.strerror}.") from exc
        if owner != os.getuid():
            raise ClusterStartError(
                f"The folder {root} belongs to another user (uid {owner}). Set CLIPPER_HOME, or pass "
                "LocalContainerManager(root_folder=...), to use one of your own."
            )

    @contextlib.contextmanager
    def lock(self, *, timeout_s: float) -> Iterator[None]:
        """Keep others from starting a cluster below the same root meanwhile; leaves no file.

        Raises
        ------
        ClusterStartError
            Somebody else has it for *timeout_s*.
        """
        self.make_root()
        root_fd = os.open(self.path.parent, os.O_RDONLY)
        deadline_s = time.monotonic() + timeout_s
        try:
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
        finally:
            os.close(root_fd)

    def write_record(self, record: ClusterRecord) -> None:
        """Write the record in one step."""
        temporary = self.record_path.with_suffix(".new")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(record), file)
        temporary.replace(self.record_path)

    def read_record(self) -> ClusterRecord | None:
        """Return the record, or ``None`` when there is none of this user's that can be read."""
        try:
            if self.record_path.stat().st_uid != os.getuid():
                return None
            return ClusterRecord(**json.loads(self.record_path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def log_path(self, container_name: str) -> Path:
        """Return the path of one process's log."""
        return self.logs_path / f"{container_name}.log"

    def image_path(self, image: str) -> Path:
        """Return the folder of an image whose tag is ``repository:version``."""
        return self.images_path / image.replace(":", "/")


def default_root_folder() -> Path:
    """Return where this user's embedded clusters lie: ``$CLIPPER_HOME``, or a folder among the temporary ones.

    On purpose not below the home folder: sockets need a short path on a local disk.
    """
    home = os.environ.get("CLIPPER_HOME")
    if home:
        return Path(home).expanduser().absolute()
    return Path(tempfile.gettempdir()) / f"clipper_nb-{getpass.getuser()}"


def cluster_folder(cluster_name: str, root_folder: Path | None) -> ClusterFolder:
    """Return the folder of the cluster with that name."""
    return ClusterFolder((root_folder or default_root_folder()) / check_cluster_name(cluster_name))
