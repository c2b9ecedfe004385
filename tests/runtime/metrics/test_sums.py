"""Metrics of several query frontends added up: nothing is counted twice, and nothing goes back."""

from __future__ import annotations

from collections import deque

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.model_metrics import MetricReport, define_metric
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Replica
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


def only_what_counts(base: Snapshot, live: Snapshot) -> Snapshot:
    kept = Snapshot([])
    deque(metrics_sum.only_what_counts(base, live, kept.families), maxlen=0)
    return kept


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


def test_what_models_count_is_not_kept_twice():
    kept = only_what_counts(_own([1.0], 3), _own([1.0], 4))
    assert "clipper_user_times" not in {family.name for family in kept.families}


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
    text = encode(add_up([alone, only_what_counts(alone, alone)]))
    decoded = Snapshot(list(metrics_sum.decode_snapshot(text)))
    assert max(len(part.series) for part in decoded.families) == 100
    assert format_families(decoded.families).count(b"# TYPE clipper_app_queries_total ") == 1
    for number in (0, 99, 100, 249):
        assert _value(decoded, "clipper_app_queries_total", app=f"app-{number}") == 2


def test_series_of_a_single_frontend_are_kept():
    total = add_up([_frontend(1, app=app) for app in ("digits", "letters")])
    assert _value(total, "clipper_app_queries_total", app="digits") == 1
    assert _value(total, "clipper_app_queries_total", app="letters") == 1


def test_earlier_counts_are_kept_while_their_subject_exists():
    before = _frontend(3, queue_length=7)
    live = _frontend(1)
    total = add_up([live, only_what_counts(before, live)])
    assert _value(total, "clipper_app_queries_total", app="digits") == 4
    assert _value(total, "clipper_model_queue_length", model="digits-net", version="1") == 0
    other = _frontend(1, app="letters")
    total = add_up([other, only_what_counts(before, other)])
    assert _value(total, "clipper_app_queries_total", app="digits") is None


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
