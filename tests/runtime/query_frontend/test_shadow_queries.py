"""A shadow is asked after the reply and beside everything else, and a roll-out's answers are counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.roll_out import ArmCounts, RollOut, RollOutCounts, RollOutPlan
from clipper_nb.protocol.route import make_route
from clipper_nb.protocol.rpc import ErrorResponse
from clipper_nb.protocol.shadow import NUM_SAMPLES, Shadow, merge_reports
from tests.support.fake_clock import run_in_virtual_time
from tests.support.predictor_bench import Bench, outcomes
from tests.support.records import make_application, make_configuration, make_version

OTHER_ID = ModelId("digits-net", "2")
SHADOW = Shadow("digits-net", "2", 1.0, 5.0)
PINNED = replace(
    make_configuration(
        make_version(batch_size=16),
        make_version(version="2", batch_size=16),
        applications=(make_application(slo_micros=100_000),),
    ),
    routes={"digits": make_route({"digits-net:1": 1})},
)
SHADOWED = replace(PINNED, shadows={"digits": SHADOW})


@pytest.fixture
def bench():
    """A frontend with a replica that replies and one of the shadow."""
    bench = Bench(SHADOWED, cache_size_bytes=10_000)
    bench.replying, bench.shadowing = bench.join(), bench.join(OTHER_ID)
    return bench


def report(bench):
    return run_in_virtual_time(bench.predictor.watches.report("digits"))


def reply(bench, output, *payloads):
    """Let the model that replies answer queries with the same output."""
    bench.ask(*payloads)
    bench.answer(bench.replying, *[output] * len(payloads))
    bench.loop.advance(0.001)


def test_shadow_is_asked_after_the_reply(bench):
    bench.ask(b"a", b"b")
    assert bench.shadowing.batches == []
    bench.answer(bench.replying, "7", "8")
    assert outcomes(query for query, _ in bench.answers) == ["7", "8"]
    assert bench.shadowing.batches == []  # the reply leaves first
    bench.loop.advance(0.001)
    assert bench.shadowing.batches == [[b"a", b"b"]]
    bench.loop.advance(0.05)
    bench.answer(bench.shadowing, "7.0", "9")
    found = report(bench)
    assert (found.num_asked, found.num_compared, found.num_agreed, found.num_dropped) == (2, 2, 1, 0)
    same, different = found.samples
    assert (same.input, same.output, same.shadow_output, same.agrees, same.model) == (
        "a",
        "7",
        "7.0",
        True,
        "digits-net:1",
    )
    assert (different.agrees, different.shadow_latency_s) == (False, pytest.approx(0.05, abs=0.002))


def test_application_and_cache_count_nothing_of_it(bench):
    reply(bench, "7", b"a")
    bench.answer(bench.shadowing, "8")
    assert bench.value("clipper_model_cache_misses_total", model="digits-net", version="2") == 0
    assert bench.value("clipper_model_cache_hits_total", model="digits-net", version="2") == 0
    assert len(bench.cache) == 1
    bench.ask(b"a")  # from the cache; the shadow is asked again
    bench.loop.advance(0.001)
    assert bench.shadowing.batches == [[b"a"], [b"a"]]
    assert bench.value("clipper_app_queries_total", app="digits") == 0  # the endpoint counts its replies


def test_shadow_waits_while_a_query_waits_for_a_replica(bench):
    bench.ask(b"a")
    bench.ask(b"b")
    bench.answer(bench.replying, "7")  # b is sent
    bench.ask(b"c")  # and c waits
    bench.loop.advance(0.02)
    assert bench.shadowing.batches == []
    bench.answer(bench.replying, "7")
    bench.loop.advance(0.02)
    assert bench.shadowing.batches == [[b"a", b"b"]]


def test_shadow_without_a_replica_drops_what_it_is_asked(bench):
    bench.pool.replica_lost(bench.shadowing.replica)
    reply(bench, "7", b"a")
    assert (report(bench).num_asked, report(bench).num_dropped) == (1, 1)


def test_hanging_shadow_holds_few_inputs_and_counts_them(bench):
    for number in range(40):
        reply(bench, "7", b"%d" % number)
    assert bench.shadowing.batches == [[b"0"]]
    bench.loop.advance(2.1)
    assert report(bench).num_failed == {"model_too_slow": 2}  # that one, and one that waited for the replica
    bench.answer(bench.shadowing, "7")  # too late to count
    assert report(bench).num_compared == 0
    bench.loop.advance(0.01)
    assert len(bench.shadowing.batches[1]) == 16


def test_failures_of_the_shadow_are_its_own(bench):
    reply(bench, "7", b"a")
    bench.pool.batch_failed(bench.shadowing.replica, ErrorResponse(0, "ValueError", "no", ""))
    bench.loop.advance(0.01)
    assert report(bench).num_failed == {"model_error": 1}
    assert report(bench).samples[0].shadow_reason == "model_error"
    assert report(bench).samples[0].agrees is None


def test_default_output_is_not_compared(bench):
    bench.ask(b"a")
    bench.loop.advance(0.11)
    assert bench.answers[0][0].reason == "model_too_slow"
    bench.answer(bench.shadowing, "7")
    assert (report(bench).num_asked, report(bench).num_compared) == (1, 0)
    assert report(bench).samples[0].reason == "model_too_slow"
    assert report(bench).samples[0].output is None


def test_query_that_asks_for_the_shadow_itself_is_not_repeated(bench):
    bench.ask(b"a", version="2")
    bench.answer(bench.shadowing, "7")
    bench.loop.advance(0.001)
    assert bench.shadowing.batches == [[b"a"]]
    assert report(bench).num_asked == 0


def test_cancelled_query_is_not_repeated(bench):
    (query,) = bench.ask(b"a")
    query.cancel()
    bench.answer(bench.replying, "7")
    bench.loop.advance(0.01)
    assert report(bench).num_asked == 0


def test_ended_shadow_is_asked_no_more_and_another_begins_anew(bench):
    reply(bench, "7", b"a")
    reply(bench, "7", b"waits for the replica of the shadow")
    bench.predictor.apply(replace(PINNED, revision=2))
    assert report(bench) is None
    assert bench.predictor.find_application("digits").watch is None
    bench.answer(bench.shadowing, "7")
    reply(bench, "7", b"b")
    assert bench.shadowing.batches == [[b"a"]]
    bench.predictor.apply(replace(SHADOWED, shadows={"digits": replace(SHADOW, set_at=6.0)}, revision=3))
    assert report(bench).num_asked == 0


def test_samples_are_bounded_and_differences_are_kept_longer(bench):
    reply(bench, "7", b"different")
    bench.answer(bench.shadowing, "8")
    for number in range(NUM_SAMPLES + 20):
        reply(bench, "7", b"%d" % number)
        bench.answer(bench.shadowing, "7")
    samples = report(bench).samples
    assert len(samples) == NUM_SAMPLES + 1
    assert samples[0].input == "different"


def test_large_inputs_are_left_out_of_samples(bench):
    reply(bench, "7" * 5000, b"x" * 5000)
    bench.answer(bench.shadowing, "7" * 5000)
    assert report(bench).samples[0].input is None
    assert len(report(bench).samples[0].output) == 2048


def test_shadow_has_series_of_its_own(bench):
    bench.metrics.show_gauges(bench.predictor.watches.families)
    reply(bench, "7", b"a")
    bench.answer(bench.shadowing, "7")
    labels = {"app": "digits", "model": "digits-net", "version": "2"}
    assert bench.value("clipper_shadow_queries_total", **labels) == 1
    assert bench.value("clipper_shadow_agreed_total", **labels) == 1


def test_reports_of_several_frontends_are_one(bench):
    reply(bench, "7", b"a")
    bench.answer(bench.shadowing, "8")
    one = report(bench)
    both = merge_reports([one, one])
    assert (both.num_asked, both.num_compared, both.agreement, len(both.samples)) == (2, 2, 0.0, 2)
    assert both.sum_latency_s == 2 * one.sum_latency_s


def test_answers_of_a_roll_out_are_counted_by_version():
    plan = RollOutPlan("digits", "digits-net", "2", (50.0, 100.0), max_latency_s=0.05)
    roll_out = RollOut("id", plan, PINNED.routes["digits"], 0.0)
    bench = Bench(replace(PINNED, roll_outs={"digits": roll_out}))
    one, two = bench.join(), bench.join(OTHER_ID)
    bench.ask(b"a", version="1")
    bench.answer(one, "7")
    bench.ask(b"b", version="2")
    bench.loop.advance(0.06)
    bench.answer(two, "7")
    bench.ask(b"c", version="2")
    bench.loop.advance(0.11)
    expected = RollOutCounts(ArmCounts(2, 1, 2), ArmCounts(1, 0, 0))
    assert bench.predictor.watches.counts() == {"id": expected}
    bench.predictor.apply(replace(PINNED, roll_outs={"digits": replace(roll_out, step=1)}, revision=2))
    assert bench.predictor.watches.counts() == {"id": expected}
    bench.predictor.apply(replace(PINNED, roll_outs={"digits": replace(roll_out, status="aborted")}, revision=3))
    assert bench.predictor.watches.counts() == {}
    assert bench.predictor.find_application("digits").watch is None
