"""The HTTP layer against bytes of any kind, in pieces of any size, without sockets."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator

import httptools
import pytest
import tornado.web
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clipper_nb.runtime.http.connection import RECEIVED_SIZE_BYTES, HttpConnection
from clipper_nb.runtime.http.endpoint import Cancel, Respond
from clipper_nb.runtime.http.errors import JsonHandler, UnknownPathHandler
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.server import HttpServer

pytestmark = pytest.mark.slow

LIMITS = HttpLimits(max_body_size_bytes=300, header_timeout_s=5.0, body_timeout_s=5.0)
HOST = b"Host: x\r\n"


class EchoHandler(JsonHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.finish({"tornado": self.get_query_argument("a", "none")})

    async def post(self) -> None:
        self.finish({"tornado": self.request.body.decode("latin-1")})


APPLICATION = tornado.web.Application(
    [(r"/echo", EchoHandler)], default_handler_class=UnknownPathHandler, unknown_path="no {path}",
    log_function=lambda handler: None,
)  # fmt: skip


class Transport:
    """What a connection's transport promises, checked; keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self._is_reading = True
        self.is_eof_written = False
        self.is_closed = False

    def get_extra_info(self, name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write(self, data: bytes) -> None:
        assert not self.is_eof_written
        assert not self.is_closed
        self.written += data

    def write_eof(self) -> None:
        self.is_eof_written = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def is_reading(self) -> bool:
        return self._is_reading

    def pause_reading(self) -> None:
        assert self._is_reading
        self._is_reading = False

    def resume_reading(self) -> None:
        assert not self._is_reading
        self._is_reading = True


class Talk:
    """Brings bytes to a new server's connection and takes what comes back."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __call__(self, *pieces: bytes) -> bytes:
        """Return all replies to *pieces*; the connection must end by itself or when its time is over."""
        server = HttpServer(self._endpoint, APPLICATION, LIMITS)
        server.loop = self._loop
        connection = HttpConnection(server)
        transport = Transport()
        server.connections.add(connection)
        connection._transport = transport  # type: ignore[assignment]
        connection._send = transport.write
        for piece in pieces:
            while piece and not transport.is_closed:
                part, piece = piece[:RECEIVED_SIZE_BYTES], piece[RECEIVED_SIZE_BYTES:]
                connection.data_received(part)
                self._settle(connection)
        assert not connection._exchanges
        connection.check_timeout(self._loop.time())  # the time limit of an idle connection starts here
        connection.check_timeout(self._loop.time() + 1000.0)
        self._settle(connection)
        assert transport.is_eof_written or transport.is_closed
        connection.connection_lost(None)
        return transport.written

    def _settle(self, connection: HttpConnection) -> None:
        turns = 0
        while connection._exchanges or connection._unparsed is not None or not connection._transport.is_reading():
            self._loop.run_until_complete(asyncio.sleep(0))
            turns += 1
            assert turns < 20_000, "it hangs"

    def _endpoint(
        self, name: str, body: bytes, arrived_s: float, respond: Respond, origin: object = None
    ) -> Cancel | None:
        reply = json.dumps({"app": name, "body": body.decode("latin-1")}).encode()
        turns = len(body) % 4 if name.startswith("later") else 0

        def later(turns: int) -> None:
            if turns:
                self._loop.call_soon(later, turns - 1)
            else:
                respond(200, reply)

        later(turns)
        return lambda: None


@pytest.fixture(scope="module")
def talk() -> Iterator[Callable[..., bytes]]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield Talk(loop)
    loop.run_until_complete(asyncio.sleep(0))
    asyncio.set_event_loop(None)
    loop.close()


class Replies:
    """Parses replies, as strictly as the parser of requests."""

    def __init__(self) -> None:
        self.all: list[tuple[int, bytes]] = []
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)

    def parse(self, written: bytes) -> list[tuple[int, bytes]]:
        # Replies to HEAD have no body, which a parser of replies alone cannot know: they are not sent here.
        self._parser.feed_data(written)
        assert self._body == b""
        return [reply for reply in self.all if reply[0] != 100]

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.all.append((self._parser.get_status_code(), self._body))
        self._body = b""


def comparable(written: bytes) -> bytes:
    """Return replies without what may differ: the date, and whether a body that came meanwhile was asked for."""
    return re.sub(rb"\r\nDate: [^\r]*|HTTP/1.1 100 Continue\r\n\r\n", b"", written)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


# --- requests

bodies = st.binary(max_size=30) | st.sampled_from([b"", b"0\r\n\r\n", b"POST /later/predict HTTP/1.1\r\n\r\n"])


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, object]:
    """Draw a valid request on a connection that is kept, and what its reply says."""
    kind = draw(st.sampled_from(["predict", "predict", "later", "get", "post", "unknown"]))
    if kind == "get":
        argument = draw(st.text("abc", min_size=1, max_size=5))
        return b"GET /echo?a=%b HTTP/1.1\r\n%b\r\n" % (argument.encode(), HOST), {"tornado": argument}
    body = draw(bodies)
    name = draw(st.sampled_from(["a", "b", "long-name"])) if kind == "predict" else kind
    target = {"post": b"/echo", "unknown": b"/nothing"}.get(kind, b"/%b/predict" % name.encode())
    extra = draw(st.sampled_from([b"", b"X: y\r\n", b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n",
                                  b"Connection: Upgrade\r\nUpgrade: h2c\r\n"]))  # fmt: skip
    head = b"POST " + draw(st.sampled_from([b"", b"http://h"])) + target + b" HTTP/1.1\r\n" + HOST + extra
    expected: object = {"app": name, "body": body.decode("latin-1")}
    if kind == "post":
        expected = {"tornado": body.decode("latin-1")}
    elif kind == "unknown":
        expected = {"error": "Not found", "cause": "no /nothing"}
    if not draw(st.booleans()):
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body), expected
    chunks = b"".join(
        b"%x%b\r\n%b\r\n" % (len(piece), draw(st.sampled_from([b"", b";a=b"])), piece)
        for piece in cut(body, draw(st.lists(st.integers(0, 30), max_size=3)))
        if piece
    )
    trailer = draw(st.sampled_from([b"", b"Y: z\r\n"]))
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n", expected


FRAGMENTS = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b"\xff", b";", b",", b"0", b"-", b"f" * 16,
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Host: y\r\n",
    b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"HTTP/1.0", b"HTTP/2.0", b"CONNECT ",
    b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", b"x" * 400, b"A: b\r\n" * 300, b"/" * 9000,
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw valid requests after a few changes."""
    data = b"".join(draw(st.lists(requests().map(lambda pair: pair[0]), min_size=1, max_size=4)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 0, 1, 2, 10]))
        data = data[:at] + draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=4)) + data[at + length :]
    return data


# --- properties

places = st.lists(st.integers(0, 2000), max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=8), places)
def test_valid_requests_get_their_own_replies_in_order(talk, requests_and_replies, places) -> None:
    data = b"".join(request for request, _ in requests_and_replies)
    replies = Replies().parse(talk(*cut(data, places)))
    assert [json.loads(body) for _, body in replies] == [expected for _, expected in requests_and_replies]


@settings(max_examples=150, deadline=None)
@given(damaged(), places)
@example(
    b"POST /a/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nConnection: close\r\n\r\nx", [9]
)
@example(
    b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
    b"POST /later/predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
    [35],
)
def test_splitting_the_input_does_not_change_the_http_replies(talk, data, places) -> None:
    if b"HEAD" in data:
        return
    written = talk(data)
    Replies().parse(written)
    assert comparable(talk(*cut(data, places))) == comparable(written)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.lists(st.sampled_from(FRAGMENTS), max_size=20).map(b"".join), places)
def test_any_bytes_are_answered_or_the_connection_closes(talk, data, places) -> None:
    Replies().parse(talk(*cut(data, places)))


@settings(max_examples=10, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=5), st.integers(50, 400), places)
def test_floods_are_answered_in_order(talk, requests_and_replies, times, places) -> None:
    data = b"".join(request for request, _ in requests_and_replies) * times
    replies = Replies().parse(talk(*cut(data, [place * 97 for place in places])))
    assert [json.loads(body) for _, body in replies] == [expected for _, expected in requests_and_replies] * times
