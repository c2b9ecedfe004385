"""A place between an embedded cluster and its Redis, where writes of the management frontend can be seen and cut."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.errors import ClipperException
from tests.support.clusters import eventually, kill

_CHUNK = 65536
_READS = {"GET", "MGET", "HGET", "HMGET", "HGETALL", "HLEN", "HKEYS", "EXISTS", "TTL", "PTTL", "SMEMBERS", "TYPE",
          "PING", "ZRANGE", "ZSCORE", "SCARD", "TIME", "XRANGE", "XREVRANGE", "XLEN", "HSCAN",
          "ZRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYSCORE"}  # fmt: skip
_ABOUT_CONNECTIONS = {"AUTH", "HELLO", "CLIENT", "SELECT", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "WATCH",
                      "UNWATCH", "INFO", "MULTI", "EXEC", "DISCARD", "SCRIPT"}  # fmt: skip
_IN_EVERY_CHANGE = {"layout", "revision", "changes", "differences"}
_OWN_NAME = re.compile(r"[0-9a-f]{8,}")

OnWrite = Callable[[str, str], bool]
"""Is told what is written, and ``before`` or ``after``; returns whether the connection is to break there."""


class StoreProxy:
    """Listens where the cluster looks for Redis, and hands on what is said.

    Parameters
    ----------
    listen_path : Path
        The socket that the cluster's frontends connect to.
    redis_path : Path
        Redis's own.
    """

    def __init__(self, listen_path: Path, redis_path: Path) -> None:
        self._redis_path = redis_path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(listen_path))
        self._listener.listen(64)
        self.on_write: OnWrite = lambda label, moment: False
        self.is_away = False
        """While true, no new connection comes to Redis, as when it is not running; old ones are as they are."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = self._connect()
            if server is None:
                client.close()
            else:
                _Connection(client, server, self).start()

    def _connect(self) -> socket.socket | None:
        server = socket.socket(socket.AF_UNIX)
        try:
            if self.is_away:
                raise ConnectionRefusedError
            server.connect(str(self._redis_path))
        except OSError:
            server.close()
            return None
        return server


class _Connection:
    """One client's way to Redis: a thread for each direction."""

    def __init__(self, client: socket.socket, server: socket.socket, proxy: StoreProxy) -> None:
        self._client = client
        self._server = server
        self._proxy = proxy
        self._is_watched = _is_management_frontend(client)
        self._unread = bytearray()
        self._transaction: list[list[str]] | None = None
        self._unconfirmed: str | None = None

    def start(self) -> None:
        for carry in (self._carry_requests, self._carry_replies):
            threading.Thread(target=carry, daemon=True).start()

    def _carry_requests(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(_CHUNK):
                label = self._written_by(data) if self._is_watched else None
                if label is not None:
                    if self._proxy.on_write(label, "before"):
                        break
                    self._unconfirmed = label
                self._server.sendall(data)
        self._break()

    def _carry_replies(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(_CHUNK):
                label, self._unconfirmed = self._unconfirmed, None
                if label is not None and self._proxy.on_write(label, "after"):
                    break
                self._client.sendall(data)
        self._break()

    def _break(self) -> None:
        for sock in (self._client, self._server):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        # The other direction's thread comes here too; closing twice is fine.
        for sock in (self._client, self._server):
            sock.close()

    def _written_by(self, data: bytes) -> str | None:
        """Return what these bytes make Redis write: the names of its keys."""
        self._unread += data
        writes: list[str] = []
        for command in take_commands(self._unread):
            name = command[0].upper()
            if name == "MULTI":
                self._transaction = []
            elif name == "EXEC":
                writes += keys_written(self._transaction or [])
                self._transaction = None
            elif name == "DISCARD":
                self._transaction = None
            elif self._transaction is not None:
                self._transaction.append(command)
            else:
                writes += keys_written([command])
        keys = sorted(set(writes) - _IN_EVERY_CHANGE) or sorted(set(writes))
        return ", ".join(keys) or None


def keys_written(commands: list[list[str]]) -> list[str]:
    """Return the names of the keys that these commands change, without the cluster's prefix. (pure)"""
    found = []
    for command in commands:
        name = command[0].upper()
        if name in _READS or name in _ABOUT_CONNECTIONS:
            continue
        keys = command[3 : 3 + int(command[2])] if name in ("EVAL", "EVALSHA", "FCALL") else command[1:2]
        found += [_OWN_NAME.sub("<id>", key.partition(":")[2]) for key in keys] or [name]
    return found


def take_commands(buffer: bytearray) -> list[list[str]]:
    """Take the complete commands from the beginning of *buffer*, as clients of Redis write them. (pure)"""
    commands = []
    while (taken := _take_command(buffer)) is not None:
        commands.append(taken)
    return commands


def _take_command(buffer: bytearray) -> list[str] | None:
    """Take one command: ``*2``, and then ``$3``, ``GET`` and so on, each line ended by CR LF. (pure)"""
    line_end = buffer.find(b"\r\n")
    if line_end < 0:
        return None
    arguments, position = [], line_end + 2
    for _ in range(int(buffer[1:line_end])):
        line_end = buffer.find(b"\r\n", position)
        if line_end < 0:
            return None
        end = line_end + 2 + int(buffer[position + 1 : line_end])
        if end + 2 > len(buffer):
            return None
        arguments.append(buffer[line_end + 2 : end].decode("utf-8", "replace"))
        position = end + 2
    del buffer[:position]
    return arguments


def _is_management_frontend(client: socket.socket) -> bool:
    pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    with contextlib.suppress(psutil.Error):
        return any("management_frontend" in argument for argument in psutil.Process(pid).cmdline())
    return False


@contextlib.contextmanager
def store_proxy(conn: ClipperConnection, folder: Path) -> Iterator[StoreProxy]:
    """Move the Redis of a running cluster to a socket in *folder*, whose path is short, and listen in its place.

    Redis is killed once; the supervisor starts it again where its configuration says.
    """
    assert isinstance(conn.cm, LocalContainerManager)
    listen_path = conn.cm._folder.redis_socket_path
    config_path = conn.cm._folder.redis_path / "redis.conf"
    moved_path = folder / "redis-moved.sock"
    config_path.write_text(config_path.read_text().replace(str(listen_path), str(moved_path)))
    kill(conn, "redis")
    listen_path.unlink(missing_ok=True)
    proxy = StoreProxy(listen_path, moved_path)
    try:
        eventually(moved_path.exists, within_s=10, what="Redis listens at its new place")
        eventually(lambda: _answers(conn), within_s=10, what="admin calls are answered through the proxy")
        yield proxy
    finally:
        proxy.close()


def _answers(conn: ClipperConnection) -> bool:
    try:
        conn.get_all_apps()
    except ClipperException:
        time.sleep(0.05)
        return False
    return True
