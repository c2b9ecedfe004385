"""Requests that may be read in two ways; ``test_reader.py`` has all of them."""

from __future__ import annotations

import asyncio
import json

import pytest

from clipper_nb.runtime.http.server import HttpServer
from tests.support.wire_server import Endpoint, ask, post, read_reply, run

POST = b"POST /app/predict HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", 400),
        (CHUNKED + b"ffffffffffffffff\r\n" + b"a" * 1001, 413),
        (b"\r\n" * 40_000, 431),
        (b"GET /slow HTTP/1.1\r\nHost: x y\r\n\r\n", 400),  # for Tornado to refuse
    ],
)
def test_ambiguous_request_is_refused_and_ends_the_connection(request_bytes: bytes, status: int) -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        endpoint.seen.clear()
        reply = await ask(port, request_bytes + post("/smuggled/predict", b"x"))
        head, _, body = reply.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"\r\nConnection: close" in head
        assert set(json.loads(body)) == {"error", "cause"}  # one reply, and no second
        assert endpoint.seen == []

    run(talk)


def test_unusual_but_unambiguous_request_is_answered() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        target = b"POST http://other:80/%61pp/predict?a=b HTTP/1.1\r\n"
        reply = await ask(port, b"\r\n\r\n" + target + b"Host: x\r\nConnection: close\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
        assert json.loads(reply.partition(b"\r\n\r\n")[2]) == {"app": "app", "length": 0}

    run(talk)


def test_trailer_is_no_header_of_this_request_or_the_next() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(CHUNKED.replace(b"/app/predict", b"/slow") + b"1\r\na\r\n0\r\nX-Trailer: t\r\n\r\n")
            assert json.loads((await read_reply(reader))[2]) == {"length": 1, "trailer": None}
        writer.close()

    run(talk)


def test_every_head_is_parsed_alone_when_heads_are_remembered() -> None:
    """A head that came before with a body of the same size is not parsed again; nothing else may pass for it."""

    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        known = post("/app/predict", b"abc")
        for _ in range(3):
            writer.write(known)
            assert json.loads((await read_reply(reader))[2]) == {"app": "app", "length": 3}
        for at in (1, 10, len(known) - 1):  # in two pieces
            writer.write(known[:at])
            await asyncio.sleep(0.05)
            writer.write(known[at:])
            assert json.loads((await read_reply(reader))[2]) == {"app": "app", "length": 3}
        for at in (len(known) + 1, 2 * len(known) - 1):  # the second begins in the piece of the first
            writer.write((known * 2)[:at])
            await asyncio.sleep(0.05)
            writer.write((known * 2)[at:])
            for _ in range(2):
                assert json.loads((await read_reply(reader))[2]) == {"app": "app", "length": 3}
        # The bytes of a known request are data when they come as a body.
        writer.write(post("/other/predict", known)[: -len(known)])
        await asyncio.sleep(0.05)
        writer.write(known)
        assert json.loads((await read_reply(reader))[2]) == {"app": "other", "length": len(known)}
        writer.close()

    run(talk)
