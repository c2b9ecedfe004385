"""HTTP on a listening socket that several processes share, each with its share of the connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import socket
import sys
from array import array
from pathlib import Path
from typing import cast

from tornado.httputil import HTTPServerConnectionDelegate

from clipper_nb.runtime.http.connection import HttpConnection
from clipper_nb.runtime.http.endpoint import Endpoint
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.server import HttpServer
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes

logger = logging.getLogger(__name__)

_DEFER_S = 0.002
_FULL_INTERVAL_S = 1.0
_DRAIN_TIMEOUT_S = 0.5
_AWAY = sys.maxsize


class ConnectionCounts:
    """How many connections each worker has, in a file that all workers map into memory.

    Parameters
    ----------
    path : Path
        Created by ``make_connection_counts``.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "r+b") as file:
            self._counts = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")

    def tell(self, worker: int, num_connections: int) -> None:
        """Publish how many connections a worker has."""
        self._counts[worker] = num_connections

    def leave(self, worker: int) -> None:
        """Publish that a worker accepts no connections."""
        self._counts[worker] = _AWAY

    def has_its_share(self, worker: int) -> bool:
        """Return whether another worker has fewer connections."""
        return self._counts[worker] > min(self._counts)


def connection_counts_path(folder: Path) -> Path:
    """Return the path of the counts in the workers' common folder."""
    return folder / "connections"


def make_connection_counts(path: Path, num_workers: int) -> ConnectionCounts:
    """Create the counts of this many workers, none of which has started yet."""
    path.write_bytes(array("q", [_AWAY] * num_workers).tobytes())
    return ConnectionCounts(path)


class SharedHttpServer(HttpServer):
    """Leaves new connections to workers that have fewer.

    Otherwise the process that is awake accepts all that wait: of 64 connections that were opened together, one of two
    processes got all, and kept them.

    Parameters
    ----------
    endpoint, application, limits, waiting
        As for ``HttpServer``.
    counts : ConnectionCounts
    worker : int
        This worker's number.
    """

    def __init__(
        self,
        endpoint: Endpoint | None,
        application: HTTPServerConnectionDelegate,
        limits: HttpLimits,
        counts: ConnectionCounts,
        worker: int,
        waiting: WaitingBytes | None = None,
    ) -> None:
        super().__init__(endpoint, application, limits, waiting)
        self._counts = counts
        self._worker = worker

    async def start(self, listening: socket.socket) -> None:
        self.loop = asyncio.get_running_loop()
        self.connections = _CountedConnections(self._counts, self._worker)
        self._acceptor = _Acceptor(self, listening, self._counts, self._worker)
        self._server = cast(asyncio.Server, self._acceptor)  # only its close() is used

    async def stop(self, *, timeout_s: float = 5.0) -> None:
        """Stop, while other workers take over the clients: each client may send one more request.

        A client that sends one meanwhile is answered and told that the connection ends. Only silent connections are cut
        off, which every client with a kept-alive connection must expect.
        """
        self.is_stopping = True
        if self._server is not None:
            self._acceptor.close()
            deadline_s = self.loop.time() + _DRAIN_TIMEOUT_S
            while (self.connections or self._acceptor.num_unfinished) and self.loop.time() < deadline_s:
                await asyncio.sleep(0.01)
        await super().stop(timeout_s=timeout_s)


class _CountedConnections(set[HttpConnection]):
    """A server's connections; publishes their number to the other workers."""

    def __init__(self, counts: ConnectionCounts, worker: int) -> None:
        super().__init__()
        self._counts = counts
        self._worker = worker
        self._is_open = True
        self._tell()

    def add(self, connection: HttpConnection) -> None:
        super().add(connection)
        self._tell()

    def discard(self, connection: object) -> None:
        super().discard(connection)
        self._tell()

    def leave(self) -> None:
        """Leave all new connections to the other workers."""
        self._is_open = False
        self._counts.leave(self._worker)

    def _tell(self) -> None:
        if self._is_open:
            self._counts.tell(self._worker, len(self))


class _Acceptor:
    """Accepts one connection per turn of the event loop; waits a moment if another worker has fewer."""

    def __init__(
        self, server: SharedHttpServer, listening: socket.socket, counts: ConnectionCounts, worker: int
    ) -> None:
        self._server = server
        self._listening = listening
        self._counts = counts
        self._worker = worker
        self._loop = server.loop
        self._timer: asyncio.TimerHandle | None = None
        self._unfinished: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        self._watch()

    @property
    def num_unfinished(self) -> int:
        """How many accepted connections the server does not have yet."""
        return len(self._unfinished)

    def close(self) -> None:
        """Accept no more; waiting connections are left to the other workers."""
        cast(_CountedConnections, self._server.connections).leave()
        if self._timer is not None:
            self._timer.cancel()
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening.fileno())
            self._listening.close()

    def _watch(self) -> None:
        self._loop.add_reader(self._listening.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        if self._counts.has_its_share(self._worker):
            self._pause(_DEFER_S)
        else:
            self._take()

    def _pause(self, wait_s: float) -> None:
        self._loop.remove_reader(self._listening.fileno())
        self._timer = self._loop.call_later(wait_s, self._resume)

    def _resume(self) -> None:
        self._watch()
        self._take()  # a connection that still waits: the worker with fewer is busy or hangs

    def _take(self) -> None:
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the client is gone
        except OSError as exc:  # the limit of open files is reached
            logger.warning("cannot take a connection: %s", exc)
            self._pause(_FULL_INTERVAL_S)
            return
        accepted.setblocking(False)
        self._counts.tell(self._worker, len(self._server.connections) + len(self._unfinished) + 1)
        task = self._loop.create_task(self._hand_over(accepted))
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)

    async def _hand_over(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client is gone
            await self._loop.connect_accepted_socket(lambda: HttpConnection(self._server), accepted)
