"""Large bodies wait while too much waits, and are freed soon."""

from __future__ import annotations

import asyncio
import json

import pytest

from clipper_nb.runtime.http.connection import RECEIVED_SIZE_BYTES
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.server import HttpServer
from tests.support.wire_server import Endpoint, post, read_reply, run


def test_large_bodies_are_not_read_ahead_of_pending_replies() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/later/predict", b"x" * 900_000) * 12)
        for number in range(12):
            while len(endpoint.kept) <= number:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.02)
            assert len(endpoint.kept) <= number + 2
            endpoint.release(number)
            assert (await read_reply(reader))[0] == 200
        writer.close()

    run(talk, HttpLimits(10**6, 1.0, 5.0))


LARGE = 100_000


@pytest.mark.parametrize("is_chunked", [False, True], ids=["whole", "chunked"])
def test_only_large_bodies_are_refused_while_too_much_waits(is_chunked: bool) -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for number, (_, writer) in enumerate(waiting):
            writer.write(post("/later/predict", b"x" * LARGE))
            while len(endpoint.kept) <= number:
                await asyncio.sleep(0.001)
        assert server.waiting.size_bytes == 2 * LARGE
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if is_chunked:
            writer.write(b"POST /app/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%b\r\n" % (LARGE, b"x" * LARGE))
        else:
            writer.write(post("/app/predict", b"x" * LARGE)[:-LARGE])  # none of the body
        status, headers, body = await read_reply(reader)
        assert (status, headers["retry-after"], json.loads(body)["error"]) == (503, "1", "Overloaded")
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        small = post("/app/predict", b"x" * 500)
        for pieces in ([small], [small[:-400], small[-400:]]):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.01)
            assert (await read_reply(reader))[0] == 200
        endpoint.release(0)
        await read_reply(waiting[0][0])
        writer.write(post("/app/predict", b"x" * LARGE))
        assert (await read_reply(reader))[0] == 200
        writer.close()
        for _, other in waiting:
            other.close()
        while server.connections:
            await asyncio.sleep(0.001)
        assert server.waiting.size_bytes == server.waiting.unfinished_size_bytes == 0

    run(talk, HttpLimits(10 * LARGE, 5.0, 5.0, max_waiting_size_bytes=2 * LARGE + 1000))


def test_a_body_that_is_alone_may_be_larger_than_what_may_wait() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(post("/app/predict", b"x" * (5 * LARGE)))
            assert (await read_reply(reader))[0] == 200
        writer.close()

    run(talk, HttpLimits(10 * LARGE, 5.0, 5.0, max_waiting_size_bytes=LARGE))


@pytest.mark.parametrize("size_bytes", [LARGE, 3_000_000], ids=["read on", "held back"])
@pytest.mark.parametrize("is_complete", [False, True])
def test_large_body_is_freed_when_its_client_leaves(is_complete: bool, size_bytes: int) -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        request = post("/later/predict", b"x" * size_bytes)
        writer.write(request if is_complete else request[:-1])
        while not server.waiting.size_bytes >= size_bytes - 1 or len(endpoint.kept) < is_complete:
            await asyncio.sleep(0.001)
        writer.close()
        while server.connections:
            await asyncio.sleep(0.001)
        assert server.waiting.size_bytes == 0
        assert endpoint.cancelled == is_complete

    run(talk, HttpLimits(size_bytes, 5.0, 5.0))


def test_only_one_large_body_is_read_on_in_each_turn() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        while len(server.connections) < 2:
            await asyncio.sleep(0.001)
        connections = list(server.connections)
        for connection in connections:
            connection.data_received(post("/app/predict", b"x" * 3_000_000)[:RECEIVED_SIZE_BYTES])
        is_reading = [[connection._transport.is_reading() for connection in connections]]
        for _ in range(2):
            await asyncio.sleep(0)
            is_reading.append([connection._transport.is_reading() for connection in connections])
        assert is_reading == [[False, False], [True, False], [True, True]]
        for _, writer in streams:
            writer.close()

    run(talk, HttpLimits(3_000_000, 5.0, 5.0))
