"""How many queries a replica gets at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.runtime.batching.batch_size import (
    LATENCY_SHARE,
    AdaptiveBatchSize,
    FixedBatchSize,
    make_batch_size_policy,
)
from clipper_nb.runtime.batching.latency_model import LatencyModel
from tests.support.examples import examples

SLO_S = 1.0
QUICK_S = 0.5 * LATENCY_SHARE * SLO_S
SLOW_S = 1.1 * LATENCY_SHARE * SLO_S


def grown(num_full_batches):
    policy = AdaptiveBatchSize(LatencyModel())
    for _ in range(num_full_batches):
        policy.observe(policy.next_size(SLO_S), QUICK_S)
    return policy


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_fixed_size_never_changes(size):
    policy = make_batch_size_policy(size, LatencyModel())
    assert isinstance(policy, FixedBatchSize)
    policy.observe(size, 1e9)
    policy.observe(size, 0.0)
    assert policy.next_size(1e-6) == size


def test_minus_one_adapts():
    assert isinstance(make_batch_size_policy(-1, LatencyModel()), AdaptiveBatchSize)


def test_adaptive_size_begins_with_one():
    """Nobody knows yet how slow the model is."""
    assert AdaptiveBatchSize(LatencyModel()).next_size(SLO_S) == 1


def test_size_grows_by_two_with_each_quick_full_batch():
    policy = AdaptiveBatchSize(LatencyModel())
    sizes = []
    for _ in range(4):
        sizes.append(policy.next_size(SLO_S))
        policy.observe(sizes[-1], QUICK_S)
    assert sizes == [1, 3, 5, 7]


def test_size_shrinks_by_a_tenth_when_a_batch_is_slow():
    policy = grown(50)
    size = policy.next_size(SLO_S)
    assert size == 101
    policy.observe(size, SLOW_S)
    assert policy.next_size(SLO_S) == 90


def test_batch_that_is_not_full_proves_nothing():
    policy = grown(5)
    size = policy.next_size(SLO_S)
    policy.observe(size - 1, QUICK_S)
    assert policy.next_size(SLO_S) == size


def test_slow_small_batch_brings_the_size_below_its_own():
    policy = grown(50)
    policy.next_size(SLO_S)
    policy.observe(10, SLOW_S)
    assert policy.next_size(SLO_S) == 9


def test_latency_counts_against_the_slo_of_the_batch():
    policy = grown(5)
    size = policy.next_size(10 * SLO_S)
    policy.observe(size, SLOW_S)
    assert policy.next_size(10 * SLO_S) == size + 2
    policy.observe(policy.next_size(SLO_S / 10), SLOW_S)
    assert policy.next_size(SLO_S) < size + 2


def test_size_is_one_at_least_however_slow():
    policy = AdaptiveBatchSize(LatencyModel())
    for _ in range(20):
        policy.observe(policy.next_size(SLO_S), 1e6)
        assert policy.next_size(SLO_S) == 1


def test_size_has_a_ceiling():
    assert grown(5000).next_size(SLO_S) == AdaptiveBatchSize.LARGEST


@examples(50)
@given(st.floats(0.0001, 0.02), st.floats(0.0, 0.1), st.floats(0.05, 5.0))
def test_size_settles_where_batches_fit_the_slo(per_input_s, overhead_s, slo_s):
    """A model with linear cost: after the start, batches stay near the share of the SLO that they may take."""
    policy = AdaptiveBatchSize(LatencyModel())
    latencies_s = []
    for _ in range(3000):
        size = policy.next_size(slo_s)
        latencies_s.append(overhead_s + per_input_s * size)
        policy.observe(size, latencies_s[-1])
    smallest_s = overhead_s + per_input_s
    step_s = per_input_s * (AdaptiveBatchSize.INCREASE + 1)
    limit_s = max(LATENCY_SHARE * slo_s, smallest_s)
    assert max(latencies_s[-1000:]) <= limit_s + step_s
    best = min((LATENCY_SHARE * slo_s - overhead_s) / per_input_s, AdaptiveBatchSize.LARGEST)
    assert policy.next_size(slo_s) >= min(0.8 * best - 4, AdaptiveBatchSize.LARGEST)


@examples(100)
@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 100.0),
            st.integers(1, 5000),
            st.floats(0.0, 100.0),
        ),
        max_size=50,
    )
)
def test_size_is_always_a_usable_number(observations):
    policy = AdaptiveBatchSize(LatencyModel())
    for budget_s, size, latency_s in observations:
        policy.next_size(budget_s)
        policy.observe(size, latency_s)
        assert 1 <= policy.next_size(budget_s) == policy.max_size <= AdaptiveBatchSize.LARGEST


def test_model_slow_even_for_single_queries_gets_batches():
    """Its batches take more than their share of the SLO whatever their size: smaller ones would not be quicker."""
    model = LatencyModel()
    policy = AdaptiveBatchSize(model)
    for _ in range(50):
        size = policy.next_size(SLO_S)
        latency_s = 0.5 * SLO_S + 0.001 * size
        model.observe(size, latency_s)
        policy.observe(size, latency_s)
    assert 50 < policy.next_size(SLO_S) <= 126
    assert 0.5 * SLO_S > LATENCY_SHARE * SLO_S
