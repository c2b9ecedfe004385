"""A token is of one replica of one version, and a proof is of one challenge and one claim."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.replica_proof import (
    decode_credentials,
    encode_credentials,
    is_proven,
    make_credentials,
    member_of,
    prove,
    replica_secret,
)
from clipper_nb.protocol.rpc import NewContainer

SECRET = replica_secret("the admin token")
CHALLENGE = bytes(range(32))
CREDENTIALS = make_credentials(SECRET, ModelId("digits-net", "1"), "digits-net_1-0a1b2c")
CLAIM = NewContainer("digits-net", "1", InputType.DOUBLES, 2, CREDENTIALS.replica_name)
PROVEN = replace(CLAIM, proof=prove(CREDENTIALS.token, CHALLENGE, CLAIM))


def test_replica_with_its_token_is_believed():
    assert is_proven(SECRET, CHALLENGE, PROVEN)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_name": "other"}, {"model_version": "2"}, {"input_type": InputType.FLOATS}, {"max_batches_in_flight": 1},
        {"replica_name": "digits-net_1-ffffff"}, {"proof": b""}, {"proof": bytes(32)}, {"proof": PROVEN.proof[:-1]},
    ],
    ids=str,
)  # fmt: skip
def test_nothing_of_a_claim_can_be_changed(changes):
    assert not is_proven(SECRET, CHALLENGE, replace(PROVEN, **changes))


def test_proof_is_of_one_challenge_and_one_cluster():
    assert not is_proven(SECRET, bytes(32), PROVEN)
    assert not is_proven(replica_secret("another admin token"), CHALLENGE, PROVEN)


def test_token_of_another_version_proves_nothing():
    other = make_credentials(SECRET, ModelId("spy", "1"), "spy_1-0a1b2c")
    for name in (other.replica_name, CREDENTIALS.replica_name):
        claim = replace(CLAIM, replica_name=name)
        assert not is_proven(SECRET, CHALLENGE, replace(claim, proof=prove(other.token, CHALLENGE, claim)))


def test_replicas_that_share_a_token_have_names_below_it_alone():
    member = member_of(CREDENTIALS, "pod-1")
    assert member.replica_name == "digits-net_1-0a1b2c/pod-1"
    for name, is_good in ((member.replica_name, True), ("digits-net_1-0a1b2c", True), ("digits-net_1/pod-1", False)):
        claim = replace(CLAIM, replica_name=name)
        assert is_proven(SECRET, CHALLENGE, replace(claim, proof=prove(member.token, CHALLENGE, claim))) is is_good


def test_moving_a_letter_between_names_changes_the_token():
    tokens = {make_credentials(SECRET, ModelId(*names), "r").token for names in [("ab", "c"), ("a", "bc")]}
    assert len(tokens) == 2


def test_secrets_are_shown_nowhere():
    assert "the admin token" not in SECRET
    shown = repr(CREDENTIALS) + repr(PROVEN)
    assert "token=" not in shown
    assert "proof=" not in shown


def test_credentials_travel_as_a_file():
    assert decode_credentials(encode_credentials(CREDENTIALS)) == CREDENTIALS


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"replica": "r"}', '{"replica": "r", "token": "swordfish"}'])
def test_malformed_credentials_are_refused_and_not_shown(content):
    with pytest.raises(InvalidRequestError) as refused:
        decode_credentials(content)
    assert "swordfish" not in str(refused.value)
