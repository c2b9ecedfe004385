"""A model container with nothing but pyzmq: it answers each list of doubles with its mean.

It speaks Clipper's RPC version 3 with clipper_nb's error answer and goodbyes. docs/protocol.md has the tables.
"""

from __future__ import annotations

import logging
import os
import signal
import statistics
import struct
import time
import traceback
from pathlib import Path

import zmq

MODEL = os.environ["CLIPPER_MODEL_NAME"].encode()
VERSION = os.environ["CLIPPER_MODEL_VERSION"].encode()
ADDRESS = f"tcp://{os.environ.get('CLIPPER_IP', '127.0.0.1')}:{os.environ.get('CLIPPER_PORT', '7000')}"
READY_FILE = Path("/tmp/ready")  # for the image's health check

U32 = struct.Struct("<I")  # all integers are little-endian
U64 = struct.Struct("<Q")
RPC_VERSION = 3
NEW_CONTAINER, CONTENT, HEARTBEAT, ERROR, GOODBYE = range(5)
SEND_METADATA = U32.pack(1)
DOUBLES = 3
HEARTBEAT_INTERVAL_S, SILENCE_TIMEOUT_S, GOODBYE_TIMEOUT_S = 5, 30, 8

logger = logging.getLogger("wire_only")
stopping = False


def predict(numbers: tuple[float, ...]) -> str:
    """Return the output for one input: text, best JSON.

    No heartbeat is sent meanwhile. A model that may compute for 30 s needs a thread for them.
    """
    return repr(statistics.fmean(numbers))  # raises for an empty list


class Session:
    """One session with the query frontend. A lost one is replaced, for a new session needs a new socket."""

    def __init__(self, context: zmq.Context) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.reconnect_ivl_max = 1000  # ms; until it is connected it tries, ever more slowly
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._socket.connect(ADDRESS)
        self._heard_s = time.monotonic()
        self._goodbye_s: float | None = None
        self._is_known = False
        self._send(HEARTBEAT)  # waits in the socket until the frontend is there; it is answered with SEND_METADATA

    def run(self) -> None:
        """Serve until the session is lost, or the frontend lets us go."""
        while not self._may_leave():
            now_s = time.monotonic()
            if now_s - self._heard_s > SILENCE_TIMEOUT_S or self._monitor.poll(0):
                logger.warning("lost the query frontend; connecting anew")
                return
            if now_s - self._sent_s >= HEARTBEAT_INTERVAL_S:
                self._send(HEARTBEAT)
            if stopping and self._goodbye_s is None:
                self._goodbye_s = now_s
                self._send(GOODBYE)  # no new batches, please
            if self._socket.poll(200):
                self._receive()

    def close(self) -> None:
        READY_FILE.unlink(missing_ok=True)
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()

    def _may_leave(self) -> bool:
        waited_s = 0.0 if self._goodbye_s is None else time.monotonic() - self._goodbye_s
        return stopping and (not self._is_known or waited_s > GOODBYE_TIMEOUT_S)

    def _send(self, message_type: int, *frames: bytes) -> None:
        self._socket.send_multipart([b"", U32.pack(message_type), *frames])
        self._sent_s = time.monotonic()

    def _receive(self) -> None:
        _, _version, message_type, *frames = self._socket.recv_multipart()
        self._heard_s = time.monotonic()
        code = U32.unpack(message_type)[0]
        if code == HEARTBEAT and frames[0] == SEND_METADATA:
            self._send(NEW_CONTAINER, MODEL, VERSION, str(DOUBLES).encode(), U32.pack(RPC_VERSION))
            self._is_known = True
            READY_FILE.touch()
        elif code == CONTENT:
            message_id, _request_type, _header_size, header, *inputs = frames
            self._answer(message_id, header, inputs)
        elif code == GOODBYE:
            self._is_known = False  # our batch is answered and none is on its way

    def _answer(self, message_id: bytes, header: bytes, inputs: list[bytes]) -> None:
        try:
            if U64.unpack_from(header)[0] != DOUBLES:
                raise TypeError("this model takes doubles")
            outputs = [predict(struct.unpack(f"<{len(data) // 8}d", data)).encode() for data in inputs]
        except Exception as exc:
            logger.warning("failed on a batch of %d", len(inputs), exc_info=True)
            texts = (type(exc).__name__, str(exc), traceback.format_exc())
            self._send(ERROR, message_id, *(text.encode() for text in texts))
        else:
            sizes = struct.pack(f"<{1 + len(outputs)}Q", len(outputs), *map(len, outputs))
            self._send(CONTENT, message_id, U64.pack(len(sizes)), sizes, *outputs)


def stop(_signal: int, _frame: object) -> None:
    global stopping
    stopping = True


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    signal.signal(signal.SIGTERM, stop)
    with zmq.Context() as context:
        while not stopping:
            session = Session(context)
            try:
                session.run()
            finally:
                session.close()
