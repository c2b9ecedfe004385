"""HTTP on a listening socket that several processes share, each with its share of the connections."""

from __future__ import annotations

import asyncio
import mmap
import socket
import ssl
import sys
from array import array
from collections.abc import Collection
from pathlib import Path
from typing import cast

from tornado.httputil import HTTPServerConnectionDelegate

from clipper_nb.runtime.http.acceptor import Acceptor
from clipper_nb.runtime.http.connection import HttpConnection
from clipper_nb.runtime.http.endpoint import Endpoint, InferEndpoint
from clipper_nb.runtime.http.guard import OPEN, Guard
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.server import HttpServer
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes

_DEFER_S = 0.002
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
    endpoint, application, limits, waiting, guard, tls, infer_endpoint
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
        guard: Guard = OPEN,
        tls: ssl.SSLContext | None = None,
        infer_endpoint: InferEndpoint | None = None,
    ) -> None:
        super().__init__(endpoint, application, limits, waiting, guard, tls, infer_endpoint)
        self._counts = counts
        self._worker = worker

    async def start(self, listening: socket.socket) -> None:
        self.loop = asyncio.get_running_loop()
        connections = _CountedConnections(self._counts, self._worker, self.unfinished)
        self.connections = connections
        self._acceptor = _SharingAcceptor(self, listening, connections, self._counts, self._worker)
        self._server = cast(asyncio.Server, self._acceptor)  # only its close() is used

    async def stop(self, *, timeout_s: float = 5.0) -> None:
        """Stop, while other workers take over the clients: each client may send one more request.

        A client that sends one meanwhile is answered and told that the connection ends. Only silent connections are cut
        off, which every client with a kept-alive connection must expect.
        """
        self.answer_last_requests()
        if self._server is not None:
            self._acceptor.close()
            deadline_s = self.loop.time() + _DRAIN_TIMEOUT_S
            while (self.connections or self.unfinished) and self.loop.time() < deadline_s:
                await asyncio.sleep(0.01)
        await super().stop(timeout_s=timeout_s)


class _CountedConnections(set[HttpConnection]):
    """A server's connections; publishes the number of them and of unfinished ones to the other workers."""

    def __init__(self, counts: ConnectionCounts, worker: int, unfinished: Collection[object]) -> None:
        super().__init__()
        self._counts = counts
        self._worker = worker
        self._unfinished = unfinished
        self._is_open = True
        self.tell()

    def add(self, connection: HttpConnection) -> None:
        super().add(connection)
        self.tell()

    def discard(self, connection: object) -> None:
        super().discard(connection)
        self.tell()

    def leave(self) -> None:
        """Leave all new connections to the other workers."""
        self._is_open = False
        self._counts.leave(self._worker)

    def tell(self) -> None:
        """Publish the number now."""
        if self._is_open:
            self._counts.tell(self._worker, len(self) + len(self._unfinished))


class _SharingAcceptor(Acceptor):
    """Waits a moment before it accepts a connection if another worker has fewer."""

    def __init__(
        self,
        server: SharedHttpServer,
        listening: socket.socket,
        connections: _CountedConnections,
        counts: ConnectionCounts,
        worker: int,
    ) -> None:
        self._counts = counts
        self._worker = worker
        self._connections = connections
        super().__init__(server, listening)

    def close(self) -> None:
        """Accept no more; waiting connections are left to the other workers."""
        self._connections.leave()
        super().close()

    def _on_readable(self) -> None:
        if self._counts.has_its_share(self._worker):
            self._pause(_DEFER_S)  # a connection that still waits then: the worker with fewer is busy or hangs
        else:
            self._take()

    def _number_changed(self) -> None:
        self._connections.tell()
