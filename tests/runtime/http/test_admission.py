"""Who may ask, at the head of each request; ``test_guard.py`` has all cases."""

from __future__ import annotations

import asyncio
import json

import pytest

from clipper_nb.runtime.http.guard import AccessRules, Guard, Headers, Verdict
from clipper_nb.runtime.http.server import HttpServer
from tests.support.wire_server import Endpoint, ask, post, read_reply, run

STRICT = Guard(AccessRules(allowed_hosts=("x",), allow_origins=("https://app.example",)))
STRANGE = b"POST /app/predict HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 900\r\n\r\n"


def test_strange_head_is_refused_before_its_body_is_sent() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        head, _, body = (await ask(port, STRANGE)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in head
        assert "allowed_hosts" in json.loads(body)["cause"]
        assert endpoint.seen == []

    run(talk, guard=STRICT)


def test_known_heads_are_those_that_were_admitted() -> None:
    class Counting(Guard):
        checked = 0

        def check(self, method: bytes, target: bytes, headers: Headers) -> Verdict:
            self.checked += 1
            return super().check(method, target, headers)

    guard = Counting(AccessRules(allowed_hosts=("x",)))

    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        await ask(port, STRANGE + b"x" * 900)
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(5):
                writer.write(post("/app/predict", b"{}"))
                assert (await read_reply(reader))[0] == 200
            writer.close()
        assert guard.checked == 2  # the strange head, and the other one once for both connections
        assert (await ask(port, STRANGE + b"x" * 900)).startswith(b"HTTP/1.1 421 ")
        assert endpoint.seen == ["app"] * 10

    run(talk, guard=guard)


@pytest.mark.parametrize("path", ["/app/predict", "/large/predict", "/slow", "/nowhere", "/later/x/y"])
def test_every_reply_to_an_allowed_page_says_so(path: str) -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):  # the second time the head has been seen
            writer.write(post(path, b"{}", "Origin: https://app.example"))
            _, headers, _ = await read_reply(reader)
            assert headers["access-control-allow-origin"] == "https://app.example"
            assert headers["vary"] == "Origin"
            assert headers["x-content-type-options"] == "nosniff"
        writer.write(post(path, b"{}"))
        assert "access-control-allow-origin" not in (await read_reply(reader))[1]
        writer.close()

    run(talk, guard=STRICT)


def test_broken_request_gets_no_header_of_the_one_before() -> None:
    """Behind a proxy they may be of two clients, and the first may have got a cookie."""

    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/slow", b"{}", "Origin: https://app.example"))
        assert "access-control-allow-origin" in (await read_reply(reader))[1]
        writer.write(post("/app/predict", b"x" * 1001))
        status, headers, _ = await read_reply(reader)
        assert (status, "access-control-allow-origin" in headers) == (413, False)
        writer.close()

    run(talk, guard=STRICT)


def test_preflight_is_answered_and_a_foreign_one_refused() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        asks = b"Host: x\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n"
        reply = await ask(port, b"OPTIONS /slow HTTP/1.1\r\nOrigin: https://app.example\r\n" + asks + b"\r\n")
        assert reply.startswith(b"HTTP/1.1 204 ")
        assert b"\r\nAccess-Control-Allow-Methods: GET, POST\r\n" in reply
        reply = await ask(port, b"OPTIONS /slow HTTP/1.1\r\nOrigin: http://evil.example\r\n" + asks + b"\r\n")
        assert reply.startswith(b"HTTP/1.1 403 ")
        assert b"Access-Control" not in reply

    run(talk, guard=STRICT)


@pytest.mark.parametrize("path", ["/slow", "/nowhere"])
def test_pages_run_nothing_unless_a_handler_says_otherwise(path: str) -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reply = await ask(port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in reply
        assert b"\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n" in reply

    run(talk)
