"""Inputs of type ``json`` are checked against the schema of the version that is asked, before a replica has them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.provenance import Provenance
from clipper_nb.protocol.route import make_route
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes
from clipper_nb.runtime.query_frontend.journal import Journal
from clipper_nb.runtime.query_frontend.large_request import LargeRequests
from clipper_nb.runtime.query_frontend.predict_endpoint import PredictEndpoint
from clipper_nb.runtime.turns import Turns
from tests.support.fake_replica import MODEL_ID, FakeReplica
from tests.support.predictor_bench import Bench
from tests.support.records import make_application, make_configuration, make_version

NUMBER = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
TEXT = {"type": "string"}


class JsonReplica(FakeReplica):
    def __init__(self, replica_id: Any, model_id: Any = MODEL_ID) -> None:
        super().__init__(replica_id, model_id, InputType.JSON)


class JsonBench(Bench):
    """A query frontend with an application of JSON, whose model has a version with a schema."""

    def __init__(self, schema: Any) -> None:
        super().__init__(configuration(schema))
        self.turns: list[Any] = []
        turns = Turns(self.turns.append, self.loop.time)
        journal = Journal()
        requests = LargeRequests(self.predictor, self.loop, turns, WaitingBytes(10**9), journal)
        self.endpoint = PredictEndpoint(self.predictor, self.loop.time, requests, journal)
        self.replica = self.join(replica_type=JsonReplica)

    def post(self, body: Any) -> tuple[int, str, list[list[bytes]]]:
        """Return status and text of the reply, empty without one yet, and what the replica has got so far."""
        replies: list[tuple[int, bytes]] = []
        self.endpoint.answer(
            "digits", json.dumps(body).encode(), self.loop.time(), lambda status, reply: replies.append((status, reply))
        )
        while self.turns:
            due, self.turns[:] = list(self.turns), []
            for callback in due:
                callback()
            self.loop.end_turn()
        self.loop.end_turn()
        status, text = (replies[0][0], json.loads(replies[0][1])["cause"]) if replies else (0, "")
        return status, text, [list(map(bytes, batch)) for batch in self.replica.batches]


def configuration(schema: Any) -> Any:
    version = structs.replace(make_version(input_type=InputType.JSON), provenance=Provenance(input_schema=schema))
    application = make_application(input_type=InputType.JSON)
    return make_configuration(version, applications=(application,), links={"digits": "digits-net"})


def test_input_that_fits_reaches_the_replica_as_it_was_sent() -> None:
    assert JsonBench(NUMBER).post({"input": {"x": 1.50}}) == (0, "", [[b'{"x": 1.5}']])


@pytest.mark.parametrize("num_good", [0, 3, 300, 3000])
def test_one_bad_input_refuses_its_request_whatever_its_size(num_good: int) -> None:
    bench = JsonBench(NUMBER)
    status, cause, batches = bench.post({"input_batch": [{"x": 1}] * num_good + [{"x": "1"}]})
    assert (status, batches) == (400, [])
    assert cause.startswith(f'Expected a number, got "1" - at `$.input_batch[{num_good}].x`')


def test_new_configuration_brings_its_schema() -> None:
    bench = JsonBench(NUMBER)
    bench.predictor.apply(replace(configuration(TEXT), revision=9))
    status, cause, _ = bench.post({"input": {"x": 1}})
    assert status == 400
    assert cause.startswith("Expected text, got {")


def test_version_without_a_schema_takes_any_json_of_100_levels() -> None:
    many = [[[]]] * 60
    assert JsonBench(None).post({"input": many}) == (0, "", [[json.dumps(many).encode()]])
    assert JsonBench(None).post({"input": 10**400}) == (0, "", [[str(10**400).encode()]])
    deep: Any = []
    for _ in range(150):
        deep = [deep]
    status, cause, batches = JsonBench(None).post({"input": deep})
    assert (status, batches) == (400, [])
    assert "nested more than 100" in cause


def test_application_without_a_model_refuses_what_is_not_json() -> None:
    bench = Bench(make_configuration(applications=(make_application(input_type=InputType.JSON),)))
    turns = Turns([].append, bench.loop.time)
    journal = Journal()
    requests = LargeRequests(bench.predictor, bench.loop, turns, WaitingBytes(10**9), journal)
    endpoint = PredictEndpoint(bench.predictor, bench.loop.time, requests, journal)
    replies: list[int] = []
    for body in (b'{"input": 1e999}', b'{"input": 1}'):
        endpoint.answer("digits", body, bench.loop.time(), lambda status, _body: replies.append(status))
    assert replies == [400, 200]


@pytest.mark.parametrize("size", [1, 3000])
def test_request_of_any_size_goes_where_its_key_does(size: int) -> None:
    """One target answers all its inputs."""
    second = make_version(version="2", input_type=InputType.JSON, registered_at=2.0)
    before = configuration(None)
    divided = replace(
        before,
        revision=9,
        routes={"digits": make_route({"digits-net:1": 1, "digits-net:2": 1})},
        versions={**before.versions, second.model_id: second},
    )
    found = {}
    for key in ("ada", "grace", "alan", "emmy"):
        bench = JsonBench(None)
        bench.predictor.apply(divided)
        other = bench.join(second.model_id, JsonReplica)
        bench.post({"input_batch": [0] * size, "key": key})
        found[key] = [number for number, replica in (("1", bench.replica), ("2", other)) if replica.batches]
    assert found == {"ada": ["1"], "grace": ["2"], "alan": ["2"], "emmy": ["1"]}
