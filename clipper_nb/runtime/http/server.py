"""A listening socket of a frontend: its connections, and what bounds all of them together."""

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
        Answers predict requests, where there are any.
    application : HTTPServerConnectionDelegate
        The Tornado application that answers everything else.
    limits : HttpLimits
    waiting : WaitingBytes, optional
        Counts large bodies, for an endpoint that counts what it makes of them too.
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
        """What the connection that has its turn was sent; one is enough, for each takes its own out at once."""
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
        """Take no new request, finish those that are under way, at most for *timeout_s*."""
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
        """Watch over a connection's time-outs; send it away when there are too many."""
        self.connections.add(connection)
        if len(self.connections) > self._max_connections:
            connection.reject()
        if self._sweep_timer is None and not self.is_stopping:
            self._sweep_timer = self.loop.call_later(_SWEEP_INTERVAL_S, self._sweep)

    def connection_lost(self, connection: HttpConnection) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(connection)

    def rest(self, connection: HttpConnection) -> None:
        """Let a connection read on when its turn has come: of all that receive large bodies, one in each turn."""
        self._resting.append(connection)
        if len(self._resting) == 1:
            self.loop.call_soon(self._end_rest)

    def _end_rest(self) -> None:
        self._resting.popleft().read_on()
        if self._resting:
            self.loop.call_soon(self._end_rest)

    def make_room(self) -> None:
        """Refuse the largest of the bodies that are not finished."""
        largest = max(self.connections, key=lambda connection: connection.unfinished_size_bytes)
        largest.refuse_overload(TOO_MUCH_WAITS)

    def _sweep(self) -> None:
        """End the connections that keep us waiting; one timer for all, and none when there are no connections."""
        self._sweep_timer = None
        now_s = self.loop.time()
        for connection in list(self.connections):
            connection.check_timeout(now_s)
        if self.connections and not self.is_stopping:
            self._sweep_timer = self.loop.call_later(_SWEEP_INTERVAL_S, self._sweep)
