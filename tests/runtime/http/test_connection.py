"""HTTP manners of the query frontend's own wire layer, byte by byte over real sockets."""

from __future__ import annotations

import asyncio
import json

import pytest

from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.server import HttpServer
from tests.support.wire_server import Endpoint, ask, post, read_reply, run


def test_a_connection_is_kept_and_http_1_0_is_closed() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for length in (1, 2):
            writer.write(post("/app/predict", b"x" * length))
            status, headers, body = await read_reply(reader)
            assert (status, json.loads(body)) == (200, {"app": "app", "length": length})
            assert headers["content-type"] == "application/json"
        writer.write(post("/app/predict", b"x", "Connection: close"))
        assert (await read_reply(reader))[1]["connection"] == "close"
        assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/app/predict", b"x", version="1.0"))
        assert (await read_reply(reader))[0] == 200
        assert await reader.read() == b""
        writer.close()

    run(talk)


def test_pipelined_replies_keep_the_order_of_their_requests() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        get = b"GET /slow?a=7 HTTP/1.1\r\nHost: x\r\nX-Header: h\r\n\r\n"
        writer.write(post("/later/predict", b"0") + get + post("/app/predict", b"two") + post("/later/predict", b"1"))
        while len(endpoint.kept) < 2:
            await asyncio.sleep(0.01)
        endpoint.release(1)
        await asyncio.sleep(0.05)
        endpoint.release(0)
        bodies = [json.loads((await read_reply(reader))[2]) for _ in range(4)]
        expected = [{"body": "0"}, {"argument": "7", "header": "h"}, {"app": "app", "length": 3}, {"body": "1"}]
        assert bodies == expected
        writer.close()

    run(talk)


def test_more_pipelined_requests_than_the_limit_are_all_answered() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(post("/later/predict", b"%d" % i, f"X-Padding: {'x' * 400}") for i in range(500)))
        for i in range(500):
            while len(endpoint.kept) <= i:
                await asyncio.sleep(0.001)
            endpoint.release(i)
            assert json.loads((await read_reply(reader))[2]) == {"body": str(i)}
        writer.close()

    run(talk)


def test_a_request_may_come_in_any_pieces_chunked_too() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in post("/app/predict", b"pieces"):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert json.loads((await read_reply(reader))[2])["length"] == 6
        for path in ("/app/predict", "/slow"):
            writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            writer.write(b"3\r\nabc\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(b"4\r\ndefg\r\n0\r\n\r\n")
            assert json.loads((await read_reply(reader))[2])["length"] == 7
        writer.close()

    run(talk)


@pytest.mark.parametrize("size_bytes", [50, 600_000], ids=["less than what is read at once", "more"])
def test_interleaved_bodies_of_several_connections_stay_apart(size_bytes: int) -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        bodies = [bytes([letter]) * size_bytes for letter in b"abc"]
        for held_back in (size_bytes // 2, size_bytes // 2, 0, 0):
            for (_, writer), body in zip(streams, bodies, strict=True):
                request = post("/later/predict", body)
                writer.write(request[: len(request) - held_back])
                await writer.drain()
            await asyncio.sleep(0.05)
            for (_, writer), body in reversed(list(zip(streams, bodies, strict=True))):
                writer.write(body[:held_back])
                await writer.drain()
            for index in range(3):
                while len(endpoint.kept) <= index:
                    await asyncio.sleep(0.001)
                endpoint.release(index)
            for (reader, _), body in zip(streams, bodies, strict=True):
                assert json.loads((await read_reply(reader))[2]) == {"body": body.decode()}
            endpoint.kept.clear()
        for _, writer in streams:
            writer.close()

    run(talk, HttpLimits(max_body_size_bytes=1_000_000, header_timeout_s=5.0, body_timeout_s=5.0))


@pytest.mark.parametrize("path", ["/app/predict", "/slow"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_oversized_body_is_refused_while_the_client_still_sends(path: str, is_chunked: bool) -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if is_chunked:
            writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            writer.write(b"200\r\n" + b"x" * 512 + b"\r\n" + b"200\r\n" + b"x" * 512 + b"\r\n")
        else:
            writer.write(post(path, b"x" * 5000))
        status, headers, body = await read_reply(reader)
        assert (status, headers["connection"], json.loads(body)["error"]) == (413, "close", "Payload too large")
        writer.write(b"y" * 10_000)  # what comes after is dropped
        assert await reader.read() == b""
        writer.close()

    run(talk)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"POST /app/predict HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /app/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"GET /slow HTTP/1.1\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    ],
)
def test_malformed_http_is_refused_with_a_json_body(request_bytes: bytes, status: int) -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes)
        got, headers, body = await read_reply(reader)
        assert (got, headers["connection"]) == (status, "close")
        assert set(json.loads(body)) == {"error", "cause"}
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/app/predict", b"fine"))
        assert (await read_reply(reader))[0] == 200
        writer.close()

    run(talk)


@pytest.mark.slow
def test_slow_client_gets_an_error_and_an_idle_one_is_kept() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        async def begin(start: bytes) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(start)
            if start.startswith(first):
                assert (await read_reply(reader))[0] == 200
            status, _, body = await read_reply(reader)
            assert (status, json.loads(body)["error"]) == (408, "Request timeout")
            writer.close()

        idle_reader, idle = await asyncio.open_connection("127.0.0.1", port)
        head, body = b"POST /app/predict HTTP/1.1\r\nHo", post("/app/predict", b"12345")[:-2]
        # Also when the slow request follows one that is answered on the same connection.
        first = post("/app/predict", b"x")
        await asyncio.gather(*map(begin, (b"PO", head, body, first + b"PO", first + head, first + body)))
        idle.write(post("/app/predict", b"x"))
        assert (await read_reply(idle_reader))[0] == 200
        idle.close()

    run(talk, HttpLimits(max_body_size_bytes=1000, header_timeout_s=0.5, body_timeout_s=0.5))


def test_a_client_that_leaves_cancels_its_requests() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/later/predict", b"0") + post("/later/predict", b"1"))
        while len(endpoint.kept) < 2:
            await asyncio.sleep(0.01)
        writer.close()
        while endpoint.cancelled < 2:
            await asyncio.sleep(0.01)
        endpoint.release(0)  # an answer that nobody waits for any more harms nobody

    run(talk)


def test_a_bug_in_the_endpoint_is_a_500_and_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/broken/predict", b"x"))
        status, _, body = await read_reply(reader)
        assert (status, json.loads(body)["error"]) == (500, "Internal error")
        writer.write(post("/app/predict", b"x"))
        assert (await read_reply(reader))[0] == 200
        writer.close()

    run(talk)
    assert "a bug" in caplog.text


def test_upgrade_is_ignored_and_the_request_is_answered() -> None:
    """Java's client offers HTTP/2 this way with its first request."""

    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/app/predict", b"abc", "Connection: Upgrade", "Upgrade: h2c"))
        status, _, body = await read_reply(reader)
        assert (status, json.loads(body)["length"]) == (200, 3)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert (await read_reply(reader))[0] == 200
        writer.write(post("/app/predict", b"abcd"))
        assert json.loads((await read_reply(reader))[2])["length"] == 4
        writer.close()

    run(talk)


def test_stopping_finishes_requests_under_way() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        idle_reader, idle = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/later/predict", b"0"))
        while not endpoint.kept:
            await asyncio.sleep(0.01)
        stopping = asyncio.ensure_future(server.stop(timeout_s=5.0))
        assert await idle_reader.read() == b""
        endpoint.release(0)
        assert json.loads((await read_reply(reader))[2]) == {"body": "0"}
        writer.close()
        await asyncio.wait_for(stopping, 2)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        idle.close()

    run(talk)


def test_unknown_paths_and_methods_go_to_tornado() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        status, _, body = await read_reply(reader)
        assert (status, json.loads(body)["cause"]) == (404, "no /nowhere")
        writer.write(b"DELETE /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await read_reply(reader))[0] == 405
        writer.close()

    run(talk)


def test_options_lists_the_methods_of_a_path() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for target, allowed in (("/slow", "GET, POST, OPTIONS"), ("*", "OPTIONS")):
            writer.write(f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            status, headers, body = await read_reply(reader)
            assert (status, headers["allow"], body) == (204, allowed, b"")
        writer.write(b"OPTIONS /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await read_reply(reader))[0] == 404
        writer.close()

    run(talk)


def test_head_has_no_body_and_the_connection_goes_on() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for target, status in (("/nowhere", 404), ("/slow", 405)):
            writer.write(f"HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status)
        writer.write(post("/app/predict", b"x"))
        assert (await read_reply(reader))[0] == 200
        writer.close()

    run(talk)


def test_a_form_is_not_parsed_and_a_percent_sign_stays_one() -> None:
    async def talk(port: int, endpoint: Endpoint, server: HttpServer) -> None:
        for content_type in ("application/x-www-form-urlencoded", "Multipart/Form-Data; boundary=x"):
            request = post("/slow", b"a=%ff&" * 100, f"Content-Type: {content_type}", "Connection: close")
            assert json.loads((await ask(port, request)).partition(b"\r\n\r\n")[2])["length"] == 600
        reply = await ask(port, b"GET /50%25/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert json.loads(reply.partition(b"\r\n\r\n")[2])["cause"] == "no /50%25/x"

    run(talk)
