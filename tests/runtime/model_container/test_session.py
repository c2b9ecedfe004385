"""The container's side of one session."""

from __future__ import annotations

import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.rpc import FrontendGoodbye, FrontendHeartbeat, PredictRequest
from clipper_nb.runtime.model_container.session import (
    HEARTBEAT_INTERVAL_S,
    SILENCE_TIMEOUT_S,
    ContainerSession,
)

BATCH = PredictRequest(1, InputType.STRINGS, [b"a"])


def test_batch_is_handed_on():
    session = ContainerSession(now_s=0.0)
    assert session.receive(BATCH, now_s=1.0) is BATCH
    assert not session.wants_metadata(BATCH)


@pytest.mark.parametrize("message", [FrontendHeartbeat(True), FrontendHeartbeat(False), FrontendGoodbye()])
def test_other_messages_hold_no_batch(message):
    assert ContainerSession(now_s=0.0).receive(message, now_s=1.0) is None


def test_frontend_that_asks_does_not_know_the_container():
    """It may have been started again: what it was told is gone."""
    session = ContainerSession(now_s=0.0)
    session.is_registered = True
    session.receive(FrontendHeartbeat(True), now_s=1.0)
    assert not session.is_registered
    assert session.wants_metadata(FrontendHeartbeat(True))


def test_frontend_that_does_not_ask_knows_the_container():
    session = ContainerSession(now_s=0.0)
    session.is_registered = True
    session.receive(FrontendHeartbeat(False), now_s=1.0)
    assert session.is_registered
    assert not session.wants_metadata(FrontendHeartbeat(False))


def test_container_may_leave_after_the_frontends_goodbye():
    session = ContainerSession(now_s=0.0)
    assert not session.may_leave
    session.receive(FrontendGoodbye(), now_s=1.0)
    assert session.may_leave


def test_heartbeat_is_due_after_a_while_without_sending():
    session = ContainerSession(now_s=100.0)
    assert not session.heartbeat_is_due(now_s=99.9 + HEARTBEAT_INTERVAL_S)
    assert session.heartbeat_is_due(now_s=100.0 + HEARTBEAT_INTERVAL_S)
    session.sent(now_s=105.0)
    assert not session.heartbeat_is_due(now_s=105.0)


def test_waiting_time_ends_with_the_next_heartbeat():
    session = ContainerSession(now_s=100.0)
    assert session.seconds_until_heartbeat(now_s=101.0) == HEARTBEAT_INTERVAL_S - 1.0
    assert session.seconds_until_heartbeat(now_s=1000.0) == 0.0


def test_frontend_that_is_silent_for_too_long_is_lost():
    session = ContainerSession(now_s=100.0)
    assert not session.is_lost(now_s=100.0 + SILENCE_TIMEOUT_S)
    assert session.is_lost(now_s=100.1 + SILENCE_TIMEOUT_S)


@pytest.mark.parametrize("message", [FrontendHeartbeat(False), BATCH, FrontendGoodbye()])
def test_every_message_is_a_sign_of_life(message):
    session = ContainerSession(now_s=100.0)
    session.receive(message, now_s=120.0)
    assert not session.is_lost(now_s=120.0 + SILENCE_TIMEOUT_S)


def test_sending_is_not_a_sign_of_life_of_the_frontend():
    session = ContainerSession(now_s=100.0)
    session.sent(now_s=120.0)
    assert session.is_lost(now_s=100.1 + SILENCE_TIMEOUT_S)
