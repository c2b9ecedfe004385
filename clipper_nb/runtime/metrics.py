"""Every metric of the query frontend, defined once; base units, and labels that go away with what they name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import DEFAULT_REASONS

_LATENCY_BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75,
    1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
_BATCH_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class QueryFrontendMetrics:
    """The query frontend's metrics and the series of each application and model version."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._queries = Counter("clipper_app_queries", "Queries answered", ["app"], registry=registry)
        self._defaults = Counter(
            "clipper_app_default_outputs", "Queries answered with the default output", ["app", "reason"],
            registry=registry,
        )  # fmt: skip
        self._bad_requests = Counter("clipper_app_bad_requests", "Requests refused", ["app"], registry=registry)
        self._latency = Histogram(
            "clipper_app_latency_seconds", "From the arrival of a query to its answer", ["app"],
            buckets=_LATENCY_BUCKETS_S, registry=registry,
        )  # fmt: skip
        labels = ["model", "version"]
        self._predictions = Counter("clipper_model_predictions", "Inputs predicted", labels, registry=registry)
        self._errors = Counter("clipper_model_errors", "Inputs the model failed on", labels, registry=registry)
        self._lost = Counter("clipper_model_lost", "Inputs lost with their replica", labels, registry=registry)
        self._cache_hits = Counter("clipper_model_cache_hits", "Inputs found in the cache", labels, registry=registry)
        self._cache_misses = Counter("clipper_model_cache_misses", "Inputs not found there", labels, registry=registry)
        self._batch_sizes = Histogram(
            "clipper_model_batch_size",
            "Inputs per batch",
            labels,
            buckets=_BATCH_SIZE_BUCKETS,
            registry=registry,
        )
        self._batch_latency = Histogram(
            "clipper_model_batch_latency_seconds", "From sending a batch to its answer", labels,
            buckets=_LATENCY_BUCKETS_S, registry=registry,
        )  # fmt: skip

    def application(self, name: str) -> ApplicationMetrics:
        """Return the series of one application, which begin now."""
        return ApplicationMetrics(self, name)

    def forget_application(self, name: str) -> None:
        """Remove an application's series."""
        for metric in (self._queries, self._bad_requests, self._latency):
            metric.remove(name)
        for reason in DEFAULT_REASONS:
            self._defaults.remove(name, reason)

    def model(self, model_id: ModelId) -> ModelMetrics:
        """Return the series of one model version."""
        return ModelMetrics(self, model_id)

    def forget_model(self, model_id: ModelId) -> None:
        """Remove a model version's series."""
        for metric in (
            self._predictions, self._errors, self._lost, self._cache_hits, self._cache_misses, self._batch_sizes,
            self._batch_latency,
        ):  # fmt: skip
            metric.remove(*model_id)


class ApplicationMetrics:
    """The series of one application."""

    def __init__(self, metrics: QueryFrontendMetrics, name: str) -> None:
        self._queries = metrics._queries.labels(name)
        self._defaults = {reason: metrics._defaults.labels(name, reason) for reason in DEFAULT_REASONS}
        self._bad_requests = metrics._bad_requests.labels(name)
        self._latency = metrics._latency.labels(name)

    def query_answered(self, latency_s: float, reason: str | None) -> None:
        """Count an answer; *reason* is why it was the default output, or ``None``."""
        self._queries.inc()
        self._latency.observe(latency_s)
        if reason is not None:
            self._defaults[reason].inc()

    def request_refused(self) -> None:
        """Count a request whose body could not be used."""
        self._bad_requests.inc()


class ModelMetrics:
    """The series of one model version; a ``BatchObserver``."""

    def __init__(self, metrics: QueryFrontendMetrics, model_id: ModelId) -> None:
        self._predictions = metrics._predictions.labels(*model_id)
        self._errors = metrics._errors.labels(*model_id)
        self._lost = metrics._lost.labels(*model_id)
        self._batch_sizes = metrics._batch_sizes.labels(*model_id)
        self._batch_latency = metrics._batch_latency.labels(*model_id)
        self.cache_hits = metrics._cache_hits.labels(*model_id)
        self.cache_misses = metrics._cache_misses.labels(*model_id)

    def batch_answered(self, size: int, latency_s: float) -> None:
        """Count a batch that was answered."""
        self._predictions.inc(size)
        self._batch_sizes.observe(size)
        self._batch_latency.observe(latency_s)

    def batch_failed(self, size: int) -> None:
        """Count a batch that the model failed on."""
        self._errors.inc(size)

    def batch_lost(self, size: int) -> None:
        """Count a batch that was lost with its replica."""
        self._lost.inc(size)


class LiveValues(Collector):
    """Gauges that are read when somebody asks: queue lengths, replicas, the cache."""

    def __init__(
        self,
        models: Callable[[], Iterable[tuple[ModelId, int, int]]],
        cache: Callable[[], tuple[int, int, int]],
    ) -> None:
        self._models = models
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges as they stand."""
        labels = ["model", "version"]
        queue_length = GaugeMetricFamily("clipper_model_queue_length", "Inputs that wait for a replica", labels=labels)
        replicas = GaugeMetricFamily("clipper_model_replicas", "Connected replicas", labels=labels)
        for model_id, length, num_replicas in self._models():
            queue_length.add_metric(list(model_id), length)
            replicas.add_metric(list(model_id), num_replicas)
        yield queue_length
        yield replicas
        size_bytes, entries, evictions = self._cache()
        yield GaugeMetricFamily("clipper_cache_size_bytes", "Inputs and outputs in the cache", value=size_bytes)
        yield GaugeMetricFamily("clipper_cache_entries", "Outputs in the cache", value=entries)
        yield CounterMetricFamily("clipper_cache_evictions", "Outputs that made room for others", value=evictions)
