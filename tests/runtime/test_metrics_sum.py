"""Metrics of several query frontends added up: nothing is counted twice, and nothing goes back."""

from __future__ import annotations

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.exposition import format_families, format_labels
from clipper_nb.runtime.metrics import QueryFrontendMetrics, make_gauges
from clipper_nb.runtime.metrics_sum import Snapshot, add_up, decode_snapshot, encode_snapshot, only_what_counts

MODEL_ID = ModelId("digits-net", "1")


def _frontend(num_queries: int, *, num_replicas: int = 1, queue_length: int = 0, app: str = "digits") -> Snapshot:
    metrics = QueryFrontendMetrics()
    application = metrics.application(app, 0.1)
    for _ in range(num_queries):
        application.query_answered(0.004, None)
    metrics.model(MODEL_ID).batch_answered(num_queries, 0.01)
    metrics.show_gauges(lambda: make_gauges([(MODEL_ID, queue_length, num_replicas)], (100, 2, 0)))
    return Snapshot(metrics.families())


def _value(snapshot: Snapshot, name: str, **labels: str) -> float | None:
    wanted = name, format_labels(labels)
    values = [sample[2] for family in snapshot.families for sample in family.samples if sample[:2] == wanted]
    return values[0] if values else None


def test_one_frontend_looks_as_if_it_were_alone():
    alone = _frontend(3)
    assert format_families(add_up([alone]).families) == format_families(alone.families)


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


def test_series_that_only_one_has_are_there():
    total = add_up([_frontend(1, app=app) for app in ("digits", "letters")])
    assert _value(total, "clipper_app_queries_total", app="digits") == 1
    assert _value(total, "clipper_app_queries_total", app="letters") == 1


def test_what_was_counted_before_counts_as_long_as_what_it_names_is_there():
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
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot
    assert decode_snapshot(encode_snapshot(snapshot)[:-2]) is None
    assert decode_snapshot(b"") is None
