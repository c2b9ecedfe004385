"""A request's id reaches the endpoint and comes back."""

from __future__ import annotations

import asyncio

from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.runtime.http.server import HttpServer
from tests.support.wire_server import Endpoint, ask, post, run


def with_id(request_id: bytes, path: bytes = b"POST /app/predict", *, more: bytes = b"") -> bytes:
    head = b"%b HTTP/1.1\r\nHost: x\r\nX-Request-Id: %b\r\n%bContent-Length: 2\r\n\r\n" % (path, request_id, more)
    return head + b"{}"


def test_request_id_reaches_the_endpoint_and_the_reply() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request_id in (b"a", b"a", b"b"):
            writer.write(with_id(request_id))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(26)
            assert b"\r\nX-Request-Id: %b\r\n" % request_id in head
        writer.write(post("/app/predict", b"{}"))
        assert b"X-Request-Id" not in await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert endpoint.origins == [RequestOrigin("a"), RequestOrigin("a"), RequestOrigin("b"), None]

    run(talk)


def test_pages_answer_with_the_request_id_too() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        assert b"\r\nX-Request-Id: a-1\r\n" in await ask(
            port, with_id(b"a-1", b"POST /slow", more=b"Connection: close\r\n")
        )

    run(talk)


def test_request_id_of_odd_characters_is_not_sent_back() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        assert b"X-Request-Id" not in await ask(port, with_id(b"a b", more=b"Connection: close\r\n"))
        assert endpoint.origins == [None]

    run(talk)
