"""How long a batch is likely to take, learned from those before."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipper_nb.runtime.batching.latency_model import LatencyModel


def learned(batches):
    model = LatencyModel()
    for size, latency_s in batches:
        model.observe(size, latency_s)
    return model


def test_no_latency_is_expected_before_the_first_observation():
    assert LatencyModel().predict_s(100) == 0.0
    assert LatencyModel().predict_late_s(100) == 0.0


def test_a_line_is_found():
    model = learned((size, 0.002 + 0.0001 * size) for size in (1, 3, 5, 7, 9, 11, 40))
    assert model.predict_s(20) == pytest.approx(0.004, rel=0.01)
    assert model.predict_s(1) == pytest.approx(0.0021, rel=0.05)


def test_equal_sizes_return_their_mean():
    model = learned([(8, 0.01), (8, 0.02)] * 50)
    for size in (1, 8, 64):
        assert model.predict_s(size) == pytest.approx(0.015, rel=0.05)
    assert model.predict_late_s(8) == pytest.approx(0.030, rel=0.1)


def test_a_larger_batch_is_never_expected_to_be_quicker():
    model = learned([(1, 0.02), (50, 0.01)] * 10)
    assert model.predict_s(50) >= model.predict_s(1)


def test_the_past_fades():
    model = learned([(10, 1.0)] * 50 + [(10, 0.01)] * 100)
    assert model.predict_s(10) == pytest.approx(0.01, rel=0.6)


def test_noise_widens_what_is_late():
    rng = random.Random(1)
    steady = learned((10, 0.01) for _ in range(100))
    noisy = learned((10, 0.01 * rng.uniform(0.5, 1.5)) for _ in range(100))
    assert steady.predict_late_s(10) == pytest.approx(0.01)
    assert 0.012 < noisy.predict_late_s(10) < 0.02


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4096), st.floats(0.0, 1e4)), max_size=60), st.integers(1, 4096))
def test_expectations_are_finite_and_not_negative(batches, size):
    model = learned(batches)
    assert 0.0 <= model.predict_s(size) <= model.predict_late_s(size) < float("inf")
