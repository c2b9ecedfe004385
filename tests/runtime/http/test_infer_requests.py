"""Requests of V2 are passed on with their tensors, and answered with tensors."""

from __future__ import annotations

import asyncio
import json

import pytest

from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.server import HttpServer
from tests.support.wire_server import Endpoint, ask, post, read_reply, run


def infer(name: str, body: bytes, *headers: str) -> bytes:
    return post(f"/v2/models/{name}/versions/2/infer", body, "Inference-Header-Content-Length: 3", *headers)


@pytest.mark.parametrize("size_bytes", [5, 5_000, 700_000])
def test_tensors_are_passed_on_and_sent_back(size_bytes: int) -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(3):  # the first time the head is parsed
            tensor = bytes([number]) * size_bytes
            writer.write(infer("app", tensor) + post("/app/predict", b"x") + infer("json", b"ab"))
            status, headers, body = await read_reply(reader)
            size = int(headers["inference-header-content-length"])
            assert (status, headers["content-type"]) == (200, "application/octet-stream")
            assert (json.loads(body[:size]), body[size:]) == (["2", "3"], tensor)
            assert json.loads((await read_reply(reader))[2]) == {"app": "app", "length": 1}
            assert json.loads((await read_reply(reader))[2]) == {"length": 2}
        writer.close()

    run(talk, HttpLimits(1_000_000, 5.0, 5.0))


def test_known_head_of_an_infer_request_is_not_parsed_again() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(infer("app", b"tensor"))
            assert (await read_reply(reader))[2].endswith(b"tensor")
            assert (server.known_heads.find_infer(infer("app", b"tensor")[:-6]) or ())[1:] == (6,)
            writer.close()

    run(talk)


def test_connection_may_end_after_tensors() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        head, _, body = (await ask(port, infer("app", b"x" * 300_000, "Connection: close"))).partition(b"\r\n\r\n")
        assert b"\r\nConnection: close" in head
        assert body.endswith(b"x" * 300_000)

    run(talk, HttpLimits(1_000_000, 5.0, 5.0))


def test_fault_of_an_infer_request_is_answered() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        assert (await ask(port, infer("broken", b"x", "Connection: close"))).startswith(b"HTTP/1.1 500 ")

    run(talk)
