"""Metrics of several query frontends added up: nothing is counted twice, and nothing goes back."""

from __future__ import annotations

from collections import deque

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from clipper_nb.protocol import metric_names
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.model_metrics import MetricReport, define_metric
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Replica
from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.runtime.metrics import sums as metrics_sum
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics, make_gauges
from clipper_nb.runtime.metrics.exposition import format_families
from clipper_nb.runtime.metrics.sums import Snapshot

MODEL_ID = ModelId("digits-net", "1")
REPLICA = Replica(*MODEL_ID, 0, InputType.STRINGS)


def _frontend(num_queries: int, *, num_replicas: int = 1, queue_length: int = 0, app: str = "digits") -> Snapshot:
    metrics = QueryFrontendMetrics()
    application = metrics.application(app, 0.1)
    for _ in range(num_queries):
        application.query_answered(0.004, None)
    metrics.model(MODEL_ID).batch_answered(num_queries, 0.01)
    metrics.show_gauges(lambda: make_gauges([(MODEL_ID, queue_length, num_replicas)], (100, 2, 0)))
    return Snapshot(metrics.families())


def add_up(snapshots: list[Snapshot]) -> Snapshot:
    total = Snapshot([])
    deque(metrics_sum.add_up(snapshots, total.families), maxlen=0)
    return total


def traced(trace_id: int) -> RequestOrigin:
    return RequestOrigin(traceparent=f"00-{trace_id:032x}-00f067aa0ba902b7-01")


def encode(snapshot: Snapshot) -> bytes:
    return b"".join(metrics_sum.encode_snapshot(snapshot))


def _value(snapshot: Snapshot, name: str, **labels: str) -> float | None:
    """Return what the text says, which is what everybody sees."""
    text = format_families(snapshot.families).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return next((sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)), None)


def test_sum_of_one_frontend_is_that_frontend():
    alone = _frontend(3)
    assert format_families(add_up([alone]).families) == format_families(alone.families)


def _own(bounds: list[float], count: float) -> Snapshot:
    """A frontend whose model has a histogram of its own."""
    metrics = QueryFrontendMetrics()
    metrics.replica_joined(REPLICA)
    times = define_metric("times", "histogram", bounds=bounds)
    metrics.replica_reported(REPLICA, [MetricReport(times, [((), [count, *[0.0] * (len(bounds) + 1)])])])
    return Snapshot(metrics.families())


def test_histograms_with_other_bounds_stay_apart():
    total = add_up([_own([1.0], 3), _own([1.0, 2.0], 4), _own([1.0], 5)])
    shown = [family for family in total.families if family.name == "clipper_user_times"]
    assert [(family.bounds, family.series[0][1][0]) for family in shown] == [((1.0,), 8.0), ((1.0, 2.0), 4.0)]


def test_metrics_of_one_name_and_two_types_are_not_mixed():
    """A gauge and a histogram without buckets, as versions that report to different frontends may have them."""
    metrics = QueryFrontendMetrics()
    metrics.replica_joined(REPLICA)
    metrics.replica_reported(REPLICA, [MetricReport(define_metric("times", "gauge"), [((), [4.0])])])
    gauge, histogram = Snapshot(metrics.families()), _own([], 3)
    for snapshots, expected in (([gauge, histogram], "gauge"), ([histogram, gauge], "histogram")):
        total = add_up(snapshots)
        assert [each.type for each in total.families if each.name == "clipper_user_times"] == [expected]
        assert f"# TYPE clipper_user_times {expected}".encode() in format_families(total.families)


def test_lost_replicas_are_counted_by_one_frontend():
    for counts, expected in ((True, 1.0), (False, 0.0)):
        metrics = QueryFrontendMetrics(counts_replicas=counts)
        metrics.replica_joined(REPLICA)
        metrics.replica_lost(REPLICA, was_leaving=True)
        metrics.replica_lost(REPLICA, was_leaving=False)
        labels = {"model": "digits-net", "version": "1"}
        assert _value(Snapshot(metrics.families()), "clipper_model_lost_replicas_total", **labels) == expected


def test_counters_and_histograms_add_up():
    total = add_up([_frontend(3), _frontend(4)])
    assert _value(total, "clipper_app_queries_total", app="digits") == 7
    assert _value(total, "clipper_app_latency_seconds_bucket", app="digits", le="0.005") == 7
    assert _value(total, "clipper_app_latency_seconds_bucket", app="digits", le="0.003") == 0
    assert _value(total, "clipper_app_latency_seconds_count", app="digits") == 7


def test_last_exemplar_of_a_bucket_is_kept():
    snapshots = []
    for offset in (10.0, 20.0):
        times = iter((offset + 2, offset - 9))
        metrics = QueryFrontendMetrics()
        application = metrics.application("digits", 0.1, lambda times=times: next(times))
        for number, latency_s in enumerate((0.004, 0.04)):
            application.query_answered(latency_s, None, None, traced(int(offset) + number))
        snapshots.append(Snapshot(list(metrics_sum.decode_snapshot(encode(Snapshot(metrics.families()))))))
    [latency] = [each for each in add_up(snapshots[::-1]).families if each.name == metric_names.APP_LATENCY]
    [by_bucket] = latency.exemplars.values()
    assert [(int(each.trace_id, 16), each.value, each.observed_at) for each in by_bucket.values()] == [
        (20, 0.004, 22.0),
        (21, 0.04, 11.0),
    ]


def test_queues_add_up_and_replicas_do_not():
    busy = _frontend(0, num_replicas=2, queue_length=5)
    other = _frontend(0, num_replicas=3, queue_length=1)
    total = add_up([busy, other])
    assert _value(total, "clipper_model_queue_length", model="digits-net", version="1") == 6
    assert _value(total, "clipper_model_replicas", model="digits-net", version="1") == 2
    assert _value(total, "clipper_cache_size_bytes") == 200


@pytest.mark.slow
def test_many_series_are_added_up_in_small_parts_with_one_head():
    metrics = QueryFrontendMetrics()
    for number in range(250):
        metrics.application(f"app-{number}", 0.1).query_answered(0.004, None)
    alone = Snapshot(metrics.families())
    text = encode(add_up([alone, alone]))
    decoded = Snapshot(list(metrics_sum.decode_snapshot(text)))
    assert max(len(part.series) for part in decoded.families) == 100
    assert format_families(decoded.families).count(b"# TYPE clipper_app_queries_total ") == 1
    for number in (0, 99, 100, 249):
        assert _value(decoded, "clipper_app_queries_total", app=f"app-{number}") == 2


def test_series_of_a_single_frontend_are_kept():
    total = add_up([_frontend(1, app=app) for app in ("digits", "letters")])
    assert _value(total, "clipper_app_queries_total", app="digits") == 1
    assert _value(total, "clipper_app_queries_total", app="letters") == 1


def test_snapshots_travel():
    snapshot = _frontend(3)
    text = encode(snapshot)
    assert list(metrics_sum.decode_snapshot(text)) == snapshot.families


@pytest.mark.parametrize("num_missing", [1, 2, 10, 500])
def test_truncated_snapshot_is_refused(num_missing):
    """Of a frontend that was killed while it spoke."""
    text = encode(_frontend(3))
    at_end_of_line = text[: text.rindex(b"\n") + 1]
    for part in (text[:-num_missing], at_end_of_line, at_end_of_line[:-1], b""):
        with pytest.raises(msgspec.DecodeError):
            list(metrics_sum.decode_snapshot(part))
