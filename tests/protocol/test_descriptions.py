"""What the management frontend says of applications, versions and replicas, on the wire and as records."""

from __future__ import annotations

import msgspec
import pytest

from clipper_nb.protocol import rest
from clipper_nb.protocol.descriptions import (
    ApplicationInfo,
    ClaimInfo,
    FrontendInfo,
    ReplicaInfo,
    VersionInfo,
    describe_application,
    describe_claim,
    describe_model_version,
    describe_query_frontend,
    describe_replica,
)
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.provenance import Example, Provenance
from clipper_nb.protocol.records import Claim, FrontendPresence, Replica
from clipper_nb.protocol.resource_limits import NO_LIMITS
from tests.support.records import make_application, make_version

REPLICA = Replica("m", "2", 4, InputType.BYTES)
DESCRIPTIONS = [
    describe_application(make_application(), []),
    describe_application(
        make_application(), ["digits-net"], make_version(provenance=Provenance(example=Example([1, 2**70], None)))
    ),
    describe_model_version(make_version(), is_current=False, num_replicas=0),
    describe_replica(REPLICA),
    describe_query_frontend(FrontendPresence("f", 1, 1.0, (REPLICA,))),
    describe_claim(Claim("secret", "m", "2", "process 1 on host a")),
]


def as_sent(described):
    """Return a description as it is on the wire."""
    return rest.parse_body(rest.format_body(described))


def test_application_is_described_in_clippers_words():
    application = make_application(default_output="-1", slo_micros=2000)
    assert as_sent(describe_application(application, [])) == {
        "name": "digits",
        "input_type": "strings",
        "default_output": "-1",
        "latency_slo_micros": 2000,
        "linked_models": [],
    }
    assert as_sent(describe_application(application, ["digits-net"]))["linked_models"] == ["digits-net"]


def test_application_has_the_example_of_the_version_that_answers():
    provenance = Provenance(example=Example("a", {"digit": 3}), input_schema={"type": "string"})
    described = as_sent(describe_application(make_application(), ["digits-net"], make_version(provenance=provenance)))
    assert described["model"] == "digits-net:1"
    assert described["input_schema"] == {"type": "string"}
    assert described["example"] == {"input": "a", "output": {"digit": 3}}


def test_model_version_is_described_in_clippers_words():
    version = make_version("m", "2", InputType.FLOATS, batch_size=8, registered_at=3.5)
    assert as_sent(describe_model_version(version, is_current=True, num_replicas=2)) == {
        "model_name": "m",
        "model_version": "2",
        "input_type": "floats",
        "labels": [],
        "container_name": "image:1",
        "batch_size": 8,
        "num_replicas": 2,
        "limits": {"memory": None, "cpus": None, "processes": None},
        "isolate_errors": True,
        "network_access": None,
        "hang_timeout_s": 30.0,
        "text_outputs": "json",
        "environment": {},
        "environment_variables": [],
        "num_samples": 0,
        "example": None,
        "input_schema": None,
        "autoscaling": None,
        "registered_at": 3.5,
        "is_current_version": True,
    }


def test_replica_is_described_in_clippers_words():
    assert as_sent(describe_replica(Replica("m", "2", 4, InputType.BYTES))) == {
        "model_id": "m:2",
        "model_name": "m",
        "model_version": "2",
        "model_replica_id": 4,
        "input_type": "bytes",
    }


def test_query_frontend_and_claim_are_described():
    [frontend, claim] = map(as_sent, DESCRIPTIONS[-2:])
    assert frontend == {"query_frontend_id": "f", "replicas": [as_sent(describe_replica(REPLICA))]}
    assert claim == {"model_id": "m:2", "holder": "process 1 on host a"}


@pytest.mark.parametrize("described", DESCRIPTIONS, ids=lambda described: type(described).__name__)
def test_record_survives_a_round_trip(described):
    body = rest.format_body(described)
    assert rest.parse_body(body, type(described)) == described
    # And the dictionary of the public interface is what the body says: the same keys, in order, of plain values.
    assert rest.format_body(msgspec.to_builtins(described)) == body
    assert msgspec.to_builtins(rest.parse_body(body, type(described))) == rest.parse_body(body)


def test_text_in_a_dictionary_is_plain_text():
    assert type(msgspec.to_builtins(describe_replica(REPLICA))["input_type"]) is str


@pytest.mark.parametrize("described", DESCRIPTIONS, ids=lambda described: type(described).__name__)
def test_field_of_a_newer_frontend_is_ignored(described):
    body = rest.format_body({**as_sent(described), "added_later": {"a": 1}})
    assert rest.parse_body(body, type(described)) == described


def test_field_that_an_older_frontend_lacks_has_its_default():
    sent = as_sent(describe_model_version(make_version(), is_current=True, num_replicas=3))
    for name in ("num_replicas", "limits", "environment", "num_samples", "example"):
        del sent[name]
    version = rest.parse_body(rest.format_body(sent), VersionInfo)
    assert (version.num_replicas, version.limits, version.environment) == (None, NO_LIMITS, {})
    assert (version.num_samples, version.example) == (0, None)


@pytest.mark.parametrize(
    ("body", "record_type"),
    [
        (b"{}", ApplicationInfo),
        (b'{"model_id": "m:1", "model_name": "m", "model_version": 1}', ReplicaInfo),
        (b'{"query_frontend_id": "f", "replicas": [{}]}', FrontendInfo),
        (b"[]", ClaimInfo),
    ],
)
def test_body_that_does_not_fit_the_record_is_a_value_error(body, record_type):
    with pytest.raises(ValueError):  # noqa: PT011  (the parser's own sentence)
        rest.parse_body(body, record_type)


def test_ids_are_those_of_the_records():
    version = describe_model_version(make_version("m", "2"), is_current=True, num_replicas=1)
    claim = describe_claim(Claim("secret", "m", "2", "process 1 on host a"))
    assert version.model_id == describe_replica(REPLICA).model_id == claim.model_id == ModelId("m", "2")
