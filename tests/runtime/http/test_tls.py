"""HTTPS of the frontends' own wire layer: who gets an answer, and what a handshake that goes wrong costs."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest
import tornado.web
import uvloop

from clipper_nb.container_managers.tls.authority import renew_identity
from clipper_nb.errors import InvalidRequestError
from clipper_nb.runtime.http.errors import JsonHandler, UnknownPathHandler
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.server import HttpServer
from clipper_nb.runtime.http.tls import make_context
from clipper_nb.runtime.workers.http import SharedHttpServer, make_connection_counts

IDENTITY = renew_identity("c", ["localhost", "127.0.0.1"], None, datetime.now(timezone.utc))
LIMITS = HttpLimits(max_body_size_bytes=10_000_000, header_timeout_s=1, body_timeout_s=10, max_connections=4)
HASTY = HttpLimits(max_body_size_bytes=1000, header_timeout_s=0.3, body_timeout_s=10, max_connections=4)
LARGE = 2_000_000


class Echo(JsonHandler):
    async def get(self) -> None:
        self.finish({"protocol": self.request.protocol})


def endpoint(name, body, arrived_s, respond):
    respond(200, b"x" * LARGE if name == "large" else json.dumps({"length": len(body)}).encode())


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=IDENTITY.authority)


Talk = Callable[[int, HttpServer], Awaitable[None]]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest):
    """Run what talks to a server with TLS on a port of its own, on an event loop of each kind."""

    def run(talk: Talk, limits: HttpLimits = LIMITS) -> None:
        async def main() -> None:
            application = tornado.web.Application(
                [(r"/echo", Echo)], default_handler_class=UnknownPathHandler, unknown_path="no {path}",
                log_function=lambda handler: None,
            )  # fmt: skip
            server = HttpServer(endpoint, application, limits, tls=make_context(IDENTITY.served))
            await serve(server, talk)

        (uvloop.run if request.param == "uvloop" else asyncio.run)(main())

    return run


async def serve(server: HttpServer, talk: Talk) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    await server.start(listening)
    try:
        await asyncio.wait_for(talk(listening.getsockname()[1], server), 30)
    finally:
        await server.stop(timeout_s=1.0)


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=client_context(), server_hostname="localhost")


async def connect_with_little_room(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect with a receive buffer that the kernel does not enlarge, as it may to the size of all replies."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=sock, ssl=client_context(), server_hostname="localhost")


async def read_reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


def post(body: bytes, name: str = "app", *headers: str) -> bytes:
    lines = [f"POST /{name}/predict HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def until(is_true: Callable[[], bool]) -> None:
    while not is_true():
        await asyncio.sleep(0.005)


@pytest.mark.slow
def test_kept_connection_answers_pipelined_and_large_requests(run) -> None:
    async def talk(port: int, server: HttpServer) -> None:
        reader, writer = await connect(port)
        writer.write(post(b"a") + post(b"bc"))
        assert [json.loads((await read_reply(reader))[1])["length"] for _ in range(2)] == [1, 2]
        writer.write(post(b"x" * LARGE))
        assert json.loads((await read_reply(reader))[1])["length"] == LARGE
        writer.write(post(b"", "large"))
        assert (await read_reply(reader))[1] == b"x" * LARGE
        writer.write(b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert await read_reply(reader) == (200, b'{"protocol": "https"}')
        assert await reader.read() == b""
        writer.close()
        await until(lambda: not server.connections)

    run(talk)


def test_large_reply_waits_for_a_client_that_reads_late(run) -> None:
    async def talk(port: int, server: HttpServer) -> None:
        reader, writer = await connect_with_little_room(port)
        for _ in range(4):
            writer.write(post(b"", "large"))
        await until(lambda: any(not connection._is_writable for connection in server.connections))
        for _ in range(4):
            assert (await read_reply(reader))[1] == b"x" * LARGE
        writer.close()

    run(talk)


def test_plain_http_is_closed_without_a_word(run, caplog) -> None:
    async def talk(port: int, server: HttpServer) -> None:
        for garbage in (post(b"a"), b"\x00", b"\x16\x03\x01\x00\x05nonsense"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            if garbage == b"\x00":
                writer.write_eof()
            answer = await reader.read()
            assert b"HTTP" not in answer
            writer.close()
        reader, writer = await connect(port)
        writer.write(post(b"a"))
        assert (await read_reply(reader))[0] == 200
        writer.close()

    with caplog.at_level(logging.INFO):
        run(talk)
    assert [record.message for record in caplog.records] == []


def test_client_that_does_not_trust_us_leaves_no_trace(run, caplog) -> None:
    async def talk(port: int, server: HttpServer) -> None:
        for context in (ssl.create_default_context(), client_context()):
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="other.example")
        await until(lambda: not server.connections)

    with caplog.at_level(logging.INFO):
        run(talk)
    assert [record.message for record in caplog.records] == []


def test_silent_client_is_cut_off_at_the_deadline(run) -> None:
    async def talk(port: int, server: HttpServer) -> None:
        started_s = asyncio.get_running_loop().time()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        assert 0.2 < asyncio.get_running_loop().time() - started_s < 10
        writer.close()

    run(talk, HASTY)


def test_unfinished_handshakes_count_as_connections(run) -> None:
    async def talk(port: int, server: HttpServer) -> None:
        limit = HASTY.max_connections
        assert limit is not None
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(limit)]
        await until(lambda: len(server.unfinished) == limit)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
        await until(lambda: not server.unfinished)
        for _, writer in silent:
            writer.close()

    run(talk, HASTY)


def test_failed_handshakes_leave_no_open_file(run) -> None:
    async def talk(port: int, server: HttpServer) -> None:
        await fail(port)  # an event loop opens files of its own with its first connections
        before = num_open_files()
        for _ in range(50):
            await fail(port)
        await until(lambda: num_open_files() <= before)

    run(talk)


async def fail(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()


def num_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_older_tls_is_refused(run) -> None:
    async def talk(port: int, server: HttpServer) -> None:
        context = client_context()
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")

    run(talk)


def test_unix_socket_beside_speaks_http(run, tmp_path: Path) -> None:
    async def talk(port: int, server: HttpServer) -> None:
        beside = socket.socket(socket.AF_UNIX)
        beside.bind(str(tmp_path / "s"))
        beside.listen()
        beside.setblocking(False)
        await server.start_beside(beside)
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await read_reply(reader) == (200, b'{"protocol": "http"}')
        writer.close()

    run(talk)


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")  # of connections that the client ended: 3.10
@pytest.mark.parametrize("run_loop", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_workers_share_connections_with_tls(tmp_path: Path, run_loop: Callable[..., None]) -> None:
    async def main() -> None:
        counts = make_connection_counts(tmp_path / "connections", 2)
        servers = [
            SharedHttpServer(
                endpoint, None, HttpLimits(1000, 10, 10, max_connections=100), counts, worker,
                tls=make_context(IDENTITY.served),
            )
            for worker in range(2)
        ]  # fmt: skip
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
            for server in servers:
                await server.start(listening.dup())
            connections = await asyncio.gather(*(connect(listening.getsockname()[1]) for _ in range(20)))
        for reader, writer in connections:
            writer.write(post(b"a"))
            assert (await read_reply(reader))[0] == 200
        shares = [len(server.connections) for server in servers]
        # To the end, whatever is found: a loop that is closed with open connections, where warnings are errors, hangs.
        for _, writer in connections:
            writer.close()
        for server in servers:
            await server.stop(timeout_s=1.0)
        assert sum(shares) == 20
        assert min(shares) >= 7  # ten each, unless the machine stalls while one of them is asked

    run_loop(main())
    gc.collect()  # here, where the warning does not count


class FakeCounts:
    """What a worker says of its number of connections."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def tell(self, worker: int, num_connections: int) -> None:
        self.told.append(num_connections)

    def leave(self, worker: int) -> None:
        """Say nothing more."""

    def has_its_share(self, worker: int) -> bool:
        return False


def test_each_connection_counts_once_from_its_handshake_on(run) -> None:
    """While others shake hands, too: one that was left out, or counted twice, went to the wrong worker."""

    async def talk(port: int, server: HttpServer) -> None:
        counts = FakeCounts()
        shared = SharedHttpServer(endpoint, None, LIMITS, counts, 0, tls=make_context(IDENTITY.served))
        listening = socket.create_server(("127.0.0.1", 0))
        await shared.start(listening)
        port = listening.getsockname()[1]
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: len(shared.unfinished) == 1)
        reader, writer = await connect(port)
        writer.write(post(b"a"))
        assert (await read_reply(reader))[0] == 200
        silent.close()
        await until(lambda: not shared.unfinished)
        writer.close()
        await until(lambda: not shared.connections)
        await shared.stop(timeout_s=1.0)
        assert counts.told == [0, 1, 2, 2, 1, 0]

    run(talk)


def test_certificate_that_openssl_cannot_serve_is_refused() -> None:
    other = renew_identity("c", ["localhost"], None, datetime.now(timezone.utc))
    with pytest.raises(InvalidRequestError, match="cannot be served"):
        make_context(other.key + IDENTITY.certificates)
