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
