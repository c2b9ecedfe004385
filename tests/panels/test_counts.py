"""What the panels read of the query frontend's metrics."""

from __future__ import annotations

from clipper_nb.clients.metrics_report import parse_metrics
from clipper_nb.panels.counts import parse_counts, target_key
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.shadow import ShadowReport
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics, make_gauges
from clipper_nb.runtime.metrics.exposition import format_families
from clipper_nb.runtime.metrics.shadows import make_shadow_families


def _metrics() -> QueryFrontendMetrics:
    metrics = QueryFrontendMetrics()
    application = metrics.application("digits", slo_s=0.02)
    metrics.application("quiet", slo_s=0.1)
    application.query_answered(0.004, None)
    application.query_answered(0.021, "model_too_slow")
    application.set_targets([ModelId("net", "1.0-rc"), ModelId("net", "2")])
    application.query_answered(0.003, "model_error", ModelId("net", "2"))
    version = metrics.model(ModelId("net", "1.0-rc"))
    version.batch_answered(3, 0.002)
    version.batch_answered(5, 0.008)
    version.batch_failed(2)
    version.num_cache_hits, version.num_cache_misses = 7, 8
    metrics.show_gauges(lambda: make_gauges([(ModelId("net", "1.0-rc"), 4, 2)], (0, 0, 0)))
    return metrics


def test_every_series_that_is_shown_is_read() -> None:
    counts = parse_counts(format_families(_metrics().families()).decode())
    assert list(counts.applications) == ["digits", "quiet"]
    digits, net = counts.applications["digits"], counts.versions["net:1.0-rc"]
    assert digits.values == {"clipper_app_queries_total": 3}
    assert digits.defaults["model_too_slow"] == 1
    assert sum(digits.defaults.values()) == 2
    assert net.values == {
        "clipper_model_predictions_total": 8, "clipper_model_errors_total": 2, "clipper_model_cache_hits_total": 7,
        "clipper_model_cache_misses_total": 8, "clipper_model_batch_size_sum": 8, "clipper_model_batch_size_count": 2,
        "clipper_model_queue_length": 4,
    }  # fmt: skip
    assert digits.buckets["clipper_app_latency_seconds"][-1] == (float("inf"), 3)
    assert [bound for bound, _ in net.buckets["clipper_model_batch_latency_seconds"]] == sorted(
        bound for bound, _ in net.buckets["clipper_model_batch_latency_seconds"]
    )
    assert list(counts.targets) == ["digits net:1.0-rc", "digits net:2"]
    second = counts.targets[target_key("digits", "net:2")]
    assert second.values == {"clipper_target_queries_total": 1}
    assert second.defaults["model_error"] == sum(second.defaults.values()) == 1
    assert second.buckets["clipper_target_latency_seconds"][-1] == (float("inf"), 1)


def test_panels_agree_with_inspect_instance() -> None:
    text = format_families(_metrics().families()).decode()
    report, counts = parse_metrics(text), parse_counts(text)
    for series in report["clipper_app_queries_total"]:
        assert counts.applications[series["labels"]["app"]].values["clipper_app_queries_total"] == series["value"]
    for series in report["clipper_model_batch_latency_seconds"]:
        labels = series["labels"]
        buckets = counts.versions[f"{labels['model']}:{labels['version']}"].buckets[
            "clipper_model_batch_latency_seconds"
        ]
        assert buckets[-1][1] == series["count"]


def test_empty_text_has_no_series() -> None:
    assert parse_counts("").applications == {}


def test_shadow_of_each_application_is_read() -> None:
    reports = [
        ShadowReport(
            app_name="digits", model="net:2", share=1.0, num_asked=9, num_dropped=1, num_compared=8, num_agreed=6
        ),
        ShadowReport(app_name="quiet", model="net:3", share=0.5),
    ]
    shadows = parse_counts(format_families(make_shadow_families(reports)).decode()).shadows
    assert {name: (each.model_id, each.agreement) for name, each in shadows.items()} == {
        "digits": ("net:2", 0.75), "quiet": ("net:3", None),
    }  # fmt: skip
    assert shadows["digits"].values["clipper_shadow_dropped_total"] == 1
