"""From an application and its queries' inputs to answers, each by the application's SLO."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Configuration
from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.protocol.route import link_to, make_route
from clipper_nb.protocol.rpc import ErrorResponse
from clipper_nb.runtime.batching.dispatcher import Dispatcher
from clipper_nb.runtime.batching.model_pool import ModelPool
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics
from clipper_nb.runtime.metrics.exposition import format_families
from clipper_nb.runtime.query_frontend.prediction_cache import PredictionCache
from clipper_nb.runtime.query_frontend.predictor import Predictor
from clipper_nb.runtime.routing.asked_version import UnknownVersionError
from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import MODEL_ID, FakeReplica
from tests.support.records import make_application, make_configuration, make_routes, make_version

OTHER_ID = ModelId("digits-net", "2")
LATE = "Failed to retrieve a prediction response within the specified latency SLO"
NO_MODELS = "No connected models found for query"

LINKED = make_configuration(
    make_version(), applications=(make_application(slo_micros=100_000),), links={"digits": "digits-net"}
)


class Bench:
    """A query frontend without a wire, a store or time of its own."""

    def __init__(self, configuration=LINKED, *, cache_size_bytes=0, choosers=None):
        self.loop = FakeLoop()
        self.metrics = QueryFrontendMetrics()
        self.cache = PredictionCache(cache_size_bytes)
        self.pool = ModelPool(
            self._make_dispatcher,
            on_replicas_changed=lambda: None,
            on_forgotten=self.metrics.forget_model,
        )
        self.predictor = Predictor(self.loop, self.pool, self.cache, self.metrics, choosers=choosers)
        self.answers = []  # (query, when)
        self._replica_ids = itertools.count()
        self.predictor.apply(configuration)

    def join(self, model_id=MODEL_ID, replica_type=FakeReplica):
        replica = replica_type(next(self._replica_ids), model_id)
        self.pool.replica_joined(replica)
        self.loop.end_turn()
        return replica

    def ask(self, *payloads, application="digits", version=None, arrived_s=None):
        served = self.predictor.find_application(application)
        target = self.predictor.find_target(served, version)
        queries = [
            self.predictor.predict(
                served,
                target,
                payload,
                arrived_s=self.loop.time() if arrived_s is None else arrived_s,
                on_answered=lambda query: self.answers.append((query, self.loop.time())),
            )
            for payload in payloads
        ]
        self.loop.end_turn()
        return queries

    def answer(self, replica, *outputs):
        self.pool.batch_answered(replica.replica, list(outputs))
        self.loop.end_turn()

    def value(self, name, **labels):
        """Return a metric's value, or ``None`` when there is no such series."""
        text = format_families(self.metrics.families()).decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return next((sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)), None)

    def _make_dispatcher(self, model_id, batch_size):
        return Dispatcher(
            model_id,
            batch_size=batch_size,
            observer=partial(self.metrics.model, model_id),
            clock=self.loop.time,
            call_soon=self.loop.call_soon,
            call_at=self.loop.call_at,
        )


class CountingReplica(FakeReplica):
    """Counts how often somebody looks whose replica it is."""

    num_looks = 0

    @property
    def replica(self):
        self.num_looks += 1
        return self._replica

    @replica.setter
    def replica(self, replica):
        self._replica = replica


def outcomes(queries):
    return [(query.reason or query.output) if query.is_answered else None for query in queries]


# --- answers


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


# --- no model


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


# --- versions


TWO_VERSIONS = replace(
    make_configuration(make_version(), make_version(version="2")),
    applications=LINKED.applications,
    routes=LINKED.routes,
)


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


# --- deadlines


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


# --- the cache


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


# --- metrics


def test_lateness_counts_the_answers_within_the_slo():
    bench = Bench()  # with an SLO of 100 ms
    metrics = bench.predictor.find_application("digits").metrics
    for latency_s, reason in ((0.01, None), (0.1, "model_too_slow"), (0.104, None), (0.14, None)):
        metrics.query_answered(latency_s, reason)

    def num_within(margin):
        return bench.value("clipper_app_lateness_seconds_bucket", app="digits", le=margin)

    assert [num_within(margin) for margin in ("0.0", "0.002", "0.005", "0.02", "0.05", "+Inf")] == [2, 2, 3, 3, 4, 4]
    assert bench.value("clipper_app_lateness_seconds_sum", app="digits") == pytest.approx(0.044)


# --- configuration


def test_unknown_application_is_not_found():
    assert Bench().predictor.find_application("x") is None


def test_removed_application_is_gone_at_once_with_its_series():
    bench = Bench()
    bench.predictor.find_application("digits").metrics.query_answered(0.1, "model_error")
    assert bench.value("clipper_app_queries_total", app="digits") == 1
    bench.predictor.apply(replace(LINKED, revision=2, applications={}, routes={}))
    assert bench.predictor.find_application("digits") is None
    assert bench.value("clipper_app_queries_total", app="digits") is None
    assert bench.value("clipper_app_default_outputs_total", app="digits", reason="model_error") is None
    assert bench.value("clipper_app_latency_seconds_count", app="digits") is None


def test_query_of_a_removed_application_is_answered_in_time():
    bench = Bench()
    bench.join()
    [query] = bench.ask(b"a")
    bench.predictor.apply(replace(LINKED, revision=2, applications={}, routes={}))
    bench.loop.advance(0.1)
    assert outcomes([query]) == ["model_too_slow"]


def test_reregistered_application_is_a_new_one():
    bench = Bench()
    bench.predictor.find_application("digits").metrics.query_answered(0.1, None)
    again = make_application(slo_micros=5_000_000, registered_at=2.0)
    bench.predictor.apply(replace(LINKED, revision=2, applications={"digits": again}))
    served = bench.predictor.find_application("digits")
    assert served.application is again
    assert served.slo_s == 5.0
    assert bench.value("clipper_app_queries_total", app="digits") == 0


def test_application_that_did_not_change_goes_on_counting():
    bench = Bench()
    served = bench.predictor.find_application("digits")
    bench.predictor.apply(replace(LINKED, revision=2))
    assert bench.predictor.find_application("digits") is served


def test_series_of_a_removed_version_disappear():
    bench = Bench()
    replica = bench.join()
    bench.ask(b"a")
    bench.answer(replica, "A")
    labels = {"model": "digits-net", "version": "1"}
    assert bench.value("clipper_model_predictions_total", **labels) == 1
    bench.predictor.apply(replace(LINKED, revision=2, versions={}, current_versions={}))
    bench.pool.replica_lost(replica.replica)
    assert bench.value("clipper_model_predictions_total", **labels) is None


@pytest.mark.parametrize(
    ("configuration", "has_replica", "expected"),
    [
        (LINKED, True, {}),
        (LINKED, False, {"digits": "version '1' of model 'digits-net' has no connected replica"}),
        (replace(LINKED, current_versions={}), True, {"digits": "model 'digits-net' has no current version"}),
        (replace(LINKED, routes={}), False, {}),
    ],
)
def test_unready_linked_applications_are_named(configuration, has_replica, expected):
    bench = Bench(configuration)
    if has_replica:
        bench.join()
    assert bench.predictor.unready_applications() == expected


def test_empty_configuration_serves_nothing():
    bench = Bench(Configuration())
    assert bench.predictor.find_application("digits") is None
    assert bench.predictor.unready_applications() == {}


def test_replica_of_another_input_type_does_not_count():
    bench = Bench()
    replica = FakeReplica(0, MODEL_ID, InputType.DOUBLES)
    bench.pool.replica_joined(replica)
    assert outcomes(bench.ask(b"a")) == ["no_ready_replica"]
    assert replica.batches == []


def test_suspect_query_explains_that_its_replica_ended():
    bench = Bench()
    lost, last = bench.join(), bench.join()
    [query] = bench.ask(b"a")
    bench.pool.replica_lost(lost.replica)
    bench.loop.advance(0.2)
    assert last.batches == []
    assert query.reason == "model_error"
    assert query.explanation.startswith("A replica of digits-net:1 ended while it computed this prediction")


def test_half_applied_change_is_completed_by_the_next_try():
    failing = {OTHER_ID}

    class FailingBench(Bench):
        def _make_dispatcher(self, model_id, batch_size):
            if model_id in failing:
                raise MemoryError
            return super()._make_dispatcher(model_id, batch_size)

    bench = FailingBench()
    switched = make_configuration(
        make_version(),
        make_version(version="2"),
        applications=tuple(LINKED.applications.values()),
        links={"digits": "digits-net"},
    )
    with pytest.raises(MemoryError):
        bench.predictor.apply(switched)
    failing.clear()
    bench.predictor.apply(switched)
    replica = bench.join(OTHER_ID)
    [query] = bench.ask(b"a")
    bench.answer(replica, '"new"')
    assert (query.output, query.reason) == ('"new"', None)


def test_change_touches_nothing_else():
    """Whatever exists beside: a thousand applications and five hundred versions."""
    names = [f"app-{number}" for number in range(1000)]
    versions = [make_version(f"model-{number}") for number in range(500)]
    many = make_configuration(
        *versions,
        applications=tuple(make_application(name) for name in names),
        links={name: f"model-{number}" for number, name in enumerate(names[:500])},
    )
    bench = Bench(many)
    replicas = [bench.join(version.model_id, CountingReplica) for version in versions]
    before = {name: bench.predictor.find_application(name) for name in names}
    targets = {name: served.default_target for name, served in before.items()}
    for replica in replicas:
        replica.num_looks = 0

    added = {**many.applications, "new": make_application("new")}
    changes = [
        replace(many, applications=added),
        replace(many, applications=added, routes={**many.routes, "new": link_to("model-7")}),
        replace(many, applications=added, routes={**many.routes, "new": link_to("model-7")}, claims={MODEL_ID: "c"}),
        replace(many, applications=added, versions={**many.versions, MODEL_ID: make_version()}),
    ]
    for configuration in changes:
        bench.predictor.apply(configuration)
    after = {name: bench.predictor.find_application(name) for name in names}
    assert [name for name in names if after[name] is not before[name]] == []
    assert [name for name in names if after[name].default_target is not targets[name]] == []
    assert sum(replica.num_looks for replica in replicas) == 0


def test_switch_reaches_exactly_the_applications_that_are_linked():
    bench = Bench(
        make_configuration(
            make_version(version="2"),
            make_version(),
            make_version("other"),
            applications=tuple(make_application(name) for name in ("a", "b", "c", "d")),
            links={"a": "digits-net", "b": "digits-net", "c": "other"},
        )
    )
    before = {name: bench.predictor.find_application(name).default_target for name in "abcd"}
    configuration = bench.predictor._configuration
    bench.predictor.apply(
        replace(configuration, revision=2, current_versions={**configuration.current_versions, "digits-net": "2"})
    )
    after = {name: bench.predictor.find_application(name).default_target for name in "abcd"}
    assert [name for name in "abcd" if after[name] is not before[name]] == ["a", "b"]
    assert after["a"].model_id == OTHER_ID


# --- several targets

KEYS = [b"%d" % number for number in range(300)]


def divided(**weights):
    """Return a configuration of two versions with weights for ``v1``, ``v2`` and ``current``, which is version 2."""
    targets = {"v1": "digits-net:1", "v2": "digits-net:2", "current": "digits-net"}
    route = make_route({targets[name]: weight for name, weight in weights.items()})
    version = make_version(version="2", registered_at=2.0)
    return replace(LINKED, revision=2, routes={"digits": route},
                   versions={**LINKED.versions, OTHER_ID: version}, current_versions={"digits-net": "2"})  # fmt: skip


def targets_of(bench, keys, **asked):
    served = bench.predictor.find_application("digits")
    return [bench.predictor.find_target(served, asked.get("version"), key).model_id.version for key in keys]


def bench_of_two(**weights):
    bench = Bench(divided(**weights))
    return bench, bench.join(), bench.join(OTHER_ID)


def test_each_query_has_one_of_the_targets():
    bench, first, second = bench_of_two(v1=1, v2=1)
    queries = [bench.ask(b"%d" % number)[0] for number in range(40)]
    assert len(first.batches) > 0
    assert len(second.batches) > 0
    for replica in (first, second):
        while replica.batches:
            bench.answer(replica, *(bytes(payload).decode() for payload in replica.batches.pop(0)))
    assert outcomes(queries) == [str(number) for number in range(40)]


def test_key_decides_in_body_before_header():
    bench, *_ = bench_of_two(v1=1, v2=1)
    served = bench.predictor.find_application("digits")
    by_key = dict(zip(KEYS, targets_of(bench, KEYS), strict=True))
    assert {*by_key.values()} == {"1", "2"}
    one, two = (next(key for key, version in by_key.items() if version == wanted) for wanted in "12")
    find = bench.predictor.find_target
    assert find(served, None, None, RequestOrigin(key=one)).model_id.version == "1"
    assert find(served, None, two, RequestOrigin(key=one)).model_id.version == "2"
    assert {find(served, None, None, RequestOrigin("id")).model_id.version for _ in range(50)} == {"1", "2"}


def test_target_without_a_replica_is_passed_over():
    bench = Bench(divided(v1=1, v2=1))
    assert {*targets_of(bench, KEYS)} == {"1", "2"}  # none can answer
    assert {query.reason for query in bench.ask(b"x")} == {"no_ready_replica"}
    bench.join(OTHER_ID)
    assert {*targets_of(bench, KEYS)} == {"2"}
    assert bench.predictor.unready_applications() == {}


def test_application_is_unready_when_no_target_has_a_replica():
    bench = Bench(divided(v1=1, current=1))
    assert bench.predictor.unready_reason("digits") == (
        "version '1' of model 'digits-net' has no connected replica; version '2' of model 'digits-net' has no "
        "connected replica"
    )


def test_one_target_needs_no_choice():
    for weights, version in (({"v1": 5}, "1"), ({"current": 5}, "2")):
        bench, *_ = bench_of_two(**weights)
        served = bench.predictor.find_application("digits")
        assert (served.split, served.default_target.model_id.version) == (None, version)
        assert {*targets_of(bench, KEYS)} == {version}


def test_target_of_a_model_follows_its_current_version():
    bench, *_ = bench_of_two(v1=50, current=50)
    assert {*targets_of(bench, KEYS)} == {"1", "2"}
    configuration = bench.predictor.configuration
    bench.predictor.apply(replace(configuration, revision=3, current_versions={"digits-net": "1"}))
    assert {*targets_of(bench, KEYS)} == {"1"}
    bench.predictor.apply(replace(configuration, revision=4, current_versions={}))
    assert {*targets_of(bench, KEYS)} == {"1"}


def test_version_that_is_asked_for_wins():
    bench, *_ = bench_of_two(v1=1)
    assert targets_of(bench, [b"k"], version="2") == targets_of(bench, [b"k"], version="digits-net:2") == ["2"]
    for unknown in ("3", "other:1", "digits-net:", ":1:1"):
        with pytest.raises(UnknownVersionError, match=f"Requested version: {unknown} does not exist for model: digits"):
            targets_of(bench, [b"k"], version=unknown)


def test_version_of_another_input_type_is_refused():
    """It would read the bytes of the inputs as something else, and answer nonsense."""
    doubles = make_version(version="2", input_type=InputType.DOUBLES)
    bench = Bench(replace(LINKED, versions={**LINKED.versions, OTHER_ID: doubles}))
    bench.join(OTHER_ID)
    with pytest.raises(
        UnknownVersionError, match=r"digits-net:2 takes doubles, and application 'digits' takes strings"
    ):
        bench.ask(b"x", version="2")


def test_cached_answer_is_its_versions():
    bench = Bench(divided(v1=1, v2=1), cache_size_bytes=100_000)
    first, second = bench.join(), bench.join(OTHER_ID)
    queries = [bench.ask(b"same")[0] for _ in range(30)]
    bench.answer(first, "of 1")
    bench.answer(second, "of 2")
    assert {*outcomes(queries)} == {"of 1", "of 2"}
    assert [len(replica.batches) for replica in (first, second)] == [1, 1]
    assert {*outcomes([bench.ask(b"same")[0] for _ in range(30)])} == {"of 1", "of 2"}
