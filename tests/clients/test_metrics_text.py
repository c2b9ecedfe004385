"""Metrics are read as Prometheus' own parser reads them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from clipper_nb.clients.metrics_text import Sample, parse_samples, parse_types
from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.metrics.admin_calls import AdminCalls
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics, make_gauges
from clipper_nb.runtime.metrics.exposition import Family, format_families, format_labels
from tests.support.examples import examples


def query_frontend_text() -> str:
    metrics = QueryFrontendMetrics()
    metrics.application("digits", slo_s=0.02).query_answered(0.004, None)
    metrics.application("quiet", slo_s=0.1)
    metrics.model(ModelId("net", "1.0-rc")).batch_answered(3, 0.002)
    metrics.show_gauges(lambda: make_gauges([(ModelId("net", "1.0-rc"), 4, 2)], (7, 1, 0)))
    return format_families(metrics.families()).decode()


def management_frontend_text() -> str:
    calls = AdminCalls(clock=lambda: 1.7e9)
    calls.count("/admin/add_app", 200)
    return format_families(calls.families()).decode()


def as_prometheus_reads(text: str) -> list[Sample]:
    families = text_string_to_metric_families(text)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def test_text_of_both_frontends_is_read_as_prometheus_reads_it() -> None:
    for text in (query_frontend_text(), management_frontend_text()):
        assert list(parse_samples(text)) == as_prometheus_reads(text)


def test_only_what_is_asked_for_is_read() -> None:
    assert list(parse_samples(query_frontend_text(), ("clipper_cache_entries", "clipper_app_queries_total"))) == [
        ("clipper_app_queries_total", {"app": "digits"}, 1.0),
        ("clipper_app_queries_total", {"app": "quiet"}, 0.0),
        ("clipper_cache_entries", {}, 1.0),
    ]


def test_types_are_in_the_order_of_the_text() -> None:
    assert parse_types(management_frontend_text()) == {
        "clipper_admin_requests_total": "counter",
        "clipper_admin_requests_created": "gauge",
    }
    types = parse_types(query_frontend_text())
    assert next(iter(types)) == "clipper_app_queries_total"
    assert (types["clipper_app_latency_seconds"], types["clipper_model_replicas"]) == ("histogram", "gauge")


def test_text_without_samples_yields_none() -> None:
    assert list(parse_samples("")) == []
    assert list(parse_samples("# HELP a What\n# TYPE a counter\n")) == []


@examples(100)
@given(
    st.dictionaries(st.sampled_from(["app", "le", "path"]), st.text('aé\u2028"\\\n\r{}=,# ', max_size=8), max_size=3),
    st.floats(allow_nan=False),
)
def test_every_label_and_number_comes_back(labels, value) -> None:
    text = format_families([Family("a_total", "What", "counter", [(format_labels(labels), [value])])]).decode()
    assert list(parse_samples(text)) == [("a_total", labels, value)]
