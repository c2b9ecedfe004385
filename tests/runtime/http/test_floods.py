"""Floods of requests and connections, and clients that do not take what they asked for."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from clipper_nb.runtime.http.errors import JsonHandler
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.server import HttpServer
from tests.support.wire_server import Endpoint, post, read_reply, run


def test_a_thousand_pipelined_upgrade_offers_are_answered() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/app/predict", b"abc", "Connection: Upgrade", "Upgrade: h2c") * 1500)
        for _ in range(1500):
            assert json.loads((await read_reply(reader))[2])["length"] == 3
        writer.close()

    run(talk)


def test_a_flood_is_answered_in_turns_with_others() -> None:
    """Of pipelined requests that came at once, only some are looked at in one turn of the event loop."""

    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        other_reader, other = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/flood/predict", b"") * 3000)
        other.write(post("/other/predict", b""))
        for _ in range(3000):
            assert (await read_reply(reader))[0] == 200
        assert (await read_reply(other_reader))[0] == 200
        assert endpoint.seen.index("other") < 2000
        writer.close()
        other.close()

    run(talk)


def test_tornado_requests_of_one_connection_never_overlap() -> None:
    running = most = 0

    class Counting(JsonHandler):
        async def get(self) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1
            self.finish({})

    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        server.application.add_handlers(".*", [("/counting", Counting)])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /counting HTTP/1.1\r\nHost: x\r\n\r\n" * 300)
        for _ in range(300):
            assert (await read_reply(reader))[0] == 200
        assert most == 1
        writer.close()

    run(talk)


@pytest.mark.slow
def test_client_that_never_reads_is_throttled_then_dropped() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        requests = post("/app/predict", b"x") * 100
        loop = asyncio.get_running_loop()
        sent = 0
        dropped = False
        while not dropped:
            try:
                await asyncio.wait_for(loop.sock_sendall(sock, requests), 0.3)
                sent += len(requests)
            except asyncio.TimeoutError:
                dropped = not server.connections
            except OSError:
                dropped = True
            for connection in server.connections:
                assert connection._transport.get_write_buffer_size() < 2**20
                assert len(connection._exchanges) < 500
            assert sent < 2**26
        sock.close()
        while server.connections:
            await asyncio.sleep(0.05)

    run(talk, HttpLimits(1000, 1.0, 1.0, reply_timeout_s=0.5))


def test_a_client_that_reads_slowly_gets_everything() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(post("/large/predict", b"x") * 4)
        for _ in range(4):
            head = await reader.readuntil(b"\r\n\r\n")
            size_bytes = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while size_bytes:
                size_bytes -= len(await reader.read(min(size_bytes, 400_000)))
                await asyncio.sleep(0.01)
        writer.close()

    run(talk, HttpLimits(1000, 1.0, 1.0, reply_timeout_s=1.0))


def test_excess_connections_get_an_error_and_others_are_served() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        for reader, writer in kept:
            writer.write(post("/app/predict", b"x"))
            assert (await read_reply(reader))[0] == 200
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            status, headers, _ = await read_reply(reader)
            assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
            assert await reader.read() == b""
            writer.close()
        for reader, writer in kept:
            writer.write(post("/app/predict", b"x"))
            assert (await read_reply(reader))[0] == 200
        kept[0][1].close()
        while len(server.connections) == 5:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/app/predict", b"x"))
        assert (await read_reply(reader))[0] == 200
        writer.close()
        for _, writer in kept:
            writer.close()

    run(talk, HttpLimits(1000, 1.0, 1.0, max_connections=5))


def test_the_largest_of_too_many_unfinished_bodies_is_refused() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        holding = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        for number, (_, writer) in enumerate(holding):
            writer.write(post("/app/predict", b"x" * 1000)[: -900 + 100 * number])
            await asyncio.sleep(0.05)
        small_reader, small = await asyncio.open_connection("127.0.0.1", port)
        small.write(post("/app/predict", b"x" * 200)[:-1])
        for reader, writer in (holding[4], holding[3]):  # they made room for it
            status, headers, _ = await read_reply(reader)
            assert (status, headers["retry-after"]) == (503, "1")
            writer.close()
        small.write(b"x")
        assert json.loads((await read_reply(small_reader))[2])["length"] == 200
        small.close()
        for number, (reader, writer) in enumerate(holding[:3]):
            writer.write(b"x" * (900 - 100 * number))
            assert json.loads((await read_reply(reader))[2])["length"] == 1000
            writer.close()
        assert server.waiting.size_bytes == 0

    run(talk, HttpLimits(1000, 5.0, 5.0, max_waiting_size_bytes=1000))


def test_large_replies_stay_in_order_between_others() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/later/predict", b"first") + post("/large/predict", b"") + post("/app/predict", b"three"))
        while not endpoint.kept:
            await asyncio.sleep(0.001)
        endpoint.release(0)
        replies = [await read_reply(reader) for _ in range(3)]
        assert [len(body) for _, _, body in replies] == [16, 2_000_000, 27]
        writer.close()

    run(talk)
