"""Tracks the connected containers, what each may send next, and the effects of each message. (pure)

The caller owns the socket and the clock: it passes in messages with their identity and gets back
messages to send and events.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Union

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol.names import ModelId, check_model_name, check_version
from clipper_nb.protocol.records import Replica
from clipper_nb.protocol.rpc import (
    CHALLENGE_SIZE_BYTES,
    ContainerGoodbye,
    ContainerHeartbeat,
    ContainerMetrics,
    ErrorResponse,
    FromContainer,
    FromFrontend,
    FrontendGoodbye,
    FrontendHeartbeat,
    FrontendPorts,
    FrontendSockets,
    NewContainer,
    PredictResponse,
)
from clipper_nb.protocol.rpc_memory import MemoryTaken
from clipper_nb.runtime.rpc.admission import OPEN, Admission
from clipper_nb.runtime.rpc.peers import UNKNOWN, Peer

SILENCE_TIMEOUT_S = 30.0
"""A container that has sent nothing for this long is lost (Clipper's value)."""


@dataclass
class Session:
    """One container's session, under the identity that the server gave its connection."""

    identity: bytes
    replica: Replica
    last_heard_s: float
    max_batches_in_flight: int = 1
    speaks_extensions: bool = False
    accepts_origins: bool = False
    """True if it knows all extensions, unlike a container written for Clipper."""
    replica_name: str = ""
    """Which replica it has proven to be; empty for a container without a token."""
    in_flight: deque[int] = field(default_factory=deque)
    """Ids of messages that were sent and not answered, oldest first."""
    is_draining: bool = False


@dataclass(frozen=True)
class Send:
    """Send this message to this identity."""

    identity: bytes
    message: FromFrontend


@dataclass(frozen=True)
class ReplicaJoined:
    """A replica is ready for batches."""

    session: Session


@dataclass(frozen=True)
class ReplicaDraining:
    """A replica finishes its batches and accepts no new ones."""

    session: Session


@dataclass(frozen=True)
class ReplicaLost:
    """A replica is gone, together with its batches in flight."""

    session: Session


@dataclass(frozen=True)
class Disconnect:
    """Close the connection of a container that is forgotten for good."""

    identity: bytes


class BatchAnswered(NamedTuple):
    """A replica answered one batch."""

    session: Session
    response: PredictResponse


@dataclass(frozen=True)
class BatchFailed:
    """A model raised on one batch."""

    session: Session
    response: ErrorResponse


@dataclass(frozen=True)
class MetricsReported:
    """A replica reports what its model has counted."""

    session: Session
    message: ContainerMetrics


@dataclass(frozen=True)
class MemoryInUse:
    """A replica reads its large inputs in memory from now on."""

    session: Session


Event = Union[
    Send, ReplicaJoined, ReplicaDraining, ReplicaLost, Disconnect, BatchAnswered, BatchFailed, MetricsReported,
    MemoryInUse,
]  # fmt: skip


def _random_challenge() -> bytes:
    return os.urandom(CHALLENGE_SIZE_BYTES)


def _unknown_peer(identity: bytes) -> Peer:
    return UNKNOWN


class Sessions:
    """All sessions of one query frontend.

    Parameters
    ----------
    frontend_ports : sequence of int
        The RPC ports of all query frontends of this host, if there are several; sent to containers.
    frontend_sockets : sequence of str
        The names of their Unix sockets, which replicas on this host use.
    admission : Admission
        Decides which containers may serve.
    make_challenge : callable
        Returns bytes that nobody can guess.
    find_peer : callable
        Returns where the connection of an identity comes from.
    """

    def __init__(
        self,
        frontend_ports: Sequence[int] = (),
        frontend_sockets: Sequence[str] = (),
        *,
        admission: Admission = OPEN,
        make_challenge: Callable[[], bytes] = _random_challenge,
        find_peer: Callable[[bytes], Peer] = _unknown_peer,
    ) -> None:
        self._frontend_ports = FrontendPorts(tuple(frontend_ports))
        self._frontend_sockets = FrontendSockets(tuple(frontend_sockets))
        self._admission = admission
        self._make_challenge = make_challenge
        self._find_peer = find_peer
        self._challenges: dict[bytes, bytes] = {}
        self._by_identity: dict[bytes, Session] = {}
        self._by_name: dict[tuple[ModelId, str], Session] = {}
        self._next_replica_id: defaultdict[ModelId, int] = defaultdict(int)

    def all(self) -> list[Session]:
        """Return every session."""
        return list(self._by_identity.values())

    def get(self, identity: bytes) -> Session | None:
        """Return the session of that identity."""
        return self._by_identity.get(identity)

    def receive(self, identity: bytes, message: FromContainer, *, now_s: float) -> list[Event]:
        """Process *message*; return the events and messages that follow from it.

        Raises
        ------
        NotAdmittedError
            The container may not serve the version that it says it serves.
        ProtocolError, InvalidNameError
            The message is not allowed in this state, or has an invalid name; nothing has changed, and it can be
            dropped safely.
        """
        session = self._by_identity.get(identity)
        if session is not None:
            session.last_heard_s = now_s
        if isinstance(message, ContainerHeartbeat):
            challenge = self._challenge(identity, message, session)
            return [Send(identity, FrontendHeartbeat(session is None, challenge, accepts_metrics=bool(challenge)))]
        if isinstance(message, NewContainer):
            # From a known identity it has no new information.
            return [] if session is not None else self._join(identity, message, now_s)
        if session is None:
            raise ProtocolError(f"{type(message).__name__} from a container that has not said what it serves")
        if isinstance(message, ContainerGoodbye):
            return self._drain(session)
        if isinstance(message, ContainerMetrics):
            return [MetricsReported(session, message)]
        if isinstance(message, MemoryTaken):
            return [MemoryInUse(session)]
        return self._finish(session, message)

    def leave_if_done(self, identity: bytes) -> list[Event]:
        """Release a draining container if it has no batch in flight; called after each of its messages."""
        session = self._by_identity.get(identity)
        if session is None or not session.is_draining or session.in_flight:
            return []
        return [Send(identity, FrontendGoodbye()), *self.lose(identity)]

    def lose(self, identity: bytes) -> list[Event]:
        """Forget a container that cannot be reached."""
        self._challenges.pop(identity, None)
        session = self._by_identity.pop(identity, None)
        if session is None:
            return []
        name = session.replica.model_id, session.replica_name
        if self._by_name.get(name) is session:
            del self._by_name[name]
        return [ReplicaLost(session)]

    def lose_silent(self, *, now_s: float) -> list[Event]:
        """Forget the containers that have been silent for too long."""
        silent = [s.identity for s in self._by_identity.values() if now_s - s.last_heard_s > SILENCE_TIMEOUT_S]
        return [event for identity in silent for event in self.lose(identity)]

    def expel_unwelcome(self) -> list[Event]:
        """Forget the containers without a token that may not serve any more what they serve."""
        unwelcome = [
            session.identity
            for session in self._by_identity.values()
            if not session.replica_name
            and not self._admission.may_lack_proof(session.replica.model_id, self._find_peer(session.identity))
        ]
        return [event for identity in unwelcome for event in self._expel(identity)]

    def _expel(self, identity: bytes) -> list[Event]:
        return [*self.lose(identity), Disconnect(identity)]

    def _challenge(self, identity: bytes, message: ContainerHeartbeat, session: Session | None) -> bytes:
        """Return the challenge of a container: the same at each heartbeat, until its answer."""
        if session is not None or not message.can_prove:
            return b""
        challenge = self._challenges.get(identity)
        if challenge is None:
            challenge = self._challenges[identity] = self._make_challenge()
        return challenge

    def _join(self, identity: bytes, message: NewContainer, now_s: float) -> list[Event]:
        model_id = ModelId(check_model_name(message.model_name), check_version(message.model_version))
        self._admission.check(message, self._challenges.pop(identity, b""), self._find_peer(identity))
        before = self._by_name.get((model_id, message.replica_name))
        replica = Replica(*model_id, self._next_replica_id[model_id], message.input_type)
        self._next_replica_id[model_id] += 1
        session = Session(
            identity,
            replica,
            last_heard_s=now_s,
            max_batches_in_flight=message.max_batches_in_flight,
            speaks_extensions=message.speaks_extensions,
            accepts_origins=message.accepts_origins,
            replica_name=message.replica_name,
        )
        # A replica has one connection: the newer one, since the end of the older may not have been noticed yet.
        left = [] if before is None else self._expel(before.identity)
        self._by_identity[identity] = session
        if session.replica_name:
            self._by_name[model_id, session.replica_name] = session
        return [*left, *self._tell_neighbours(session), ReplicaJoined(session)]

    def _tell_neighbours(self, session: Session) -> list[Event]:
        """Tell a replica of the other query frontends, by port and by socket; it uses what it came through itself."""
        told: list[Event] = []
        if session.speaks_extensions:
            if len(self._frontend_ports.ports) > 1:
                told.append(Send(session.identity, self._frontend_ports))
            if len(self._frontend_sockets.names) > 1:
                told.append(Send(session.identity, self._frontend_sockets))
        return told

    def _drain(self, session: Session) -> list[Event]:
        session.is_draining = True
        return [ReplicaDraining(session)]

    def _finish(self, session: Session, message: PredictResponse | ErrorResponse) -> list[Event]:
        if message.message_id not in session.in_flight:
            raise ProtocolError(f"an answer to message {message.message_id}, which this container was not asked")
        if session.in_flight[0] != message.message_id:
            return self.lose(session.identity)  # answers could no longer be matched to batches
        session.in_flight.popleft()
        done: Event
        if isinstance(message, PredictResponse):
            done = BatchAnswered(session, message)
        else:
            done = BatchFailed(session, message)
        return [done]
