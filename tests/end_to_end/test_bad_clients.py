"""Clients that are slow, broken, greedy or hostile, on both ports, while well-behaved ones keep asking."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import select
import socket
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from tests.support.clusters import eventually, http_request, observe, pid_of, query, running_cluster
from tests.support.load import Load

pytestmark = pytest.mark.cluster

MAX_BODY_SIZE_BYTES = 4 * 2**20
MIB = 2**20
HEAD_TIMEOUT_S = 2
BODY_TIMEOUT_S = 4


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    """A cluster whose frontend is impatient and takes bodies of 4 MiB, with a number and a text application."""
    with running_cluster(
        "local",
        cache_size=0,
        qf_http_timeout_request=HEAD_TIMEOUT_S,
        qf_http_timeout_content=BODY_TIMEOUT_S,
        max_body_size_bytes=MAX_BODY_SIZE_BYTES,
    ) as conn:
        create_endpoint(conn, "app", "doubles", lambda xs: [x[0] for x in xs], slo_micros=2_000_000, num_replicas=2)
        create_endpoint(conn, "text", "strings", lambda xs: [str(len(x)) for x in xs], slo_micros=10_000_000)
        yield conn


@contextlib.contextmanager
def others_are_served(conn: ClipperConnection, *, max_growth_bytes: int = 150 * MIB) -> Iterator[Load]:
    """Let four clients ask all the while: they get all answers, of a process that is the same and not swollen."""
    frontend = psutil.Process(pid_of(conn, "query_frontend"))
    before_bytes = frontend.memory_info().rss
    largest_bytes = before_bytes
    is_over = threading.Event()

    def watch() -> None:
        nonlocal largest_bytes
        while not is_over.wait(0.05):
            largest_bytes = max(largest_bytes, frontend.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with Load(conn.get_query_addr(), "app", num_clients=4, max_s=100) as load:
            load.wait_for(20)
            yield load
            load.wait_for(100)  # on the same connections as before
    finally:
        is_over.set()
        watching.join()
    assert [reply for reply in load.replies if reply.status != 200 or reply.body["default"]] == []
    assert all(reply.body["output"] == reply.value for reply in load.replies)
    assert pid_of(conn, "query_frontend") == frontend.pid
    assert frontend.is_running()
    assert largest_bytes - before_bytes < max_growth_bytes


def connect(conn: ClipperConnection) -> socket.socket:
    host, port = conn.get_query_addr().split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def head(body_size_bytes: int, application: str = "app") -> bytes:
    return b"POST /%b/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (
        application.encode(),
        body_size_bytes,
    )


def request(body: bytes, application: str = "app") -> bytes:
    return head(len(body), application) + body


def read_all(sock: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65_536):
            received += data
    return received


def send_all_of(sock: socket.socket, data: bytes) -> None:
    """Send; the other side may close before it has it all."""
    with contextlib.suppress(ConnectionError):
        sock.sendall(data)


# --- slow, absent, half gone


@pytest.mark.parametrize("is_head_sent", [False, True], ids=["head", "body"])
def test_slow_requests_time_out(conn: ClipperConnection, is_head_sent: bool) -> None:
    slow = request(b'{"input": [1.0]}' + b" " * 200)
    with others_are_served(conn), contextlib.ExitStack() as closing:
        began_s = time.monotonic()
        clients = [closing.enter_context(connect(conn)) for _ in range(100)]
        start = slow.find(b"\r\n\r\n") + 4 if is_head_sent else 0
        for client in clients:
            client.sendall(slow[: start + 1])
        timeout_s = BODY_TIMEOUT_S if is_head_sent else HEAD_TIMEOUT_S
        sent = start + 1
        answered: list[socket.socket] = []
        while len(answered) < len(clients):  # a byte now and then helps nobody
            assert time.monotonic() - began_s < 30.0, "at this pace the whole would take 50 s"
            time.sleep(0.25)
            for client in clients:
                send_all_of(client, slow[sent : sent + 1])
            sent += 1
            answered, _, _ = select.select(clients, [], [], 0)
        assert time.monotonic() - began_s > timeout_s
        for client in clients:
            assert read_all(client).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "sent", [b"", b"POST /app", head(100) + b"{", request(b"{}")], ids=["none", "head", "body", "all"]
)
def test_half_closed_connections_are_closed(conn: ClipperConnection, sent: bytes) -> None:
    with others_are_served(conn):
        for _ in range(200):
            with connect(conn) as client:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                assert read_all(client)[:13] in ((b"HTTP/1.1 400 ",) if sent == request(b"{}") else (b"",))


def test_clients_that_vanish_mid_request_leave_no_connection(conn: ClipperConnection) -> None:
    frontend = psutil.Process(pid_of(conn, "query_frontend"))
    with others_are_served(conn):
        open_before = frontend.num_fds()
        for number in range(300):
            client = connect(conn)
            client.sendall(request(b'{"input": [%d.5]}' % number) * 3)
            if number % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, no goodbye
            client.close()
        eventually(lambda: frontend.num_fds() <= open_before + 5, within_s=20, what="their connections are closed")


def test_ten_thousand_idle_connections_are_kept_and_served(conn: ClipperConnection) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    num_idle = min(10_000, hard - 1500)
    frontend = psutil.Process(pid_of(conn, "query_frontend"))
    frontend_soft, frontend_hard = frontend.rlimit(psutil.RLIMIT_NOFILE)
    assert frontend_soft == frontend_hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with others_are_served(conn, max_growth_bytes=400 * MIB) as load, contextlib.ExitStack() as closing:
            idle = [closing.enter_context(connect(conn)) for _ in range(num_idle)]
            load.wait_for(100)
            assert frontend.num_fds() > num_idle
            for number, client in enumerate(idle[:: num_idle // 100]):
                client.sendall(request(b'{"input": [%d]}' % number))
                assert b'"output":%d.0,' % number in client.recv(1000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    eventually(lambda: frontend.num_fds() < 200, within_s=30, what="the idle connections are closed")


def test_frontend_out_of_files_serves_its_clients_and_idles(conn: ClipperConnection) -> None:
    frontend = psutil.Process(pid_of(conn, "query_frontend"))
    limits = frontend.rlimit(psutil.RLIMIT_NOFILE)
    with others_are_served(conn) as load, contextlib.ExitStack() as closing:
        kept = closing.enter_context(connect(conn))
        kept.sendall(request(b'{"input": [1]}'))
        assert kept.recv(1000)
        frontend.rlimit(psutil.RLIMIT_NOFILE, (frontend.num_fds() + 10, limits[1]))
        try:
            for _ in range(100):
                closing.enter_context(connect(conn))
            load.wait_for(200)
            assert kept.send(request(b'{"input": [2]}'))
            assert b'"output":2.0' in kept.recv(1000)
        finally:
            frontend.rlimit(psutil.RLIMIT_NOFILE, limits)
    with contextlib.ExitStack() as closing:
        frontend.rlimit(psutil.RLIMIT_NOFILE, (frontend.num_fds() + 10, limits[1]))
        try:
            for _ in range(100):
                closing.enter_context(connect(conn))
            time.sleep(0.5)
            before_s = sum(frontend.cpu_times()[:2])
            time.sleep(1.0)
            assert sum(frontend.cpu_times()[:2]) - before_s < 0.5
        finally:
            frontend.rlimit(psutil.RLIMIT_NOFILE, limits)
    assert query(conn, "app", {"input": [7.0]})[1]["output"] == 7.0


# --- large, deep, broken


@pytest.mark.parametrize("is_chunked", [False, True], ids=["whole", "chunked"])
def test_bodies_up_to_the_limit_are_accepted_and_larger_refused(conn: ClipperConnection, is_chunked: bool) -> None:
    def ask(size_bytes: int) -> bytes:
        body = b'{"input":"' + b"x" * (size_bytes - 12) + b'"}'
        with connect(conn) as client:
            if is_chunked:
                send_all_of(
                    client, b"POST /text/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                for at in range(0, size_bytes, 50_000):
                    piece = body[at : at + 50_000]
                    send_all_of(client, b"%x\r\n%b\r\n" % (len(piece), piece))
                send_all_of(client, b"0\r\n\r\n")
            else:
                send_all_of(client, request(body, "text"))
            return client.recv(1000)

    with others_are_served(conn):
        for _ in range(5):
            assert b'"output":%d,' % (MAX_BODY_SIZE_BYTES - 12) in ask(MAX_BODY_SIZE_BYTES)
            assert ask(MAX_BODY_SIZE_BYTES + 1).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * MAX_BODY_SIZE_BYTES,
        b'{"input":' + b"[" * 2 * MIB + b"]" * MIB,
        b'{"a":' * 500_000,
        b'{"input":[' + b"1" * 3 * MIB + b"]}",
        b'{"input":[1e' + b"9" * 3 * MIB + b"]}",
        b'{"input":[1],"version":' + b"1" * 3 * MIB + b"}",
        b'{"input":[NaN]}',
        b'{"input":[Infinity]}',
        b'{"input":["\xff\xfe"]}',
        b'{"\xff": 1}',
        b'{"input":"\\ud800"}',
        b"\xef\xbb\xbf" + b'{"input":[1]}',
        b'{"input_batch":[' + b"[]," * (MIB - 100) + b"[]]}",
        b'{"' + b"k" * 3 * MIB + b'":1}',
        b"\0" * MIB,
        b"",
    ],
    ids=lambda body: repr(body[:14]),
)
def test_bad_bodies_are_refused_and_the_connection_goes_on(conn: ClipperConnection, body: bytes) -> None:
    with others_are_served(conn), connect(conn) as client:
        for _ in range(5):
            client.sendall(request(body))
            received = client.makefile("rb")
            assert received.readline().startswith(b"HTTP/1.1 400 ")
            size_bytes = 0
            while (line := received.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                size_bytes = int(value) if name.lower() == b"content-length" else size_bytes
            assert set(json.loads(received.read(size_bytes))) == {"error", "cause"}
        client.sendall(request(b'{"input": [3]}'))
        assert b'"output":3.0,' in client.recv(1000)


def test_largest_batches_leave_time_for_other_clients(conn: ClipperConnection) -> None:
    with others_are_served(conn):
        for _ in range(3):
            status, reply = query(conn, "app", {"input_batch": [[float(i)] for i in range(MAX_BATCH_INPUTS)]})
            assert status == 200
            assert len(reply["batch_predictions"]) == MAX_BATCH_INPUTS
            outputs = [answer["output"] for answer in reply["batch_predictions"] if not answer["default"]]
            assert outputs == sorted(outputs)


def test_garbage_is_refused(conn: ClipperConnection) -> None:
    chance = random.Random(5)
    with others_are_served(conn):
        for number in range(300):
            garbage = chance.randbytes(chance.choice([1, 10, 1000, 100_000]))
            if number % 3 == 1:
                garbage = request(b'{"input": [1]}', "nobody")[: chance.randrange(40)] + garbage
            with connect(conn) as client:
                send_all_of(client, garbage + b"\r\n\r\n\r\n")
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_WR)
                assert read_all(client)[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5", b"")


# --- floods


@pytest.mark.parametrize(
    "flood",
    [
        request(b'{"input": [1]}'),
        request(b"{}"),
        request(b"{}", "nobody"),
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 2000000\r\n\r\n" + b"a&" * MIB,
        b"\r\n" * 100,
    ],
    ids=lambda flood: repr(flood[:14]),
)
def test_pipelined_floods_without_a_reader_disturb_no_other(conn: ClipperConnection, flood: bytes) -> None:
    with others_are_served(conn) as load, contextlib.ExitStack() as closing:
        clients = [closing.enter_context(connect(conn)) for _ in range(10)]
        piece = memoryview(flood * max(1, 200_000 // len(flood)))
        sent = [0] * len(clients)
        for client in clients:
            client.setblocking(False)
        stop_s = time.monotonic() + 1.0  # long before, no more is taken from those whom nobody reads
        while time.monotonic() < stop_s:
            for number, client in enumerate(clients):
                with contextlib.suppress(OSError):
                    sent[number] += client.send(piece[sent[number] % len(piece) :])
            time.sleep(0.005)
        load.wait_for(20)


def test_a_pipelined_flood_is_answered_in_order(conn: ClipperConnection) -> None:
    with others_are_served(conn), connect(conn) as client:
        num_requests = 3000
        flood = b"".join(request(b'{"input": [%d]}' % number) for number in range(num_requests))
        sending = threading.Thread(target=client.sendall, args=(flood,))
        sending.start()
        received = client.makefile("rb")
        outputs = []
        while len(outputs) < num_requests:
            line = received.readline()
            assert line
            if line.startswith(b"Content-Length: "):
                received.readline()
                outputs.append(json.loads(received.read(int(line[16:])))["output"])
        sending.join()
        assert outputs == list(range(num_requests))


# --- the RPC port


def _rpc_connect(conn: ClipperConnection) -> socket.socket:
    return socket.create_connection(("127.0.0.1", conn.cm.clipper_rpc_port), timeout=30)  # type: ignore[attr-defined]


_GREETING = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY = b"\x04\x26\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0"


@pytest.mark.parametrize(
    "sent",
    [
        [b""],
        [b"\xff"],
        [_GREETING[:30]],
        [_GREETING, _READY[:10]],
        [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
        [_GREETING, b"\x06" + b"\xff" * 8],
        [_GREETING, _READY, b"\x02" + b"\x7f" * 8 + b"x" * 1000],
        [_GREETING, _READY, b"\x01\0" * 100_000],
        [_GREETING, _READY, b"\0\0" * 100_000],
        [_GREETING, _READY, b"\x01\0\0\x04\x02\0\0\0" * 20_000],
        [random.Random(7).randbytes(100_000)],
        [_GREETING, _READY, random.Random(8).randbytes(100_000)],
    ],
    ids=lambda sent: repr(b"".join(sent)[-12:]),
)
def test_garbage_at_the_rpc_port_disturbs_no_other(conn: ClipperConnection, sent: list[bytes]) -> None:
    replicas = set(conn.get_all_model_replicas())
    with others_are_served(conn) as load, contextlib.ExitStack() as closing:
        for number in range(60):
            stranger = closing.enter_context(_rpc_connect(conn))
            for piece in sent:
                send_all_of(stranger, piece)
            if number % 2:  # the others hang about
                stranger.close()
        load.wait_for(100)
    assert set(conn.get_all_model_replicas()) == replicas


def test_replica_joins_beside_thousands_of_rpc_strangers(conn: ClipperConnection) -> None:
    before = {container.pid for container in observe(conn, "replica")}
    with others_are_served(conn, max_growth_bytes=300 * MIB), contextlib.ExitStack() as closing:
        for _ in range(3000):
            closing.enter_context(_rpc_connect(conn))
        conn.set_num_replicas("app", 3)
        assert before < {container.pid for container in observe(conn, "replica")}
        assert len(conn.get_all_model_replicas()) == len(before) + 1
    conn.set_num_replicas("app", 2)
    status, _ = http_request(conn.get_query_addr(), "GET", "/readyz")
    assert status == 200
