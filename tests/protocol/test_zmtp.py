"""The wire of ZeroMQ: against libzmq itself, in pieces of any size, and against peers that break its rules."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
import zmq
from hypothesis import example, given
from hypothesis import strategies as st

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol.zmtp import DEALER, ROUTER, ZmtpPeer, encode_message, encode_pieces
from tests.support.examples import examples

frames = st.lists(st.binary(max_size=10) | st.binary(min_size=250, max_size=260), min_size=1, max_size=8)


def _opened(socket_type: bytes = ROUTER, partner: bytes = DEALER) -> ZmtpPeer:
    """Return a peer whose handshake is over."""
    peer = ZmtpPeer(socket_type)
    assert peer.receive(ZmtpPeer(partner).opening()) == []
    assert peer.is_ready
    return peer


# --- libzmq


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as context:
        context.linger = 0
        yield context


def _messages(connected: socket.socket, peer: ZmtpPeer, count: int) -> list[list[bytes]]:
    messages: list[list[bytes]] = []
    while len(messages) < count:
        data = connected.recv(1000)
        assert data, "libzmq closed the connection"
        messages += peer.receive(data)
        if peer.replies:
            connected.sendall(peer.replies)
            peer.replies = b""
    return messages


@pytest.mark.parametrize("heartbeat_ms", [0, 20], ids=["silent", "pings"])
def test_a_dealer_of_libzmq_talks_with_us(listening: socket.socket, context, heartbeat_ms: int) -> None:
    dealer = context.socket(zmq.DEALER)
    dealer.rcvtimeo = 10_000
    dealer.heartbeat_ivl = heartbeat_ms
    dealer.connect("tcp://{}:{}".format(*listening.getsockname()))
    connected, _ = listening.accept()
    with connected:
        connected.settimeout(10)
        peer = ZmtpPeer(ROUTER)
        connected.sendall(peer.opening())
        for number in range(20):
            sent = [b"", b"%d" % number, b"x" * 70_000, b"", b"y" * 255, b"z" * 256]
            dealer.send_multipart(sent)
            assert _messages(connected, peer, 1) == [sent]
            connected.sendall(encode_message(sent))
            assert dealer.recv_multipart() == sent
        dealer.close()


def test_a_router_of_libzmq_talks_with_us(context) -> None:
    router = context.socket(zmq.ROUTER)
    router.rcvtimeo = 10_000
    port = router.bind_to_random_port("tcp://127.0.0.1")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connected:
        peer = ZmtpPeer(DEALER)
        connected.settimeout(10)
        connected.sendall(peer.opening())
        while not peer.is_ready:
            peer.receive(connected.recv(1000))
        connected.sendall(encode_message([b"", b"first"]))
        identity, *received = router.recv_multipart()
        assert received == [b"", b"first"]
        router.send_multipart([identity, b"", b"", b"x" * 100_000])
        assert _messages(connected, peer, 1) == [[b"", b"", b"x" * 100_000]]
    router.close()


# --- pieces


@pytest.mark.slow
@examples(300)
@given(st.lists(frames, max_size=4), st.lists(st.integers(1, 400), max_size=30))
@example([[b"", b"x" * 256]], [1] * 400)
def test_pieces_of_any_size_give_the_same_messages(messages: list[list[bytes]], sizes: list[int]) -> None:
    data = ZmtpPeer(DEALER).opening() + b"".join(map(encode_message, messages))
    peer = ZmtpPeer(ROUTER)
    received = []
    for size in sizes:
        if data[:size]:
            received += peer.receive(data[:size])
        data = data[size:]
    if data:
        received += peer.receive(data)
    assert received == messages


@pytest.mark.slow
@examples(500)
@given(st.lists(st.binary(min_size=1, max_size=100), max_size=10), st.integers(0, 200))
def test_garbage_is_refused_or_understood(pieces: list[bytes], num_good_bytes: int) -> None:
    good = ZmtpPeer(DEALER).opening() + encode_message([b"", b"hello"])
    peer = ZmtpPeer(ROUTER)
    try:
        peer.receive(good[:num_good_bytes] or b"\xff")
        for piece in pieces:
            for message in peer.receive(piece):
                assert message
    except ProtocolError:
        pass


# --- rules

_GREETING = ZmtpPeer(DEALER).opening()[:64]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "does not speak ZMTP"),
        (b"\x01\x00", "does not speak ZMTP"),
        (b"\xff\0\0\0\0\0\0\0\0\x01", "does not speak ZMTP"),
        (b"\xff\0\0\0\0\0\0\0\x01\x7f\x01", "speaks ZMTP 1"),
        (_GREETING[:12] + b"CURVE".ljust(20, b"\0"), "CURVE"),
        (_GREETING + b"\x00\x01x", "before the handshake"),
        (_GREETING + b"\x04\x05\x04PING", "before the handshake"),
        (_GREETING + b"\x04\x07\x05ERROR\x00", "the peer rejected"),
        (_GREETING + b"\x04\x06\x05READY", "does not talk to"),
        (_GREETING + b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB", "SUB.*does not talk to"),
        (_GREETING + b"\x04\x08\x05READY\x09a", "middle of a name"),
        (_GREETING + b"\x04\x09\x05READY\x01a\x00", "middle of a property"),
        (_GREETING + b"\x06" + struct.pack(">Q", 1 << 40), "a command has"),
    ],
)  # fmt: skip
def test_a_peer_that_breaks_the_handshake_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        ZmtpPeer(ROUTER).receive(data)


@pytest.mark.parametrize("flags", [0x08, 0x80, 0x05])
def test_unknown_flags_are_refused(flags: int) -> None:
    with pytest.raises(ProtocolError, match="flags"):
        _opened().receive(bytes((flags, 0)))


def test_a_message_that_is_too_large_is_refused_before_it_came() -> None:
    peer = _opened()
    peer.max_message_size_bytes = 1000
    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        peer.receive(b"\x02" + struct.pack(">Q", 1001))


def test_many_small_frames_are_a_large_message_too() -> None:
    peer = _opened()
    peer.max_message_size_bytes = 1000
    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        peer.receive(b"\x01\x00" * 1000)


def test_a_ping_is_answered_with_its_own_words() -> None:
    peer = _opened()
    assert peer.receive(b"\x04\x09\x04PING\x00\x00ab") == []
    assert peer.replies == b"\x04\x07\x04PONGab"


def test_a_large_frame_in_many_pieces_is_joined_once() -> None:
    peer = _opened()
    frame = bytes(range(256)) * 40_000
    data = encode_message([frame])
    received = []
    for start in range(0, len(data), 4096):
        received += peer.receive(data[start : start + 4096])
    assert received == [[frame]]


def test_large_frames_are_sent_as_they_are():
    large, larger = b"x" * 300_000, b"y" * 2_000_000
    frames = [b"", b"a", large, b"z" * 1000, larger, larger, b"end"]
    pieces = encode_pieces(frames)
    assert b"".join(pieces) == encode_message(frames)
    assert [piece for piece in pieces if len(piece) > 100_000] == [large, larger, larger]
    assert [id(piece) for piece in pieces if len(piece) > 100_000] == [id(large), id(larger), id(larger)]
    assert len(encode_pieces([b"", b"a" * 1000])) == 1
