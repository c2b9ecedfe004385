"""Every query is answered by its application's SLO, with the default output where no prediction came."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.fake_replica import MODEL_ID
from tests.support.predictor_bench import LINKED, Bench, outcomes
from tests.support.records import make_application, make_version

LATE = "Failed to retrieve a prediction response within the specified latency SLO"


def test_late_query_gets_default_output_by_the_slo():
    bench = Bench()
    bench.join()
    [query] = bench.ask(b"a")
    bench.loop.advance(0.098)
    assert bench.answers == []
    bench.loop.advance(0.002)
    [(answered, when_s)] = bench.answers
    assert answered is query
    assert when_s <= 1000.1
    assert query.reason == "model_too_slow"
    assert query.explanation.startswith(f"{LATE} of 100 ms: a replica of digits-net:1 has had the query for ")


def test_query_that_waits_for_too_long_says_for_what():
    bench = Bench(replace(LINKED, versions={MODEL_ID: make_version(batch_size=1)}))
    bench.join()
    first, second = bench.ask(b"a", b"b")
    bench.loop.advance(0.1)
    assert outcomes([first, second]) == ["model_too_slow", "queued_too_long"]
    assert "busy replicas: 1, others waiting: 0" in second.explanation
    assert second.explanation.startswith(f"{LATE} of 100 ms: the query waited in the queue of digits-net:1 (")


@pytest.mark.parametrize("slo_micros", [1, 100, 1_000, 20_000, 100_000, 60_000_000])
def test_default_leaves_before_the_slo_and_not_much_before(slo_micros):
    application = make_application(slo_micros=slo_micros)
    bench = Bench(replace(LINKED, applications={"digits": application}))
    bench.join()
    bench.ask(b"a")
    bench.loop.advance(100.0)
    [(_, when_s)] = bench.answers
    slo_s = slo_micros / 1e6
    assert 0.8 * slo_s - 1e-9 <= when_s - 1000.0 < slo_s
    assert slo_s - (when_s - 1000.0) <= 0.002


def test_clock_starts_when_the_request_has_arrived():
    bench = Bench()
    bench.join()
    bench.ask(b"a", arrived_s=999.95)
    bench.loop.advance(0.05)
    assert outcomes([bench.answers[0][0]]) == ["model_too_slow"]


def test_answer_after_the_deadline_changes_nothing():
    bench = Bench()
    replica = bench.join()
    [query] = bench.ask(b"a")
    bench.loop.advance(0.1)
    bench.answer(replica, "A")
    assert len(bench.answers) == 1
    assert query.output == ""
    bench.ask(b"b")
    assert replica.batches == [[b"a"], [b"b"]], "the replica is free again"


def test_cancelled_query_is_not_sent_and_not_answered():
    bench = Bench()
    busy = bench.join()
    bench.ask(b"a")
    [query] = bench.ask(b"b")
    query.cancel()
    bench.answer(busy, "A")
    bench.loop.advance(1.0)
    assert busy.batches == [[b"a"]]
    assert query not in [answered for answered, _ in bench.answers]


def test_lateness_counts_the_answers_within_the_slo():
    bench = Bench()  # with an SLO of 100 ms
    metrics = bench.predictor.find_application("digits").metrics
    for latency_s, reason in ((0.01, None), (0.1, "model_too_slow"), (0.104, None), (0.14, None)):
        metrics.query_answered(latency_s, reason)

    def num_within(margin):
        return bench.value("clipper_app_lateness_seconds_bucket", app="digits", le=margin)

    assert [num_within(margin) for margin in ("0.0", "0.002", "0.005", "0.02", "0.05", "+Inf")] == [2, 2, 3, 3, 4, 4]
    assert bench.value("clipper_app_lateness_seconds_sum", app="digits") == pytest.approx(0.044)
