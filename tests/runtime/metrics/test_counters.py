"""Every observation is counted in its bucket, however many there are between two looks."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.metrics.counters import (
    _BATCH_SIZE_BUCKETS,
    _LATENCY_BUCKETS_S,
    ApplicationMetrics,
    ModelMetrics,
    QueryFrontendMetrics,
)

sizes = st.lists(st.integers(1, 5000), max_size=30)


@given(st.lists(sizes, max_size=4), st.integers(1, 40))
def test_each_observation_is_in_its_bucket(looks, times):
    metrics = ModelMetrics(ModelId("digits", "1"))
    expected, total = [0] * (len(_BATCH_SIZE_BUCKETS) + 1), 0
    for look in looks:
        for size in look * times:
            metrics.batch_answered(size, 0.001)
            expected[bisect_left(_BATCH_SIZE_BUCKETS, size)] += 1
            total += size
        assert metrics.batch_size.values() == [*expected, total]


@pytest.mark.parametrize("latency_s", [0.0, *_LATENCY_BUCKETS_S, 1000.0])
def test_latency_at_a_bound_is_in_the_bucket_below(latency_s):
    metrics = ApplicationMetrics("digits", slo_s=2000.0)
    for _ in range(1500):
        metrics.query_answered(latency_s, None)
    *counts, total_s = metrics.latency_s.values()
    assert counts.index(1500) == bisect_left(_LATENCY_BUCKETS_S, latency_s)
    assert sum(counts) == 1500
    assert total_s == pytest.approx(1500 * latency_s)


def test_targets_are_counted_while_there_are_several():
    metrics = ApplicationMetrics("digits", slo_s=1.0)
    one, two, three = (ModelId("net", version) for version in "123")
    metrics.query_answered(0.01, None, one)
    assert metrics.targets is None, "one target has what the application has"
    metrics.set_targets([one, two])
    metrics.query_answered(0.01, None, one)
    metrics.query_answered(0.01, "model_error", two)
    metrics.queries_answered(3, 0.01, "queued_too_long", two)
    metrics.query_answered(0.01, None, three)  # asked for by name
    metrics.query_answered(0.01, "not_linked")
    assert {each.version: target.num_queries for each, target in metrics.targets.items()} == {"1": 1, "2": 4}
    assert (metrics.targets[two].num_defaults["model_error"], metrics.num_queries) == (1, 8)
    assert sum(metrics.targets[two].latency_s.values()[:-1]) == 4
    metrics.set_targets([two, three])
    assert {each.version: target.num_queries for each, target in metrics.targets.items()} == {"2": 4, "3": 0}
    metrics.set_targets([three])
    assert metrics.targets is None


def test_series_of_targets_name_application_and_version():
    metrics = QueryFrontendMetrics()
    metrics.application("digits", 1.0).set_targets([ModelId("net", "1"), ModelId("net", "2")])
    metrics.application("linked", 1.0).set_targets([ModelId("net", "1")])
    families = {family.name: family for family in metrics.families()}
    assert [labels for labels, _ in families["clipper_target_queries_total"].series] == [
        'app="digits",model="net",version="1"', 'app="digits",model="net",version="2"',
    ]  # fmt: skip
    labels, values = families["clipper_target_default_outputs_total"].series[0]
    assert (labels, values) == ('app="digits",model="net",version="1",reason="not_linked"', [0])
    assert len(families["clipper_target_latency_seconds"].series) == 2
