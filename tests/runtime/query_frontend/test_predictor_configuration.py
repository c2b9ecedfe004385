"""A changed configuration holds from the next query on, and touches nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import Configuration
from clipper_nb.protocol.route import link_to
from tests.support.fake_replica import MODEL_ID, FakeReplica
from tests.support.predictor_bench import LINKED, OTHER_ID, Bench, outcomes
from tests.support.records import make_application, make_configuration, make_version


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
