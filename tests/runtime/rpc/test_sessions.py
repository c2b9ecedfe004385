"""Who is connected, and what follows from each message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import ClipperException, ProtocolError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.rpc import (
    ContainerGoodbye,
    ContainerHeartbeat,
    ContainerMetrics,
    ErrorResponse,
    FrontendGoodbye,
    FrontendHeartbeat,
    FrontendPorts,
    NewContainer,
    PredictResponse,
)
from clipper_nb.runtime.rpc.sessions import (
    SILENCE_TIMEOUT_S,
    BatchAnswered,
    BatchFailed,
    MetricsReported,
    ReplicaDraining,
    ReplicaJoined,
    ReplicaLost,
    Send,
    Sessions,
)
from tests.support.examples import examples

NEW = NewContainer("digits-net", "1", InputType.DOUBLES)


def joined(sessions, identity=b"id", message=NEW, now_s=0.0):
    [event] = sessions.receive(identity, message, now_s=now_s)
    assert isinstance(event, ReplicaJoined)
    return event.session


def test_unknown_container_is_asked_what_it_serves():
    assert Sessions().receive(b"id", ContainerHeartbeat(), now_s=0.0) == [Send(b"id", FrontendHeartbeat(True))]


def test_container_that_can_prove_itself_may_report_metrics():
    [event] = Sessions(make_challenge=lambda: bytes(32)).receive(b"id", ContainerHeartbeat(True), now_s=0.0)
    assert event == Send(b"id", FrontendHeartbeat(True, bytes(32), accepts_metrics=True))


def test_metrics_are_those_of_a_session():
    sessions, message = Sessions(), ContainerMetrics(b"report")
    with pytest.raises(ProtocolError, match="has not said what it serves"):
        sessions.receive(b"id", message, now_s=0.0)
    session = joined(sessions)
    assert sessions.receive(b"id", message, now_s=1.0) == [MetricsReported(session, message)]


def test_known_container_is_not_asked_again():
    sessions = Sessions()
    joined(sessions)
    assert sessions.receive(b"id", ContainerHeartbeat(), now_s=1.0) == [Send(b"id", FrontendHeartbeat(False))]


def test_new_container_joins_with_what_it_serves():
    sessions = Sessions()
    session = joined(sessions)
    assert session.identity == b"id"
    assert session.replica.model_id == ("digits-net", "1")
    assert session.replica.input_type is InputType.DOUBLES
    assert sessions.get(b"id") is session
    assert sessions.all() == [session]


def test_new_container_from_a_known_identity_says_nothing_new():
    sessions = Sessions()
    session = joined(sessions)
    assert sessions.receive(b"id", NewContainer("other", "2", InputType.BYTES), now_s=1.0) == []
    assert sessions.all() == [session]


def test_replica_ids_increase_per_version_and_are_never_reused():
    sessions = Sessions()
    other = NewContainer("digits-net", "2", InputType.DOUBLES)
    ids = [joined(sessions, bytes([number])).replica.replica_id for number in range(3)]
    sessions.lose(b"\x01")
    ids.append(joined(sessions, b"\x01").replica.replica_id)
    assert ids == [0, 1, 2, 3]
    assert joined(sessions, b"other", other).replica.replica_id == 0


@pytest.mark.parametrize(
    "message",
    [
        NewContainer("Digits", "1", InputType.DOUBLES),
        NewContainer("", "1", InputType.DOUBLES),
        NewContainer("a" * 64, "1", InputType.DOUBLES),
        NewContainer("digits", "", InputType.DOUBLES),
        NewContainer("digits", "1:2", InputType.DOUBLES),
        NewContainer("digits\n", "1", InputType.DOUBLES),
    ],
)
def test_container_with_a_bad_name_does_not_join(message):
    sessions = Sessions()
    with pytest.raises(ClipperException):
        sessions.receive(b"id", message, now_s=0.0)
    assert sessions.all() == []
    assert joined(sessions).replica.replica_id == 0


@pytest.mark.parametrize(
    "message",
    [ContainerGoodbye(), PredictResponse(1, []), ErrorResponse(1, "E", "m", "")],
    ids=lambda m: type(m).__name__,
)
def test_content_of_an_unknown_container_is_refused(message):
    sessions = Sessions()
    with pytest.raises(ProtocolError, match="has not said what it serves"):
        sessions.receive(b"id", message, now_s=0.0)
    assert sessions.all() == []


@pytest.mark.parametrize(
    ("message", "event_type"),
    [(PredictResponse(5, [b"a"]), BatchAnswered), (ErrorResponse(5, "E", "m", ""), BatchFailed)],
)
def test_answer_to_what_was_asked_is_handed_on(message, event_type):
    sessions = Sessions()
    session = joined(sessions)
    session.in_flight.append(5)
    assert sessions.receive(b"id", message, now_s=1.0) == [event_type(session, message)]
    assert list(session.in_flight) == []


@pytest.mark.parametrize("message", [PredictResponse(6, [b"a"]), ErrorResponse(6, "E", "m", "")])
def test_answer_to_what_was_not_asked_is_refused(message):
    sessions = Sessions()
    session = joined(sessions)
    session.in_flight.append(5)
    with pytest.raises(ProtocolError, match="message 6"):
        sessions.receive(b"id", message, now_s=1.0)
    assert list(session.in_flight) == [5]


def test_second_answer_to_the_same_message_is_refused():
    sessions = Sessions()
    joined(sessions).in_flight.append(5)
    sessions.receive(b"id", PredictResponse(5, [b"a"]), now_s=1.0)
    with pytest.raises(ProtocolError):
        sessions.receive(b"id", PredictResponse(5, [b"b"]), now_s=1.0)


def test_answer_to_what_another_was_asked_is_refused():
    sessions = Sessions()
    joined(sessions, b"one").in_flight.append(5)
    joined(sessions, b"two")
    with pytest.raises(ProtocolError):
        sessions.receive(b"two", PredictResponse(5, [b"a"]), now_s=1.0)


def test_a_replica_that_answers_out_of_order_is_lost():
    sessions = Sessions()
    session = joined(sessions)
    session.in_flight.extend([5, 6])
    assert sessions.receive(b"id", PredictResponse(6, [b"b"]), now_s=1.0) == [ReplicaLost(session)]
    with pytest.raises(ProtocolError):
        sessions.receive(b"id", PredictResponse(5, [b"a"]), now_s=1.0)


def test_a_replica_says_how_many_batches_it_takes():
    sessions = Sessions()
    sessions.receive(b"id", NewContainer("m", "1", InputType.DOUBLES, 2), now_s=0.0)
    sessions.receive(b"from Clipper", NewContainer("m", "1", InputType.DOUBLES), now_s=0.0)
    assert [session.max_batches_in_flight for session in sessions.all()] == [2, 1]


def test_idle_replica_that_says_goodbye_may_leave():
    sessions = Sessions()
    session = joined(sessions)
    assert sessions.receive(b"id", ContainerGoodbye(), now_s=1.0) == [ReplicaDraining(session)]
    assert sessions.leave_if_done(b"id") == [Send(b"id", FrontendGoodbye()), ReplicaLost(session)]
    assert sessions.all() == []
    assert sessions.leave_if_done(b"id") == []


def test_busy_replica_that_says_goodbye_finishes_first():
    sessions = Sessions()
    session = joined(sessions)
    session.in_flight.append(5)
    assert sessions.receive(b"id", ContainerGoodbye(), now_s=1.0) == [ReplicaDraining(session)]
    assert session.is_draining
    assert sessions.leave_if_done(b"id") == []
    answer = PredictResponse(5, [b"a"])
    assert sessions.receive(b"id", answer, now_s=2.0) == [BatchAnswered(session, answer)]
    assert sessions.leave_if_done(b"id") == [Send(b"id", FrontendGoodbye()), ReplicaLost(session)]
    assert sessions.all() == []


def test_draining_replica_that_is_given_more_stays():
    """The last replica of a version finishes what is queued."""
    sessions = Sessions()
    session = joined(sessions)
    session.in_flight.append(5)
    sessions.receive(b"id", ContainerGoodbye(), now_s=1.0)
    sessions.receive(b"id", PredictResponse(5, [b"a"]), now_s=2.0)
    session.in_flight.append(6)
    assert sessions.leave_if_done(b"id") == []
    assert sessions.all() == [session]


@pytest.mark.parametrize("identity", [b"id", b"unknown"])
def test_container_that_does_not_drain_stays(identity):
    sessions = Sessions()
    session = joined(sessions)
    assert sessions.leave_if_done(identity) == []
    assert sessions.all() == [session]


@pytest.mark.parametrize(
    ("ports", "max_batches_in_flight", "is_told"),
    [((7000, 7001), 2, True), ((7000, 7001), 1, False), ((7000,), 2, False), ((), 2, False)],
)
def test_our_container_gets_all_frontends_before_it_joins(ports, max_batches_in_flight, is_told):
    message = NewContainer("model", "1", InputType.DOUBLES, max_batches_in_flight)
    *told, last = Sessions(ports).receive(b"id", message, now_s=0.0)
    assert isinstance(last, ReplicaJoined)
    assert last.session.speaks_extensions is (max_batches_in_flight > 1)
    assert told == ([Send(b"id", FrontendPorts(ports))] if is_told else [])


def test_lost_container_is_forgotten_once():
    sessions = Sessions()
    session = joined(sessions)
    assert sessions.lose(b"id") == [ReplicaLost(session)]
    assert sessions.lose(b"id") == []
    assert sessions.get(b"id") is None


def test_silent_container_is_lost_after_its_time():
    sessions = Sessions()
    silent = joined(sessions, b"silent", now_s=100.0)
    joined(sessions, b"loud", now_s=100.0)
    sessions.receive(b"loud", ContainerHeartbeat(), now_s=101.0)
    assert sessions.lose_silent(now_s=100.0 + SILENCE_TIMEOUT_S) == []
    assert sessions.lose_silent(now_s=100.5 + SILENCE_TIMEOUT_S) == [ReplicaLost(silent)]
    assert [session.identity for session in sessions.all()] == [b"loud"]


@pytest.mark.parametrize(
    "message", [ContainerHeartbeat(), NEW, PredictResponse(5, [b"a"]), ErrorResponse(5, "E", "", "")]
)
def test_every_message_is_a_sign_of_life(message):
    sessions = Sessions()
    joined(sessions, now_s=0.0).in_flight.append(5)
    sessions.receive(b"id", message, now_s=20.0)
    assert sessions.lose_silent(now_s=20.0 + SILENCE_TIMEOUT_S) == []


messages = st.one_of(
    st.just(ContainerHeartbeat()),
    st.just(ContainerGoodbye()),
    st.builds(
        NewContainer, st.sampled_from(["a", "b", "Bad"]), st.sampled_from(["1", ":"]), st.sampled_from(InputType)
    ),
    st.builds(PredictResponse, st.integers(0, 3), st.just([])),
    st.builds(ErrorResponse, st.integers(0, 3), st.text(max_size=2), st.text(max_size=2), st.just("")),
)
steps = st.tuples(
    st.sampled_from([b"one", b"two", b"three"]),
    messages | st.sampled_from(["lose", "lose silent"]) | st.integers(0, 3),  # a number: that batch is sent
    st.floats(0.0, 20.0),
)


@examples(300)
@given(st.lists(steps, max_size=40))
def test_any_sequence_of_messages_keeps_the_books_straight(sequence):
    """What was told of replicas is what there is, and every batch that was sent ends once."""
    sessions = Sessions()
    known = {}  # identity → session, from the events alone
    ids = set()
    now_s = 0.0
    for identity, step, pause_s in sequence:
        now_s += pause_s
        before = {session.identity: (list(session.in_flight), session.is_draining) for session in sessions.all()}
        if isinstance(step, int):
            if identity in known and step not in known[identity].in_flight:
                known[identity].in_flight.append(step)
            continue
        try:
            if step == "lose":
                events = sessions.lose(identity)
            elif step == "lose silent":
                events = sessions.lose_silent(now_s=now_s)
            else:
                events = sessions.receive(identity, step, now_s=now_s)
                events += sessions.leave_if_done(identity)
        except ClipperException:
            after = {session.identity: (list(session.in_flight), session.is_draining) for session in sessions.all()}
            assert after == before, "a refused message changed something"
            continue
        for event in events:
            if isinstance(event, ReplicaJoined):
                assert identity not in known
                replica = event.session.replica
                assert (replica.model_id, replica.replica_id) not in ids, "a replica's number was used again"
                ids.add((replica.model_id, replica.replica_id))
                known[identity] = event.session
            elif isinstance(event, ReplicaLost):
                assert known.pop(event.session.identity) is event.session
            elif isinstance(event, (BatchAnswered, BatchFailed)):
                assert event.response.message_id == before[identity][0][0], "answers come in order"
                assert event.response.message_id not in event.session.in_flight
            elif isinstance(event, ReplicaDraining):
                assert event.session.is_draining
        goodbyes = [event for event in events if isinstance(event, Send) and event.message == FrontendGoodbye()]
        assert len(goodbyes) <= 1
        if goodbyes:
            assert identity not in known
            assert before[identity][0] in ([], [getattr(step, "message_id", None)]), "let go with work in flight"
        assert {session.identity: session for session in sessions.all()} == known
        assert all(sessions.get(identity) is session for identity, session in known.items())
        assert all(session.in_flight for session in known.values() if session.is_draining)
