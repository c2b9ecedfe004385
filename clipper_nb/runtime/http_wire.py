"""HTTP/1.1 on httptools: predict requests go straight to their endpoint, all others to a Tornado application.

Tornado's own parsing and ``RequestHandler`` cost about nine tenths of the possible throughput, so the predict path
uses neither. Everything else is still ordinary Tornado: requests reach the ``Application`` through its documented
delegate interface (``tornado_bridge.py``).

What one client may cost is bounded: the size of a head, a target, a body and what stands around its chunks; the
requests and bytes that wait for an answer; the replies that it does not take; the time for each; and how much of what
it sent is looked at in one turn of the event loop, so that a flood is not answered before everybody else.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import httptools
from tornado.httputil import HTTPInputError

from clipper_nb.protocol import rest
from clipper_nb.runtime.http_head import head_without_upgrade, path_and_query, predict_name
from clipper_nb.runtime.tornado_bridge import Request, answer_with_tornado

if TYPE_CHECKING:
    from clipper_nb.runtime.http_server import Cancel, HttpServer

logger = logging.getLogger(__name__)

_WATCHED_HEADERS = frozenset({b"host", b"content-length", b"connection", b"transfer-encoding", b"expect"})
_CHUNKED = -1
_MAX_HEAD_SIZE_BYTES = 64 * 1024
_MAX_TARGET_SIZE_BYTES = 8 * 1024
_MAX_HEADERS = 256
_MAX_CHUNK_EXCESS_BYTES = 64 * 1024
_CHUNK_ALLOWANCE_BYTES = 16
_MAX_PIPELINED = 128
_MAX_PIPELINED_BYTES = 1024 * 1024
_LARGE_BODY_SIZE_BYTES = 64 * 1024
_SLICE_SIZE_BYTES = 4096
_KEEP_ALIVE_TIMEOUT_S = 300.0
_LINGER_S = 1.0
_MAX_KNOWN_HEADS = 1024
_MAX_KNOWN_HEAD_SIZE_BYTES = 2048
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_OK_HEADS = [_OK_HEAD % size for size in range(256)]


class _ParsingStopped(Exception):
    """Raised through the parser when nothing more is wanted of it."""


class Exchange:
    """One request and its reply; replies leave in the order of the requests."""

    __slots__ = ("_connection", "cancel", "keep_alive", "reply", "size_bytes", "start")

    def __init__(self, connection: HttpConnection, keep_alive: bool, size_bytes: int = 0) -> None:
        self._connection = connection
        self.keep_alive = keep_alive
        self.size_bytes = size_bytes
        self.reply: bytes | None = None
        self.cancel: Cancel | None = None
        self.start: Callable[[], None] | None = None
        """Begins to answer, when this request's turn has come; only of requests that take turns."""

    def respond(self, status: int, body: bytes) -> None:
        """Reply with a JSON body."""
        if status == 200 and self.keep_alive:  # not HTTPStatus.OK: comparing with an enumeration's member costs more
            size = len(body)
            self.finish((_OK_HEADS[size] if size < 256 else _OK_HEAD % size) + body)
        else:
            head = f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            head += f"Content-Length: {len(body)}\r\n"
            if status == HTTPStatus.SERVICE_UNAVAILABLE:
                head += "Retry-After: 1\r\n"
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
        self._is_closing = False  # no further request is taken
        self._is_reading = True
        self._is_writable = True
        self._unparsed: memoryview | None = None  # received, and waits until there is time or room for it
        self._parse_soon: asyncio.Handle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._wait_began_s = server.loop.time()
        self._wait_limit_s = _KEEP_ALIVE_TIMEOUT_S
        self._unsent_size_bytes = 0  # when it was looked at last
        self._unsent_progress_s = 0.0
        self._head_size_bytes = 0  # received since the last request ended, roughly: pieces are counted whole
        self._chunk_excess_bytes = 0  # received between the data of chunks
        self._content_length = 0
        self._continue_owed_to: list[bytes] | None = None
        self._keep_alive = True
        self._in_head = True
        self._has_begun = False
        self._whole = b""  # what was received, when it began with the request that is parsed now
        self.unfinished_size_bytes = 0
        self._begin_request()

    def _begin_request(self) -> None:
        if self.unfinished_size_bytes:
            self._server.unfinished_size_bytes -= self.unfinished_size_bytes
            self.unfinished_size_bytes = 0
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_size_bytes = 0

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are none of asyncio's classes
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.connection_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self._unparsed = None
        self._begin_request()
        self._server.connection_lost(self)
        if self._linger_timer is not None:
            self._linger_timer.cancel()
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
            if known is not None and len(data) == len(head) + known[1] and not self._server.is_stopping:
                self._predict(known[0], data[len(head) :], keep_alive=True)
                return
        taken = self._feed(data) if len(data) <= _SLICE_SIZE_BYTES else 0
        if taken < len(data):
            self._unparsed = memoryview(data)[taken:]
            self._parse_unparsed()

    def pause_writing(self) -> None:
        self._is_writable = False
        self._read_or_pause()

    def resume_writing(self) -> None:
        self._is_writable = True
        self._wait_for(self._present_limit_s())  # while it did not read we did not, and it could not be quick
        self._read_or_pause()

    # --- parsing

    def _feed(self, data: bytes | memoryview) -> int:
        """Parse *data*; return how many bytes were taken: fewer than all before what a request hides by an upgrade."""
        if self._in_head:
            self._head_size_bytes += len(data)
        elif self._content_length == _CHUNKED:
            self._chunk_excess_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._parse_without_upgrade()
            return int(exc.args[0])
        except httptools.HttpParserError as exc:
            self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", f"This is not HTTP/1.1: {exc}.")
        else:
            if self._in_head:
                if self._head_size_bytes > _MAX_HEAD_SIZE_BYTES:
                    self._refuse_head()
            elif self._content_length == _CHUNKED and self._chunk_excess_bytes > _MAX_CHUNK_EXCESS_BYTES:
                self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", "The chunks have too much besides their data.")
        return len(data)

    def _parse_unparsed(self) -> None:
        """Parse what waits; after each slice that ends a request let other connections have their turn."""
        self._parse_soon = None
        while self._unparsed is not None and not self._is_closing and self._may_take():
            body = self._body
            missing_size_bytes = 0 if self._in_head else self._content_length - self._body_size_bytes
            taken = self._feed(self._unparsed[: max(_SLICE_SIZE_BYTES, missing_size_bytes)])
            self._unparsed = self._unparsed[taken:] if taken < len(self._unparsed) else None
            if self._body is not body:
                break
        self._read_or_pause()

    def _parse_without_upgrade(self) -> None:
        """Parse the request again as if it had not offered another protocol; the parser stopped after its head."""
        method, version = self._parser.get_method(), self._parser.get_http_version()
        self._parser = httptools.HttpRequestParser(self)
        if method == b"CONNECT":
            self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", "This is not a proxy.")
            return
        head = head_without_upgrade(method, self._url, version, self._headers)
        self._begin_request()
        self._feed(head)

    # --- httptools callbacks

    def on_message_begin(self) -> None:
        self._in_head = self._has_begun = True
        self._wait_for(self._server.limits.header_timeout_s)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what follows a chunked body is dropped: it must not pass for a header
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._wait_for(self._server.limits.body_timeout_s)
        self._content_length = 0
        self._keep_alive = self._parser.should_keep_alive()
        size_bytes = len(self._url)
        num_hosts = 0
        may_be_old = not self._keep_alive
        expects_continue = False
        for name, value in self._headers:
            size_bytes += len(name) + len(value)
            lowered = name.lower()
            if lowered in _WATCHED_HEADERS:
                if lowered == b"host":
                    num_hosts += 1
                elif lowered == b"content-length":
                    # The parser has refused what is no number; a long one may begin with zeros.
                    self._content_length = int(value.strip().lstrip(b"0") or b"0")
                elif lowered == b"expect":
                    expects_continue = value.strip().lower() == b"100-continue"
                else:
                    may_be_old = True
                    if lowered == b"transfer-encoding":
                        self._begin_chunks(value)
        if size_bytes > _MAX_HEAD_SIZE_BYTES or len(self._headers) > _MAX_HEADERS:
            self._refuse_head()
        elif len(self._url) > _MAX_TARGET_SIZE_BYTES:
            limit = _MAX_TARGET_SIZE_BYTES
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG, "URI too long", f"The target is larger than {limit} bytes.")
        elif self._content_length > self._server.limits.max_body_size_bytes:
            self._refuse_body()
        elif num_hosts != 1 or may_be_old:
            self._check_version(num_hosts)
        if self._is_closing:
            raise _ParsingStopped
        if expects_continue and self._content_length:
            self._owe_continue()

    def on_chunk_complete(self) -> None:
        self._chunk_excess_bytes = max(0, self._chunk_excess_bytes - _CHUNK_ALLOWANCE_BYTES)

    def on_body(self, body: bytes) -> None:
        self._body_size_bytes += len(body)
        if self._body_size_bytes > self._server.limits.max_body_size_bytes:
            self._refuse_body()
            raise _ParsingStopped
        if self._body_size_bytes != self._content_length:
            self._count_unfinished(len(body))
        self._body.append(body)
        if self._content_length == _CHUNKED:
            # Twice the data is let pass beside it, for clients that send few bytes a chunk.
            self._chunk_excess_bytes = max(0, self._chunk_excess_bytes - 3 * len(body))

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        self._head_size_bytes = 0
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        keep_alive = self._keep_alive and not self._server.is_stopping
        method, url, headers = self._parser.get_method(), self._url, self._headers
        self._begin_request()
        self._in_head = True
        self._has_begun = False
        self._wait_for(_KEEP_ALIVE_TIMEOUT_S)
        name = predict_name(url) if self._server.endpoint is not None and method == b"POST" else None
        if name is not None:
            if keep_alive:
                self._remember_head(name, len(body))
            self._predict(name, body, keep_alive=keep_alive)
        else:
            peer = self._transport.get_extra_info("peername")
            target = path_and_query(url).decode("latin-1")
            request = Request(method.decode("latin-1"), target, headers, body, peer)
            self._take_turns(request, keep_alive=keep_alive)
        if not keep_alive:
            self._is_closing = True
            raise _ParsingStopped

    def _predict(self, application_name: str, body: bytes, *, keep_alive: bool) -> None:
        """Answer a predict request."""
        exchange = Exchange(self, keep_alive, len(body))
        self._exchanges.append(exchange)
        endpoint = self._server.endpoint
        assert endpoint is not None
        try:
            exchange.cancel = endpoint(application_name, body, time.monotonic(), exchange.respond)
        except Exception:
            self._fail(exchange, f"predict {application_name!r}")
        if len(self._exchanges) >= _MAX_PIPELINED or len(body) > _LARGE_BODY_SIZE_BYTES:
            self._read_or_pause()

    def _take_turns(self, request: Request, *, keep_alive: bool) -> None:
        """Answer any other request when its reply is next: one at a time, so that a flood of them holds up nobody."""
        exchange = Exchange(self, keep_alive, len(request.body))
        exchange.start = functools.partial(self._answer_with_tornado, exchange, request)
        self._exchanges.append(exchange)
        self._start_first()
        if len(self._exchanges) >= _MAX_PIPELINED or len(request.body) > _LARGE_BODY_SIZE_BYTES:
            self._read_or_pause()

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

    # --- checks

    def _count_unfinished(self, size_bytes: int) -> None:
        server = self._server
        self.unfinished_size_bytes += size_bytes
        server.unfinished_size_bytes += size_bytes
        if server.unfinished_size_bytes > server.limits.max_unfinished_size_bytes:
            server.make_room()
            if self._is_closing:
                raise _ParsingStopped

    def refuse_unfinished(self) -> None:
        """Give up the request that is being received."""
        self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Overloaded", "There are too many unfinished requests.")

    def _begin_chunks(self, transfer_encoding: bytes) -> None:
        self._content_length = _CHUNKED
        self._chunk_excess_bytes = 0
        if transfer_encoding.strip().lower() != b"chunked":
            self._refuse(
                HTTPStatus.NOT_IMPLEMENTED, "Not implemented", "The only transfer encoding known here is 'chunked'."
            )

    def _check_version(self, num_hosts: int) -> None:
        version = self._parser.get_http_version()
        if version == "1.0":
            self._keep_alive = False
            if self._content_length == _CHUNKED:  # what came between may have read it otherwise
                self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", "HTTP/1.0 has no chunked bodies.")
        elif version != "1.1":
            self._refuse(
                HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP version not supported", "This server speaks HTTP/1.1."
            )
        elif num_hosts != 1:
            self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", f"HTTP/1.1 wants one 'Host' header, not {num_hosts}.")

    def _owe_continue(self) -> None:
        if not self._parser.should_upgrade() and self._parser.get_http_version() != "1.0":
            self._continue_owed_to = self._body
            self._send_continue()

    def _send_continue(self) -> None:
        """Ask for the body, when nothing else is to be said before."""
        if self._continue_owed_to is self._body and not self._in_head and not self._exchanges:
            self._continue_owed_to = None
            if not self._transport.is_closing():
                self._transport.write(_CONTINUE)

    # --- replies

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
            self._fail(exchange, f"{request.method} {request.target}")

    def _fail(self, exchange: Exchange, what: str) -> None:
        logger.exception("%s", what)
        exchange.respond(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            rest.format_error("Internal error", "Something went wrong inside the frontend; see its log."),
        )

    def _start_first(self) -> None:
        """Start the request whose reply is next, if it waits for that."""
        first = self._exchanges[0]
        if first.start is not None:
            start, first.start = first.start, None
            start()

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
            self._wait_for(self._present_limit_s() if self._has_begun else _KEEP_ALIVE_TIMEOUT_S)
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
        else:
            self._start_first()

    def _write(self, replies: list[bytes | None]) -> None:
        if replies and not self._transport.is_closing():
            self._transport.write(b"".join(reply for reply in replies if reply is not None))

    def _refuse_head(self) -> None:
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Header too large",
            f"The request's head is larger than {_MAX_HEAD_SIZE_BYTES} bytes or has more than {_MAX_HEADERS} headers.",
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
        self._begin_request()  # nobody needs what has come of it
        exchange.respond(status, rest.format_error(error, cause))

    def _close(self) -> None:
        """Close when the client has had the time to read; it may still be sending."""
        self._is_closing = True
        self._exchanges.clear()
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._linger_timer = self._server.loop.call_later(_LINGER_S, self._transport.close)

    # --- limits

    def send_away(self) -> None:
        """Tell a client that there are too many, and close at once."""
        self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Overloaded", "There are too many connections.")
        self._transport.close()

    def check_timeout(self, now_s: float) -> None:
        """End the connection when the client has kept us waiting for too long."""
        if self._is_stalled(now_s):
            self._transport.abort()
        elif self._unsent_size_bytes or self._exchanges or self._is_closing:
            return
        elif now_s - self._wait_began_s > self._wait_limit_s:
            if self._is_between_requests():
                self._transport.close()
            else:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT, "Request timeout", "The request did not arrive in time.")

    def _is_stalled(self, now_s: float) -> bool:
        """Return whether the client has taken nothing of its replies for too long."""
        unsent_before = self._unsent_size_bytes
        self._unsent_size_bytes = unsent = self._transport.get_write_buffer_size()
        if unsent == 0 or unsent_before == 0 or unsent < unsent_before:
            self._unsent_progress_s = now_s
            return False
        return now_s - self._unsent_progress_s > self._server.limits.reply_timeout_s

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
        """Return how long the client may keep us waiting now, when every reply before has left."""
        if not self._has_begun:
            return _KEEP_ALIVE_TIMEOUT_S
        if self._in_head:
            return self._server.limits.header_timeout_s
        self._send_continue()
        return self._server.limits.body_timeout_s

    def _wait_for(self, limit_s: float) -> None:
        self._wait_began_s = self._server.loop.time()
        self._wait_limit_s = limit_s

    def _may_take(self) -> bool:
        """Return whether the client takes its replies and has not too much under way."""
        return (
            self._is_writable
            and len(self._exchanges) < _MAX_PIPELINED
            and sum(exchange.size_bytes for exchange in self._exchanges) < _MAX_PIPELINED_BYTES
        )

    def _read_or_pause(self) -> None:
        """Go on with what waits to be parsed, else read, both only while more may be taken."""
        if self._is_closing:
            self._unparsed = None
        may_take = self._may_take()
        if may_take and self._unparsed is not None and self._parse_soon is None:
            self._parse_soon = self._server.loop.call_soon(self._parse_unparsed)
        wanted = may_take and self._unparsed is None
        if wanted != self._is_reading and not self._transport.is_closing():
            self._is_reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
