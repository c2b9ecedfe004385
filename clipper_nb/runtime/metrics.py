"""Every metric of the query frontend, defined once; base units, and series that go away with what they name.

Counted in plain numbers, on the event loop's one thread: counting must cost nothing beside a query. Prometheus' own
classes only write them down when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import DEFAULT_REASONS

_LATENCY_BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75,
    1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
_LATENESS_BUCKETS_S = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_BATCH_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class _Distribution:
    """How many observations fell into each bucket, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            buckets.append((floatToGoString(bound), total))  # type: ignore[no-untyped-call]
        family.add_metric(labels, buckets, sum_value=self._sum)


class ApplicationMetrics:
    """The series of one application.

    Parameters
    ----------
    slo_s : float
        What its answers are late against.
    """

    def __init__(self, slo_s: float) -> None:
        self._slo_s = slo_s
        self.num_queries = 0
        self.num_defaults = dict.fromkeys(DEFAULT_REASONS, 0)
        self.num_bad_requests = 0
        self.latency_s = _Distribution(_LATENCY_BUCKETS_S)
        self.lateness_s = _Distribution(_LATENESS_BUCKETS_S)

    def query_answered(self, latency_s: float, reason: str | None) -> None:
        """Count an answer; *reason* is why it was the default output, or ``None``."""
        self.num_queries += 1
        self.latency_s.observe(latency_s)
        self.lateness_s.observe(latency_s - self._slo_s if latency_s > self._slo_s else 0.0)
        if reason is not None:
            self.num_defaults[reason] += 1


class ModelMetrics:
    """The series of one model version; a ``BatchObserver``."""

    def __init__(self) -> None:
        self.num_predictions = 0
        self.num_errors = 0
        self.num_lost = 0
        self.num_cache_hits = 0
        self.num_cache_misses = 0
        self.batch_size = _Distribution(_BATCH_SIZE_BUCKETS)
        self.batch_latency_s = _Distribution(_LATENCY_BUCKETS_S)

    def batch_answered(self, size: int, latency_s: float) -> None:
        """Count a batch that was answered."""
        self.num_predictions += size
        self.batch_size.observe(size)
        self.batch_latency_s.observe(latency_s)

    def batch_failed(self, size: int) -> None:
        """Count a batch that the model failed on."""
        self.num_errors += size

    def batch_lost(self, size: int) -> None:
        """Count a batch that was lost with its replica."""
        self.num_lost += size


class QueryFrontendMetrics(Collector):
    """The query frontend's metrics: the series of each application and model version that it serves."""

    def __init__(self) -> None:
        self._applications: dict[str, ApplicationMetrics] = {}
        self._models: dict[ModelId, ModelMetrics] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def application(self, name: str, slo_s: float) -> ApplicationMetrics:
        """Return the series of one application, which begin now; its answers are late after *slo_s*."""
        metrics = self._applications[name] = ApplicationMetrics(slo_s)
        return metrics

    def forget_application(self, name: str) -> None:
        """Remove an application's series."""
        del self._applications[name]

    def model(self, model_id: ModelId) -> ModelMetrics:
        """Return the series of one model version, which begin now."""
        metrics = self._models[model_id] = ModelMetrics()
        return metrics

    def forget_model(self, model_id: ModelId) -> None:
        """Remove a model version's series."""
        del self._models[model_id]

    def collect(self) -> Iterator[Metric]:
        """Yield every counter and histogram as it stands."""
        yield from self._collect_applications()
        yield from self._collect_models()

    def _collect_applications(self) -> Iterator[Metric]:
        queries = CounterMetricFamily("clipper_app_queries", "Queries answered", labels=["app"])
        defaults = CounterMetricFamily(
            "clipper_app_default_outputs", "Queries answered with the default output", labels=["app", "reason"]
        )
        bad_requests = CounterMetricFamily("clipper_app_bad_requests", "Requests refused", labels=["app"])
        latency = HistogramMetricFamily(
            "clipper_app_latency_seconds", "From the arrival of a query to its answer", labels=["app"]
        )
        lateness = HistogramMetricFamily(
            "clipper_app_lateness_seconds", "By how much an answer missed the SLO; 0 when it met it", labels=["app"]
        )
        for name, metrics in self._applications.items():
            queries.add_metric([name], metrics.num_queries)
            for reason, count in metrics.num_defaults.items():
                defaults.add_metric([name, reason], count)
            bad_requests.add_metric([name], metrics.num_bad_requests)
            metrics.latency_s.add_to(latency, [name])
            metrics.lateness_s.add_to(lateness, [name])
        yield from (queries, defaults, bad_requests, latency, lateness)

    def _collect_models(self) -> Iterator[Metric]:
        labels = ["model", "version"]
        predictions = CounterMetricFamily("clipper_model_predictions", "Inputs predicted", labels=labels)
        errors = CounterMetricFamily("clipper_model_errors", "Inputs the model failed on", labels=labels)
        lost = CounterMetricFamily("clipper_model_lost", "Inputs lost with their replica", labels=labels)
        hits = CounterMetricFamily("clipper_model_cache_hits", "Inputs found in the cache", labels=labels)
        misses = CounterMetricFamily("clipper_model_cache_misses", "Inputs not found there", labels=labels)
        sizes = HistogramMetricFamily("clipper_model_batch_size", "Inputs per batch", labels=labels)
        latency = HistogramMetricFamily(
            "clipper_model_batch_latency_seconds", "From sending a batch to its answer", labels=labels
        )
        for model_id, metrics in self._models.items():
            for family, count in (
                (predictions, metrics.num_predictions),
                (errors, metrics.num_errors),
                (lost, metrics.num_lost),
                (hits, metrics.num_cache_hits),
                (misses, metrics.num_cache_misses),
            ):
                family.add_metric(list(model_id), count)
            metrics.batch_size.add_to(sizes, list(model_id))
            metrics.batch_latency_s.add_to(latency, list(model_id))
        yield from (predictions, errors, lost, hits, misses, sizes, latency)


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
