"""The network side of the sessions: a ZeroMQ ROUTER on the event loop's own sockets.

Model containers may use any ZeroMQ library; here ``protocol/zmtp.py`` implements the wire protocol, because
libzmq's thread between event loop and network costs more than the whole rest of a round trip.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from clipper_nb.errors import ClipperException, ProtocolError
from clipper_nb.protocol import rpc
from clipper_nb.protocol.handed_sockets import is_listening
from clipper_nb.protocol.model_metrics import MetricReport, decode_reports
from clipper_nb.protocol.records import Configuration, Replica
from clipper_nb.protocol.request_origin import Origins, encode_origins
from clipper_nb.protocol.rpc_fields import Frame
from clipper_nb.runtime.rpc.admission import OPEN, Admission, NotAdmittedError
from clipper_nb.runtime.rpc.connection import Connection
from clipper_nb.runtime.rpc.peers import UNKNOWN, Peer
from clipper_nb.runtime.rpc.sessions import (
    BatchAnswered,
    BatchFailed,
    Disconnect,
    Event,
    MemoryInUse,
    MetricsReported,
    ReplicaDraining,
    ReplicaJoined,
    ReplicaLost,
    Send,
    Session,
    Sessions,
)
from clipper_nb.runtime.unix_server import serve_unix

logger = logging.getLogger(__name__)

_SILENCE_CHECK_INTERVAL_S = 5.0
_BACKLOG = 1024
_MESSAGE_ID_LIMIT = 2**32


class ConnectedReplica:
    """A replica that batches can be sent to."""

    def __init__(self, server: RpcServer, session: Session) -> None:
        self._server = server
        self._session = session
        self.replica = session.replica
        self.replica_id = session.replica.replica_id
        self.max_batches_in_flight = session.max_batches_in_flight

    def send_batch(self, payloads: Sequence[bytes], origins: Origins = ()) -> bool:
        """Send one batch, and the known origins of its queries; return whether the replica can still be reached."""
        return self._server.send_batch(self._session, payloads, origins)

    def end(self, reason: str) -> None:
        """Tell the replica to end, and forget it."""
        self._server.end(self._session, reason)


class ReplicaListener(Protocol):
    """Receives events of replicas, on the event loop."""

    def replica_joined(self, connection: ConnectedReplica) -> None:
        """A replica is ready for batches."""

    def replica_draining(self, replica: Replica) -> None:
        """A replica accepts no new batches."""

    def replica_lost(self, replica: Replica) -> None:
        """A replica is gone, or has left after draining."""

    def batch_answered(self, replica: Replica, outputs: list[str]) -> None:
        """A replica answered the oldest of its batches."""

    def batch_failed(self, replica: Replica, error: rpc.ErrorResponse) -> None:
        """A replica's model failed on the oldest of its batches."""


class ReplicaMetrics(Protocol):
    """Counts replicas, and receives what they count themselves."""

    def replica_joined(self, replica: Replica) -> None:
        """A replica is ready for batches."""

    def replica_reported(self, replica: Replica, reports: Sequence[MetricReport]) -> None:
        """A replica reports what its model has counted since its last report."""

    def replica_lost(self, replica: Replica, *, was_leaving: bool) -> None:
        """A replica is gone; *was_leaving* if it had said goodbye."""


class RpcServer:
    """Listens for model containers.

    Parameters
    ----------
    sockets : sequence of socket.socket
        Where to listen; the server takes them over. One that is bound and does not listen yet stays shut until a
        container is expected that has no token.
    listener : ReplicaListener
        Receives the events.
    admission : Admission
        Decides which containers may serve.
    metrics : ReplicaMetrics, optional
        Counts replicas, and receives what they count themselves.
    refused : callable
        Is called with the reason when a container may not.
    frontend_ports, frontend_sockets : sequence
        The RPC ports and the names of the Unix sockets of all query frontends of this host, if there are several.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        listener: ReplicaListener,
        *,
        admission: Admission = OPEN,
        metrics: ReplicaMetrics | None = None,
        refused: Callable[[str], None] = lambda reason: None,
        frontend_ports: Sequence[int] = (),
        frontend_sockets: Sequence[str] = (),
    ) -> None:
        self._shut = [each for each in sockets if not is_listening(each)]
        self._listening = [each for each in sockets if each not in self._shut]
        self._listener = listener
        self._admission = admission
        self._metrics = metrics
        self._refused = refused
        self._sessions = Sessions(frontend_ports, frontend_sockets, admission=admission, find_peer=self._find_peer)
        self._next_message_id = 0
        self._connections: dict[bytes, Connection] = {}
        self._num_connections = 0
        self._loop: asyncio.AbstractEventLoop
        self._servers: list[asyncio.Server] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._silence_timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        for listening in self._listening:
            await self._listen(listening)
        self._check_silence()

    def apply(self, configuration: Configuration) -> None:
        """Admit by *configuration* from now on; who may not serve any more is disconnected."""
        self._admission.apply(configuration)
        for event in self._sessions.expel_unwelcome():
            self._handle(event)
        if self._shut and self._admission.expects_clipper_containers:
            self._open()

    def _open(self) -> None:
        """Listen on the sockets that were shut; from this moment on a container can connect."""
        while self._shut:
            listening = self._shut.pop()
            listening.listen(_BACKLOG)
            task = self._loop.create_task(self._listen(listening))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _listen(self, listening: socket.socket) -> None:
        address = listening.getsockname()
        if listening.family == socket.AF_UNIX:
            self._servers.append(await serve_unix(self._loop, self._make_connection, listening))
        else:
            self._servers.append(await self._loop.create_server(self._make_connection, sock=listening))
            address = f"{address[0]}:{address[1]}"
        logger.info("listens for model containers on %s", address)

    def stop(self) -> None:
        """Close all connections; containers connect again by themselves when a frontend is back."""
        if self._silence_timer is not None:
            self._silence_timer.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self._connections.values()):
            connection.close()

    def send_batch(self, session: Session, payloads: Sequence[bytes], origins: Origins = ()) -> bool:
        """Send one batch to a session; return whether it can still be reached."""
        message_id = self._next_message_id
        self._next_message_id = (message_id + 1) % _MESSAGE_ID_LIMIT
        frame = encode_origins(origins) if origins and session.accepts_origins else b""
        request = rpc.PredictRequest(message_id, session.replica.input_type, payloads, frame)
        connection = self._connections.get(session.identity)
        if connection is not None and connection.send_batch(request, session):
            session.in_flight.append(message_id)
            return True
        # The caller knows already; all others are notified in the next turn.
        self._loop.call_soon(self._lose, session.identity)
        return False

    def end(self, session: Session, reason: str) -> None:
        """Tell a container to end, if it knows that message, and forget it in the next turn."""
        if session.speaks_extensions:
            self._send(session.identity, rpc.encode_frontend_end(rpc.FrontendEnd(reason)))
        self._loop.call_soon(self._lose, session.identity)

    def _make_connection(self) -> Connection:
        self._num_connections += 1
        return Connection(self, str(self._num_connections).encode())

    def opened(self, connection: Connection) -> None:
        """Add a new connection."""
        self._connections[connection.identity] = connection

    def closed(self, connection: Connection) -> None:
        """Remove a closed connection and its session."""
        del self._connections[connection.identity]
        self._lose(connection.identity)

    def _find_peer(self, identity: bytes) -> Peer:
        connection = self._connections.get(identity)
        return UNKNOWN if connection is None else connection.peer

    def _send(self, identity: bytes, frames: list[Frame]) -> bool:
        connection = self._connections.get(identity)
        return connection is not None and connection.send(frames)

    def received(self, identity: bytes, frames: list[bytes]) -> None:
        """Process one message of a connection."""
        try:
            message = rpc.decode_from_container(frames)
            events = self._sessions.receive(identity, message, now_s=self._loop.time())
        except NotAdmittedError as exc:
            self._refuse(identity, exc)
            return
        except ClipperException as exc:
            logger.warning("dropped a message of a model container: %s", exc)
            events = self._fail_malformed_answer(identity, frames, exc)
        for event in events:
            self._handle(event)
        for event in self._sessions.leave_if_done(identity):
            self._handle(event)

    def _refuse(self, identity: bytes, exc: NotAdmittedError) -> None:
        """Count a container that may not serve; one whose proof is wrong has to connect again."""
        logger.warning("refused a model container: %s", exc)
        self._refused(exc.reason)
        if exc.ends_connection:
            self._disconnect(Disconnect(identity))

    def _fail_malformed_answer(self, identity: bytes, frames: list[bytes], exc: ClipperException) -> list[Event]:
        """Return the events of a container's malformed answer, so that it does not stay busy forever."""
        session = self._sessions.get(identity)
        if session is None or not isinstance(exc, ProtocolError) or len(frames) < 3 or len(frames[2]) < 4:
            return []
        message_id = int.from_bytes(frames[2][:4], "little")
        if message_id not in session.in_flight:
            return []
        error = rpc.ErrorResponse(message_id, "ProtocolError", f"malformed answer: {exc}", "")
        return self._sessions.receive(identity, error, now_s=self._loop.time())

    def _handle(self, event: Event) -> None:
        if isinstance(event, BatchAnswered):  # nearly all are
            outputs = [cast(bytes, output).decode("utf-8", "replace") for output in event.response.outputs]
            self._listener.batch_answered(event.session.replica, outputs)
        else:
            _HANDLERS[type(event)](self, event)

    def _send_message(self, event: Send) -> None:
        self._send(event.identity, _ENCODERS[type(event.message)](event.message))

    def _fail_batch(self, event: BatchFailed) -> None:
        self._listener.batch_failed(event.session.replica, event.response)

    def _join(self, event: ReplicaJoined) -> None:
        session = event.session
        logger.info("replica %s of %s joined", session.replica.replica_id, session.replica.model_id)
        self._connections[session.identity].trust()
        if self._metrics is not None:
            self._metrics.replica_joined(session.replica)
        self._listener.replica_joined(ConnectedReplica(self, session))

    def _drain(self, event: ReplicaDraining) -> None:
        self._listener.replica_draining(event.session.replica)

    def _part(self, event: ReplicaLost) -> None:
        replica = event.session.replica
        logger.info("replica %s of %s is gone", replica.replica_id, replica.model_id)
        if self._metrics is not None:  # first: the listener may forget the version
            self._metrics.replica_lost(replica, was_leaving=event.session.is_draining)
        self._listener.replica_lost(replica)

    def _report(self, event: MetricsReported) -> None:
        replica = event.session.replica
        try:
            reports = decode_reports(event.message.payload)
        except ProtocolError as exc:
            logger.warning("dropped a message of replica %s of %s: %s", replica.replica_id, replica.model_id, exc)
            return
        if self._metrics is not None:
            self._metrics.replica_reported(replica, reports)

    def _use_memory(self, event: MemoryInUse) -> None:
        self._connections[event.session.identity].use_memory()

    def _disconnect(self, event: Disconnect) -> None:
        connection = self._connections.get(event.identity)
        if connection is not None:
            connection.close()

    def _lose(self, identity: bytes) -> None:
        for event in self._sessions.lose(identity):
            self._handle(event)

    def _check_silence(self) -> None:
        for event in self._sessions.lose_silent(now_s=self._loop.time()):
            self._handle(event)
        self._silence_timer = self._loop.call_later(_SILENCE_CHECK_INTERVAL_S, self._check_silence)


_HANDLERS: dict[type, Callable[[RpcServer, Any], None]] = {
    Send: RpcServer._send_message,
    BatchFailed: RpcServer._fail_batch,
    ReplicaJoined: RpcServer._join,
    ReplicaDraining: RpcServer._drain,
    ReplicaLost: RpcServer._part,
    Disconnect: RpcServer._disconnect,
    MetricsReported: RpcServer._report,
    MemoryInUse: RpcServer._use_memory,
}

_ENCODERS: dict[type, Callable[[Any], list[Frame]]] = {
    rpc.FrontendHeartbeat: rpc.encode_frontend_heartbeat,
    rpc.FrontendGoodbye: lambda message: rpc.encode_frontend_goodbye(),
    rpc.FrontendPorts: rpc.encode_frontend_ports,
    rpc.FrontendSockets: rpc.encode_frontend_sockets,
}
"""Encoders of what the sessions send; batches are encoded elsewhere."""
