"""What one client costs, told by a loop whose time the test moves: order of replies, room, and time limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import tornado.web

from clipper_nb.runtime.http.endpoint import Respond
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.replies import KEEP_ALIVE_TIMEOUT_S, MAX_PIPELINED
from clipper_nb.runtime.http.server import HttpServer
from tests.support.fake_clock import FakeLoop

LIMITS = HttpLimits(max_body_size_bytes=1000, header_timeout_s=2.0, body_timeout_s=3.0, reply_timeout_s=30.0)
PREDICT = b"POST /app/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n%d"


class Transport(asyncio.Transport):
    """Keeps what is written; the client reads it when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.num_unread_bytes = 0
        self.is_paused = self.is_closed = self.is_aborted = False

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.num_unread_bytes

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Bench:
    """One connection of a server that answers when the test says so."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.waiting: list[Respond] = []
        server = HttpServer(self._answer, tornado.web.Application(), LIMITS)
        server.loop = self.loop  # type: ignore[assignment]
        self.connection = server.make_connection()
        self.transport = Transport()
        self.connection.connection_made(self.transport)

    def _answer(self, name: str, body: bytes, arrived_s: float, respond: Respond, origin: object = None) -> None:
        self.waiting.append(respond)

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)
        self.loop.end_turn()

    def answer(self, position: int) -> None:
        self.waiting[position](200, b"reply %d" % position)
        self.loop.end_turn()

    def check_after(self, seconds: float) -> None:
        self.loop.be_busy(seconds)
        self.connection.check_timeout(self.loop.time())


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_replies_come_in_the_order_of_the_requests(bench: Bench) -> None:
    bench.send(b"".join(PREDICT % number for number in range(3)))
    bench.answer(2)
    bench.answer(1)
    assert bench.transport.written == b""
    bench.answer(0)
    places = [bench.transport.written.index(b"reply %d" % position) for position in range(3)]
    assert places == sorted(places)
    assert not bench.transport.is_closed


def test_refusal_comes_after_the_replies_that_are_due(bench: Bench) -> None:
    bench.send(PREDICT % 1 + b"nonsense\r\n\r\n")
    assert bench.transport.written == b""
    bench.answer(0)
    first, refusal = bench.transport.written.split(b"HTTP/1.1 ")[1:]
    assert (first[:3], refusal[:3]) == (b"200", b"400")
    bench.loop.advance(10.0)
    assert bench.transport.is_closed


def test_nothing_more_is_read_while_enough_waits_for_answers(bench: Bench) -> None:
    bench.send(b"".join(PREDICT % (number % 10) for number in range(4 * MAX_PIPELINED)))
    num_asked = len(bench.waiting)
    assert MAX_PIPELINED <= num_asked < 2 * MAX_PIPELINED  # at most one slice more
    assert bench.transport.is_paused
    for position in range(4 * MAX_PIPELINED):
        bench.answer(position)
    assert bench.transport.written.count(b"HTTP/1.1 200 ") == 4 * MAX_PIPELINED
    assert not bench.transport.is_paused


def test_nothing_is_read_while_the_client_reads_nothing(bench: Bench) -> None:
    bench.connection.pause_writing()
    assert bench.transport.is_paused
    bench.connection.resume_writing()
    assert not bench.transport.is_paused


def test_pieces_that_come_after_a_pause_are_kept(bench: Bench) -> None:
    """asyncio before Python 3.11 hands on every piece that TLS has decrypted, also when the first pauses reading."""
    bench.connection.pause_writing()
    for number in range(3):
        bench.send(PREDICT % number)
    assert bench.waiting == []
    bench.connection.resume_writing()
    for _ in range(3):
        bench.loop.end_turn()
    for number in range(3):
        bench.answer(number)
    assert bench.transport.written.count(b"HTTP/1.1 200 ") == 3


def test_client_that_reads_nothing_of_a_reply_is_cut_off(bench: Bench) -> None:
    bench.transport.num_unread_bytes = 1000
    bench.check_after(0.0)
    bench.check_after(LIMITS.reply_timeout_s - 1)
    assert not bench.transport.is_aborted
    bench.transport.num_unread_bytes = 999  # it reads a little: its time starts again
    bench.check_after(0.0)
    bench.check_after(LIMITS.reply_timeout_s)
    assert not bench.transport.is_aborted
    bench.check_after(1.0)
    assert bench.transport.is_aborted


@pytest.mark.parametrize(
    ("sent", "limit_s"), [(b"POST /app", LIMITS.header_timeout_s), ((PREDICT % 1)[:-1], LIMITS.body_timeout_s)]
)
def test_unfinished_request_is_refused_after_its_time(bench: Bench, sent: bytes, limit_s: float) -> None:
    bench.send(sent)
    bench.check_after(limit_s)
    assert bench.transport.written == b""
    bench.check_after(0.1)
    assert bench.transport.written.startswith(b"HTTP/1.1 408 ")


def test_idle_connection_is_closed_after_its_time(bench: Bench) -> None:
    bench.check_after(KEEP_ALIVE_TIMEOUT_S)
    assert not bench.transport.is_closed
    bench.check_after(0.1)
    assert bench.transport.is_closed


def test_connection_that_waits_for_an_answer_is_not_idle(bench: Bench) -> None:
    bench.send(PREDICT % 1)
    bench.check_after(2 * KEEP_ALIVE_TIMEOUT_S)
    assert not bench.transport.is_closed
    bench.connection.close_when_idle()
    assert not bench.transport.is_closed
    bench.answer(0)
    bench.connection.close_when_idle()
    assert bench.transport.is_closed
