"""The ZMQ side of the sessions: one ROUTER socket, read whenever the event loop says so.

A plain socket and its file descriptor, not ``zmq.asyncio``, which halves the rate of round trips. The descriptor is
edge-triggered: after every send the socket must be asked again whether something has come.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Protocol

import zmq
from zmq.utils.monitor import recv_monitor_message

from clipper_nb.errors import ClipperException, ProtocolError
from clipper_nb.protocol import rpc
from clipper_nb.protocol.records import Replica
from clipper_nb.runtime.rpc.sessions import (
    BatchAnswered,
    BatchFailed,
    Event,
    ReplicaDraining,
    ReplicaJoined,
    ReplicaLost,
    Send,
    Session,
    Sessions,
)
from clipper_nb.runtime.zmq_frames import has_message, receive_frames, send_frames

logger = logging.getLogger(__name__)

_SILENCE_CHECK_INTERVAL_S = 5.0
# A connection's end can be reported a little before the router forgets the peer.
_PROBE_DELAYS_S = (0.0, 0.05, 0.25, 1.0)
_MESSAGES_PER_TURN = 256
_MESSAGE_ID_LIMIT = 2**32


class ConnectedReplica:
    """A replica that batches can be sent to."""

    def __init__(self, server: RpcServer, session: Session) -> None:
        self._server = server
        self._session = session
        self.replica = session.replica
        self.replica_id = session.replica.replica_id

    def send_batch(self, payloads: Sequence[bytes]) -> bool:
        """Send one batch; return whether the replica can still be reached."""
        return self._server.send_batch(self._session, payloads)


class ReplicaListener(Protocol):
    """Told what happens to replicas, on the event loop."""

    def replica_joined(self, connection: ConnectedReplica) -> None:
        """A replica is ready for batches."""

    def replica_draining(self, replica: Replica) -> None:
        """A replica wants nothing new."""

    def replica_lost(self, replica: Replica) -> None:
        """A replica is gone, or has left after draining."""

    def batch_answered(self, replica: Replica, outputs: list[str]) -> None:
        """A replica answered its batch."""

    def batch_failed(self, replica: Replica, error: rpc.ErrorResponse) -> None:
        """A replica's model failed on its batch."""


class RpcServer:
    """Listens for model containers.

    Parameters
    ----------
    listening : socket.socket
        A listening TCP socket; the server takes it over.
    listener : ReplicaListener
        Told what happens.
    """

    def __init__(self, listening: socket.socket, listener: ReplicaListener) -> None:
        self._listening = listening
        self._listener = listener
        self._sessions = Sessions()
        self._next_message_id = 0
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._monitor: zmq.Socket[bytes] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._silence_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Listen, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        host, port = self._listening.getsockname()[:2]
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # a send to a peer that is gone says so
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.setsockopt(zmq.SNDHWM, 0)
        self._router.setsockopt(zmq.RCVHWM, 0)
        self._router.setsockopt(zmq.USE_FD, self._listening.detach())
        self._router.bind(f"tcp://{host}:{port}")
        self._monitor = self._router.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._loop.add_reader(self._router.FD, self._on_readable)
        self._loop.add_reader(self._monitor.FD, self._on_connection_event)
        self._check_silence()
        # Both descriptors are edge-triggered: what came before they were watched must be looked for.
        self._on_readable()
        self._on_connection_event()
        logger.info("listens for model containers on %s:%s", host, port)

    def stop(self) -> None:
        """Close the socket; containers connect again by themselves when a frontend is back."""
        if self._silence_timer is not None:
            self._silence_timer.cancel()
        self._loop.remove_reader(self._router.FD)
        if self._monitor is not None:
            self._loop.remove_reader(self._monitor.FD)
            self._router.disable_monitor()
            self._monitor.close(0)
        self._router.close(0)
        self._context.term()

    def send_batch(self, session: Session, payloads: Sequence[bytes]) -> bool:
        """Send one batch to a session; return whether it can still be reached."""
        message_id = self._next_message_id
        self._next_message_id = (message_id + 1) % _MESSAGE_ID_LIMIT
        session.in_flight.add(message_id)
        request = rpc.PredictRequest(message_id, session.replica.input_type, payloads)
        if self._send(session.identity, rpc.encode_predict_request(request)):
            return True
        session.in_flight.discard(message_id)
        # The caller knows already; everybody else hears of it in the next turn.
        self._loop.call_soon(self._lose, session.identity)
        return False

    def _send(self, identity: bytes, frames: list[rpc.Frame]) -> bool:
        try:
            send_frames(self._router, [identity, *frames])
        except zmq.ZMQError as exc:
            if exc.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        self._read_again_soon()
        return True

    def _read_again_soon(self) -> None:
        if has_message(self._router):
            self._loop.call_soon(self._on_readable)

    def _on_readable(self) -> None:
        for _ in range(_MESSAGES_PER_TURN):
            if self._router.closed or not has_message(self._router):
                return
            try:
                frames = receive_frames(self._router)
            except zmq.Again:
                return
            self._receive(frames[0], frames[1:])
        self._read_again_soon()

    def _receive(self, identity: bytes, frames: list[bytes]) -> None:
        try:
            message = rpc.decode_from_container(frames)
            events = self._sessions.receive(identity, message, now_s=self._loop.time())
        except ClipperException as exc:
            logger.warning("dropped a message of a model container: %s", exc)
            events = self._fail_malformed_answer(identity, frames, exc)
        for event in events:
            self._handle(event)
        for event in self._sessions.leave_if_done(identity):
            self._handle(event)

    def _fail_malformed_answer(self, identity: bytes, frames: list[bytes], exc: ClipperException) -> list[Event]:
        """Return what follows when a container answered its batch with nonsense: it must not stay busy for ever."""
        session = self._sessions.get(identity)
        if session is None or not isinstance(exc, ProtocolError) or len(frames) < 3 or len(frames[2]) < 4:
            return []
        message_id = int.from_bytes(frames[2][:4], "little")
        if message_id not in session.in_flight:
            return []
        error = rpc.ErrorResponse(message_id, "ProtocolError", f"malformed answer: {exc}", "")
        return self._sessions.receive(identity, error, now_s=self._loop.time())

    def _handle(self, event: Event) -> None:
        if isinstance(event, BatchAnswered):
            outputs = [str(output, "utf-8", "replace") for output in event.response.outputs]
            self._listener.batch_answered(event.session.replica, outputs)
        elif isinstance(event, Send):
            self._send(event.identity, _encode(event.message))
        elif isinstance(event, BatchFailed):
            self._listener.batch_failed(event.session.replica, event.response)
        elif isinstance(event, ReplicaJoined):
            logger.info("replica %s of %s joined", event.session.replica.replica_id, event.session.replica.model_id)
            self._listener.replica_joined(ConnectedReplica(self, event.session))
        elif isinstance(event, ReplicaDraining):
            self._listener.replica_draining(event.session.replica)
        elif isinstance(event, ReplicaLost):
            logger.info("replica %s of %s is gone", event.session.replica.replica_id, event.session.replica.model_id)
            self._listener.replica_lost(event.session.replica)

    def _lose(self, identity: bytes) -> None:
        for event in self._sessions.lose(identity):
            self._handle(event)

    def _on_connection_event(self) -> None:
        """Some container's connection ended; the event does not say whose, so every session is probed."""
        monitor = self._monitor
        while monitor is not None and not monitor.closed and has_message(monitor):
            recv_monitor_message(monitor)
            for delay_s in _PROBE_DELAYS_S:
                self._loop.call_later(delay_s, self._probe)

    def _probe(self) -> None:
        if self._router.closed:
            return
        heartbeat = rpc.encode_frontend_heartbeat(rpc.FrontendHeartbeat(wants_metadata=False))
        for session in self._sessions.all():
            if not self._send(session.identity, heartbeat):
                self._lose(session.identity)

    def _check_silence(self) -> None:
        for event in self._sessions.lose_silent(now_s=self._loop.time()):
            self._handle(event)
        self._silence_timer = self._loop.call_later(_SILENCE_CHECK_INTERVAL_S, self._check_silence)


def _encode(message: rpc.FromFrontend) -> list[rpc.Frame]:
    if isinstance(message, rpc.FrontendHeartbeat):
        return rpc.encode_frontend_heartbeat(message)
    if isinstance(message, rpc.FrontendGoodbye):
        return rpc.encode_frontend_goodbye()
    return rpc.encode_predict_request(message)
