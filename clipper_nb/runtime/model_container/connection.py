"""A model container's connection to one query frontend: a socket that speaks ZMTP and reconnects when lost."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import PurePath

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol import rpc
from clipper_nb.protocol.rpc_fields import Frame
from clipper_nb.protocol.rpc_memory import InputsInMemory, MemoryOffer, encode_memory_taken
from clipper_nb.protocol.zmtp import DEALER, ZmtpPeer, encode_message
from clipper_nb.runtime.model_container.dialing import Dialing, connect_to
from clipper_nb.runtime.model_container.input_memory import InputMemory
from clipper_nb.runtime.model_container.session import ContainerSession

logger = logging.getLogger(__name__)

_DIALING_INTERVAL_S = 0.01
_SEND_TIMEOUT_S = 10.0
_MIN_RETRY_DELAY_S = 0.05
_MAX_RETRY_DELAY_S = 1.0
_MIN_RECEIVE_SIZE_BYTES = 1 << 16
_MAX_RECEIVE_SIZE_BYTES = 1 << 20


class FrontendConnection:
    """One session at a time with the query frontend at *address*.

    Not thread-safe: its user holds the container's lock.

    Parameters
    ----------
    address : str
        ``host:port`` of the RPC port, or the absolute path of a Unix socket.
    introduce : callable
        From the frontend's challenge to the message that says what the container serves.
    can_prove : bool
        Whether the container has a token.
    is_far : bool
        Whether the frontend may be on a machine that is gone: then the attempt to connect must not delay predictions.
    """

    def __init__(
        self,
        address: str,
        introduce: Callable[[bytes], rpc.NewContainer],
        *,
        can_prove: bool,
        is_far: bool = False,
    ) -> None:
        self._address = address
        self._is_far = is_far
        self._dialing: Dialing | None = None
        self._memory: InputMemory | None = None
        self.advertised_addresses: tuple[str, ...] = ()
        """The addresses of this frontend and the others beside it, once it has sent them."""
        self._introduce = introduce
        self._heartbeat = rpc.encode_container_heartbeat(rpc.ContainerHeartbeat(can_prove))
        self._socket: socket.socket | None = None
        # Reused, because a new one would be mapped, touched and unmapped for every batch; grows with the batches.
        self._received = memoryview(bytearray(_MIN_RECEIVE_SIZE_BYTES))
        self._peer = ZmtpPeer(DEALER)
        self._retry_delay_s = _MIN_RETRY_DELAY_S
        self._retry_s = 0.0
        self._said_goodbye = False
        self.session = ContainerSession(time.monotonic())
        self.batches: deque[rpc.PredictRequest] = deque()
        """Batches to predict, in order."""

    @property
    def fileno(self) -> int | None:
        """The socket to wait for; None without a connection."""
        return None if self._socket is None else self._socket.fileno()

    @property
    def is_connecting(self) -> bool:
        """True while an attempt to connect goes on."""
        return self._dialing is not None

    @property
    def may_leave(self) -> bool:
        """True if the frontend has released the container, or does not know it."""
        return self._socket is None or self.session.may_leave or not self.session.is_registered

    @property
    def accepts_metrics(self) -> bool:
        """True if a report of what the model counts can be sent now."""
        session = self.session
        return self._socket is not None and session.is_registered and session.accepts_metrics and not session.may_leave

    def send_metrics(self, payload: bytes) -> bool:
        """Send a report of what the model counts; return whether the connection is still there."""
        self.send(rpc.encode_container_metrics(rpc.ContainerMetrics(payload)))
        return self._socket is not None

    def keep_up(self, *, now_s: float) -> float:
        """Connect or send a heartbeat if it is due; return the seconds until the next is due."""
        if self._dialing is not None:
            if not self._dialing.is_over():
                return _DIALING_INTERVAL_S
            dialing, self._dialing = self._dialing, None
            self._begin(dialing.take)
        elif self._socket is None and now_s >= self._retry_s:
            self._connect(now_s)
        elif self._socket is not None and self.session.is_lost(now_s=now_s) and not _has_unread(self._socket):
            self._lose("has been silent for too long")
        self.beat(now_s=now_s)
        if self.is_connecting:
            return _DIALING_INTERVAL_S
        if self._socket is None:
            return max(0.0, self._retry_s - now_s)
        return self.session.seconds_until_heartbeat(now_s=now_s)

    def beat(self, *, now_s: float) -> None:
        """Send a heartbeat if one is due."""
        if self._socket is not None and self.session.heartbeat_is_due(now_s=now_s):
            self.send(self._heartbeat)

    def say_goodbye(self) -> None:
        """Tell the frontend, once, to send no new batches."""
        if not self._said_goodbye and self._socket is not None:
            self._said_goodbye = True
            self.send(rpc.encode_container_goodbye())

    def receive(self) -> bool:
        """Process what has arrived, without waiting; return whether it added to ``batches``."""
        if self._socket is None:
            return False
        try:
            size_bytes = self._socket.recv_into(self._received)
            messages = self._peer.receive(bytes(self._received[:size_bytes])) if size_bytes else None
        except BlockingIOError:
            return False
        except (OSError, ProtocolError) as exc:
            self._lose(f"cannot be understood: {exc}")
            return False
        if messages is None:
            self._lose("closed the connection")
            return False
        if size_bytes == len(self._received) < _MAX_RECEIVE_SIZE_BYTES:
            self._received = memoryview(bytearray(2 * size_bytes))
        if self._peer.replies:
            replies, self._peer.replies = self._peer.replies, b""
            self._send_all(replies)
        num_before = len(self.batches)
        for frames in messages:
            batch = self._take(frames)
            if batch is not None:
                self.batches.append(batch)
        return len(self.batches) > num_before

    def send(self, frames: list[Frame]) -> None:
        """Send one message; if that fails the connection is lost."""
        self._send_all(encode_message(frames))
        self.session.sent(now_s=time.monotonic())

    def close(self) -> None:
        """Close the socket, and forget what came through it."""
        self.batches.clear()
        if self._dialing is not None:
            self._dialing.give_up()
            self._dialing = None
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self, now_s: float) -> None:
        self._retry_s = now_s + self._retry_delay_s
        self._retry_delay_s = min(_MAX_RETRY_DELAY_S, 2 * self._retry_delay_s)
        if self._is_far:
            self._dialing = Dialing(self._address)
        else:
            self._begin(lambda: connect_to(self._address))

    def _begin(self, connect: Callable[[], socket.socket]) -> None:
        try:
            self._socket = connect()
            self._socket.setblocking(False)
        except OSError:
            self.close()
            return
        self._peer = ZmtpPeer(DEALER)
        self._said_goodbye = False
        self.session = ContainerSession(time.monotonic())
        self._send_all(self._peer.opening())
        self.send(self._heartbeat)

    def _take(self, frames: list[bytes]) -> rpc.PredictRequest | None:
        try:
            message = rpc.decode_from_frontend(frames)
            if isinstance(message, InputsInMemory):
                message = self._read(message)
        except ProtocolError as exc:
            logger.warning("dropped a message of the query frontend: %s", exc)
            return None
        if isinstance(message, MemoryOffer):
            self._take_memory(message)
        self._note_neighbours(message)
        batch = self.session.receive(message, now_s=time.monotonic())
        if batch is None and self.session.wants_metadata(message):
            self.send(rpc.encode_new_container(self._introduce(self.session.challenge)))
            self.session.is_registered = True
            self._retry_delay_s = _MIN_RETRY_DELAY_S
        return batch

    def _take_memory(self, offer: MemoryOffer) -> None:
        """Say that large inputs may come in memory, if this process can read it."""
        try:
            self._memory = InputMemory(offer)
        except (OSError, ValueError) as exc:
            logger.info("large inputs come through the socket: %s", exc)
        else:
            self.send(encode_memory_taken())

    def _read(self, message: InputsInMemory) -> rpc.PredictRequest:
        if self._memory is None:
            raise ProtocolError("a batch is said to be in memory, of which none was offered")
        return self._memory.read(message)

    def _note_neighbours(self, message: rpc.FromFrontend) -> None:
        """Note where the other query frontends are, if that is reached like this one."""
        is_unix = self._address.startswith("/")
        if isinstance(message, rpc.FrontendPorts) and not is_unix:
            host = self._address.rpartition(":")[0]
            self.advertised_addresses = tuple(f"{host}:{port}" for port in message.ports)
        elif isinstance(message, rpc.FrontendSockets) and is_unix:
            folder = PurePath(self._address).parent
            self.advertised_addresses = tuple(str(folder / PurePath(name).name) for name in message.names)

    def _send_all(self, data: bytes) -> None:
        if self._socket is None:
            return
        view = memoryview(data)
        deadline_s = 0.0
        while view:
            try:
                num_sent = self._socket.send(view)  # not inside the slice: compiled, it would send twice
                view = view[num_sent:]
            except BlockingIOError:
                deadline_s = deadline_s or time.monotonic() + _SEND_TIMEOUT_S
                if not _wait_until_writable(self._socket, deadline_s):
                    self._lose("does not accept replies")
                    return
            except OSError as exc:
                self._lose(f"cannot be reached: {exc}")
                return

    def _lose(self, reason: str) -> None:
        logger.info("the query frontend at %s %s; reconnecting", self._address, reason)
        self.session.is_registered = False
        with contextlib.suppress(OSError):
            self.close()


def _wait_until_writable(connected: socket.socket, deadline_s: float) -> bool:
    poller = select.poll()
    poller.register(connected, select.POLLOUT)
    return bool(poller.poll(max(0.0, 1000 * (deadline_s - time.monotonic()))))


def _has_unread(connected: socket.socket) -> bool:
    """Return whether unread data has arrived, as during a long prediction."""
    poller = select.poll()
    poller.register(connected, select.POLLIN)
    return bool(poller.poll(0))
