"""Multipart messages without pyzmq's own loops, whose conversions of flags cost more than sending and receiving."""

from __future__ import annotations

from collections.abc import Sequence

import zmq

from clipper_nb.protocol.rpc import Frame

_NOW = int(zmq.DONTWAIT)
_MORE_NOW = int(zmq.SNDMORE | zmq.DONTWAIT)
_EVENTS = int(zmq.EVENTS)
_READABLE = int(zmq.POLLIN)


def send_frames(sock: zmq.Socket[bytes], frames: Sequence[Frame]) -> None:
    """Send one message; raises ``zmq.ZMQError`` when that is not possible at once."""
    send = sock.send
    for frame in frames[:-1]:
        send(frame, _MORE_NOW)
    send(frames[-1], _NOW)


def receive_frames(sock: zmq.Socket[bytes]) -> list[bytes]:
    """Return the frames of one message; raises ``zmq.Again`` when none has come."""
    receive = sock.recv
    frame = receive(_NOW, False)
    frames = [frame.bytes]
    while frame.more:
        frame = receive(_NOW, False)
        frames.append(frame.bytes)
    return frames


def has_message(sock: zmq.Socket[bytes]) -> bool:
    """Whether a message has come."""
    return bool(int(sock.get(_EVENTS)) & _READABLE)
