"""One request of a connection and its reply."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from clipper_nb.runtime.http.endpoint import Cancel
from clipper_nb.runtime.http.waiting_bytes import LARGE_BODY_SIZE_BYTES, WaitingBytes

_OK_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
    b"Content-Length: %d\r\n\r\n"
)
_TENSORS_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n"
    b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n%b\r\n"
)
_LARGE_REPLY_SIZE_BYTES: Final = 256 * 1024
_OK_HEADS: Final = [_OK_HEAD % size for size in range(256)]


class Exchange:
    """One request and its reply; replies are sent in the order of the requests.

    Parameters
    ----------
    on_reply : callable
        Called when the reply is ready.
    waiting : WaitingBytes
        Counts the body until then.
    keep_alive : bool
        Whether the connection stays open after the reply.
    size_bytes : int
        Size of the body.
    """

    __slots__ = ("_on_reply", "_waiting", "cancel", "keep_alive", "large_body", "reply", "size_bytes", "start")

    def __init__(
        self, on_reply: Callable[[], None], waiting: WaitingBytes, keep_alive: bool, size_bytes: int = 0
    ) -> None:
        self._on_reply = on_reply
        self._waiting = waiting
        self.keep_alive = keep_alive
        self.size_bytes = size_bytes
        if size_bytes > LARGE_BODY_SIZE_BYTES:
            waiting.add(size_bytes)
        self.reply: bytes | None = None
        self.large_body = b""
        """The end of a large reply, which is not copied."""
        self.cancel: Cancel | None = None
        self.start: Callable[[], None] | None = None
        """Starts the answer when this request is next; only for requests that take turns."""

    def respond(self, status: int, body: bytes) -> None:
        """Reply with a JSON body."""
        if status == 200 and self.keep_alive:  # not HTTPStatus.OK: comparing with an enum member costs more
            size = len(body)
            if size > _LARGE_REPLY_SIZE_BYTES:
                self.large_body, body = body, b""
            self.finish((_OK_HEADS[size] if size < 256 else _OK_HEAD % size) + body)
        else:
            head = f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            head += f"X-Content-Type-Options: nosniff\r\nContent-Length: {len(body)}\r\n"
            if status == HTTPStatus.SERVICE_UNAVAILABLE:
                head += "Retry-After: 1\r\n"
            if status == HTTPStatus.UNAUTHORIZED:
                head += 'WWW-Authenticate: Bearer realm="clipper_nb"\r\n'
            if not self.keep_alive:
                head += "Connection: close\r\n"
            self.finish(head.encode("ascii") + b"\r\n" + body)

    def respond_with_tensors(self, json_size_bytes: int, body: bytes) -> None:
        """Reply with JSON of that size and binary tensors after it."""
        close = b"" if self.keep_alive else b"Connection: close\r\n"
        head = _TENSORS_HEAD % (json_size_bytes, len(body), close)
        if self.keep_alive and len(body) > _LARGE_REPLY_SIZE_BYTES:
            self.large_body, body = body, b""
        self.finish(head + body)

    def finish(self, reply: bytes) -> None:
        """Reply with these bytes."""
        if self.reply is None:
            self.reply = reply
            self.cancel = None
            if self.size_bytes > LARGE_BODY_SIZE_BYTES:
                self._waiting.remove(self.size_bytes)
            self._on_reply()

    def abandon(self) -> None:
        """Record that the client no longer waits for the reply."""
        if self.reply is None:
            self.reply = b""
            if self.size_bytes > LARGE_BODY_SIZE_BYTES:
                self._waiting.remove(self.size_bytes)
            cancel, self.cancel = self.cancel, None
            if cancel is not None:
                cancel()


class ExchangeWithHeaders(Exchange):
    """A request whose reply has further header lines; *headers* has them, each with its line end."""

    __slots__ = ("_headers",)

    def __init__(
        self,
        on_reply: Callable[[], None],
        waiting: WaitingBytes,
        keep_alive: bool,
        size_bytes: int,
        headers: bytes,
    ) -> None:
        super().__init__(on_reply, waiting, keep_alive, size_bytes)
        self._headers = headers

    def finish(self, reply: bytes) -> None:
        """Reply with these bytes and the further lines, after the first line."""
        status_line, line_end, rest = reply.partition(b"\r\n")
        super().finish(status_line + line_end + self._headers + rest)
