"""Queries of the same input share one computation and its output, of one version alone."""

from __future__ import annotations

from dataclasses import replace

from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.protocol.rpc import ErrorResponse
from tests.support.fake_replica import MODEL_ID
from tests.support.predictor_bench import LINKED, OTHER_ID, TWO_VERSIONS, Bench, outcomes
from tests.support.records import make_application, make_routes, make_version


def cached():
    return Bench(cache_size_bytes=1_000_000)


def test_same_input_again_is_answered_at_once():
    bench = cached()
    replica = bench.join()
    bench.ask(b"a")
    bench.answer(replica, "A")
    assert outcomes(bench.ask(b"a")) == ["A"]
    assert replica.batches == [[b"a"]]
    assert bench.value("clipper_model_cache_hits_total", model="digits-net", version="1") == 1
    assert bench.value("clipper_model_cache_misses_total", model="digits-net", version="1") == 1


def test_same_inputs_at_the_same_time_share_one_computation():
    bench = cached()
    replica = bench.join()
    queries = bench.ask(b"a", b"a") + bench.ask(b"a")
    bench.answer(replica, "A")
    assert replica.batches == [[b"a"]]
    assert outcomes(queries) == ["A", "A", "A"]


def test_replica_is_told_the_origins_of_all_queries_of_an_input():
    bench = cached()
    replica = bench.join()
    served = bench.predictor.find_application("digits")
    for payload, name in ((b"a", "one"), (b"a", "two"), (b"b", None)):
        origin = None if name is None else RequestOrigin(name)
        bench.predictor.predict(
            served,
            served.default_target,
            payload,
            arrived_s=bench.loop.time(),
            on_answered=lambda query: None,
            origin=origin,
        )
    bench.loop.end_turn()
    bench.answer(replica, "A")
    assert replica.batches == [[b"a"], [b"b"]]
    assert replica.origins == [[[RequestOrigin("one"), RequestOrigin("two")]], ()]


def test_replica_is_told_no_origins_where_none_is_known():
    bench = Bench()
    replica = bench.join()
    bench.ask(b"a")
    assert replica.origins == [()]


def test_joining_query_has_its_own_deadline():
    bench = cached()
    replica = bench.join()
    [first] = bench.ask(b"a")
    bench.loop.advance(0.06)
    [second] = bench.ask(b"a")
    bench.loop.advance(0.06)
    assert outcomes([first, second]) == ["model_too_slow", None]
    bench.answer(replica, "A")
    assert outcomes([first, second]) == ["model_too_slow", "A"]


def test_joining_query_with_a_shorter_slo_hastens_computation():
    applications = {
        name: make_application(name, slo_micros=slo) for name, slo in (("quick", 50_000), ("slow", 5_000_000))
    }
    configuration = replace(
        LINKED,
        applications=applications,
        routes=make_routes(dict.fromkeys(applications, "digits-net")),
        versions={MODEL_ID: make_version(batch_size=1)},
    )
    bench = Bench(configuration, cache_size_bytes=1_000_000)
    replica = bench.join()
    bench.ask(b"busy", application="slow")
    bench.ask(b"first", application="slow")
    [patient] = bench.ask(b"shared", application="slow")
    [urgent] = bench.ask(b"shared", application="quick")
    bench.answer(replica, "BUSY")
    assert replica.batches == [[b"busy"], [b"shared"]]
    bench.answer(replica, "SHARED")
    assert outcomes([patient, urgent]) == ["SHARED", "SHARED"]


def test_failed_computation_is_repeated():
    bench = cached()
    replica = bench.join()
    bench.ask(b"a")
    bench.pool.batch_failed(replica.replica, ErrorResponse(0, "E", "m", ""))
    [query] = bench.ask(b"a")
    bench.answer(replica, "A")
    assert outcomes([query]) == ["A"]


def test_cached_output_needs_no_replica():
    bench = cached()
    replica = bench.join()
    bench.ask(b"a")
    bench.answer(replica, "A")
    bench.pool.replica_lost(replica.replica)
    assert outcomes(bench.ask(b"a", b"b")) == ["A", "no_ready_replica"]


def test_versions_do_not_share_outputs():
    bench = Bench(TWO_VERSIONS, cache_size_bytes=1_000_000)
    first, second = bench.join(MODEL_ID), bench.join(OTHER_ID)
    bench.ask(b"a", version="1")
    bench.answer(first, "A1")
    [query] = bench.ask(b"a", version="2")
    bench.answer(second, "A2")
    assert outcomes([query]) == ["A2"]


def test_reregistered_version_has_an_empty_cache():
    bench = cached()
    replica = bench.join()
    bench.ask(b"a")
    bench.answer(replica, "OLD")
    bench.predictor.apply(replace(LINKED, revision=2, versions={}, current_versions={}))
    bench.predictor.apply(replace(LINKED, revision=3, versions={MODEL_ID: make_version(registered_at=9.0)}))
    [query] = bench.ask(b"a")
    bench.answer(replica, "NEW")
    assert outcomes([query]) == ["NEW"]


def test_version_reregistered_in_one_revision_has_an_empty_cache():
    """A frontend may have been away in between."""
    bench = cached()
    replica = bench.join()
    bench.ask(b"a")
    bench.answer(replica, "OLD")
    bench.predictor.apply(replace(LINKED, revision=3, versions={MODEL_ID: make_version(registered_at=9.0)}))
    [query] = bench.ask(b"a")
    bench.answer(replica, "NEW")
    assert outcomes([query]) == ["NEW"]


def test_query_from_an_answer_callback_hits_the_cache():
    bench = cached()
    replica = bench.join()
    asked = []
    served = bench.predictor.find_application("digits")
    bench.predictor.predict(
        served,
        bench.predictor.find_target(served, None),
        b"a",
        arrived_s=bench.loop.time(),
        on_answered=lambda query: asked.extend(bench.ask(b"a")),
    )
    bench.loop.end_turn()
    bench.answer(replica, "A")
    assert outcomes(asked) == ["A"]
    assert replica.batches == [[b"a"]]
