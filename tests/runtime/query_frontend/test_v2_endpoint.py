"""Inference requests of the Open Inference Protocol: an application's queries, answered as tensors by its SLO."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.predict_body import MAX_INPUTS_AT_ONCE
from clipper_nb.runtime.http.endpoint import InferHead
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes
from clipper_nb.runtime.query_frontend.journal import Journal
from clipper_nb.runtime.query_frontend.large_request import LargeRequests
from clipper_nb.runtime.query_frontend.v2_endpoint import V2Endpoint
from clipper_nb.runtime.turns import Turns
from tests.protocol.test_v2_body import binary_request, json_request
from tests.support.fake_replica import MODEL_ID, FakeReplica
from tests.support.predictor_bench import OTHER_ID, Bench
from tests.support.records import make_application, make_configuration, make_version

SLO_S = 0.1


class V2Bench(Bench):
    """A query frontend with its V2 endpoint, for applications of doubles."""

    def __init__(self, *, default_output: str = "-1", limit_bytes: int = 10**9, **options: Any) -> None:
        application = make_application(
            input_type=InputType.DOUBLES, slo_micros=int(SLO_S * 1e6), default_output=default_output
        )
        versions = [make_version(version=version, input_type=InputType.DOUBLES, batch_size=100) for version in "21"]
        lonely = make_application("lonely", input_type=InputType.DOUBLES, default_output="0")
        super().__init__(
            make_configuration(*versions, applications=(application, lonely), links={"digits": "digits-net"}), **options
        )
        self.waiting = WaitingBytes(limit_bytes)
        self.turns: list[Any] = []  # what runs in the next turn
        turns = Turns(self.turns.append, self.loop.time)
        self.journal = Journal()
        self.requests = LargeRequests(self.predictor, self.loop, turns, self.waiting, self.journal)
        self.endpoint = V2Endpoint(self.predictor, self.loop, self.requests)
        self.replies: list[tuple[int, int | None, bytes]] = []

    def respond(self, status: int, body: bytes) -> None:
        self.replies.append((int(status), None, body))

    def respond_with_tensors(self, json_size_bytes: int, body: bytes) -> None:
        self.replies.append((200, json_size_bytes, body))

    def post(self, body, json_size=None, *, name="digits", version=None, encoding=None, arrived_s=None):
        """Send a request; return what cancels it."""
        head = InferHead(name, version, json_size, encoding)
        return self.endpoint.answer(head, body, self.loop.time() if arrived_s is None else arrived_s, self)

    def settle(self):
        """End turns until nothing more happens by itself."""
        self.loop.end_turn()
        while self.turns:
            due, self.turns[:] = list(self.turns), []
            for callback in due:
                callback()
            self.loop.end_turn()

    def answer_all(self, replica):
        """Answer with the first number of each input."""
        num_answered = 0
        self.settle()
        while len(replica.batches) > num_answered:
            batch = replica.batches[num_answered]
            num_answered += 1
            self.answer(replica, *(_first(payload) for payload in batch))
            self.settle()

    def reply(self) -> dict[str, Any]:
        """Return the JSON of the one successful reply."""
        [(status, json_size_bytes, body)] = self.replies
        assert status == 200, body
        return json.loads(body[:json_size_bytes])

    def error(self) -> tuple[int, str]:
        [(status, _, body)] = self.replies
        assert json.loads(body).keys() == {"error"}
        return status, json.loads(body)["error"]


def _first(payload: bytes) -> str:
    """Return the first number as a replica sends it."""
    [output] = encode_outputs([float(np.frombuffer(payload)[0])], num_inputs=1)
    return output.decode()


class DoublesReplica(FakeReplica):
    def __init__(self, replica_id, model_id=MODEL_ID):
        super().__init__(replica_id, model_id, InputType.DOUBLES)


def joined(**options: Any) -> tuple[V2Bench, FakeReplica]:
    bench = V2Bench(**options)
    return bench, bench.join(replica_type=DoublesReplica)


ONE = json_request("FP64", [1, 2], [1.5, 2.0])
TWO = json_request("FP64", [2, 1], [1.5, 2.5], id="mine")


def test_rows_of_a_tensor_are_queries_in_order():
    bench, replica = joined()
    bench.post(TWO)
    bench.answer_all(replica)
    output = {"name": "output", "datatype": "FP64", "shape": [2], "data": [1.5, 2.5]}
    assert bench.reply() == {"model_name": "digits", "model_version": "1", "id": "mine", "outputs": [output]}
    assert bench.value("clipper_app_queries_total", app="digits") == 2


def test_request_without_an_id_gets_that_of_its_first_query():
    bench, replica = joined()
    bench.post(ONE)
    bench.post(ONE)
    bench.answer_all(replica)
    assert [json.loads(body)["id"] for _, _, body in bench.replies] == ["0", "1"]


def test_binary_tensor_reaches_the_replica_as_it_is():
    bench, replica = joined()
    raw = np.array([[1.5, -0.0], [np.nan, np.inf]]).tobytes()
    body, json_size = binary_request("FP64", [2, 2], raw, parameters={"binary_data_output": True})
    bench.post(body, json_size)
    bench.loop.end_turn()
    assert b"".join(payload for batch in replica.batches for payload in batch) == raw
    bench.answer_all(replica)
    [(status, json_size_bytes, reply)] = bench.replies
    assert status == 200
    np.testing.assert_array_equal(np.frombuffer(reply[json_size_bytes:]), [1.5, np.nan])


def test_version_in_the_path_is_asked():
    bench, _ = joined()
    other = bench.join(OTHER_ID, DoublesReplica)
    bench.post(ONE, version="2")
    bench.answer_all(other)
    assert bench.reply()["model_version"] == "2"


@pytest.mark.parametrize(
    ("request_options", "status", "text"),
    [
        ({"name": "unknown"}, 404, "No application with name 'unknown' exists."),
        ({"name": "digits\0" + "0" * 64}, 401, "This token is not good for this path"),
        ({"version": "7"}, 404, "Requested version: 7 does not exist for model: digits-net"),
        ({"body": b"{"}, 400, "This is no inference request"),
        ({"json_size": b"x"}, 400, "'Inference-Header-Content-Length' is 'x'"),
        ({"encoding": b"gzip"}, 400, "The body is compressed (gzip)"),
    ],
)
def test_refusals_are_one_text(request_options, status, text):
    bench, replica = joined()
    bench.post(**{"body": ONE, **request_options})
    got, said = bench.error()
    assert got == status
    assert said.startswith(text)
    assert replica.batches == []


def test_identity_is_no_compression():
    bench, replica = joined()
    bench.post(ONE, encoding=b"identity")
    bench.answer_all(replica)
    assert bench.reply()["outputs"][0]["data"] == [1.5]


def test_empty_batch_is_answered():
    bench, _ = joined()
    bench.post(json_request("FP64", [0, 3], []))
    assert bench.reply()["outputs"][0]["shape"] == [0]


def test_default_outputs_are_marked():
    bench, replica = joined()
    bench.post(TWO)
    bench.loop.advance(SLO_S)
    outputs = {output["name"]: output["data"] for output in bench.reply()["outputs"]}
    assert outputs == {"output": [-1, -1], "default": [True, True], "default_reason": ["model_too_slow"] * 2}
    assert bench.value("clipper_app_default_outputs_total", app="digits", reason="model_too_slow") == 2
    bench.answer(replica, "1", "2")
    assert len(bench.replies) == 1


@pytest.mark.parametrize(
    ("name", "with_replica", "status"), [("lonely", True, 200), ("digits", False, 503), ("digits", True, 504)]
)
def test_default_that_no_tensor_holds_is_an_error(name, with_replica, status):
    bench = V2Bench(default_output="null")
    if with_replica:
        bench.join(replica_type=DoublesReplica)
    bench.post(ONE, name=name)
    bench.loop.advance(SLO_S)
    if status == 200:
        reply = bench.reply()
        assert "model_version" not in reply
        assert reply["outputs"][2]["data"] == ["not_linked"]
    else:
        assert bench.error()[0] == status


def test_timeout_of_a_request_shortens_its_slo():
    bench, _ = joined(cache_size_bytes=10**6)
    bench.post(json_request("FP64", [1, 1], [1.0], parameters={"timeout": 20_000}))
    bench.post(ONE)
    bench.loop.advance(0.02)
    outputs = {output["name"]: output["data"] for output in bench.reply()["outputs"]}
    assert outputs["default_reason"] == ["model_too_slow"]
    bench.loop.advance(SLO_S)
    assert len(bench.replies) == 2


def test_timeout_beyond_the_slo_changes_nothing():
    bench, _ = joined()
    bench.post(json_request("FP64", [1, 1], [1.0], parameters={"timeout": 2**62}))
    bench.loop.advance(SLO_S)
    assert len(bench.replies) == 1


def test_cached_output_answers_at_once():
    bench, replica = joined(cache_size_bytes=10**6)
    bench.post(ONE)
    bench.answer_all(replica)
    bench.replies.clear()
    bench.post(*binary_request("FP64", [1, 2], np.array([1.5, 2.0]).tobytes()))
    assert bench.reply()["outputs"][0]["data"] == [1.5]
    assert len(replica.batches) == 1


def test_client_that_leaves_is_not_answered():
    bench, _ = joined()
    bench.post(json_request("FP64", [1, 1], [1.0], parameters={"timeout": 20_000}))()
    bench.settle()
    bench.loop.advance(SLO_S)
    assert bench.replies == []


def test_form_of_the_output_is_remembered_for_metadata():
    bench, replica = joined()
    target = bench.predictor.find_target(bench.predictor.find_application("digits"), None)
    assert target.output_form is None
    bench.post(ONE)
    bench.settle()
    bench.answer(replica, "[1, 2]")
    assert target.output_form == ("INT64", (2,))


@pytest.mark.parametrize("num_inputs", [MAX_INPUTS_AT_ONCE, MAX_INPUTS_AT_ONCE + 1])
@pytest.mark.parametrize("form", ["JSON", "binary"])
def test_many_inputs_take_turns(num_inputs, form):
    bench, _ = joined()
    values = np.arange(float(num_inputs)).reshape(-1, 1)
    if form == "JSON":
        bench.post(json_request("FP64", [num_inputs, 1], values.tolist()))
    else:
        bench.post(*binary_request("FP64", [num_inputs, 1], values.tobytes()))
    assert bench.requests.num_open == (num_inputs > MAX_INPUTS_AT_ONCE)
