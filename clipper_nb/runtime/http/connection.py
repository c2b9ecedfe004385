"""One client's connection: predict requests go directly to their endpoint, all others to a Tornado application.

Tornado's own parsing and ``RequestHandler`` cost about nine tenths of the possible throughput, so the predict path
uses neither. Everything else is still ordinary Tornado: requests reach the ``Application`` through its documented
delegate interface (``tornado_bridge.py``).

The cost of one client is bounded: what it sends (``reader.py``); the requests and bytes that wait for an answer; the
replies that it does not read; the time for each; and how much of its data is parsed in one turn of the event loop, so
that one client's flood does not delay the others.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol, cast

from tornado.httputil import HTTPInputError, HTTPServerConnectionDelegate

from clipper_nb.protocol import rest
from clipper_nb.protocol.request_origin import RequestOrigin, find_origin
from clipper_nb.runtime.http.endpoint import Endpoint, InferEndpoint, InferHead
from clipper_nb.runtime.http.exchange import Exchange, ExchangeWithHeaders
from clipper_nb.runtime.http.guard import Answered, Guard, Rejected
from clipper_nb.runtime.http.heads import KnownHeads, infer_head, path_and_query, predict_name
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.reader import Event, HeadBegun, HeadEnded, Received, RequestReader
from clipper_nb.runtime.http.tornado_bridge import Request, answer_with_tornado
from clipper_nb.runtime.http.waiting_bytes import LARGE_BODY_SIZE_BYTES, WaitingBytes

logger = logging.getLogger(__name__)

RECEIVED_SIZE_BYTES: Final = 256_000
"""How much uvloop receives at once; asyncio a little more."""
_MAX_PIPELINED: Final = 128
_MAX_PIPELINED_BYTES: Final = 1024 * 1024
_SLICE_SIZE_BYTES: Final = 4096
_KEEP_ALIVE_TIMEOUT_S: Final = 300.0
_LINGER_S = 1.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TOO_MUCH_WAITS = "Too many bytes of large bodies wait for an answer."


class Server(Protocol):
    """The interface of a server for its connections."""

    endpoint: Endpoint | None
    infer_endpoint: InferEndpoint | None
    application: HTTPServerConnectionDelegate
    limits: HttpLimits
    waiting: WaitingBytes
    loop: asyncio.AbstractEventLoop
    known_heads: KnownHeads
    guard: Guard
    is_stopping: bool

    def connection_made(self, connection: HttpConnection) -> None:
        """Add a connection, and watch its time-outs."""

    def connection_lost(self, connection: HttpConnection) -> None:
        """Forget a connection that has ended."""

    def rest(self, connection: HttpConnection) -> None:
        """Call ``read_on`` after other connections had their turn."""

    def make_room(self) -> None:
        """Reject the largest of the unfinished bodies."""


class HttpConnection(asyncio.Protocol):
    """One client's connection: requests may be pipelined, and replies are sent in their order."""

    def __init__(self, server: Server) -> None:
        self._server = server
        # Looked up once, because each request needs them.
        self._endpoint = server.endpoint
        self._infer_endpoint = server.infer_endpoint
        self._find_known_head = server.known_heads.find
        self._find_known_infer_head = server.known_heads.find_infer
        self._loop_time_s = server.loop.time
        self._now_s = time.monotonic
        self._waiting = server.waiting
        self._transport: asyncio.Transport
        self._send: Callable[[bytes], None]
        self._reader = RequestReader(server.limits.max_body_size_bytes)
        self._counted_size_bytes = 0  # of the unfinished body, within the waiting bytes of all connections
        self._on_reply = self.write_replies
        self._exchanges: list[Exchange] = []  # few, and compiled a list is faster than a deque
        self.is_closing = False
        """True if no further request is accepted."""
        self._is_reading = True
        self._is_writable = True
        self._holds_back = False  # enough is in progress: one more piece of input is kept and waits
        self._is_resting = False  # paused within a large body, while others have their turn
        self._unparsed: memoryview | None = None  # received, and waits for time or room to be parsed
        self._parse_soon: asyncio.Handle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._wait_began_s = self._loop_time_s()
        self._wait_limit_s = _KEEP_ALIVE_TIMEOUT_S
        self._has_replied = False  # since the last check: then the time limit starts at the next one
        self._unsent_size_bytes = 0  # at the last check
        self._unsent_progress_s = 0.0
        self._reply_headers = b""  # further lines of the current request's reply
        self._credential = ""  # what the current request's token adds to the application's name
        self._whole = b""  # the received data, if it began with the current request
        # The head of the last predict request, which the client is likely to send again.
        self._last_head, self._last_size_bytes, self._last_name = b"", 0, ""

    @property
    def unfinished_size_bytes(self) -> int:
        """How much of an unfinished body has been received."""
        return self._counted_size_bytes

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are not asyncio's classes
        self._send = self._transport.write
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.connection_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closing = True
        self._unparsed = None
        self._forget_request()
        self._server.connection_lost(self)
        self._on_reply = _nothing  # no reference cycle: the memory is freed at once
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        for exchange in self._exchanges:
            exchange.abandon()
        self._exchanges.clear()

    def data_received(self, data: bytes) -> None:
        """Answer a predict request at once if its head is known; parse everything else."""
        if self.is_closing:
            return  # data after a rejected request is read and dropped until the client has its reply
        if self._holds_back:
            self._unparsed = memoryview(data)
            self._whole = b""
            self._read_or_pause()
        elif not self._reader.is_fresh:
            self._whole = b""
            self._parse(data)
        elif len(data) == self._last_size_bytes and data.startswith(self._last_head):
            body = data[len(self._last_head) :]
            self._predict(Exchange(self._on_reply, self._waiting, True, len(body)), self._last_name, body)
        elif not self._predict_by_head(data):
            self._whole = data
            self._parse(data)

    def _predict_by_head(self, data: bytes) -> bool:
        """Answer a predict or infer request if its head was seen before, on any connection; return whether it was."""
        head = data[: data.find(b"\r\n\r\n") + 4]
        known = self._find_known_head(head)
        if known is None:
            return self._infer_by_head(data, head)
        if len(data) != len(head) + known[1] or self._server.is_stopping:
            return False
        self._last_head, self._last_size_bytes, self._last_name = head, len(data), known[0]
        self._predict(Exchange(self._on_reply, self._waiting, True, known[1]), known[0], data[len(head) :])
        return True

    def _infer_by_head(self, data: bytes, head: bytes) -> bool:
        known = self._find_known_infer_head(head)
        if known is None or len(data) != len(head) + known[1] or self._server.is_stopping:
            return False
        self._infer(Exchange(self._on_reply, self._waiting, True, known[1]), known[0], data[len(head) :])
        return True

    def _parse(self, data: bytes) -> None:
        """Parse received data, at once if it is short."""
        size_bytes = len(data)
        taken = 0
        if size_bytes <= _SLICE_SIZE_BYTES:
            self._handle(self._reader.feed(data))
            taken = self._reader.taken_size_bytes
        if size_bytes >= RECEIVED_SIZE_BYTES:
            self._is_resting = True  # otherwise uvloop reads up to 8 MB in one turn
            self._server.rest(self)
        if taken < size_bytes:
            self._unparsed = memoryview(data)[taken:]
            self._parse_unparsed()

    def read_on(self) -> None:
        """Resume reading, after other connections had their turn."""
        self._is_resting = False
        self._read_or_pause()

    def pause_writing(self) -> None:
        self._is_writable = False
        self._read_or_pause()

    def resume_writing(self) -> None:
        self._is_writable = True
        self.wait_for(self._present_limit_s())  # its time limit starts now: while it did not read we did not either
        self._read_or_pause()

    # --- requests

    def _parse_unparsed(self) -> None:
        """Parse waiting data; after each slice that ends a request, let other connections have their turn."""
        self._parse_soon = None
        while self._unparsed is not None and not self.is_closing and self._may_take():
            events = self._reader.feed(self._unparsed[: max(_SLICE_SIZE_BYTES, self._reader.missing_size_bytes)])
            taken = self._reader.taken_size_bytes
            self._unparsed = self._unparsed[taken:] if taken < len(self._unparsed) else None
            self._handle(events)
            if any(isinstance(event, Received) for event in events):
                break
        self._read_or_pause()

    def _handle(self, events: list[Event]) -> None:
        """Process what the reader found, up to the end of the connection."""
        for event in events:
            if self.is_closing:
                return
            if isinstance(event, Received):
                self._received(event)
            elif isinstance(event, HeadBegun):
                self._reply_headers, self._credential = b"", ""
                self.wait_for(self._server.limits.header_timeout_s)
            elif isinstance(event, HeadEnded):
                self.wait_for(self._server.limits.body_timeout_s)
                if self._is_admitted(event) and not self._waiting.has_room_for(event.content_length):
                    self.refuse_overload(TOO_MUCH_WAITS)
            else:
                self.refuse(event.status, event.error, event.cause)
        if self._reader.unfinished_size_bytes != self._counted_size_bytes:
            self._count_unfinished()
        if self._reader.owes_continue:
            self._send_continue()

    def _is_admitted(self, head: HeadEnded) -> bool:
        """Return whether a request may be answered; reject it otherwise."""
        verdict = self._server.guard.check(head.method, head.url, head.headers)
        self._reply_headers = verdict.headers
        if isinstance(verdict, Rejected):
            self.refuse(verdict.status, verdict.status.phrase.capitalize(), verdict.cause)
            return False
        if isinstance(verdict, Answered):
            self._begin_last_exchange().finish(verdict.reply)
            return False
        self._credential = verdict.credential
        return True

    def _count_unfinished(self) -> None:
        """Count the received part of a body; if all connections together have too much, reject one body."""
        size_bytes = self._reader.unfinished_size_bytes
        self._waiting.add(size_bytes - self._counted_size_bytes, is_unfinished=True)
        self._counted_size_bytes = size_bytes
        if self._waiting.must_make_room(size_bytes):
            self._server.make_room()

    def _forget_request(self) -> None:
        """Drop the received part of the current request."""
        self._reader.forget_request()
        self._waiting.remove(self._counted_size_bytes, is_unfinished=True)
        self._counted_size_bytes = 0

    def _received(self, event: Received) -> None:
        """Answer a complete request."""
        self._waiting.remove(self._counted_size_bytes, is_unfinished=True)
        self._counted_size_bytes = 0
        method, url, headers, body = event.method, event.url, event.headers, event.body
        keep_alive = event.keep_alive and not self._server.is_stopping
        self.wait_for(_KEEP_ALIVE_TIMEOUT_S)
        origin = find_origin(headers) if event.has_origin else None
        if origin is not None and origin.request_id:
            self._reply_headers += b"X-Request-Id: %b\r\n" % origin.request_id.encode("ascii")
        name = predict_name(url) if self._endpoint is not None and method == b"POST" else None
        if name is not None:
            name += self._credential
            if keep_alive and not self._reply_headers and origin is None:  # else the head is another one each time
                self._server.known_heads.remember(self._whole, name, len(body))
            self._predict(self._new_exchange(keep_alive, len(body)), name, body, origin)
        elif (infer := self._infer_head(event)) is not None:
            if keep_alive and not self._reply_headers and origin is None:
                self._server.known_heads.remember_infer(self._whole, infer, len(body))
            if origin is not None:
                infer = infer._replace(origin=origin)
            self._infer(self._new_exchange(keep_alive, len(body)), infer, body)
        else:
            peer = self._transport.get_extra_info("peername")
            is_https = self._transport.get_extra_info("sslcontext") is not None
            target = path_and_query(url).decode("latin-1")
            request = Request(method.decode("latin-1"), target, headers, body, peer, is_https, self._credential)
            self._take_turns(request, keep_alive=keep_alive)
        self._whole = b""
        if not keep_alive:
            self.is_closing = True

    def _infer_head(self, event: Received) -> InferHead | None:
        """Return what the head of an infer request says, or ``None`` for any other request."""
        if self._infer_endpoint is None or event.method != b"POST":
            return None
        head = infer_head(event.url, event.headers)
        if head is None or not self._credential:
            return head
        return head._replace(application_name=head.application_name + self._credential)

    def _new_exchange(self, keep_alive: bool, size_bytes: int = 0) -> Exchange:
        """Return an exchange for the current request."""
        if not self._reply_headers:
            return Exchange(self._on_reply, self._waiting, keep_alive, size_bytes)
        return ExchangeWithHeaders(self._on_reply, self._waiting, keep_alive, size_bytes, self._reply_headers)

    def _predict(
        self, exchange: Exchange, application_name: str, body: bytes, origin: RequestOrigin | None = None
    ) -> None:
        """Answer a predict request."""
        self._exchanges.append(exchange)
        endpoint = self._endpoint
        assert endpoint is not None
        try:
            if origin is None:
                exchange.cancel = endpoint(application_name, body, self._now_s(), exchange.respond)
            else:
                exchange.cancel = endpoint(application_name, body, self._now_s(), exchange.respond, origin)
        except Exception:
            self._fail(exchange, f"predict {application_name!r}")
        if len(self._exchanges) >= _MAX_PIPELINED or len(body) > LARGE_BODY_SIZE_BYTES:
            self._read_or_pause()

    def _infer(self, exchange: Exchange, head: InferHead, body: bytes) -> None:
        """Answer an infer request."""
        self._exchanges.append(exchange)
        endpoint = self._infer_endpoint
        assert endpoint is not None
        try:
            exchange.cancel = endpoint(head, body, self._now_s(), exchange)
        except Exception:
            self._fail(exchange, f"infer {head.application_name!r}")
        if len(self._exchanges) >= _MAX_PIPELINED or len(body) > LARGE_BODY_SIZE_BYTES:
            self._read_or_pause()

    def _take_turns(self, request: Request, *, keep_alive: bool) -> None:
        """Answer any other request when its reply is next: one at a time, so that a flood delays no other client."""
        exchange = self._new_exchange(keep_alive, len(request.body))
        exchange.start = functools.partial(self._answer_with_tornado, exchange, request)
        self._exchanges.append(exchange)
        self._start_first()
        if len(self._exchanges) >= _MAX_PIPELINED or len(request.body) > LARGE_BODY_SIZE_BYTES:
            self._read_or_pause()

    def refuse_overload(self, cause: str) -> None:
        """Reject the request that is being received, because the server is overloaded."""
        self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Overloaded", cause)

    # --- replies

    def _send_continue(self) -> None:
        """Send ``100 Continue`` to a client that waits for it, unless earlier replies are due."""
        if self._reader.owes_continue and not self._exchanges:
            self._reader.owes_continue = False
            if not self._transport.is_closing():
                self._transport.write(_CONTINUE)

    def _answer_with_tornado(self, exchange: Exchange, request: Request) -> None:
        try:
            exchange.cancel = answer_with_tornado(
                self._server.application, self, request, keep_alive=exchange.keep_alive, finish=exchange.finish
            )
        except HTTPInputError as exc:
            exchange.keep_alive = False
            exchange.respond(HTTPStatus.BAD_REQUEST, rest.format_error("Bad request", f"{exc}."))
        except Exception:
            exchange.keep_alive = False  # a HEAD request's reply has no body, and this one has
            self._fail(exchange, f"{request.method} {request.target.partition('?')[0]}")  # a query may have a token

    def _fail(self, exchange: Exchange, what: str) -> None:
        logger.exception("%s", what)
        exchange.respond(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            rest.format_error("Internal error", "Something went wrong inside the frontend; see its log."),
        )

    def _start_first(self) -> None:
        """Start the request whose reply is next, if it waits for its turn."""
        first = self._exchanges[0]
        if first.start is not None:
            start, first.start = first.start, None
            start()

    def write_replies(self) -> None:
        """Write all replies that are ready and next in order."""
        exchanges = self._exchanges
        if self.is_closing and not exchanges:
            return
        if len(exchanges) == 1 and exchanges[0].keep_alive:  # the usual case
            exchange = exchanges.pop()
            reply = exchange.reply
            if reply is not None:
                self._send(reply)  # a closing transport ignores it
                if exchange.large_body:
                    self._send(exchange.large_body)
            if self._holds_back or not self._is_reading:
                self._read_or_pause()
            if self._reader.has_begun:
                self.wait_for(self._present_limit_s())
            else:
                self._has_replied = True
            return
        replies = []
        while exchanges and exchanges[0].reply is not None:
            exchange = exchanges.pop(0)
            replies.append(exchange.reply)
            if exchange.large_body:
                self._write(replies)
                self._write([exchange.large_body])
                replies = []
            if not exchange.keep_alive:
                self._write(replies)
                self._close()
                return
        self._write(replies)
        if self._holds_back or not self._is_reading:
            self._read_or_pause()
        if not exchanges:
            self.wait_for(self._present_limit_s())
        else:
            self._start_first()

    def _write(self, replies: list[bytes | None]) -> None:
        if replies and not self._transport.is_closing():
            self._transport.write(b"".join(reply for reply in replies if reply is not None))

    def refuse(self, status: HTTPStatus, error: str, cause: str) -> None:
        """Reply with an error, after the requests in progress, and close."""
        if self.is_closing:
            return
        self._begin_last_exchange().respond(status, rest.format_error(error, cause))

    def _begin_last_exchange(self) -> Exchange:
        """Return an exchange for the current request, after whose reply the connection ends."""
        exchange = self._new_exchange(keep_alive=False)
        self._exchanges.append(exchange)
        self.is_closing = True
        self._forget_request()  # its received part is useless now
        return exchange

    def _close(self) -> None:
        """Close after the client has had time to read; it may still be sending."""
        self.is_closing = True
        self._exchanges.clear()
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._linger_timer = self._server.loop.call_later(_LINGER_S, self._transport.close)

    # --- limits

    def reject(self) -> None:
        """Reply that there are too many connections, and close immediately."""
        self.refuse_overload("There are too many connections.")
        self._transport.close()

    def check_timeout(self, now_s: float) -> None:
        """End the connection if the client has exceeded its time limit."""
        if self._has_replied:
            self._has_replied = False
            self._wait_began_s, self._wait_limit_s = now_s, _KEEP_ALIVE_TIMEOUT_S
        if self._is_stalled(now_s):
            self._transport.abort()
        elif self._unsent_size_bytes or self._exchanges or self.is_closing:
            return
        elif now_s - self._wait_began_s > self._wait_limit_s:
            if not self._reader.has_begun:
                self._transport.close()
            else:
                self.refuse(HTTPStatus.REQUEST_TIMEOUT, "Request timeout", "The request did not arrive in time.")

    def _is_stalled(self, now_s: float) -> bool:
        """Return whether the client has read nothing of its replies for too long."""
        unsent_before = self._unsent_size_bytes
        self._unsent_size_bytes = unsent = self._transport.get_write_buffer_size()
        if unsent == 0 or unsent_before == 0 or unsent < unsent_before:
            self._unsent_progress_s = now_s
            return False
        return now_s - self._unsent_progress_s > self._server.limits.reply_timeout_s

    def close_when_idle(self) -> None:
        """Close a connection that is between requests."""
        if not self._exchanges and not self._reader.has_begun:
            self._transport.close()

    def forget_last_head(self) -> None:
        """Look at the server before the next request is answered: it is about to stop."""
        self._last_size_bytes = 0

    def abort(self) -> None:
        """Close immediately."""
        self._transport.abort()

    def _present_limit_s(self) -> float:
        """Return the client's current time limit, once all earlier replies have been sent."""
        if not self._reader.has_begun:
            return _KEEP_ALIVE_TIMEOUT_S
        if self._reader.in_head:
            return self._server.limits.header_timeout_s
        self._send_continue()
        return self._server.limits.body_timeout_s

    def wait_for(self, limit_s: float) -> None:
        """Start a time limit for the client."""
        self._has_replied = False
        self._wait_began_s = self._loop_time_s()
        self._wait_limit_s = limit_s

    def _may_take(self) -> bool:
        """Return whether the client reads its replies and does not have too many requests in progress."""
        return (
            self._is_writable
            and len(self._exchanges) < _MAX_PIPELINED
            and sum(exchange.size_bytes for exchange in self._exchanges) < _MAX_PIPELINED_BYTES
        )

    def _read_or_pause(self) -> None:
        """Continue with data that waits to be parsed while more may be accepted, else read.

        When enough is in progress, one more piece is read: otherwise the end of the connection would go unnoticed.
        """
        if self.is_closing:
            self._unparsed = None
        may_take = self._may_take()
        if may_take and self._unparsed is not None and self._parse_soon is None:
            self._parse_soon = self._server.loop.call_soon(self._parse_unparsed)
        self._holds_back = not may_take
        wanted = self._is_writable and self._unparsed is None and not self._is_resting
        if wanted != self._is_reading and not self._transport.is_closing():
            self._is_reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()


def _nothing() -> None:
    """Ignore replies from now on."""
