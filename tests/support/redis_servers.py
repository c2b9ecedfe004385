"""A real redis-server on a Unix socket, configured as the embedded cluster configures its own."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import redis

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.redis import find_redis_server, write_redis_config

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

    @contextlib.asynccontextmanager
    async def losing_confirmations(self, num_confirmations: int) -> AsyncIterator[str]:
        """Give the address of a way to it that breaks before the first so many transactions are confirmed."""
        path = self._folder.path / "lossy"
        proxy = _LossyProxy(self._folder.redis_socket_path, num_confirmations)
        async with await asyncio.start_unix_server(proxy.on_connection, path):
            try:
                yield self.url.replace(str(self._folder.redis_socket_path), str(path))
            finally:
                await proxy.wait_until_idle()

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


class _LossyProxy:
    """Hands on what a client and Redis say, and breaks the connection instead of confirming some writes."""

    def __init__(self, redis_socket_path: Path, num_confirmations: int) -> None:
        self._redis_socket_path = redis_socket_path
        self._num_to_lose = num_confirmations
        self._connections: set[asyncio.Task[None]] = set()

    async def on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the client closes it, or it is to break."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        redis_reader, redis_writer = await asyncio.open_unix_connection(self._redis_socket_path)
        try:
            while request := await reader.read(65536):
                redis_writer.write(request)
                reply = await redis_reader.read(65536)
                if b"PUBLISH" in request and b"EXEC" in request and self._num_to_lose:
                    self._num_to_lose -= 1
                    return  # the transaction has gone through
                writer.write(reply)
        finally:
            for one in (writer, redis_writer):
                one.close()
                with contextlib.suppress(ConnectionError):
                    await one.wait_closed()
            self._connections.discard(task)

    async def wait_until_idle(self) -> None:
        """Return when every client has closed its connection."""
        if self._connections:
            await asyncio.wait(self._connections, timeout=10)
