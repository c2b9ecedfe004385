"""HTTP manners of the query frontend's own wire layer, byte by byte over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable

import pytest
import tornado.web

from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.runtime.http.connection import RECEIVED_SIZE_BYTES
from clipper_nb.runtime.http.endpoint import Cancel, InferHead, InferReply, Respond
from clipper_nb.runtime.http.errors import JsonHandler, UnknownPathHandler
from clipper_nb.runtime.http.guard import OPEN, AccessRules, Guard, Headers, Verdict
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.server import HttpServer

LIMITS = HttpLimits(max_body_size_bytes=1000, header_timeout_s=10.0, body_timeout_s=10.0)


class Endpoint:
    """Answers with the body's length; the application ``later`` keeps requests until they are released."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, Respond]] = []
        self.cancelled = 0
        self.seen: list[str] = []
        self.origins: list[RequestOrigin | None] = []

    def __call__(
        self, name: str, body: bytes, arrived_s: float, respond: Respond, origin: RequestOrigin | None = None
    ) -> Cancel | None:
        self.seen.append(name)
        self.origins.append(origin)
        if name == "large":
            respond(200, b"x" * 2_000_000)
            return None
        if name == "broken":
            raise RuntimeError("a bug")
        if name == "later":
            self.kept.append((body, respond))
            return self._cancel
        respond(200, json.dumps({"app": name, "length": len(body)}).encode())
        return None

    def infer(self, head: InferHead, body: bytes, arrived_s: float, reply: InferReply) -> Cancel | None:
        """Answer with what came, the body as a tensor; the application ``json`` without one."""
        self.seen.append(head.application_name)
        if head.application_name == "broken":
            raise RuntimeError("a bug")
        if head.application_name == "json":
            reply.respond(200, b'{"length":%d}' % len(body))
        else:
            text = json.dumps(head[1:3], default=bytes.decode).encode()
            reply.respond_with_tensors(len(text), text + body)
        return None

    def release(self, index: int) -> None:
        body, respond = self.kept[index]
        respond(200, b'{"body":"%b"}' % body)

    def _cancel(self) -> None:
        self.cancelled += 1


class SlowHandler(JsonHandler):
    async def get(self) -> None:
        await asyncio.sleep(0.02)
        self.finish({"argument": self.get_query_argument("a", "none"), "header": self.request.headers.get("X-Header")})

    async def post(self) -> None:
        self.finish({"length": len(self.request.body), "trailer": self.request.headers.get("X-Trailer")})


def run(
    talk: Callable[[int, Endpoint, HttpServer], Awaitable[None]], limits: HttpLimits = LIMITS, guard: Guard = OPEN
) -> None:
    """Run *talk* against a server on a port of its own."""

    async def main() -> None:
        endpoint = Endpoint()
        application = tornado.web.Application(
            [(r"/slow", SlowHandler)], default_handler_class=UnknownPathHandler, unknown_path="no {path}",
            log_function=lambda handler: None,
        )  # fmt: skip
        server = HttpServer(endpoint, application, limits, guard=guard, infer_endpoint=endpoint.infer)
        listening = socket.create_server(("127.0.0.1", 0))
        await server.start(listening)
        try:
            await asyncio.wait_for(talk(listening.getsockname()[1], endpoint, server), 20)
        finally:
            await server.stop(timeout_s=1.0)

    asyncio.run(main())


async def ask(port: int, request: bytes) -> bytes:
    """Return everything that is sent back until the server closes, which it is asked to do after this request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    reply = await reader.read()
    writer.close()
    return reply


async def read_reply(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split()[1]), headers, body


def post(path: str, body: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


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


# --- requests that may be read in two ways: tests/runtime/http/test_reader.py has all of them

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


# --- 100 Continue


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


# --- other methods


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


# --- floods, and clients that do not take what they asked for


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


# --- who may ask; tests/runtime/http/test_guard.py has all cases

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


# --- infer requests


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
