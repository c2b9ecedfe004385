"""Rates, percentiles and shares from what was counted at two moments."""

from __future__ import annotations

import pytest

from clipper_nb.panels.counts import Counts, Series
from clipper_nb.panels.history import LENGTH_S, History, Traffic


def _application(queries: float, fast: float, defaults: float = 0.0) -> Counts:
    series = Series(
        {"clipper_app_queries_total": queries},
        {"model_too_slow": defaults, "not_linked": 0.0},
        {"clipper_app_latency_seconds": [(0.01, fast), (0.1, queries), (float("inf"), queries)]},
    )
    return Counts(applications={"a": series})


def _version(**values: float) -> Counts:
    return Counts(versions={"m:1": Series({f"clipper_model_{name}": value for name, value in values.items()})})


def test_rates_are_unknown_before_the_second_poll() -> None:
    history = History()
    assert history.application("a") == Traffic()
    history.add(0.0, _application(100, 100))
    assert history.application("a") == Traffic()
    assert history.application_points("a") == []


def test_rates_and_percentiles_are_of_the_window() -> None:
    history = History()
    history.add(0.0, _application(1000, 0))
    history.add(5.0, _application(1000, 0))
    history.add(10.0, _application(1100, 90, defaults=5))
    traffic = history.application("a", window_s=5.0)
    assert traffic.rate_per_s == 20.0
    assert traffic.p50_s == pytest.approx(0.01 * 50 / 90)
    assert traffic.p99_s == pytest.approx(0.01 + 0.09 * 9 / 10)
    assert traffic.defaults == {"model_too_slow": 0.05}
    assert traffic.default_share == 0.05
    assert [point.rate_per_s for point in history.application_points("a")] == [0.0, 20.0]
    assert history.application_rates("a", 1) == [20.0]
    assert history.ages_s == [-5.0, 0.0]


def test_application_with_only_defaults_is_known_at_first_poll() -> None:
    history = History()
    assert not history.has_only_defaults("a")
    for queries, defaults, has_only_defaults in ((0, 0, False), (3, 3, True), (4, 3, False)):
        history.add(float(queries), _application(queries, 0, defaults))
        assert history.has_only_defaults("a") is has_only_defaults
    assert not history.has_only_defaults("b")


def test_batches_queue_and_cache() -> None:
    history = History()
    before = {"predictions_total": 10, "errors_total": 0, "batch_size_sum": 10, "batch_size_count": 10}
    history.add(0.0, _version(**before, cache_hits_total=0, cache_misses_total=0))
    now = {"predictions_total": 50, "errors_total": 4, "batch_size_sum": 50, "batch_size_count": 15}
    history.add(2.0, _version(**now, cache_hits_total=30, cache_misses_total=10, queue_length=7))
    traffic = history.version("m:1")
    assert (traffic.rate_per_s, traffic.errors_per_s, traffic.batch_size) == (20.0, 2.0, 8.0)
    assert (traffic.queue_length, traffic.cache_hit_share) == (7, 0.75)


def test_reregistered_application_begins_at_zero() -> None:
    history = History()
    history.add(0.0, _application(1000, 1000))
    history.add(1.0, _application(10, 10))
    assert history.application("a").rate_per_s == 10.0
    history.add(2.0, Counts())
    assert history.application("a") == Traffic()


def test_two_minutes_are_kept_and_unchanged_counts_only_once() -> None:
    history = History()
    for second in range(400):
        history.add(float(second), _application(5, 5))
    assert len(history.ages_s) == LENGTH_S
    series = {id(counts.applications["a"]) for _, counts in history._entries}
    assert len(series) == 1
