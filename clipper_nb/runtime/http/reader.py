"""Parses one client's bytes into requests: HTTP/1.1 on httptools, with limits on the cost of a request.

The limits are on the size of a head, a target, a body and the framing of its chunks.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from http import HTTPStatus
from typing import Union

import httptools

from clipper_nb.protocol.request_origin import ORIGIN_HEADERS
from clipper_nb.runtime.http.heads import head_without_upgrade

_WATCHED_HEADERS = frozenset(
    {b"host", b"content-length", b"connection", b"transfer-encoding", b"expect", *ORIGIN_HEADERS}
)
_CHUNKED = -1
_MAX_HEAD_SIZE_BYTES = 64 * 1024
_MAX_TARGET_SIZE_BYTES = 8 * 1024
_MAX_HEADERS = 256
_MAX_CHUNK_EXCESS_BYTES = 64 * 1024
_CHUNK_ALLOWANCE_BYTES = 16


class _ParsingStopped(Exception):
    """Raised through the parser to stop it."""


@dataclass(frozen=True)
class HeadBegun:
    """The first bytes of a request were received."""


@dataclass(frozen=True)
class HeadEnded:
    """A head is complete; the body comes next."""

    method: bytes
    url: bytes
    headers: list[tuple[bytes, bytes]]
    content_length: int
    """In bytes; -1 for a chunked body."""


@dataclass(frozen=True)
class Received:
    """A request is complete."""

    method: bytes
    url: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    keep_alive: bool
    has_origin: bool = False
    """Whether a header says where the request comes from."""


@dataclass(frozen=True)
class Refused:
    """A request is rejected; nothing after it is read."""

    status: HTTPStatus
    error: str
    cause: str


Event = Union[HeadBegun, HeadEnded, Received, Refused]


class RequestReader:
    """Reads one connection's requests: bytes in, events out.

    Parameters
    ----------
    max_body_size_bytes : int
    """

    def __init__(self, max_body_size_bytes: int) -> None:
        self._max_body_size_bytes = max_body_size_bytes
        self._events: list[Event] = []
        self._is_refused = False
        self._parser = httptools.HttpRequestParser(self)
        self._head_size_bytes = 0  # received since the last request ended; approximate: whole pieces are counted
        self._chunk_excess_bytes = 0  # received between the data of chunks
        self._content_length = 0
        self._keep_alive = True
        self.in_head = True
        self.has_begun = False
        """True if a part of a request was received; line ends before it do not count."""
        self.taken_size_bytes = 0
        """How much of the last data was consumed; not all, if the parser stops at a request's offer of an upgrade."""
        self.owes_continue = False
        """True if the client waits for ``100 Continue`` before it sends the body."""
        self.unfinished_size_bytes = 0
        """Received part of a body that comes in pieces."""
        self.forget_request()

    def forget_request(self) -> None:
        """Drop the received part of the current request."""
        self.unfinished_size_bytes = 0
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._pieces: io.BytesIO | None = None  # of a body that comes in several pieces
        self._body_size_bytes = 0
        self._has_origin = False
        self.owes_continue = False

    @property
    def is_fresh(self) -> bool:
        """True if nothing at all was received since the last request ended."""
        return not (self.has_begun or self._head_size_bytes)

    @property
    def missing_size_bytes(self) -> int:
        """How much of the body is still to come, if known."""
        return 0 if self.in_head else self._content_length - self._body_size_bytes

    def feed(self, data: bytes | memoryview) -> list[Event]:
        """Parse *data*; return the events in order."""
        self.taken_size_bytes = len(data)
        if not self._is_refused:
            self._parse(data)
        events, self._events = self._events, []  # only the caller keeps their bodies
        return events

    def _parse(self, data: bytes | memoryview) -> None:
        if self.in_head:
            self._head_size_bytes += len(data)
        elif self._content_length == _CHUNKED:
            self._chunk_excess_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self.taken_size_bytes = int(exc.args[0])
            self._parse_without_upgrade()
        except httptools.HttpParserError as exc:
            self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", f"This is not HTTP/1.1: {exc}.")
        else:
            if self.in_head:
                if self._head_size_bytes > _MAX_HEAD_SIZE_BYTES:
                    self._refuse_head()
            elif self._content_length == _CHUNKED and self._chunk_excess_bytes > _MAX_CHUNK_EXCESS_BYTES:
                self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", "The chunks have too much framing for their data.")

    def _parse_without_upgrade(self) -> None:
        """Parse the request again without its offer of another protocol; the parser stopped after its head."""
        method, version = self._parser.get_method(), self._parser.get_http_version()
        self._parser = httptools.HttpRequestParser(self)
        if method == b"CONNECT":
            self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", "This is not a proxy.")
            return
        head = head_without_upgrade(method, self._url, version, self._headers)
        self.forget_request()
        self._parse(head)

    # --- httptools callbacks

    def on_message_begin(self) -> None:
        self.in_head = self.has_begun = True
        self._events.append(HeadBegun())

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:  # a trailer after a chunked body is dropped: it must not be taken for a header
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.in_head = False
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
                    # The parser has already rejected non-numbers; a long number may begin with zeros.
                    self._content_length = int(value.strip().lstrip(b"0") or b"0")
                elif lowered == b"expect":
                    expects_continue = value.strip().lower() == b"100-continue"
                elif lowered in ORIGIN_HEADERS:
                    self._has_origin = True
                else:
                    may_be_old = True
                    if lowered == b"transfer-encoding":
                        self._begin_chunks(value)
        if size_bytes > _MAX_HEAD_SIZE_BYTES or len(self._headers) > _MAX_HEADERS:
            self._refuse_head()
        elif len(self._url) > _MAX_TARGET_SIZE_BYTES:
            limit = _MAX_TARGET_SIZE_BYTES
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG, "URI too long", f"The target is larger than {limit} bytes.")
        elif self._content_length > self._max_body_size_bytes:
            self._refuse_body()
        elif num_hosts != 1 or may_be_old:
            self._check_version(num_hosts)
        if self._is_refused:
            raise _ParsingStopped
        self._events.append(HeadEnded(self._parser.get_method(), self._url, self._headers, self._content_length))
        if expects_continue and self._content_length and not self._parser.should_upgrade():
            self.owes_continue = self._parser.get_http_version() != "1.0"

    def on_chunk_complete(self) -> None:
        self._chunk_excess_bytes = max(0, self._chunk_excess_bytes - _CHUNK_ALLOWANCE_BYTES)

    def on_body(self, body: bytes) -> None:
        self._body_size_bytes += len(body)
        if self._body_size_bytes > self._max_body_size_bytes:
            self._refuse_body()
            raise _ParsingStopped
        if self._body_size_bytes != self._content_length:
            self.unfinished_size_bytes += len(body)
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
            # Framing up to twice the data's size is allowed, for clients that send few bytes per chunk.
            self._chunk_excess_bytes = max(0, self._chunk_excess_bytes - 3 * len(body))

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        self._head_size_bytes = 0
        # Joining the pieces would copy a large body at once; the buffer's content is passed on as it is.
        body = self._body if self._pieces is None else self._pieces.getvalue()
        method = self._parser.get_method()
        self._events.append(Received(method, self._url, self._headers, body, self._keep_alive, self._has_origin))
        self.forget_request()
        self.in_head = True
        self.has_begun = False
        if not self._keep_alive:
            raise _ParsingStopped

    # --- checks

    def _begin_chunks(self, transfer_encoding: bytes) -> None:
        self._content_length = _CHUNKED
        self._chunk_excess_bytes = 0
        if transfer_encoding.strip().lower() != b"chunked":
            self._refuse(
                HTTPStatus.NOT_IMPLEMENTED, "Not implemented", "The only supported transfer encoding is 'chunked'."
            )

    def _check_version(self, num_hosts: int) -> None:
        version = self._parser.get_http_version()
        if version == "1.0":
            self._keep_alive = False
            if self._content_length == _CHUNKED:  # a proxy in between may have read it differently
                self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", "HTTP/1.0 has no chunked bodies.")
        elif version != "1.1":
            self._refuse(
                HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP version not supported", "This server speaks HTTP/1.1."
            )
        elif num_hosts != 1:
            self._refuse(HTTPStatus.BAD_REQUEST, "Bad request", f"HTTP/1.1 needs one 'Host' header, not {num_hosts}.")

    def _refuse(self, status: HTTPStatus, error: str, cause: str) -> None:
        if not self._is_refused:
            self._is_refused = True
            self._events.append(Refused(status, error, cause))

    def _refuse_head(self) -> None:
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Header too large",
            f"The request's head is larger than {_MAX_HEAD_SIZE_BYTES} bytes or has more than {_MAX_HEADERS} headers.",
        )

    def _refuse_body(self) -> None:
        limit = self._max_body_size_bytes
        self._refuse(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Payload too large", f"The body is larger than {limit} bytes."
        )
