"""A client that asks before it sends a body is answered in its turn, and once."""

from __future__ import annotations

import asyncio
import json

import pytest

from clipper_nb.runtime.http.server import HttpServer
from tests.support.wire_server import Endpoint, ask, post, read_reply, run


def test_expect_100_continue_is_answered_before_the_body() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = post("/app/predict", b"body", "Expect: 100-continue")
        writer.write(request[:-4])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert (await read_reply(reader))[0] == 200
        writer.write(post("/app/predict", b"x" * 1001, "Expect: 100-continue")[:-1001])
        assert (await read_reply(reader))[0] == 413
        writer.close()

    run(talk)


def test_expect_is_answered_after_replies_to_earlier_requests() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/later/predict", b"0") + post("/app/predict", b"body", "Expect: 100-continue")[:-4])
        while not endpoint.kept:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        endpoint.release(0)
        assert json.loads((await read_reply(reader))[2]) == {"body": "0"}
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert json.loads((await read_reply(reader))[2])["length"] == 4
        writer.close()

    run(talk)


@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect: 100-Continue "])
def test_expect_with_an_upgrade_is_answered_once(expect: str) -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        request = post("/app/predict", b"abc", "Connection: Upgrade, close", "Upgrade: h2c", expect)
        reply = await ask(port, request)  # the other option of Connection is kept
        assert reply.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")

    run(talk)
