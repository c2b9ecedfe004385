"""From an application and its queries' inputs to answers, each by the application's SLO."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clipper_nb.protocol.rpc import ErrorResponse
from clipper_nb.runtime.routing.asked_version import UnknownVersionError
from tests.support.fake_replica import MODEL_ID
from tests.support.predictor_bench import LINKED, OTHER_ID, TWO_VERSIONS, Bench, outcomes
from tests.support.records import make_version

NO_MODELS = "No connected models found for query"


def test_query_gets_the_models_output():
    bench = Bench()
    replica = bench.join()
    [query] = bench.ask(b"a")
    assert replica.batches == [[b"a"]]
    assert bench.answers == []
    bench.answer(replica, "A")
    assert bench.answers == [(query, 1000.0)]
    assert (query.output, query.reason) == ("A", None)


def test_inputs_of_one_request_share_a_batch_in_order():
    bench = Bench(replace(LINKED, versions={MODEL_ID: make_version(batch_size=10)}))
    replica = bench.join()
    queries = bench.ask(b"a", b"b", b"c")
    assert replica.batches == [[b"a", b"b", b"c"]]
    bench.answer(replica, "A", "B", "C")
    assert outcomes(queries) == ["A", "B", "C"]


def test_query_ids_count_up():
    bench = Bench()
    bench.join()
    assert [query.query_id for query in bench.ask(b"a", b"b") + bench.ask(b"c")] == [0, 1, 2]


def test_request_without_inputs_has_no_queries():
    assert Bench().ask() == []


def test_model_error_is_answered_with_the_default_at_once():
    bench = Bench()
    replica = bench.join()
    [query] = bench.ask(b"a")
    bench.pool.batch_failed(replica.replica, ErrorResponse(0, "ValueError", "no\nmore", ""))
    assert query.reason == "model_error"
    assert query.explanation == "Model digits-net:1 raised ValueError: no"


def test_application_without_a_model_answers_at_once():
    bench = Bench(replace(LINKED, routes={}))
    [query] = bench.ask(b"a")
    assert query.reason == "not_linked"
    assert query.explanation == f"{NO_MODELS}: no model is linked to application 'digits'."


def test_model_without_a_current_version_answers_at_once():
    [query] = Bench(replace(LINKED, current_versions={})).ask(b"a")
    assert query.reason == "no_ready_replica"
    assert query.explanation == f"{NO_MODELS}: model 'digits-net' has no current version."


def test_version_without_a_replica_answers_at_once():
    [query] = Bench().ask(b"a")
    assert query.reason == "no_ready_replica"
    assert query.explanation == f"{NO_MODELS}: version '1' of model 'digits-net' has no connected replica."


def test_version_whose_replicas_drain_answers_at_once():
    bench = Bench()
    bench.pool.replica_draining(bench.join().replica)
    assert outcomes(bench.ask(b"a")) == ["no_ready_replica"]


def test_query_of_a_lost_replica_gets_the_reason_at_its_deadline():
    bench = Bench()
    replica = bench.join()
    [query] = bench.ask(b"a")
    bench.pool.replica_lost(replica.replica)
    bench.loop.advance(0.2)
    assert query.reason == "no_ready_replica"


def test_current_version_answers_unless_another_is_asked_for():
    bench = Bench(TWO_VERSIONS)
    first, second = bench.join(MODEL_ID), bench.join(OTHER_ID)
    bench.ask(b"current")
    bench.ask(b"chosen", version="1")
    assert (first.batches, second.batches) == ([[b"chosen"]], [[b"current"]])


def test_changed_current_version_holds_from_the_next_query_on():
    bench = Bench(TWO_VERSIONS)
    first, second = bench.join(MODEL_ID), bench.join(OTHER_ID)
    bench.predictor.apply(replace(TWO_VERSIONS, revision=2, current_versions={"digits-net": "1"}))
    bench.ask(b"a")
    assert (first.batches, second.batches) == ([[b"a"]], [])


def test_unknown_version_is_refused_in_clippers_words():
    bench = Bench()
    bench.join()
    with pytest.raises(UnknownVersionError, match=r"^Requested version: 7 does not exist for model: digits-net$"):
        bench.ask(b"a", version="7")
    assert bench.answers == []


def test_unregistered_version_with_replicas_is_unknown():
    """It is being deployed."""
    bench = Bench()
    bench.join(OTHER_ID)
    with pytest.raises(UnknownVersionError):
        bench.ask(b"a", version="2")


def test_unknown_version_without_a_link_is_answered_not_linked():
    assert outcomes(Bench(replace(LINKED, routes={})).ask(b"a", version="7")) == ["not_linked"]


def test_suspect_query_explains_that_its_replica_ended():
    bench = Bench()
    lost, last = bench.join(), bench.join()
    [query] = bench.ask(b"a")
    bench.pool.replica_lost(lost.replica)
    bench.loop.advance(0.2)
    assert last.batches == []
    assert query.reason == "model_error"
    assert query.explanation.startswith("A replica of digits-net:1 ended while it computed this prediction")
