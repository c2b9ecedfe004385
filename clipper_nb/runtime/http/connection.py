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
from http import HTTPStatus
from typing import Final, Protocol, cast

from tornado.httputil import HTTPInputError, HTTPServerConnectionDelegate

from clipper_nb.protocol import rest
from clipper_nb.protocol.request_origin import RequestOrigin, find_origin
from clipper_nb.runtime.http.endpoint import Endpoint, InferEndpoint, InferHead
from clipper_nb.runtime.http.exchange import Exchange
from clipper_nb.runtime.http.guard import Answered, Guard, Rejected
from clipper_nb.runtime.http.heads import KnownHeads, infer_head, path_and_query, predict_name
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.reader import Event, HeadBegun, HeadEnded, Received
from clipper_nb.runtime.http.replies import KEEP_ALIVE_TIMEOUT_S, MAX_PIPELINED, ReplyingConnection
from clipper_nb.runtime.http.tornado_bridge import Request, answer_with_tornado
from clipper_nb.runtime.http.waiting_bytes import LARGE_BODY_SIZE_BYTES, WaitingBytes

logger = logging.getLogger(__name__)

RECEIVED_SIZE_BYTES: Final = 256_000
"""How much uvloop receives at once; asyncio a little more."""
_SLICE_SIZE_BYTES: Final = 4096
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


class HttpConnection(ReplyingConnection):
    """One client's connection: requests may be pipelined, and replies are sent in their order."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.loop, server.limits, server.waiting)
        self._server = server
        # Looked up once, because each request needs them.
        self._endpoint = server.endpoint
        self._infer_endpoint = server.infer_endpoint
        self._find_known_head = server.known_heads.find
        self._find_known_infer_head = server.known_heads.find_infer
        self._now_s = time.monotonic
        self._credential = ""  # what the current request's token adds to the application's name
        self._whole = b""  # the received data, if it began with the current request
        # The head of the last predict or infer request, which the client is likely to send again.
        self._last_head, self._last_size_bytes, self._last_name = b"", 0, ""
        self._last_infer: InferHead | None = None

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
        """Answer a predict or infer request at once if its head is known; parse everything else."""
        if self.is_closing:
            return  # data after a rejected request is read and dropped until the client has its reply
        if self._holds_back:
            self._unparsed = memoryview(data if self._unparsed is None else b"".join((self._unparsed, data)))
            self._whole = b""
            self._read_or_pause()
        elif not self._reader.is_fresh:
            self._whole = b""
            self._parse(data)
        elif len(data) == self._last_size_bytes and data.startswith(self._last_head):
            body = data[len(self._last_head) :]
            exchange = Exchange(self._on_reply, self._waiting, True, len(body))
            if self._last_infer is not None:
                self._infer(exchange, self._last_infer, body)
            else:
                self._predict(exchange, self._last_name, body)
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
        self._last_infer = None
        self._predict(Exchange(self._on_reply, self._waiting, True, known[1]), known[0], data[len(head) :])
        return True

    def _infer_by_head(self, data: bytes, head: bytes) -> bool:
        known = self._find_known_infer_head(head)
        if known is None or len(data) != len(head) + known[1] or self._server.is_stopping:
            return False
        self._last_head, self._last_size_bytes, self._last_infer = head, len(data), known[0]
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

    def forget_last_head(self) -> None:
        """Look at the server before the next request is answered: it is about to stop."""
        self._last_size_bytes = 0

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
                self.wait_for(self._limits.header_timeout_s)
            elif isinstance(event, HeadEnded):
                self.wait_for(self._limits.body_timeout_s)
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

    def _received(self, event: Received) -> None:
        """Answer a complete request."""
        self._waiting.remove(self._counted_size_bytes, is_unfinished=True)
        self._counted_size_bytes = 0
        method, url, headers, body = event.method, event.url, event.headers, event.body
        keep_alive = event.keep_alive and not self._server.is_stopping
        self.wait_for(KEEP_ALIVE_TIMEOUT_S)
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
        if len(self._exchanges) >= MAX_PIPELINED or len(body) > LARGE_BODY_SIZE_BYTES:
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
        if len(self._exchanges) >= MAX_PIPELINED or len(body) > LARGE_BODY_SIZE_BYTES:
            self._read_or_pause()

    def _take_turns(self, request: Request, *, keep_alive: bool) -> None:
        """Answer any other request when its reply is next: one at a time, so that a flood delays no other client."""
        exchange = self._new_exchange(keep_alive, len(request.body))
        exchange.start = functools.partial(self._answer_with_tornado, exchange, request)
        self._exchanges.append(exchange)
        self._start_first()
        if len(self._exchanges) >= MAX_PIPELINED or len(request.body) > LARGE_BODY_SIZE_BYTES:
            self._read_or_pause()

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


def _nothing() -> None:
    """Ignore replies from now on."""
