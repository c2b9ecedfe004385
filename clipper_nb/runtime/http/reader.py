"""Makes requests of what one client sends: HTTP/1.1 on httptools, with bounds on what a request may cost.

Those are the size of a head, a target, a body and what stands around its chunks.
"""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import TYPE_CHECKING

import httptools

from clipper_nb.runtime.http.heads import head_without_upgrade

if TYPE_CHECKING:
    from clipper_nb.runtime.http.connection import HttpConnection
    from clipper_nb.runtime.http.server import HttpServer

_WATCHED_HEADERS = frozenset({b"host", b"content-length", b"connection", b"transfer-encoding", b"expect"})
_CHUNKED = -1
_MAX_HEAD_SIZE_BYTES = 64 * 1024
_MAX_TARGET_SIZE_BYTES = 8 * 1024
_MAX_HEADERS = 256
_MAX_CHUNK_EXCESS_BYTES = 64 * 1024
_CHUNK_ALLOWANCE_BYTES = 16
TOO_MUCH_WAITS = "Too many bytes of large bodies wait for an answer."


class _ParsingStopped(Exception):
    """Raised through the parser when nothing more is wanted of it."""


class RequestReader:
    """Reads one connection's requests, and hands each to it when it is whole or tells it why it cannot be taken.

    Parameters
    ----------
    connection : HttpConnection
        Takes the requests.
    server : HttpServer
        Has the limits, and counts what is unfinished on all connections.
    """

    def __init__(self, connection: HttpConnection, server: HttpServer) -> None:
        self._connection = connection
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._head_size_bytes = 0  # received since the last request ended, roughly: pieces are counted whole
        self._chunk_excess_bytes = 0  # received between the data of chunks
        self._content_length = 0
        self._keep_alive = True
        self.in_head = True
        self.has_begun = False
        """Whether a part of a request has come; line ends before it are none."""
        self.num_ended = 0
        """Requests that were read or given up."""
        self.owes_continue = False
        """Whether the client waits to be asked for the body."""
        self.unfinished_size_bytes = 0
        """Of the body that is being received, where it comes in pieces."""
        self.forget_request()

    def forget_request(self) -> None:
        """Drop what has come of the present request."""
        if self.unfinished_size_bytes:
            self._server.waiting.remove(self.unfinished_size_bytes, is_unfinished=True)
            self.unfinished_size_bytes = 0
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._pieces: io.BytesIO | None = None  # of a body that comes in several
        self._body_size_bytes = 0
        self.num_ended += 1
        self.owes_continue = False

    @property
    def is_fresh(self) -> bool:
        """Whether nothing at all has come since the last request ended."""
        return not (self.has_begun or self._head_size_bytes)

    @property
    def missing_size_bytes(self) -> int:
        """How much of the body is still to come, as far as one knows."""
        return 0 if self.in_head else self._content_length - self._body_size_bytes

    def feed(self, data: bytes | memoryview) -> int:
        """Parse *data*; return how many bytes were taken: fewer than all before what a request hides by an upgrade."""
        if self.in_head:
            self._head_size_bytes += len(data)
        elif self._content_length == _CHUNKED:
            self._chunk_excess_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._parse_without_upgrade()
            return int(exc.args[0])
        except httptools.HttpParserError as exc:
            self._connection.refuse(HTTPStatus.BAD_REQUEST, "Bad request", f"This is not HTTP/1.1: {exc}.")
        else:
            if self.in_head:
                if self._head_size_bytes > _MAX_HEAD_SIZE_BYTES:
                    self._refuse_head()
            elif self._content_length == _CHUNKED and self._chunk_excess_bytes > _MAX_CHUNK_EXCESS_BYTES:
                self._connection.refuse(
                    HTTPStatus.BAD_REQUEST, "Bad request", "The chunks have too much besides their data."
                )
        return len(data)

    def _parse_without_upgrade(self) -> None:
        """Parse the request again as if it had not offered another protocol; the parser stopped after its head."""
        method, version = self._parser.get_method(), self._parser.get_http_version()
        self._parser = httptools.HttpRequestParser(self)
        if method == b"CONNECT":
            self._connection.refuse(HTTPStatus.BAD_REQUEST, "Bad request", "This is not a proxy.")
            return
        head = head_without_upgrade(method, self._url, version, self._headers)
        self.forget_request()
        self.feed(head)

    # --- httptools callbacks

    def on_message_begin(self) -> None:
        self.in_head = self.has_begun = True
        self._connection.wait_for(self._server.limits.header_timeout_s)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:  # what follows a chunked body is dropped: it must not pass for a header
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.in_head = False
        self._connection.wait_for(self._server.limits.body_timeout_s)
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
            self._connection.refuse(
                HTTPStatus.REQUEST_URI_TOO_LONG, "URI too long", f"The target is larger than {limit} bytes."
            )
        elif self._content_length > self._server.limits.max_body_size_bytes:
            self._refuse_body()
        elif not self._server.waiting.has_room_for(self._content_length):
            self._connection.refuse_overload(TOO_MUCH_WAITS)
        elif num_hosts != 1 or may_be_old:
            self._check_version(num_hosts)
        if self._connection.is_closing:
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
        if self._pieces is not None:
            self._pieces.write(body)
        elif self._body:
            self._pieces = io.BytesIO()
            self._pieces.write(self._body)
            self._pieces.write(body)
            self._body = b""
        else:
            self._body = body
        if self._content_length == _CHUNKED:
            # Twice the data is let pass beside it, for clients that send few bytes a chunk.
            self._chunk_excess_bytes = max(0, self._chunk_excess_bytes - 3 * len(body))

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        self._head_size_bytes = 0
        # Joining them would copy a large body at once; what was written is handed over as it is.
        body = self._body if self._pieces is None else self._pieces.getvalue()
        keep_alive = self._keep_alive and not self._server.is_stopping
        method, url, headers = self._parser.get_method(), self._url, self._headers
        self.forget_request()
        self.in_head = True
        self.has_begun = False
        self._connection.request_received(method, url, headers, body, keep_alive=keep_alive)
        if not keep_alive:
            raise _ParsingStopped

    # --- checks

    def _begin_chunks(self, transfer_encoding: bytes) -> None:
        self._content_length = _CHUNKED
        self._chunk_excess_bytes = 0
        if transfer_encoding.strip().lower() != b"chunked":
            self._connection.refuse(
                HTTPStatus.NOT_IMPLEMENTED, "Not implemented", "The only transfer encoding known here is 'chunked'."
            )

    def _check_version(self, num_hosts: int) -> None:
        version = self._parser.get_http_version()
        if version == "1.0":
            self._keep_alive = False
            if self._content_length == _CHUNKED:  # what came between may have read it otherwise
                self._connection.refuse(HTTPStatus.BAD_REQUEST, "Bad request", "HTTP/1.0 has no chunked bodies.")
        elif version != "1.1":
            self._connection.refuse(
                HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP version not supported", "This server speaks HTTP/1.1."
            )
        elif num_hosts != 1:
            self._connection.refuse(
                HTTPStatus.BAD_REQUEST, "Bad request", f"HTTP/1.1 wants one 'Host' header, not {num_hosts}."
            )

    def _count_unfinished(self, size_bytes: int) -> None:
        server = self._server
        self.unfinished_size_bytes += size_bytes
        server.waiting.add(size_bytes, is_unfinished=True)
        if server.waiting.must_make_room(self.unfinished_size_bytes):
            server.make_room()
            if self._connection.is_closing:
                raise _ParsingStopped

    def _owe_continue(self) -> None:
        if not self._parser.should_upgrade() and self._parser.get_http_version() != "1.0":
            self.owes_continue = True
            self._connection.send_continue()

    def _refuse_head(self) -> None:
        self._connection.refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Header too large",
            f"The request's head is larger than {_MAX_HEAD_SIZE_BYTES} bytes or has more than {_MAX_HEADERS} headers.",
        )

    def _refuse_body(self) -> None:
        limit = self._server.limits.max_body_size_bytes
        self._connection.refuse(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Payload too large", f"The body is larger than {limit} bytes."
        )
