"""A listening socket of a frontend: its connections, and the limits on all of them together."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from typing import cast

from tornado.httputil import HTTPServerConnectionDelegate

from clipper_nb.runtime.http.acceptor import Acceptor
from clipper_nb.runtime.http.connection import TOO_MUCH_WAITS, HttpConnection
from clipper_nb.runtime.http.endpoint import Endpoint, InferEndpoint
from clipper_nb.runtime.http.guard import OPEN, Guard
from clipper_nb.runtime.http.heads import KnownHeads
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.open_files import max_http_connections
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes
from clipper_nb.runtime.unix_server import serve_unix

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
    guard : Guard
        Decides which requests are answered.
    tls : ssl.SSLContext, optional
        The TCP socket speaks HTTPS with it, and not HTTP. A Unix socket speaks HTTP.
    infer_endpoint : InferEndpoint, optional
        Answers infer requests of the Open Inference Protocol.
    """

    def __init__(
        self,
        endpoint: Endpoint | None,
        application: HTTPServerConnectionDelegate,
        limits: HttpLimits,
        waiting: WaitingBytes | None = None,
        guard: Guard = OPEN,
        tls: ssl.SSLContext | None = None,
        infer_endpoint: InferEndpoint | None = None,
    ) -> None:
        self.tls = tls
        self.handshake_timeout_s = float(limits.header_timeout_s)
        self.endpoint = endpoint
        self.infer_endpoint = infer_endpoint
        self.guard = guard
        self.application = application
        self.limits = limits
        self.waiting = WaitingBytes(limits.max_waiting_size_bytes) if waiting is None else waiting
        self.loop: asyncio.AbstractEventLoop
        own_limit = limits.max_connections
        self.max_connections = max_http_connections() if own_limit is None else own_limit
        self.connections: set[HttpConnection] = set()
        self.unfinished: set[asyncio.Protocol] = set()
        self.known_heads = KnownHeads()
        self._server: asyncio.Server | None = None
        self._unix_server: asyncio.Server | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._resting: deque[HttpConnection] = deque()
        self.is_stopping = False

    async def start(self, listening: socket.socket) -> None:
        """Listen, on the running event loop."""
        self.loop = asyncio.get_running_loop()
        if self.tls is None:
            self._server = await self.loop.create_server(self.make_connection, sock=listening, backlog=1024)
        else:
            listening.listen(1024)
            self._server = cast(asyncio.Server, Acceptor(self, listening))  # only its close() is used

    async def start_beside(self, unix_socket: socket.socket) -> None:
        """Listen on a Unix socket too, once it has started."""
        self._unix_server = await serve_unix(self.loop, self.make_connection, unix_socket)

    def make_connection(self) -> HttpConnection:
        """Return the protocol of a new connection."""
        return HttpConnection(self)

    async def stop(self, *, timeout_s: float = 5.0) -> None:
        """Accept no new requests; finish those in progress, within *timeout_s*."""
        self.answer_last_requests()
        if self._server is None:
            return
        self._server.close()
        if self._unix_server is not None:
            self._unix_server.close()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        deadline_s = self.loop.time() + timeout_s
        while self.connections and self.loop.time() < deadline_s:
            for connection in list(self.connections):
                connection.close_when_idle()
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()

    def answer_last_requests(self) -> None:
        """Let each connection answer at most one more request."""
        self.is_stopping = True
        for connection in self.connections:
            connection.forget_last_head()

    def connection_made(self, connection: HttpConnection) -> None:
        """Add a connection and watch its time-outs; reject it if there are too many."""
        self.unfinished.discard(connection)
        self.connections.add(connection)
        if len(self.connections) > self.max_connections:
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
