"""Metrics of several query frontends added up: nothing is counted twice, and nothing goes back."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.metrics import LiveValues, QueryFrontendMetrics
from clipper_nb.runtime.metrics_sum import (
    Snapshot,
    SnapshotCollector,
    add_up,
    decode_snapshot,
    encode_snapshot,
    only_what_counts,
    take_snapshot,
)

MODEL_ID = ModelId("digits-net", "1")


def _frontend(
    num_queries: int, *, num_replicas: int = 1, queue_length: int = 0, app: str = "digits"
) -> CollectorRegistry:
    metrics = QueryFrontendMetrics()
    application = metrics.application(app, 0.1)
    for _ in range(num_queries):
        application.query_answered(0.004, None)
    metrics.model(MODEL_ID).batch_answered(num_queries, 0.01)
    metrics.registry.register(LiveValues(lambda: [(MODEL_ID, queue_length, num_replicas)], lambda: (100, 2, 0)))
    return metrics.registry


def _registry(snapshot: Snapshot) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(snapshot))
    return registry


def _value(snapshot: Snapshot, name: str, **labels: str) -> float | None:
    return _registry(snapshot).get_sample_value(name, labels)


def test_one_frontend_looks_as_if_it_were_alone():
    registry = _frontend(3)
    assert generate_latest(_registry(add_up([take_snapshot(registry.collect())]))) == generate_latest(registry)


def test_counters_and_histograms_add_up():
    total = add_up([take_snapshot(_frontend(3).collect()), take_snapshot(_frontend(4).collect())])
    assert _value(total, "clipper_app_queries_total", app="digits") == 7
    assert _value(total, "clipper_app_latency_seconds_bucket", app="digits", le="0.005") == 7
    assert _value(total, "clipper_app_latency_seconds_bucket", app="digits", le="0.003") == 0
    assert _value(total, "clipper_app_latency_seconds_count", app="digits") == 7


def test_queues_add_up_and_replicas_do_not():
    busy = take_snapshot(_frontend(0, num_replicas=2, queue_length=5).collect())
    other = take_snapshot(_frontend(0, num_replicas=3, queue_length=1).collect())
    total = add_up([busy, other])
    assert _value(total, "clipper_model_queue_length", model="digits-net", version="1") == 6
    assert _value(total, "clipper_model_replicas", model="digits-net", version="1") == 2
    assert _value(total, "clipper_cache_size_bytes") == 200


def test_series_that_only_one_has_are_there():
    total = add_up([take_snapshot(_frontend(1, app=app).collect()) for app in ("digits", "letters")])
    assert _value(total, "clipper_app_queries_total", app="digits") == 1
    assert _value(total, "clipper_app_queries_total", app="letters") == 1


def test_what_was_counted_before_counts_as_long_as_what_it_names_is_there():
    before = take_snapshot(_frontend(3, queue_length=7).collect())
    live = take_snapshot(_frontend(1).collect())
    total = add_up([live, only_what_counts(before, live)])
    assert _value(total, "clipper_app_queries_total", app="digits") == 4
    assert _value(total, "clipper_model_queue_length", model="digits-net", version="1") == 0
    other = take_snapshot(_frontend(1, app="letters").collect())
    total = add_up([other, only_what_counts(before, other)])
    assert _value(total, "clipper_app_queries_total", app="digits") is None


def test_snapshots_travel():
    snapshot = take_snapshot(_frontend(3).collect())
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot
    assert decode_snapshot(encode_snapshot(snapshot)[:-2]) is None
    assert decode_snapshot(b"") is None
