"""Large requests: answered in order and in time, a window at a time, and nothing is kept of one that is over."""

from __future__ import annotations

import gc
import json
import weakref

import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.predict_body import MAX_INPUTS_AT_ONCE
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes
from clipper_nb.runtime.query_frontend.journal import Journal
from clipper_nb.runtime.query_frontend.large_request import LargeRequests
from clipper_nb.runtime.query_frontend.predict_endpoint import PredictEndpoint
from clipper_nb.runtime.turns import Turns
from tests.support.fake_replica import MODEL_ID, FakeReplica
from tests.support.predictor_bench import Bench
from tests.support.records import make_application, make_configuration, make_version

SLO_S = 0.1
FIXED_SIZE = 100


class LargeBench(Bench):
    """A query frontend with its endpoint, for applications of doubles; the model answers with the first number."""

    def __init__(self, *, limit_bytes=10**9, batch_size=FIXED_SIZE, cache_size_bytes=0):
        application = make_application(input_type=InputType.DOUBLES, slo_micros=int(SLO_S * 1e6), default_output="-1")
        version = make_version(input_type=InputType.DOUBLES, batch_size=batch_size)
        links = {"digits": "digits-net"}
        super().__init__(
            make_configuration(version, applications=(application,), links=links), cache_size_bytes=cache_size_bytes
        )
        self.waiting = WaitingBytes(limit_bytes)
        self.turns = []  # what runs in the next turn
        self.journal = Journal()
        turns = Turns(self.turns.append, self.loop.time)
        self.requests = LargeRequests(self.predictor, self.loop, turns, self.waiting, self.journal)
        self.endpoint = PredictEndpoint(self.predictor, self.loop.time, self.requests, self.journal)
        self.replies = []

    def post(self, body, *, arrived_s=None):
        """Send a request; return what cancels it."""
        arrived_s = self.loop.time() if arrived_s is None else arrived_s
        return self.endpoint.answer("digits", body, arrived_s, lambda status, body: self.replies.append((status, body)))

    def end_turn(self):
        due, self.turns[:] = list(self.turns), []
        for callback in due:
            callback()
        self.loop.end_turn()

    def settle(self):
        """End turns until nothing more happens by itself."""
        while self.turns:
            self.end_turn()

    def answer_all(self, replica, *, batch_s=0.0):
        """Let a model answer until all is answered; return the sizes of its batches."""
        sizes = []
        while len(replica.batches) > len(sizes):
            batch = replica.batches[len(sizes)]
            sizes.append(len(batch))
            self.loop.advance(batch_s)
            self.answer(replica, *(str(int.from_bytes(payload[-2:], "little")) for payload in batch))
            self.settle()
        return sizes

    def predictions(self):
        [(status, body)] = self.replies
        assert status == 200
        return json.loads(body)["batch_predictions"]


class DoublesReplica(FakeReplica):
    def __init__(self, replica_id, model_id=MODEL_ID):
        super().__init__(replica_id, model_id, InputType.DOUBLES)


def batch_of(num_inputs):
    return json.dumps({"input_batch": [[float(number)] for number in range(num_inputs)]}).encode()


def one_of(num_numbers, first=1.5):
    return json.dumps({"input": [first] * num_numbers}).encode()


def joined(**options):
    bench = LargeBench(**options)
    return bench, bench.join(replica_type=DoublesReplica)


def test_small_requests_are_answered_as_before():
    bench, replica = joined()
    bench.post(batch_of(MAX_INPUTS_AT_ONCE))
    assert bench.turns == []
    bench.loop.end_turn()
    assert sum(map(len, replica.batches)) == FIXED_SIZE
    bench.answer_all(replica)
    assert len(bench.predictions()) == MAX_INPUTS_AT_ONCE


@pytest.mark.parametrize("num_inputs", [MAX_INPUTS_AT_ONCE + 1, 1000, 5000])
def test_many_inputs_are_answered_in_order(num_inputs):
    bench, replica = joined()
    bench.post(batch_of(num_inputs))
    bench.settle()
    bench.answer_all(replica)
    sent = [payload for batch in replica.batches for payload in batch]
    expected = [int.from_bytes(payload[-2:], "little") for payload in sent]
    predictions = bench.predictions()
    assert [answer["output"] for answer in predictions] == expected
    assert len({answer["query_id"] for answer in predictions}) == num_inputs
    assert bench.value("clipper_app_queries_total", app="digits") == num_inputs
    assert bench.requests.num_open == bench.waiting.size_bytes == 0


def test_one_large_input_is_answered():
    bench, replica = joined()
    bench.post(one_of(100_000))
    bench.settle()
    assert [[len(payload) for payload in batch] for batch in replica.batches] == [[800_000]]
    assert bench.waiting.size_bytes == 800_000
    bench.answer(replica, '"yes"')
    bench.settle()
    [(status, body)] = bench.replies
    assert (status, json.loads(body)["output"]) == (200, "yes")
    assert bench.waiting.size_bytes == 0


def test_an_input_waits_behind_a_window_of_a_large_batch_at_most():
    bench, replica = joined(batch_size=10)
    bench.post(batch_of(5000))
    bench.settle()
    bench.post(b'{"input": [7.25]}')
    ahead = sum(map(len, replica.batches)) + bench.pool.find(MODEL_ID).queue_length - 1
    assert ahead == 64
    bench.loop.advance(0.01)
    answered = 0
    while len(bench.replies) == 0:
        bench.answer(replica, *["0"] * len(replica.batches[answered]))
        answered += 1
        bench.settle()
        bench.loop.advance(0.01)
    assert answered <= 8
    assert json.loads(bench.replies[0][1])["default"] is False


def test_slow_model_gets_smaller_portions_than_a_quick_one():
    for batch_s, expected in ((0.0, 300), (0.03, 20)):
        bench, replica = joined(batch_size=10_000)
        bench.post(batch_of(5000))
        bench.settle()
        sizes = bench.answer_all(replica, batch_s=batch_s)
        largest_later = max(sizes[2:4])
        assert largest_later > expected if batch_s == 0.0 else largest_later < expected
        assert max(sizes) <= 512


def test_large_requests_share_what_may_be_under_way():
    bench, replica = joined(batch_size=10_000)
    for _ in range(8):
        bench.post(batch_of(2000))
    bench.settle()
    bench.answer_all(replica)
    assert max(map(len, replica.batches)) <= 8 * 64
    assert [status for status, _ in bench.replies] == [200] * 8


def test_inputs_left_at_the_deadline_get_default_outputs():
    bench, replica = joined()
    bench.post(batch_of(3000))
    bench.settle()
    bench.answer(replica, *["5"] * len(replica.batches[0]))
    bench.settle()
    num_asked = sum(map(len, replica.batches)) + bench.pool.find(MODEL_ID).queue_length
    began_s = bench.loop.time()
    while not bench.replies:
        bench.loop.advance(0.0001)
        bench.end_turn()
    assert bench.loop.time() - began_s <= SLO_S
    predictions = bench.predictions()
    assert len(predictions) == 3000
    num_answered = len(replica.batches[0])
    assert [answer["default"] for answer in predictions] == [False] * num_answered + [True] * (3000 - num_answered)
    assert {answer["default_reason"] for answer in predictions[num_answered:num_asked]} == {
        "model_too_slow", "queued_too_long"
    }  # fmt: skip
    assert {answer["default_reason"] for answer in predictions[num_asked:]} == {"queued_too_long"}
    assert all(
        "within the specified latency SLO of 100 ms" in a["default_explanation"] for a in predictions[num_asked:]
    )
    ids = [answer["query_id"] for answer in predictions]
    assert len(set(ids)) == 3000
    for answer in (predictions[number] for number in (0, num_answered, num_asked - 1, num_asked, 2999)):
        assert bench.journal.find(answer["query_id"]).reason == answer.get("default_reason")
    labels = {"app": "digits"}
    assert bench.value("clipper_app_queries_total", **labels) == 3000
    assert bench.value("clipper_app_latency_seconds_count", **labels) == 3000
    assert bench.value("clipper_app_lateness_seconds_bucket", le="0.0", **labels) == 3000
    assert bench.requests.num_open == bench.waiting.size_bytes == 0


@pytest.mark.parametrize(
    ("body", "num_defaults"),
    [(one_of(200_000), 1), (batch_of(16_000), 16_000), (b'{"input_batch":[' + b"[1]," * 20_000 + b"[1]]}", None)],
    ids=["one", "batch", "too many"],
)
def test_body_still_unparsed_at_the_deadline_is_answered(body, num_defaults):
    bench, _ = joined()
    bench.requests.turns._works.clear()
    bench.post(body, arrived_s=bench.loop.time() - 1.0)
    assert bench.requests.turns._works[0].step()
    bench.loop.advance(0.0)
    bench.settle()
    [(status, reply)] = bench.replies
    if num_defaults is None:
        assert (status, json.loads(reply)["error"]) == (503, "Overloaded")
        return
    answers = json.loads(reply).get("batch_predictions", [json.loads(reply)])
    assert [answer["default_reason"] for answer in answers] == ["queued_too_long"] * num_defaults


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b'{"input_batch":[' + b"[1]," * 3000 + b'["x"]]}', "$.input_batch[3000][0]"),
        (b'{"input_batch":[' + b"[1]," * 3000 + b'[2]],"version":"7"}', "Requested version: 7 does not exist"),
        (b'{"input":[' + b"1," * 300_000, "truncated"),
    ],
    ids=["input", "version", "json"],
)
def test_a_bad_request_is_refused_before_anything_is_asked(body, cause):
    bench, replica = joined()
    bench.post(body)
    bench.settle()
    [(status, reply)] = bench.replies
    assert status == 400
    assert cause in json.loads(reply)["cause"]
    assert replica.batches == []
    assert bench.value("clipper_app_bad_requests_total", app="digits") == 1
    assert bench.requests.num_open == bench.waiting.size_bytes == 0


def test_an_empty_batch_with_much_around_it_is_answered():
    bench, _ = joined()
    bench.post(b'{"input_batch":[]' + b" " * 300_000 + b"}")
    bench.settle()
    assert bench.predictions() == []


def test_without_a_replica_every_input_gets_the_reason():
    bench = LargeBench()
    bench.post(batch_of(1000))
    bench.settle()
    assert [answer["default_reason"] for answer in bench.predictions()] == ["no_ready_replica"] * 1000


@pytest.mark.parametrize("when", ["parsing", "asked"])
def test_a_client_that_leaves_gives_its_memory_back_at_once(when):
    bench, replica = joined(cache_size_bytes=10**8)
    cancel = bench.post(one_of(200_000))
    request = weakref.ref(bench.requests.turns._works[0])
    if when == "parsing":
        request().step()
        body = request()._body
        assert body.payloads_size_bytes
    else:
        bench.settle()
        replica.batches.clear()
        computation = next(iter(bench.cache._in_flight.values()))
    cancel()
    assert bench.waiting.size_bytes == bench.requests.num_open == 0
    if when == "asked":
        assert computation.payload == b""
        assert bench.cache._in_flight == {}
        bench.answer(replica, "1")
    bench.settle()
    del cancel
    gc.collect()
    assert bench.replies == []
    assert len(bench.cache) == 0


def test_an_answer_at_the_deadline_gives_the_input_back_at_once():
    bench, replica = joined(cache_size_bytes=10**8)
    bench.post(one_of(200_000))
    bench.settle()
    replica.batches.clear()
    computation = next(iter(bench.cache._in_flight.values()))
    bench.loop.advance(SLO_S)
    bench.settle()
    assert json.loads(bench.replies[0][1])["default_reason"] == "model_too_slow"
    assert computation.payload == b""
    bench.answer(replica, "1")
    assert len(bench.cache) == 0


def test_an_input_that_another_client_waits_for_is_kept():
    bench, replica = joined(cache_size_bytes=10**8)
    cancels = [bench.post(one_of(200_000)) for _ in range(2)]
    bench.settle()
    cancels[0]()
    assert [len(batch) for batch in replica.batches] == [1]
    bench.answer(replica, "1")
    bench.settle()
    assert [json.loads(reply)["output"] for _, reply in bench.replies] == [1]


def test_payloads_over_the_limit_are_refused_unless_alone():
    bench, replica = joined(limit_bytes=1_000_000)
    body = b'{"input":[' + b"1," * 200_000 + b"1]}"
    for _ in range(2):
        bench.post(body)
    bench.settle()
    assert [status for status, _ in bench.replies] == [503]
    bench.answer(replica, "1")
    bench.settle()
    assert [status for status, _ in bench.replies] == [503, 200]
    assert bench.waiting.size_bytes == 0


def test_a_fault_of_ours_is_answered():
    bench, _ = joined()
    bench.requests.predictor = None
    bench.post(batch_of(1000))
    bench.settle()
    assert [status for status, _ in bench.replies] == [500]
    assert bench.requests.num_open == bench.waiting.size_bytes == 0
