"""A listening socket of a frontend: its connections, and the limits on all of them together."""

from __future__ import annotations

import asyncio
import socket
from collections import deque

from tornado.httputil import HTTPServerConnectionDelegate

from clipper_nb.runtime.http.connection import RECEIVED_SIZE_BYTES, TOO_MUCH_WAITS, HttpConnection
from clipper_nb.runtime.http.endpoint import Endpoint
from clipper_nb.runtime.http.heads import KnownHeads
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.open_files import max_http_connections
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes

_SWEEP_INTERVAL_S = 1.0


class HttpServer:
    """Serves one listening socket.

    Parameters
    ----------
    endpoint : Endpoint or None
        Answers predict requests; ``None`` for a frontend without any.
    application : HTTPServerConnectionDelegate
        The Tornado application that answers everything else.
    limits : HttpLimits
    waiting : WaitingBytes, optional
        Counts large bodies; shared with an endpoint that also counts what it creates from them.
    """

    def __init__(
        self,
        endpoint: Endpoint | None,
        application: HTTPServerConnectionDelegate,
        limits: HttpLimits,
        waiting: WaitingBytes | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.application = application
        self.limits = limits
        self.waiting = WaitingBytes(limits.max_waiting_size_bytes) if waiting is None else waiting
        self.loop: asyncio.AbstractEventLoop
        own_limit = limits.max_connections
        self._max_connections = max_http_connections() if own_limit is None else own_limit
        self.connections: set[HttpConnection] = set()
        self.received = bytearray(RECEIVED_SIZE_BYTES)
        """Receive buffer shared by all connections; each copies its data out before the next read."""
        self.received_view = memoryview(self.received)
        self.known_heads = KnownHeads()
        self._server: asyncio.Server | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._resting: deque[HttpConnection] = deque()
        self.is_stopping = False

    async def start(self, listening: socket.socket) -> None:
        """Listen, on the running event loop."""
        self.loop = asyncio.get_running_loop()
        self._server = await self.loop.create_server(lambda: HttpConnection(self), sock=listening, backlog=1024)

    async def stop(self, *, timeout_s: float = 5.0) -> None:
        """Accept no new requests; finish those in progress, within *timeout_s*."""
        self.is_stopping = True
        if self._server is None:
            return
        self._server.close()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        deadline_s = self.loop.time() + timeout_s
        while self.connections and self.loop.time() < deadline_s:
            for connection in list(self.connections):
                connection.close_when_idle()
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()

    def connection_made(self, connection: HttpConnection) -> None:
        """Add a connection and watch its time-outs; reject it if there are too many."""
        self.connections.add(connection)
        if len(self.connections) > self._max_connections:
            connection.reject()
        if self._sweep_timer is None and not self.is_stopping:
            self._sweep_timer = self.loop.call_later(_SWEEP_INTERVAL_S, self._sweep)

    def connection_lost(self, connection: HttpConnection) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(connection)

    def rest(self, connection: HttpConnection) -> None:
        """Resume a connection's reading in its turn: of all that receive large bodies, one per event loop turn."""
        self._resting.append(connection)
        if len(self._resting) == 1:
            self.loop.call_soon(self._end_rest)

    def _end_rest(self) -> None:
        self._resting.popleft().read_on()
        if self._resting:
            self.loop.call_soon(self._end_rest)

    def make_room(self) -> None:
        """Reject the largest of the unfinished bodies."""
        largest = max(self.connections, key=lambda connection: connection.unfinished_size_bytes)
        largest.refuse_overload(TOO_MUCH_WAITS)

    def _sweep(self) -> None:
        """End connections that exceed their time limits; one timer for all, and none without connections."""
        self._sweep_timer = None
        now_s = self.loop.time()
        for connection in list(self.connections):
            connection.check_timeout(now_s)
        if self.connections and not self.is_stopping:
            self._sweep_timer = self.loop.call_later(_SWEEP_INTERVAL_S, self._sweep)
