"""Lets another HTTP layer drive a Tornado application, through Tornado's documented interfaces."""

from __future__ import annotations

import re
from asyncio import Future, get_running_loop
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPServerConnectionDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)

_ON_EVERY_REPLY = {
    "X-Content-Type-Options": "nosniff",
    # A browser runs nothing in a reply, and no page shows one inside of it, unless the handler says otherwise.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_FORM = re.compile(rb"\s*(?:application/x-www-form-urlencoded|multipart/form-data)", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """One parsed request."""

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    peer: Any
    is_https: bool = False
    credential: str = ""
    """What a token that is not the cluster's adds to the application's name; handlers that get one must use it."""


@dataclass(frozen=True)
class _Context:
    """The connection's attributes that Tornado's ``HTTPServerRequest`` reads."""

    remote_ip: str
    protocol: str
    credential: str


class _BridgedConnection(HTTPConnection):
    """Collects one reply of the application and passes it on as bytes."""

    def __init__(self, request: Request, *, keep_alive: bool, finish: Callable[[bytes], None]) -> None:
        remote_ip = request.peer[0] if isinstance(request.peer, tuple) else ""
        self.context = _Context(remote_ip, "https" if request.is_https else "http", request.credential)
        self.close_callback: Callable[[], None] | None = None
        self._keep_alive = keep_alive
        self._finish = finish
        self._parts: list[bytes] = []

    def write_headers(
        self,
        start_line: ResponseStartLine | RequestStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> Future[None]:
        assert isinstance(start_line, ResponseStartLine)
        if not self._keep_alive:
            headers["Connection"] = "close"
        for name, value in _ON_EVERY_REPLY.items():
            headers.setdefault(name, value)
        lines = [f"HTTP/1.1 {start_line.code} {start_line.reason}"]
        lines += [f"{name}: {value}" for name, value in headers.get_all()]
        self._parts.append("\r\n".join([*lines, "", ""]).encode("latin-1"))
        return self.write(chunk or b"")

    def write(self, chunk: bytes) -> Future[None]:
        self._parts.append(chunk)
        written: Future[None] = get_running_loop().create_future()
        written.set_result(None)
        return written

    def finish(self) -> None:
        self._finish(b"".join(self._parts))

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Store the callback for when the client disconnects."""
        self.close_callback = callback

    def client_left(self) -> None:
        """Notify the handler."""
        if self.close_callback is not None:
            self.close_callback()


def credential_of(request: HTTPServerRequest) -> str:
    """Return what the token of a request adds to the application's name; nothing if it is the cluster's."""
    assert isinstance(request.connection, _BridgedConnection)
    return request.connection.context.credential


def answer_with_tornado(
    application: HTTPServerConnectionDelegate,
    server_connection: object,
    request: Request,
    *,
    keep_alive: bool,
    finish: Callable[[bytes], None],
) -> Callable[[], None]:
    """Let *application* answer *request* through *finish*; return a callback that reports that the client disconnected.

    Raises
    ------
    HTTPInputError
        Tornado finds that the request's head is not HTTP.
    """
    connection = _BridgedConnection(request, keep_alive=keep_alive, finish=finish)
    delegate = application.start_request(server_connection, connection)
    headers = HTTPHeaders()
    for name, value in request.headers:
        # Tornado would parse every form immediately, and a large one would block all clients. No route accepts forms.
        if name.lower() != b"content-type" or not _FORM.match(value):
            headers.add(name.decode("latin-1"), value.strip(b" \t").decode("latin-1"))
    delegate.headers_received(RequestStartLine(request.method, request.target, "HTTP/1.1"), headers)
    if request.body:
        delegate.data_received(request.body)
    delegate.finish()
    return connection.client_left
