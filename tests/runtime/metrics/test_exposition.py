"""Metrics as text: in OpenMetrics they are what strict readers accept, with the traces that clients named."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from clipper_nb.protocol import metric_names
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.model_metrics import MetricReport, define_metric
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Replica
from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics, make_gauges
from clipper_nb.runtime.metrics.exposition import OpenMetricsText, PrometheusText, format_families

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
MODEL_ID = ModelId("net", "1")


def parsed(metrics: QueryFrontendMetrics) -> list[Sample]:
    text = OpenMetricsText()
    written = "".join(piece for family in metrics.families() for piece in text.render(family)) + text.end
    return [sample for family in text_string_to_metric_families(written) for sample in family.samples]


def ask(metrics: QueryFrontendMetrics, *latencies_s: float, flags: str = "01") -> None:
    application = metrics.application("digits", 0.1, lambda: 1_700_000_000.25)
    for latency_s in latencies_s:
        origin = RequestOrigin(traceparent=f"00-{TRACE_ID}-00f067aa0ba902b7-{flags}")
        application.query_answered(latency_s, None, None, origin)


def report(metrics: QueryFrontendMetrics, *reports: MetricReport) -> None:
    metrics.replica_reported(Replica(*MODEL_ID, 0, InputType.STRINGS), reports)


def test_both_formats_have_the_same_samples():
    metrics = QueryFrontendMetrics()
    ask(metrics, 0.004)
    metrics.model(MODEL_ID).batch_answered(3, 0.01)
    metrics.show_gauges(lambda: make_gauges([(MODEL_ID, 4, 2)], (0, 0, 0), [("digits", 0.02, True)]))
    report(metrics, MetricReport(define_metric("words", "counter", 'The "words"\nof a \\ text'), [((), [3.0])]))
    plain = format_families(metrics.families()).decode().splitlines()
    assert {each.name for each in parsed(metrics)} == {
        line.split("{")[0].split()[0] for line in plain if line[0] != "#"
    }
    assert len(parsed(metrics)) == len([line for line in plain if line[0] != "#"])


@pytest.mark.parametrize(
    ("latency_s", "bound"), [(0.0, "0.0005"), (0.005, "0.005"), (0.0051, "0.0075"), (61.0, "+Inf")]
)
def test_trace_is_the_exemplar_of_its_bucket(latency_s, bound):
    metrics = QueryFrontendMetrics()
    ask(metrics, latency_s)
    [found] = [sample for sample in parsed(metrics) if sample.exemplar is not None]
    assert (found.name, found.labels) == (f"{metric_names.APP_LATENCY}_bucket", {"app": "digits", "le": bound})
    assert (found.exemplar.labels, found.exemplar.value) == ({"trace_id": TRACE_ID}, latency_s)
    assert float(found.exemplar.timestamp) == 1_700_000_000.25


def test_plain_text_has_no_exemplars():
    metrics = QueryFrontendMetrics()
    ask(metrics, 0.01)
    assert TRACE_ID not in "".join(piece for family in metrics.families() for piece in PrometheusText().render(family))


def test_trace_that_is_not_sampled_is_no_exemplar():
    metrics = QueryFrontendMetrics()
    ask(metrics, 0.01, flags="02")
    assert [sample for sample in parsed(metrics) if sample.exemplar is not None] == []


def test_model_may_have_a_counter_and_a_gauge_of_one_name():
    metrics = QueryFrontendMetrics()
    report(metrics, MetricReport(define_metric("words", "gauge"), [((), [1.0])]))
    metrics.replica_reported(
        Replica("net", "2", 0, InputType.STRINGS), [MetricReport(define_metric("words", "counter"), [((), [3.0])])]
    )
    own = {each.name: each.value for each in parsed(metrics) if each.name.startswith(metric_names.OWN_PREFIX)}
    assert own == {"clipper_user_words": 1.0, "clipper_user_words_total": 3.0}


def test_histogram_below_zero_has_no_sum():
    metrics = QueryFrontendMetrics()
    report(metrics, MetricReport(define_metric("change", "histogram", bounds=[-1, 0]), [((), [1, 0, 2, 3.5])]))
    own = [(each.name, each.value) for each in parsed(metrics) if each.name.startswith(metric_names.OWN_PREFIX)]
    assert own == [("clipper_user_change_bucket", value) for value in (1.0, 1.0, 3.0)]
