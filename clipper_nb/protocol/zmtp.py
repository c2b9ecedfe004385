"""ZMTP 3.0, the wire protocol of ZeroMQ, as far as DEALER and ROUTER sockets need it. (pure)

Both sides send a greeting and a READY command immediately; after that each message is a sequence of frames. Peers with
version 3.1, such as libzmq, fall back to 3.0. Source: https://rfc.zeromq.org/spec/23/
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol.rpc_fields import Frame

DEALER = b"DEALER"
ROUTER = b"ROUTER"
MAX_MESSAGE_SIZE_BYTES = 1 << 30
"""For a trusted peer."""

_PARTNERS = {ROUTER: (b"DEALER", b"REQ", b"ROUTER"), DEALER: (b"ROUTER", b"REP", b"DEALER")}

_SIGNATURE = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"
_NULL_MECHANISM = b"NULL".ljust(20, b"\0")
_GREETING = _SIGNATURE + b"\x03\x00" + _NULL_MECHANISM + bytes(32)
_MECHANISM_AT = 12

_MORE: Final = 1
_LONG: Final = 2
_COMMAND: Final = 4
_MAX_COMMAND_SIZE_BYTES: Final = 64 * 1024
_LARGE_FRAME_SIZE_BYTES: Final = 64 * 1024
_LONG_HEADER: Final = struct.Struct(">BQ")
_SHORT_HEADERS: Final = [bytes((0, size)) for size in range(256)]
_SHORT_HEADERS_MORE: Final = [bytes((_MORE, size)) for size in range(256)]


def encode_message(frames: Sequence[Frame]) -> bytes:
    """Return the bytes of one message."""
    return b"".join(encode_pieces(frames))


def encode_pieces(frames: Sequence[Frame]) -> list[Frame]:
    """Return the bytes of one message, in one piece unless that would copy a large frame."""
    pieces: list[Frame] = []
    has_large = False
    for frame in frames:
        size = len(frame)
        if size < 256:
            pieces.append(_SHORT_HEADERS_MORE[size])
        else:
            pieces.append(_LONG_HEADER.pack(_MORE | _LONG, size))
            has_large = has_large or size >= _LARGE_FRAME_SIZE_BYTES
        pieces.append(frame)
    pieces[-2] = _SHORT_HEADERS[size] if size < 256 else _LONG_HEADER.pack(_LONG, size)
    return _join_small(pieces) if has_large else [b"".join(pieces)]


def _join_small(pieces: list[Frame]) -> list[Frame]:
    joined: list[Frame] = []
    small: list[Frame] = []
    for piece in pieces:
        if len(piece) < _LARGE_FRAME_SIZE_BYTES:
            small.append(piece)
        else:
            joined += [b"".join(small), piece]
            small = []
    return [*joined, b"".join(small)] if small else joined


class ZmtpPeer:
    """The other side of one connection, as known from the bytes that it sends.

    Parameters
    ----------
    socket_type : bytes
        Our own type, ``DEALER`` or ``ROUTER``.
    max_message_size_bytes : int, optional
        A longer message is an error; may be changed at any time.
    """

    def __init__(self, socket_type: bytes, *, max_message_size_bytes: int = MAX_MESSAGE_SIZE_BYTES) -> None:
        self._socket_type = socket_type
        self.max_message_size_bytes = max_message_size_bytes
        self._has_greeted = False
        self.is_ready = False
        """True when the handshake is complete."""
        self.replies = b""
        """Bytes that the protocol requires us to send; the sender empties this."""
        self._chunks: list[bytes] = []
        self._num_buffered = 0
        self._num_needed = 1
        self._frames: list[bytes] = []
        self._message_size = 0

    def opening(self) -> bytes:
        """Return the first bytes to send: the greeting, and our half of the handshake."""
        properties = b"".join(_property(b"Socket-Type", self._socket_type) + _property(b"Identity", b""))
        body = b"\x05READY" + properties
        return _GREETING + bytes((_COMMAND, len(body))) + body

    def receive(self, data: bytes) -> list[list[bytes]]:
        """Return the messages that *data* completes, each as its frames.

        Raises
        ------
        ProtocolError
            The peer does not speak ZMTP 3, or violates it; the connection is unusable.
        """
        if self._num_buffered:
            # Joined only when a whole frame has arrived, so a large frame is not copied for each of its pieces.
            self._chunks.append(data)
            self._num_buffered += len(data)
            if self._num_buffered < self._num_needed:
                return []
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._num_buffered = 0
        position = 0
        if not self._has_greeted:
            _check_greeting(data)
            if len(data) < len(_GREETING):
                self._keep(data, len(data) + 1)
                return []
            self._has_greeted = True
            position = len(_GREETING)
        return self._take_messages(data, position)

    def _take_messages(self, data: bytes, position: int) -> list[list[bytes]]:
        messages = []
        end = len(data)
        num_needed = 2
        while end - position >= 2:
            flags = data[position]
            if flags & _LONG:
                if end - position < 9:
                    num_needed = 9
                    break
                size = int.from_bytes(data[position + 1 : position + 9], "big")
                start = position + 9
            else:
                size = data[position + 1]
                start = position + 2
            stop = start + size
            if flags > _MORE or not self.is_ready:
                self._check_frame(flags, size)
            if stop > end:
                num_needed = stop - position
                break
            if flags & _COMMAND:
                self._obey(data[start:stop])
            else:
                self._frames.append(data[start:stop])
                if flags & _MORE:
                    self._message_size += size + 64  # many empty frames are not a small message
                else:
                    messages.append(self._frames)
                    self._frames = []
                    self._message_size = 0
            position = stop
        if self._message_size > self.max_message_size_bytes:
            raise ProtocolError(f"a message has more than {self.max_message_size_bytes} bytes")
        if position < end:
            self._keep(data[position:] if position else data, num_needed)
        return messages

    def _keep(self, data: bytes, num_needed: int) -> None:
        self._chunks.append(data)
        self._num_buffered = len(data)
        self._num_needed = num_needed

    def _check_frame(self, flags: int, size: int) -> None:
        if flags & ~(_MORE | _LONG | _COMMAND) or (flags & _COMMAND and flags & _MORE):
            raise ProtocolError(f"a frame has flags {flags:#04x}")
        if flags & _COMMAND:
            if size > _MAX_COMMAND_SIZE_BYTES:
                raise ProtocolError(f"a command has {size} bytes, expected at most {_MAX_COMMAND_SIZE_BYTES}")
        elif not self.is_ready:
            raise ProtocolError("received a message before the handshake was complete")
        elif self._message_size + size > self.max_message_size_bytes:
            raise ProtocolError(f"a message has more than {self.max_message_size_bytes} bytes")

    def _obey(self, body: bytes) -> None:
        name, rest = _short_text(body)
        if name == b"READY" and not self.is_ready:
            socket_type = _properties(rest).get(b"socket-type", b"")
            if socket_type not in _PARTNERS[self._socket_type]:
                raise ProtocolError(f"the peer is a {socket_type!r}, which does not talk to {self._socket_type!r}")
            self.is_ready = True
        elif name == b"PING" and self.is_ready:
            self.replies += bytes((_COMMAND, len(rest[2:18]) + 5)) + b"\x04PONG" + rest[2:18]
        elif name == b"ERROR":
            raise ProtocolError(f"the peer rejected the connection: {_short_text(rest)[0]!r}")
        elif not self.is_ready:
            raise ProtocolError(f"received the command {name!r} before the handshake was complete")


def _check_greeting(data: bytes) -> None:
    """Reject at the first wrong byte: a peer of another protocol may never send a whole greeting."""
    if data[0] != 0xFF or (len(data) > 9 and data[9] != 0x7F):
        raise ProtocolError("the peer does not speak ZMTP")
    if len(data) > 10 and data[10] < 3:
        raise ProtocolError(f"the peer speaks ZMTP {data[10]}, expected 3 (libzmq 4 or later)")
    mechanism = data[_MECHANISM_AT : _MECHANISM_AT + 20]
    if not _NULL_MECHANISM.startswith(mechanism):
        raise ProtocolError(f"the peer requires the security mechanism {mechanism!r}, expected NULL")


def _property(name: bytes, value: bytes) -> list[bytes]:
    return [bytes((len(name),)), name, struct.pack(">I", len(value)), value]


def _properties(data: bytes) -> dict[bytes, bytes]:
    """Return a handshake's properties by lower-case name."""
    properties = {}
    while data:
        name, rest = _short_text(data)
        if len(rest) < 4 or len(rest) < 4 + int.from_bytes(rest[:4], "big"):
            raise ProtocolError("a handshake ends in the middle of a property")
        stop = 4 + int.from_bytes(rest[:4], "big")
        properties[name.lower()] = rest[4:stop]
        data = rest[stop:]
    return properties


def _short_text(data: bytes) -> tuple[bytes, bytes]:
    """Return a text that follows its length in one byte, and the rest."""
    if not data or len(data) < 1 + data[0]:
        raise ProtocolError("a command ends in the middle of a name")
    return data[1 : 1 + data[0]], data[1 + data[0] :]
