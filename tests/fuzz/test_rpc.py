"""What may come at the RPC port: frames of any kind, bytes of any kind, and messages in any order."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from clipper_nb.errors import InvalidNameError, ProtocolError
from clipper_nb.protocol import rpc
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.zmtp import DEALER, ROUTER, ZmtpPeer, encode_message
from clipper_nb.runtime.rpc.sessions import (
    SILENCE_TIMEOUT_S,
    BatchAnswered,
    BatchFailed,
    ReplicaDraining,
    ReplicaJoined,
    ReplicaLost,
    Send,
    Session,
    Sessions,
)
from tests.protocol.test_rpc import encode, frames_of_any_kind, from_container, from_frontend, mutated, u32

pytestmark = pytest.mark.slow

# --- frames


@settings(max_examples=300, deadline=None)
@given(mutated(from_container) | frames_of_any_kind | frames_of_any_kind.map(lambda frames: [b"", u32(0), *frames]))
@example([b"", u32(0), b"m", b"1", "٣".encode(), u32(3)])  # a digit, though not one of ASCII
def test_decoded_container_message_survives_a_round_trip(frames) -> None:
    try:
        message = rpc.decode_from_container(frames)
    except ProtocolError:
        return
    assert rpc.decode_from_container(encode(message)) == message


@settings(max_examples=300, deadline=None)
@given(mutated(from_frontend) | frames_of_any_kind | frames_of_any_kind.map(lambda frames: [b"", u32(3), *frames]))
def test_decoded_frontend_message_survives_a_round_trip(frames) -> None:
    try:
        message = rpc.decode_from_frontend(frames)
    except ProtocolError:
        return
    assert rpc.decode_from_frontend(encode(message)) == message


# --- bytes


def _received(pieces: list[bytes]) -> tuple[list[list[bytes]], bytes, bool]:
    """Return the messages in *pieces*, what the protocol replies, and whether the peer was refused."""
    peer = ZmtpPeer(ROUTER, max_message_size_bytes=10_000)
    messages = []
    try:
        for piece in pieces:
            if piece:
                messages += peer.receive(piece)
    except ProtocolError:
        return messages, peer.replies, True
    return messages, peer.replies, False


@st.composite
def _streams(draw: st.DrawFn) -> bytes:
    """Draw what a container's connection brings, after a few changes."""
    messages = draw(st.lists(from_container, max_size=4))
    data = ZmtpPeer(DEALER).opening() + b"".join(encode_message(encode(message)) for message in messages)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        damage = draw(
            st.binary(max_size=4) | st.sampled_from([b"\x02" + b"\xff" * 8, b"\x04\x05\x04PING", b"\x01\0" * 9])
        )
        data = data[:at] + damage + data[at + draw(st.sampled_from([0, 1, 5])) :]
    return data


@settings(max_examples=300, deadline=None)
@given(_streams() | st.binary(max_size=200), st.lists(st.integers(0, 400), max_size=10))
def test_pieces_do_not_change_what_a_stream_says(data: bytes, places: list[int]) -> None:
    at = sorted({place % (len(data) + 1) for place in places})
    pieces = [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]
    whole, cut = _received([data]), _received(pieces)
    assert whole[2] == cut[2]
    if whole[2]:  # of a peer that is refused, what came before is taken or not
        assert cut[0][: len(whole[0])] == whole[0] or whole[0][: len(cut[0])] == cut[0]
    else:
        assert whole == cut


# --- sessions

_names = st.sampled_from(["m", "n", "Not-A-Name", ""])
_identities = st.sampled_from([b"a", b"b", b"c"])


class SessionsMachine(RuleBasedStateMachine):
    """Any messages in any order, beside a simple account of who is connected and what each was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = Sessions()
        self.now_s = 0.0
        self.asked: dict[bytes, list[int]] = {}
        self.heard_s: dict[bytes, float] = {}
        self.draining: set[bytes] = set()
        self.replicas: list[object] = []
        self.next_id = 0

    def _forget(self, identity: bytes) -> None:
        del self.asked[identity], self.heard_s[identity]
        self.draining.discard(identity)

    def _receive(self, identity: bytes, message: rpc.FromContainer) -> list[object]:
        if identity in self.heard_s:
            self.heard_s[identity] = self.now_s
        return list(self.sessions.receive(identity, message, now_s=self.now_s))

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(identity=_identities)
    def heartbeat(self, identity: bytes) -> None:
        wants_metadata = identity not in self.asked
        events = self._receive(identity, rpc.ContainerHeartbeat())
        assert events == [Send(identity, rpc.FrontendHeartbeat(wants_metadata))]

    @rule(identity=_identities, name=_names, in_flight=st.integers(1, 3))
    def new_container(self, identity: bytes, name: str, in_flight: int) -> None:
        try:
            events = self._receive(identity, rpc.NewContainer(name, "1", InputType.DOUBLES, in_flight))
        except InvalidNameError:
            assert name in ("Not-A-Name", "")
            assert identity not in self.asked
            return
        if identity in self.asked:
            assert events == []
            return
        [joined] = events
        assert isinstance(joined, ReplicaJoined)
        assert joined.session.replica not in self.replicas  # no number is given twice
        self.replicas.append(joined.session.replica)
        self.asked[identity] = []
        self.heard_s[identity] = self.now_s

    @rule(identity=_identities)
    def ask(self, identity: bytes) -> None:
        session = self.sessions.get(identity)
        if session is not None:
            session.in_flight.append(self.next_id)
            self.asked[identity].append(self.next_id)
            self.next_id += 1

    @rule(identity=_identities, offset=st.integers(0, 3), is_error=st.booleans())
    def answer(self, identity: bytes, offset: int, is_error: bool) -> None:
        asked = self.asked.get(identity, [])
        message_id = asked[offset] if offset < len(asked) else self.next_id + offset
        message: rpc.FromContainer = rpc.PredictResponse(message_id, [b"1"])
        if is_error:
            message = rpc.ErrorResponse(message_id, "E", "m", "t")
        try:
            [event] = self._receive(identity, message)
        except ProtocolError:
            assert message_id not in asked
            return
        if offset == 0:
            assert isinstance(event, BatchFailed if is_error else BatchAnswered)
            assert event.response == message
            asked.pop(0)
        else:
            assert isinstance(event, ReplicaLost)
            self._forget(identity)

    @rule(identity=_identities)
    def goodbye(self, identity: bytes) -> None:
        try:
            [event] = self._receive(identity, rpc.ContainerGoodbye())
        except ProtocolError:
            assert identity not in self.asked
            return
        assert isinstance(event, ReplicaDraining)
        self.draining.add(identity)

    @rule(identity=_identities)
    def leave_if_done(self, identity: bytes) -> None:
        events = self.sessions.leave_if_done(identity)
        assert bool(events) == (identity in self.draining and not self.asked[identity])
        if events:
            assert events[0] == Send(identity, rpc.FrontendGoodbye())
            self._forget(identity)

    @rule(identity=_identities)
    def lose(self, identity: bytes) -> None:
        assert len(self.sessions.lose(identity)) == (identity in self.asked)
        if identity in self.asked:
            self._forget(identity)

    @rule()
    def lose_silent(self) -> None:
        silent = {identity for identity, heard_s in self.heard_s.items() if self.now_s - heard_s > SILENCE_TIMEOUT_S}
        lost = [event.session.identity for event in self.sessions.lose_silent(now_s=self.now_s)]  # type: ignore[union-attr]
        assert sorted(lost) == sorted(silent)
        for identity in silent:
            self._forget(identity)

    @invariant()
    def everybody_is_accounted_for(self) -> None:
        known: dict[bytes, Session] = {session.identity: session for session in self.sessions.all()}
        assert known.keys() == self.asked.keys()
        for identity, session in known.items():
            assert list(session.in_flight) == self.asked[identity]
            assert session.is_draining == (identity in self.draining)


def test_messages_in_any_order_keep_the_account() -> None:
    run_state_machine_as_test(
        SessionsMachine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )
