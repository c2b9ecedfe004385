"""Prometheus text as a dictionary."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.clients.metrics_report import bucket_quantile, parse_metrics
from tests.support.examples import examples

TEXT = """\
# HELP clipper_app_queries_total Queries answered
# TYPE clipper_app_queries_total counter
clipper_app_queries_total{app="digits"} 3.0
clipper_app_queries_total{app="é\\"\\n"} 0.0
# TYPE clipper_app_queries_created gauge
clipper_app_queries_created{app="digits"} 1.7e+09
# TYPE clipper_cache_entries gauge
clipper_cache_entries 2.0
# TYPE clipper_app_latency_seconds histogram
clipper_app_latency_seconds_bucket{app="digits",le="0.1"} 0.0
clipper_app_latency_seconds_bucket{app="digits",le="0.2"} 4.0
clipper_app_latency_seconds_bucket{app="digits",le="+Inf"} 4.0
clipper_app_latency_seconds_count{app="digits"} 4.0
clipper_app_latency_seconds_sum{app="digits"} 0.6
clipper_app_latency_seconds_bucket{app="new",le="0.1"} 0.0
clipper_app_latency_seconds_bucket{app="new",le="+Inf"} 0.0
clipper_app_latency_seconds_count{app="new"} 0.0
clipper_app_latency_seconds_sum{app="new"} 0.0
# TYPE clipper_model_batch_size histogram
clipper_model_batch_size_bucket{model="m",version="1",le="1.0"} 1.0
clipper_model_batch_size_bucket{model="m",version="1",le="2.0"} 1.0
clipper_model_batch_size_bucket{model="m",version="1",le="4.0"} 4.0
clipper_model_batch_size_bucket{model="m",version="1",le="+Inf"} 4.0
clipper_model_batch_size_count{model="m",version="1"} 4.0
clipper_model_batch_size_sum{model="m",version="1"} 12.0
"""


def test_counters_and_gauges_have_a_value_per_series():
    report = parse_metrics(TEXT)
    assert report["clipper_app_queries_total"] == [
        {"labels": {"app": "digits"}, "value": 3.0},
        {"labels": {"app": 'é"\n'}, "value": 0.0},
    ]
    assert report["clipper_cache_entries"] == [{"labels": {}, "value": 2.0}]


def test_times_of_creation_are_left_out():
    assert not [name for name in parse_metrics(TEXT) if name.endswith("_created")]


def test_histogram_has_count_sum_and_quantiles():
    digits, new = parse_metrics(TEXT)["clipper_app_latency_seconds"]
    assert digits["labels"] == {"app": "digits"}
    assert (digits["count"], digits["sum"]) == (4, 0.6)
    assert digits["p50"] == pytest.approx(0.15)
    assert digits["p95"] == pytest.approx(0.195)
    assert digits["p99"] == pytest.approx(0.199)
    assert new == {"labels": {"app": "new"}, "count": 0, "sum": 0.0, "p50": None, "p95": None, "p99": None}


def test_quantiles_of_whole_numbers_are_whole():
    [sizes] = parse_metrics(TEXT)["clipper_model_batch_size"]
    assert (sizes["p50"], sizes["p95"], sizes["count"]) == (4.0, 4.0, 4)


def test_histogram_of_nothing_has_no_series():
    assert parse_metrics("# TYPE clipper_model_batch_size histogram\n") == {"clipper_model_batch_size": []}


def test_empty_metrics_make_an_empty_report():
    assert parse_metrics("") == {}


@pytest.mark.parametrize(
    ("buckets", "share", "quantile"),
    [
        ([], 0.5, None),
        ([(1.0, 0), (math.inf, 0)], 0.5, None),
        ([(1.0, 10), (math.inf, 10)], 0.5, 0.5),
        ([(1.0, 10), (math.inf, 10)], 1.0, 1.0),
        ([(1.0, 0), (2.0, 10), (math.inf, 10)], 0.5, 1.5),
        ([(1.0, 5), (2.0, 10), (math.inf, 10)], 0.5, 1.0),
        ([(1.0, 5), (2.0, 10), (math.inf, 10)], 0.75, 1.5),
        ([(1.0, 1), (2.0, 1), (3.0, 2), (math.inf, 2)], 0.75, 2.5),
        ([(1.0, 0), (math.inf, 4)], 0.5, 1.0),
        ([(math.inf, 4)], 0.5, 0.0),
    ],
)
def test_quantile_is_in_its_bucket(buckets, share, quantile):
    assert bucket_quantile(buckets, share) == quantile


@pytest.mark.parametrize(("share", "quantile"), [(0.01, 1.0), (0.5, 4.0), (0.99, 4.0)])
def test_quantile_of_whole_numbers_is_an_upper_bound(share, quantile):
    assert bucket_quantile([(1.0, 1), (2.0, 1), (4.0, 4), (math.inf, 4)], share, is_whole=True) == quantile


@examples(150)
@given(st.lists(st.floats(0.001, 9.999), min_size=1, max_size=40), st.floats(0.01, 1.0))
def test_quantile_is_within_a_bucket_of_the_true_one(values, share):
    bounds = [1.0, 2.0, 5.0, 10.0, math.inf]
    buckets = [(bound, float(sum(value <= bound for value in values))) for bound in bounds]
    true = sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
    upper = next(bound for bound in bounds if true <= bound)
    lower = max([0.0, *(bound for bound in bounds if bound < upper)])
    assert lower - 1e-9 <= bucket_quantile(buckets, share) <= upper + 1e-9
