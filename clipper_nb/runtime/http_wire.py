"""HTTP/1.1 on httptools: predict requests go straight to their endpoint, all others to a Tornado application.

Tornado's own parsing and ``RequestHandler`` cost about nine tenths of the possible throughput, so the predict path
uses neither. Everything else is still ordinary Tornado: requests reach the ``Application`` through its documented
delegate interface (``tornado_bridge.py``).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote

import httptools
from tornado.httputil import HTTPServerConnectionDelegate

from clipper_nb.protocol import rest
from clipper_nb.runtime.tornado_bridge import Request, answer_with_tornado

logger = logging.getLogger(__name__)

Respond = Callable[[int, bytes], None]
Cancel = Callable[[], None]
Endpoint = Callable[[str, bytes, float, Respond], "Cancel | None"]
"""Takes the application's name, the body, the instant of arrival (``time.monotonic``), and how to respond."""

_PREDICT_PATH = re.compile(rb"/([^/?]+)/predict/?(?:\?.*)?\Z", re.DOTALL)
_MAX_HEAD_SIZE_BYTES = 64 * 1024
_MAX_PIPELINED = 128
_KEEP_ALIVE_TIMEOUT_S = 300.0
_LINGER_S = 1.0
_SWEEP_INTERVAL_S = 1.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_MAX_KNOWN_HEADS = 1024
_MAX_KNOWN_HEAD_SIZE_BYTES = 2048
_OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@dataclass(frozen=True)
class HttpLimits:
    """What one client may cost."""

    max_body_size_bytes: int
    header_timeout_s: float
    body_timeout_s: float


@functools.lru_cache(maxsize=1024)
def _predict_name(url: bytes) -> str | None:
    """Return the application that a path asks for a prediction, or ``None`` when it asks for something else."""
    predict = _PREDICT_PATH.match(url)
    return unquote(predict[1].decode("latin-1")) if predict is not None else None


class HttpServer:
    """Serves one listening socket.

    Parameters
    ----------
    endpoint : Endpoint or None
        Answers predict requests, where there are any.
    application : HTTPServerConnectionDelegate
        The Tornado application that answers everything else.
    limits : HttpLimits
    """

    def __init__(
        self, endpoint: Endpoint | None, application: HTTPServerConnectionDelegate, limits: HttpLimits
    ) -> None:
        self.endpoint = endpoint
        self.application = application
        self.limits = limits
        self.loop: asyncio.AbstractEventLoop
        self.connections: set[HttpConnection] = set()
        self.known_heads: dict[bytes, tuple[str, int]] = {}
        """Heads of predict requests as they were received, with the application and the size of the body that they
        announced. A client sends the same head again and again, and equal bytes need no second parsing."""
        self._server: asyncio.Server | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
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
        """Watch over a connection's time-outs."""
        self.connections.add(connection)
        if self._sweep_timer is None and not self.is_stopping:
            self._sweep_timer = self.loop.call_later(_SWEEP_INTERVAL_S, self._sweep)

    def _sweep(self) -> None:
        """End the connections that keep us waiting; one timer for all, and none when there are no connections."""
        self._sweep_timer = None
        now_s = self.loop.time()
        for connection in list(self.connections):
            connection.check_timeout(now_s)
        if self.connections and not self.is_stopping:
            self._sweep_timer = self.loop.call_later(_SWEEP_INTERVAL_S, self._sweep)


class Exchange:
    """One request and its reply; replies leave in the order of the requests."""

    __slots__ = ("_connection", "cancel", "keep_alive", "reply")

    def __init__(self, connection: HttpConnection, keep_alive: bool) -> None:
        self._connection = connection
        self.keep_alive = keep_alive
        self.reply: bytes | None = None
        self.cancel: Cancel | None = None

    def respond(self, status: int, body: bytes) -> None:
        """Reply with a JSON body."""
        if status == 200 and self.keep_alive:  # not HTTPStatus.OK: comparing with an enumeration's member costs more
            self.finish(_OK_HEAD % len(body) + body)
        else:
            head = f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            head += f"Content-Length: {len(body)}\r\n"
            if not self.keep_alive:
                head += "Connection: close\r\n"
            self.finish(head.encode("ascii") + b"\r\n" + body)

    def finish(self, reply: bytes) -> None:
        """Reply with these bytes."""
        if self.reply is None:
            self.reply = reply
            self.cancel = None
            self._connection.write_replies()


class HttpConnection(asyncio.Protocol):
    """One client's connection: requests are parsed as they come and may be pipelined."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._exchanges: deque[Exchange] = deque()
        self._is_closing = False
        self._is_reading = True
        self._is_writable = True
        self._wait_began_s = server.loop.time()
        self._wait_limit_s = _KEEP_ALIVE_TIMEOUT_S
        self._head_size_bytes = 0  # received since the last request ended, roughly: pieces are counted whole
        self._in_head = True
        self._has_begun = False
        self._whole = b""  # what was received, when it began with the request that is parsed now
        self._begin_request()

    def _begin_request(self) -> None:
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_size_bytes = 0
        self._header_size_bytes = 0

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are none of asyncio's classes
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.connection_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self._server.connections.discard(self)
        for exchange in self._exchanges:
            if exchange.reply is None and exchange.cancel is not None:
                exchange.cancel()
        self._exchanges.clear()

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return  # what follows a refused request is read and dropped until the client has its reply
        if self._has_begun or self._head_size_bytes:
            self._whole = b""
        else:
            self._whole = data
            head = data[: data.find(b"\r\n\r\n") + 4]
            known = self._server.known_heads.get(head)
            if known is not None and len(data) == len(head) + known[1]:
                self._predict(known[0], data[len(head) :], keep_alive=not self._server.is_stopping)
                return
        if self._in_head:
            self._head_size_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._parse_without_upgrade(data[exc.args[0] :])
        except httptools.HttpParserError as exc:
            self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", f"This is not HTTP/1.1: {exc}.")
        else:
            if self._in_head and self._head_size_bytes > _MAX_HEAD_SIZE_BYTES:
                self._refuse_head()

    def _parse_without_upgrade(self, rest_of_data: bytes) -> None:
        """Parse the request again as if it had not offered another protocol; the parser stopped after its head."""
        method, url, headers = self._parser.get_method(), self._url, self._headers
        self._parser = httptools.HttpRequestParser(self)
        if method == b"CONNECT":
            self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", "This is not a proxy.")
            return
        self._begin_request()
        kept = [pair for pair in headers if pair[0].lower() not in (b"upgrade", b"connection", b"http2-settings")]
        lines = [b"%b %b HTTP/1.1" % (method, url), *(b"%b: %b" % pair for pair in kept), b"", b""]
        self.data_received(b"\r\n".join(lines) + rest_of_data)

    def pause_writing(self) -> None:
        self._is_writable = False
        self._read_or_pause()

    def resume_writing(self) -> None:
        self._is_writable = True
        self._read_or_pause()

    # --- httptools callbacks

    def on_message_begin(self) -> None:
        self._in_head = self._has_begun = True
        self._wait_for(self._server.limits.header_timeout_s)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        self._header_size_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._header_size_bytes > _MAX_HEAD_SIZE_BYTES:
            self._refuse_head()
            return
        self._wait_for(self._server.limits.body_timeout_s)
        for name, value in self._headers:
            lowered = name.lower()
            if lowered == b"content-length" and value.isdigit():
                if int(value) > self._server.limits.max_body_size_bytes:
                    self._refuse_body()
                    return
            elif lowered == b"expect" and value.lower() == b"100-continue" and not self._exchanges:
                self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        if self._is_closing:
            return
        self._body_size_bytes += len(body)
        if self._body_size_bytes > self._server.limits.max_body_size_bytes:
            self._refuse_body()
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._is_closing or self._parser.should_upgrade():
            return
        self._head_size_bytes = 0
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        keep_alive = self._parser.should_keep_alive()
        method, url, headers = self._parser.get_method(), self._url, self._headers
        self._begin_request()
        self._in_head = True
        self._has_begun = False
        self._wait_for(_KEEP_ALIVE_TIMEOUT_S)
        name = _predict_name(url) if self._server.endpoint is not None and method == b"POST" else None
        if name is not None:
            if keep_alive:
                self._remember_head(name, len(body))
            self._predict(name, body, keep_alive=keep_alive and not self._server.is_stopping)
            return
        exchange = Exchange(self, keep_alive=keep_alive and not self._server.is_stopping)
        self._exchanges.append(exchange)
        try:
            peer = self._transport.get_extra_info("peername")
            request = Request(method.decode("latin-1"), url.decode("latin-1"), headers, body, peer)
            exchange.cancel = answer_with_tornado(
                self._server.application,
                self,
                request,
                keep_alive=exchange.keep_alive,
                finish=exchange.finish,
            )
        except Exception:
            self._fail(exchange, f"{method!r} {url!r}")
        if len(self._exchanges) >= _MAX_PIPELINED:
            self._read_or_pause()

    def _predict(self, application_name: str, body: bytes, *, keep_alive: bool) -> None:
        """Answer a predict request."""
        exchange = Exchange(self, keep_alive)
        self._exchanges.append(exchange)
        endpoint = self._server.endpoint
        assert endpoint is not None
        try:
            exchange.cancel = endpoint(application_name, body, time.monotonic(), exchange.respond)
        except Exception:
            self._fail(exchange, f"predict {application_name!r}")
        if len(self._exchanges) >= _MAX_PIPELINED:
            self._read_or_pause()

    def _fail(self, exchange: Exchange, what: str) -> None:
        logger.exception("%s", what)
        exchange.respond(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            rest.format_error("Internal error", "Something went wrong inside the frontend; see its log."),
        )

    def _remember_head(self, application_name: str, body_size_bytes: int) -> None:
        """Remember the head of a request that came whole and alone."""
        whole, self._whole = self._whole, b""
        head_size_bytes = len(whole) - body_size_bytes
        if not 0 < head_size_bytes <= _MAX_KNOWN_HEAD_SIZE_BYTES or whole.find(b"\r\n\r\n") + 4 != head_size_bytes:
            return
        known = self._server.known_heads
        if len(known) >= _MAX_KNOWN_HEADS:
            known.clear()
        known[whole[:head_size_bytes]] = (application_name, body_size_bytes)

    # --- replies

    def write_replies(self) -> None:
        """Write every reply whose turn has come."""
        exchanges = self._exchanges
        if self._is_closing and not exchanges:
            return
        if len(exchanges) == 1 and exchanges[0].keep_alive:  # what happens nearly always
            reply = exchanges.popleft().reply
            if reply is not None and not self._transport.is_closing():
                self._transport.write(reply)
            if not self._is_reading:
                self._read_or_pause()
            self._wait_for(self._present_limit_s())
            return
        replies = []
        while exchanges and exchanges[0].reply is not None:
            exchange = exchanges.popleft()
            replies.append(exchange.reply)
            if not exchange.keep_alive:
                self._write(replies)
                self._close()
                return
        self._write(replies)
        if not self._is_reading:
            self._read_or_pause()
        if not exchanges:
            self._wait_for(self._present_limit_s())

    def _write(self, replies: list[bytes | None]) -> None:
        if replies and not self._transport.is_closing():
            self._transport.write(b"".join(reply for reply in replies if reply is not None))

    def _refuse_head(self) -> None:
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Header too large",
            f"The request's head is larger than {_MAX_HEAD_SIZE_BYTES} bytes.",
        )

    def _refuse_body(self) -> None:
        limit = self._server.limits.max_body_size_bytes
        self._refuse(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "Payload too large",
            f"The body is larger than {limit} bytes.",
        )

    def _refuse(self, status: HTTPStatus, error: str, cause: str) -> None:
        """Reply that the request cannot be taken, after what is under way, and close."""
        if self._is_closing:
            return
        exchange = Exchange(self, keep_alive=False)
        self._exchanges.append(exchange)
        self._is_closing = True
        exchange.respond(status, rest.format_error(error, cause))

    def _close(self) -> None:
        """Close when the client has had the time to read; it may still be sending."""
        self._is_closing = True
        self._exchanges.clear()
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._server.loop.call_later(_LINGER_S, self._transport.close)

    # --- limits

    def check_timeout(self, now_s: float) -> None:
        """End the connection when the client has kept us waiting for too long."""
        if self._exchanges or now_s - self._wait_began_s <= self._wait_limit_s or self._is_closing:
            return
        if self._is_between_requests():
            self._transport.close()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "Request timeout", "The request did not arrive in time.")

    def close_when_idle(self) -> None:
        """Close a connection that is between requests."""
        if not self._exchanges and self._is_between_requests():
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _is_between_requests(self) -> bool:
        return not self._has_begun

    def _present_limit_s(self) -> float:
        if not self._has_begun:
            return _KEEP_ALIVE_TIMEOUT_S
        return self._server.limits.header_timeout_s if self._in_head else self._server.limits.body_timeout_s

    def _wait_for(self, limit_s: float) -> None:
        self._wait_began_s = self._server.loop.time()
        self._wait_limit_s = limit_s

    def _read_or_pause(self) -> None:
        """Read only while the client takes its replies and has not too many requests under way."""
        wanted = self._is_writable and len(self._exchanges) < _MAX_PIPELINED
        if wanted != self._is_reading and not self._transport.is_closing():
            self._is_reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
