"""Bytes in, events out: what each request becomes, whole and in pieces; no connection is needed for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clipper_nb.runtime.http.heads import predict_name
from clipper_nb.runtime.http.reader import Event, HeadBegun, HeadEnded, Received, Refused, RequestReader

HOST = b"Host: x\r\n"
POST = b"POST /app/predict HTTP/1.1\r\n"
SMUGGLED = b"POST /smuggled/predict HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\nx"
MAX_BODY_SIZE_BYTES = 1000
ANY_PIECES = pytest.mark.parametrize("piece_size_bytes", [4096, 7, 1])


def chunked(*lines: bytes, version: bytes = b"1.1") -> bytes:
    head = b"POST /app/predict HTTP/" + version + b"\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + b"\r\n".join(lines) + b"\r\n"


def feed(reader: RequestReader, data: bytes, piece_size_bytes: int = 4096) -> Iterator[Event]:
    """Yield the events of *data*, fed in pieces as a connection does: from where the reader stopped."""
    while data:
        yield from reader.feed(data[:piece_size_bytes])
        data = data[reader.taken_size_bytes :]


def outcome(data: bytes, piece_size_bytes: int = 4096) -> Received | Refused | None:
    """Return what the first request becomes."""
    events = feed(RequestReader(MAX_BODY_SIZE_BYTES), data, piece_size_bytes)
    return next((event for event in events if isinstance(event, (Received, Refused))), None)


@ANY_PIECES
def test_events_are_in_order_and_bodies_are_whole(piece_size_bytes: int) -> None:
    reader = RequestReader(MAX_BODY_SIZE_BYTES)
    data = POST + HOST + b"Content-Length: 5\r\n\r\nwhole" + chunked(b"3", b"abc", b"2", b"de", b"0", b"")
    events = list(feed(reader, data, piece_size_bytes))
    assert [type(event) for event in events] == [HeadBegun, HeadEnded, Received] * 2
    assert [event.content_length for event in events if isinstance(event, HeadEnded)] == [5, -1]
    assert [event.body for event in events if isinstance(event, Received)] == [b"whole", b"abcde"]
    assert (reader.is_fresh, reader.unfinished_size_bytes) == (True, 0)


@ANY_PIECES
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (POST + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
        (POST + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (POST + HOST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
        (POST + HOST + b"Content-Length: +3\r\n\r\nabc", 400),
        (POST + HOST + b"Content-Length: -3\r\n\r\nabc", 400),
        (POST + HOST + b"Content-Length: 0x3\r\n\r\nabc", 400),
        (POST + HOST + b"Content-Length:\r\n\r\nabc", 400),
        (POST + HOST + b"Content-Length: 99999999999999999999999\r\n\r\nabc", 400),
        (POST + HOST + b"Content-Length: 18446744073709551615\r\n\r\nabc", 413),
        (POST + HOST + b"Content-Length: 1001 \r\n\r\n", 413),
        (POST + HOST + b"Content-Length : 3\r\n\r\nabc", 400),
        (POST + HOST + b" Content-Length: 3\r\n\r\nabc", 400),
        (POST + HOST + b"X: a\r\n b\r\nContent-Length: 3\r\n\r\nabc", 400),
        (POST + HOST + b"X: a\nContent-Length: 3\n\nabc", 400),
        (POST + HOST + b"X: a\rContent-Length: 3\r\n\r\nabc", 400),
        (POST + HOST + b"X: a\0b\r\n\r\n", 400),
        (POST + HOST + b"X\0: b\r\n\r\n", 400),
        (POST + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (POST + HOST + b"Transfer-Encoding: identity\r\n\r\n", 501),
        (POST + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (POST + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (POST + HOST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (POST + HOST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
        (chunked(b"0", b"", version=b"1.0"), 400),
        (chunked(b"3;x=" + b"a" * 70_000), 400),
        (chunked(b"3 ", b"abc", b"0", b""), 400),
        (chunked(b"0x3", b"abc", b"0", b""), 400),
        (chunked(b"-3", b"abc", b"0", b""), 400),
        (chunked(b"f" * 17, b"abc"), 400),
        (chunked(b"ffffffffffffffff", b"a" * 1001), 413),
        (chunked(b"3", b"abcd", b"0", b""), 400),
        (chunked(b"3\nabc\n0\n"), 400),
        (chunked(b"3", b"abc", b"0", b"Content-Length: 3", b"", b""), 400),
        (chunked(b"0", b"X-Trailer: " + b"t" * 70_000), 400),
        (chunked(b"0", *[b"X: y"] * 20_000), 400),
        (POST + b"\r\n", 400),
        (POST + HOST + HOST + b"\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /slow HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /slow HTTP/0.9\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", 505),
        (b"GET /slow HTTP/1.2\r\nHost: x\r\n\r\n", 400),
        (b"GET /slow\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /s low HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST /" + b"a" * 9000 + b"/predict HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /slow HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 300 + b"\r\n", 431),
        (b"\r\n" * 40_000, 431),
    ],
)
def test_ambiguous_request_is_refused_and_the_rest_not_read(
    request_bytes: bytes, status: int, piece_size_bytes: int
) -> None:
    events = list(feed(RequestReader(MAX_BODY_SIZE_BYTES), request_bytes + SMUGGLED, piece_size_bytes))
    assert not [event for event in events if isinstance(event, Received)]
    assert isinstance(events[-1], Refused)
    assert events[-1].status == status


@ANY_PIECES
@pytest.mark.parametrize(
    ("request_bytes", "body_size_bytes"),
    [
        (POST + HOST + b"Content-Length: 0000000000000000000000000000000003\r\nConnection: close\r\n\r\nabc", 3),
        (POST + HOST + b"Content-Length: " + b"0" * 5000 + b"3\r\nConnection: close\r\n\r\nabc", 3),
        (POST + HOST + b"Content-Length: 3 \r\nConnection: close\r\n\r\nabc", 3),
        (POST + HOST + b"Connection: close\r\n\r\n", 0),
        (b"POST http://other:80/app/predict?a=b HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", 0),
        (b"POST HTTPS://[::1]/app/predict/ HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", 0),
        (b"POST /%61pp/predict HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", 0),
        (b"\r\n\r\n" + POST + HOST + b"Connection: close\r\n\r\n", 0),
        (b"POST /app/predict HTTP/1.0\r\n\r\n", 0),
        (b"POST /app/predict HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab", 2),
    ],
)
def test_unusual_but_unambiguous_request_is_received(
    request_bytes: bytes, body_size_bytes: int, piece_size_bytes: int
) -> None:
    received = outcome(request_bytes, piece_size_bytes)
    assert isinstance(received, Received)
    assert (predict_name(received.url), len(received.body)) == ("app", body_size_bytes)


@ANY_PIECES
def test_chunk_extensions_and_trailers_are_not_headers(piece_size_bytes: int) -> None:
    lines = [b'3;a=b;c="d"', b"abc", b"01", b"d", b"0", b"X-Trailer: t", b""]
    received = outcome(chunked(*lines), piece_size_bytes)
    assert isinstance(received, Received)
    assert (received.body, dict(received.headers)) == (b"abcd", {b"Host": b"x", b"Transfer-Encoding": b"chunked"})
    received = outcome(chunked(*[b"1;extension=x", b"a"] * 900, b"0", b""), piece_size_bytes)
    assert isinstance(received, Received)
    assert len(received.body) == 900


@pytest.mark.parametrize(
    ("version", "body", "owes"), [(b"1.1", b"abc", True), (b"1.1", b"", False), (b"1.0", b"abc", False)]
)
def test_only_a_body_of_http_1_1_is_asked_for(version: bytes, body: bytes, owes: bool) -> None:
    reader = RequestReader(MAX_BODY_SIZE_BYTES)
    head = b"POST /app/predict HTTP/%b\r\nExpect: 100-continue\r\nContent-Length: %d\r\n" % (version, len(body))
    list(feed(reader, head + HOST + b"\r\n"))
    assert reader.owes_continue is owes
