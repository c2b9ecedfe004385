"""Large inference requests: parsed, asked and formatted in steps, in order and in time."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.protocol.test_v2_body import binary_request, json_request
from tests.runtime.query_frontend.test_v2_endpoint import SLO_S, V2Bench, joined

NUM_INPUTS = 3_000


def many(datatype: str = "FP64", **more: object) -> tuple[bytes, bytes]:
    """Return a request with many inputs."""
    values = np.arange(float(NUM_INPUTS)).astype({"FP64": np.float64, "FP32": np.float32}[datatype])
    return binary_request(datatype, [NUM_INPUTS, 1], values.tobytes(), **more)


@pytest.mark.parametrize("is_binary", [False, True])
def test_many_inputs_are_answered_in_order(is_binary):
    bench, replica = joined()
    bench.post(*many(parameters={"binary_data_output": is_binary}, id="a"))
    bench.answer_all(replica)
    reply = bench.reply()
    [output] = reply["outputs"]
    assert (reply["id"], reply["model_version"], output["shape"]) == ("a", "1", [NUM_INPUTS])
    [(_, json_size_bytes, body)] = bench.replies
    got = np.frombuffer(body[json_size_bytes:]) if is_binary else np.array(output["data"])
    assert got.tolist() == list(range(NUM_INPUTS))
    assert max(map(len, replica.batches)) <= 512
    assert bench.value("clipper_app_queries_total", app="digits") == NUM_INPUTS
    assert bench.requests.num_open == bench.waiting.size_bytes == 0


@pytest.mark.parametrize("form", ["JSON", "FP32"])
def test_large_tensor_takes_turns_to_be_parsed(form):
    bench, replica = joined()
    values = np.random.default_rng(1).random((2, 100_000)).astype(np.float32)
    if form == "JSON":
        bench.post(json_request("FP32", [2, 100_000], values.tolist()))
    else:
        bench.post(*binary_request("FP32", [2, 100_000], values.tobytes()))
    assert bench.requests.num_open == 1
    bench.answer_all(replica)
    assert bench.reply()["outputs"][0]["data"] == values[:, 0].astype(float).tolist()


def test_inputs_left_at_the_deadline_get_default_outputs():
    bench, replica = joined()
    bench.post(*many())
    bench.settle()
    bench.answer(replica, *["5.0"] * len(replica.batches[0]))
    bench.settle()
    bench.loop.advance(SLO_S)
    bench.settle()
    outputs = {output["name"]: output["data"] for output in bench.reply()["outputs"]}
    num_answered = len(replica.batches[0])
    assert outputs["output"] == [5.0] * num_answered + [-1.0] * (NUM_INPUTS - num_answered)
    assert outputs["default"] == [False] * num_answered + [True] * (NUM_INPUTS - num_answered)
    assert set(outputs["default_reason"][num_answered:]) == {"model_too_slow", "queued_too_long"}
    assert bench.requests.num_open == bench.waiting.size_bytes == 0


@pytest.mark.parametrize("is_known", [True, False])
def test_body_still_unparsed_at_the_deadline_is_answered(is_known):
    bench, _ = joined()
    body, json_size = many("FP32")
    if not is_known:
        body, json_size = json_request("FP64", [300_000], [1.25] * 300_000), None
    bench.post(body, json_size, arrived_s=bench.loop.time() - 1.0)
    bench.loop.advance(0.0)
    bench.settle()
    if is_known:
        assert bench.reply()["outputs"][0]["data"] == [-1] * NUM_INPUTS
    else:
        status, text = bench.error()
        assert (status, text[:40]) == (503, "The inputs could not all be read within ")


def test_default_that_no_tensor_holds_is_an_error():
    bench = V2Bench(default_output="null")
    bench.post(*many())
    bench.settle()
    status, text = bench.error()
    assert status == 503
    assert "has no connected replica" in text
    assert bench.requests.num_open == bench.waiting.size_bytes == 0


def test_wrong_element_is_refused_before_anything_is_asked():
    bench, replica = joined()
    bench.post(json_request("FP64", [2, 50_000], [1.25] * 99_999 + ["x"]))
    bench.settle()
    assert bench.error() == (400, "'data' of the FP64 tensor: Expected `float`, got `str` - at element 99999.")
    assert replica.batches == []
    assert bench.value("clipper_app_bad_requests_total", app="digits") == 1


def test_timeout_of_a_large_request_shortens_its_slo():
    bench, _ = joined()
    bench.post(*many(parameters={"timeout": 20_000}))
    bench.settle()
    bench.loop.advance(0.02)
    bench.settle()
    assert bench.reply()["outputs"][0]["data"] == [-1] * NUM_INPUTS


def test_client_that_leaves_gives_its_memory_back():
    bench, replica = joined()
    cancel = bench.post(*many())
    bench.settle()
    cancel()
    assert bench.requests.num_open == bench.waiting.size_bytes == 0
    bench.answer(replica, *["1"] * len(replica.batches[0]))
    bench.settle()
    assert bench.replies == []


def test_payloads_over_the_limit_are_refused_unless_alone():
    bench, replica = joined(limit_bytes=1_000_000)
    values = np.ones(200_000, np.float32)
    for _ in range(2):
        bench.post(*binary_request("FP32", [1, 200_000], values.tobytes()))
    bench.settle()
    assert [status for status, _, _ in bench.replies] == [503]
    bench.answer_all(replica)
    assert [status for status, _, _ in bench.replies] == [503, 200]
    assert json.loads(bench.replies[1][2])["outputs"][0]["data"] == [1.0]
