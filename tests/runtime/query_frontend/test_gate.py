"""Requests wait until the configuration is known to be current, at most for their SLO."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.redis_keys import LEASE_S
from clipper_nb.runtime.http.endpoint import InferHead
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes
from clipper_nb.runtime.query_frontend.gate import Gate
from clipper_nb.runtime.query_frontend.journal import Journal
from clipper_nb.runtime.query_frontend.large_request import LargeRequests
from clipper_nb.runtime.query_frontend.predict_endpoint import PredictEndpoint
from clipper_nb.runtime.query_frontend.v2_endpoint import V2Endpoint
from clipper_nb.runtime.state.lease import Lease
from clipper_nb.runtime.turns import Turns
from tests.protocol.test_v2_body import json_request
from tests.support.fake_replica import MODEL_ID
from tests.support.predictor_bench import LINKED, OTHER_ID, Bench
from tests.support.records import make_application, make_version

SLO_S = LINKED.applications["digits"].slo_micros / 1e6
SWITCHED = replace(
    LINKED,
    revision=2,
    versions={MODEL_ID: make_version(), OTHER_ID: make_version(version="2")},
    current_versions={"digits-net": "2"},
)


class GateBench:
    """A frontend behind its gate: the test stops it and lets it look."""

    def __init__(self):
        self.bench = Bench()
        self.loop = self.bench.loop
        self.lease = Lease(self.loop.time)
        self.num_looks = 0
        self.replies = []
        turns = Turns(self.loop.call_soon, self.loop.time)
        journal = Journal()
        large = LargeRequests(self.bench.predictor, self.loop, turns, WaitingBytes(1_000_000), journal)
        endpoint = PredictEndpoint(self.bench.predictor, self.loop.time, large, journal)
        v2_endpoint = V2Endpoint(self.bench.predictor, self.loop, large)
        self.gate = Gate(endpoint, v2_endpoint, self.bench.predictor, self.lease, self._look_soon, self.loop)
        self.old, self.new = self.bench.join(), self.bench.join(OTHER_ID)
        self.lease.renew(self.loop.time())

    def post(self, body, application="digits"):
        return self.gate(application, json.dumps(body).encode(), self.loop.time(), self._respond)

    def infer(self, *texts, application="digits"):
        body = json_request("BYTES", [len(texts)], list(texts))
        return self.gate.infer(InferHead(application, None, None, None), body, self.loop.time(), self)

    def respond(self, status, body):
        self._respond(status, body)

    def stand_still(self, seconds=60.0):
        self.loop.be_busy(seconds)

    def look(self, configuration=None):
        if configuration is not None:
            self.bench.predictor.apply(configuration)
        self.lease.renew(self.loop.time())
        self.loop.end_turn()

    def _look_soon(self):
        self.num_looks += 1

    def _respond(self, status, body):
        self.replies.append((int(status), json.loads(body)))


def test_requests_pass_while_the_lease_lasts():
    bench = GateBench()
    bench.post({"input": "a"})
    bench.loop.end_turn()
    assert bench.old.batches == [[b"a"]]
    assert bench.num_looks == 0


def test_stalled_frontend_answers_by_the_state_it_reads_next():
    bench = GateBench()
    bench.stand_still()
    bench.post({"input": "a"})
    bench.loop.end_turn()
    assert (bench.old.batches, bench.replies, bench.num_looks) == ([], [], 1)
    bench.look(SWITCHED)
    assert (bench.old.batches, bench.new.batches) == ([], [[b"a"]])
    bench.bench.answer(bench.new, "NEW")
    [(status, reply)] = bench.replies
    assert (status, reply["output"]) == (200, "NEW")
    bench.loop.advance(1.0)
    assert len(bench.replies) == 1


def test_new_application_is_found_by_the_next_read():
    bench = GateBench()
    bench.stand_still()
    bench.post({"input": "a"}, "letters")
    bench.loop.advance(10.0)
    assert bench.replies == []
    applications = {**LINKED.applications, "letters": make_application("letters")}
    bench.look(replace(LINKED, revision=2, applications=applications))
    assert [reply["default_reason"] for _, reply in bench.replies] == ["not_linked"]


def test_input_is_checked_by_the_application_that_is_read():
    """Under its name there may be another one by now."""
    bench = GateBench()
    bench.stand_still()
    bench.post({"input": "text"})
    again = make_application(input_type=InputType.DOUBLES, registered_at=2.0)
    bench.look(replace(LINKED, revision=2, applications={"digits": again}, routes={}))
    assert [status for status, _ in bench.replies] == [400]


@pytest.mark.parametrize("body", [{"input": "a"}, {"input_batch": ["a", "b", "c"]}, {"input_batch": []}])
def test_default_output_meets_the_slo_if_nothing_can_be_read(body):
    bench = GateBench()
    bench.stand_still()
    arrived_s = bench.loop.time()
    bench.post(body)
    bench.loop.advance(SLO_S)
    [(status, reply)] = bench.replies
    answers = reply.get("batch_predictions", [reply])
    assert status == 200
    assert len(answers) == len(body.get("input_batch", "1"))
    for answer in answers:
        assert (answer["output"], answer["default"], answer["default_reason"]) == ("unknown", True, "queued_too_long")
        assert "was paused" in answer["default_explanation"]
    assert bench.bench.value("clipper_app_queries_total", app="digits") == len(answers)
    assert bench.loop.time() == arrived_s + SLO_S
    bench.look(SWITCHED)
    assert len(bench.replies) == 1
    assert bench.new.batches == []


def test_wrong_input_is_reported_even_if_nothing_can_be_read():
    bench = GateBench()
    bench.stand_still()
    bench.post({"input": 1})
    bench.loop.advance(SLO_S)
    assert [status for status, _ in bench.replies] == [400]


@pytest.mark.parametrize("when", ["held", "asked"])
def test_client_that_leaves_gets_nothing(when):
    bench = GateBench()
    bench.stand_still()
    cancel = bench.post({"input": "a"})
    if when == "asked":
        bench.look()
    cancel()
    bench.look()
    bench.loop.advance(1.0)
    bench.bench.answer(bench.old, "A") if bench.old.batches else None
    assert bench.replies == []
    assert len(bench.old.batches) == (when == "asked")


def test_outdated_read_lets_no_request_through():
    bench = GateBench()
    began_s = bench.loop.time()
    bench.stand_still(LEASE_S + 1)
    bench.post({"input": "a"})
    bench.lease.renew(began_s)
    bench.loop.end_turn()
    assert bench.old.batches == []


def test_requests_that_are_over_leave_nothing_behind():
    """While nothing can be read for long, many come."""
    bench = GateBench()
    bench.stand_still()
    for _ in range(100):
        bench.post({"input": "a"})
        bench.loop.advance(SLO_S)
    assert len(bench.replies) == 100
    assert not bench.gate._held
    assert len(bench.lease._on_renewed) == 1


# --- infer requests


def test_infer_requests_pass_while_the_lease_lasts():
    bench = GateBench()
    bench.infer("a")
    bench.loop.end_turn()
    assert bench.old.batches == [[b"a"]]


def test_infer_request_waits_for_the_state_that_is_read_next():
    bench = GateBench()
    bench.stand_still()
    bench.infer("a")
    bench.loop.end_turn()
    assert (bench.old.batches, bench.replies, bench.num_looks) == ([], [], 1)
    bench.look(SWITCHED)
    assert (bench.old.batches, bench.new.batches) == ([], [[b"a"]])
    bench.bench.answer(bench.new, "NEW")
    [(status, reply)] = bench.replies
    assert (status, reply["model_version"], reply["outputs"][0]["data"]) == (200, "2", ["NEW"])


def test_infer_request_gets_defaults_if_nothing_can_be_read():
    bench = GateBench()
    bench.stand_still()
    bench.infer("a", "b")
    bench.loop.advance(SLO_S)
    [(status, reply)] = bench.replies
    assert status == 200
    assert [output["data"] for output in reply["outputs"]] == [["unknown"] * 2, [True] * 2, ["queued_too_long"] * 2]
    bench.look(SWITCHED)
    assert len(bench.replies) == 1


def test_fault_of_ours_with_a_held_request_is_answered():
    bench = GateBench()
    faults = [RuntimeError("a fault of ours")]

    def respond(status, body):
        if faults:
            raise faults.pop()
        bench._respond(status, body)

    bench.respond = respond
    bench.stand_still()
    bench.infer("a", application="unknown")  # which is answered as soon as it is let through
    bench.look()
    assert [status for status, _ in bench.replies] == [500]
