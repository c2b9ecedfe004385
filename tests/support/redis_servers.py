"""A real redis-server on a Unix socket, configured as the embedded cluster configures its own."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import redis

from clipper_nb.container_managers.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local_redis import find_redis_server, write_redis_config

_PASSWORD = "secret"
_START_TIMEOUT_S = 10.0


class RedisServer:
    """A redis-server that can be killed and started again with the same data.

    Parameters
    ----------
    path : Path
        A folder that does not exist yet; short, for it holds the socket.
    """

    def __init__(self, path: Path) -> None:
        self._folder = ClusterFolder(path)
        self._folder.create()
        self._config_path = write_redis_config(self._folder, _PASSWORD)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, with the password."""
        return f"unix://:{_PASSWORD}@{self._folder.redis_socket_path}"

    def start(self) -> None:
        """Start it; when this returns it answers."""
        self._process = subprocess.Popen(
            [find_redis_server(), str(self._config_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.exceptions.RedisError:
                    assert time.monotonic() < deadline_s, "redis-server does not answer"
                    time.sleep(0.01)

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None
