"""Every metric of the query frontend, defined once; base units, and series that are removed with what they name.

Counted in plain numbers, on the event loop's only thread: counting must cost nothing compared with a query. They become
text only when a client reads them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from clipper_nb.protocol import metric_names
from clipper_nb.protocol.model_metrics import MetricReport
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import DEFAULT_REASONS, REFUSAL_REASONS, Replica
from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.runtime.metrics.distribution import Distribution
from clipper_nb.runtime.metrics.exposition import Family, format_labels
from clipper_nb.runtime.metrics.model_own import ModelOwnMetrics

_LATENCY_BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75,
    1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
_LATENESS_BUCKETS_S = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_BATCH_SIZE_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0)


class TargetMetrics:
    """The series of one version among those that an application's queries are divided among."""

    def __init__(self, application_name: str, model_id: ModelId) -> None:
        names = {
            metric_names.LABEL_APP: application_name,
            metric_names.LABEL_MODEL: model_id.name,
            metric_names.LABEL_VERSION: model_id.version,
        }
        self.labels = format_labels(names)
        self.default_labels = {
            reason: format_labels({**names, metric_names.LABEL_REASON: reason}) for reason in DEFAULT_REASONS
        }
        self.num_queries = 0
        self.num_defaults = dict.fromkeys(DEFAULT_REASONS, 0)
        self.latency_s = Distribution(_LATENCY_BUCKETS_S)

    def queries_answered(self, count: int, latency_s: float, reason: str | None) -> None:
        """Count equal answers; *reason* is why they were the default output, or ``None``."""
        self.num_queries += count
        self.latency_s.observe_often(count, latency_s)
        if reason is not None:
            self.num_defaults[reason] += count


class ApplicationMetrics:
    """The series of one application.

    Parameters
    ----------
    name : str
    slo_s : float
        Answers after it are late.
    wall_clock : callable
        Returns seconds since the epoch.
    """

    def __init__(self, name: str, slo_s: float, wall_clock: Callable[[], float] = time.time) -> None:
        self._slo_s = slo_s
        self._wall_clock = wall_clock
        self.labels = format_labels({metric_names.LABEL_APP: name})
        self.default_labels = {
            reason: format_labels({metric_names.LABEL_APP: name, metric_names.LABEL_REASON: reason})
            for reason in DEFAULT_REASONS
        }
        self.num_queries = 0
        self.num_defaults = dict.fromkeys(DEFAULT_REASONS, 0)
        self.num_bad_requests = 0
        self.latency_s = Distribution(_LATENCY_BUCKETS_S)
        self.lateness_s = Distribution(_LATENESS_BUCKETS_S)
        self.num_late = 0
        """Number of late answers."""
        self._name = name
        self.targets: dict[ModelId, TargetMetrics] | None = None
        """Those among which its queries are divided; ``None`` if they are not, since its own series say the same."""

    def set_targets(self, model_ids: Collection[ModelId]) -> None:
        """Count by version if there are several; those that stay keep their counts."""
        before = self.targets or {}
        self.targets = None
        if len(model_ids) > 1:
            self.targets = {each: before.get(each) or TargetMetrics(self._name, each) for each in model_ids}

    def query_answered(
        self,
        latency_s: float,
        reason: str | None,
        model_id: ModelId | None = None,
        origin: RequestOrigin | None = None,
    ) -> None:
        """Count an answer of *model_id*; *reason* is why it was the default output, or ``None``.

        If the *origin* of the query names a trace that is sampled, it becomes the exemplar of its latency.
        """
        targets = self.targets
        if targets is not None and model_id is not None and model_id in targets:
            targets[model_id].queries_answered(1, latency_s, reason)
        self.num_queries += 1
        self.latency_s.observe(latency_s)
        if origin is not None and (trace_id := origin.sampled_trace_id):
            self.latency_s.set_exemplar(latency_s, trace_id, self._wall_clock())
        if latency_s > self._slo_s:
            self.num_late += 1
            self.lateness_s.observe(latency_s - self._slo_s)
        if reason is not None:
            self.num_defaults[reason] += 1

    def queries_answered(self, count: int, latency_s: float, reason: str, model_id: ModelId | None = None) -> None:
        """Count *count* equal answers, all of them the default output."""
        targets = self.targets
        if targets is not None and model_id is not None and model_id in targets:
            targets[model_id].queries_answered(count, latency_s, reason)
        self.num_queries += count
        self.latency_s.observe_often(count, latency_s)
        if latency_s > self._slo_s:
            self.num_late += count
            self.lateness_s.observe_often(count, latency_s - self._slo_s)
        self.num_defaults[reason] += count


class ModelMetrics:
    """The series of one model version; a ``BatchObserver``."""

    def __init__(self, model_id: ModelId) -> None:
        self.labels = _model_labels(model_id)
        self.num_predictions = 0
        self.num_errors = 0
        self.num_isolated = 0
        self.num_lost = 0
        self.num_hung = 0
        self.num_lost_replicas = 0
        self.num_cache_hits = 0
        self.num_cache_misses = 0
        self.batch_size = Distribution(_BATCH_SIZE_BUCKETS)
        self.batch_latency_s = Distribution(_LATENCY_BUCKETS_S)

    def batch_answered(self, size: int, latency_s: float) -> None:
        """Count a batch that was answered."""
        self.num_predictions += size
        self.batch_size.observe(size)
        self.batch_latency_s.observe(latency_s)

    def batch_failed(self, size: int) -> None:
        """Count queries that the model failed on."""
        self.num_errors += size

    def part_sent(self, size: int) -> None:
        """Count queries that are computed again, because the model failed on their batch."""
        self.num_isolated += size

    def batch_lost(self, size: int) -> None:
        """Count a batch that was lost with its replica."""
        self.num_lost += size

    def replica_lost(self) -> None:
        """Count a replica whose connection was lost, while it was not told to leave."""
        self.num_lost_replicas += 1

    def replica_hung(self) -> None:
        """Count a replica that was replaced because it hung."""
        self.num_hung += 1


class QueryFrontendMetrics:
    """The query frontend's metrics: the series of each application and model version that it serves.

    Parameters
    ----------
    counts_replicas : bool
        Whether it counts the replicas that are lost; of several frontends that share all replicas only one does.
    """

    def __init__(self, *, counts_replicas: bool = True) -> None:
        self._counts_replicas = counts_replicas
        self._applications: dict[str, ApplicationMetrics] = {}
        self._models: dict[ModelId, ModelMetrics] = {}
        self._gauges: list[Callable[[], list[Family]]] = []
        self._num_refused = dict.fromkeys(REFUSAL_REASONS, 0)
        self.own = ModelOwnMetrics()
        """What models count themselves."""

    def container_refused(self, reason: str) -> None:
        """Count a model container that may not serve what it says it serves."""
        self._num_refused[reason] += 1

    def application(self, name: str, slo_s: float, wall_clock: Callable[[], float] = time.time) -> ApplicationMetrics:
        """Return the new series of one application, whose answers are late after *slo_s*."""
        metrics = self._applications[name] = ApplicationMetrics(name, slo_s, wall_clock)
        return metrics

    def forget_application(self, name: str) -> None:
        """Remove an application's series."""
        del self._applications[name]

    def model(self, model_id: ModelId) -> ModelMetrics:
        """Return the series of one model version, created at the first call."""
        metrics = self._models.get(model_id)
        if metrics is None:
            metrics = self._models[model_id] = ModelMetrics(model_id)
        return metrics

    def forget_model(self, model_id: ModelId) -> None:
        """Remove a model version's series, if there are any."""
        self._models.pop(model_id, None)
        self.own.forget(model_id)

    def replica_joined(self, replica: Replica) -> None:
        """Show the series of a version as soon as it has a replica."""
        self.model(replica.model_id)

    def replica_reported(self, replica: Replica, reports: Sequence[MetricReport]) -> None:
        """Add what a replica's model has counted itself."""
        self.own.reported(replica, reports)

    def replica_lost(self, replica: Replica, *, was_leaving: bool) -> None:
        """Count a replica that is gone, unless it had said that it leaves."""
        self.own.replica_lost(replica)
        if self._counts_replicas and not was_leaving:
            self.model(replica.model_id).replica_lost()

    def show_gauges(self, read: Callable[[], list[Family]]) -> None:
        """Include the gauges that *read* returns at each collection."""
        self._gauges.append(read)

    def families(self) -> list[Family]:
        """Return the current value of every metric."""
        families: list[Family] = []
        for _ in self.collect(families):
            pass
        return families

    def collect(self, families: list[Family]) -> Iterator[None]:
        """Add every metric to *families*, in short, consistent steps: one for each application and version."""
        yield from self._collect_applications(families)
        yield from self._collect_targets(families)
        yield from self._collect_models(families)
        yield from self.own.collect(families)
        families.append(self._refused_containers())
        for read in self._gauges:
            families += read()
            yield

    def _refused_containers(self) -> Family:
        refused = Family(metric_names.CONTAINERS_REFUSED, "Times that a model container was refused", "counter", [])
        for reason, count in self._num_refused.items():
            _add(refused, format_labels({metric_names.LABEL_REASON: reason}), count)
        return refused

    def _collect_applications(self, families: list[Family]) -> Iterator[None]:
        queries = Family(metric_names.APP_QUERIES, "Queries answered", "counter", [])
        defaults = Family(metric_names.APP_DEFAULT_OUTPUTS, "Queries answered with the default output", "counter", [])
        bad_requests = Family(metric_names.APP_BAD_REQUESTS, "Requests refused", "counter", [])
        latency = Family(
            metric_names.APP_LATENCY, "From the arrival of a query to its answer", "histogram", [],
            _LATENCY_BUCKETS_S,
        )  # fmt: skip
        lateness = Family(
            metric_names.APP_LATENESS, "By how much an answer missed the SLO; 0 when it met it", "histogram", [],
            _LATENESS_BUCKETS_S,
        )  # fmt: skip
        families += [queries, defaults, bad_requests, latency, lateness]
        for metrics in list(self._applications.values()):
            _add(queries, metrics.labels, metrics.num_queries)
            for reason, count in metrics.num_defaults.items():
                _add(defaults, metrics.default_labels[reason], count)
            _add(bad_requests, metrics.labels, metrics.num_bad_requests)
            latency.series.append((metrics.labels, metrics.latency_s.values()))
            if exemplars := metrics.latency_s.exemplars():
                latency.exemplars[metrics.labels] = exemplars
            num_lowest = metrics.num_queries - metrics.num_late
            lateness.series.append((metrics.labels, metrics.lateness_s.values(num_lowest=num_lowest)))
            yield

    def _collect_targets(self, families: list[Family]) -> Iterator[None]:
        queries = Family(metric_names.TARGET_QUERIES, "Queries of an application answered", "counter", [])
        defaults = Family(
            metric_names.TARGET_DEFAULT_OUTPUTS, "Those answered with the default output", "counter", []
        )  # fmt: skip
        latency = Family(
            metric_names.TARGET_LATENCY, "From the arrival of a query to its answer", "histogram", [],
            _LATENCY_BUCKETS_S,
        )  # fmt: skip
        families += [queries, defaults, latency]
        for application in list(self._applications.values()):
            for metrics in list((application.targets or {}).values()):
                _add(queries, metrics.labels, metrics.num_queries)
                for reason, count in metrics.num_defaults.items():
                    _add(defaults, metrics.default_labels[reason], count)
                latency.series.append((metrics.labels, metrics.latency_s.values()))
                yield

    def _collect_models(self, families: list[Family]) -> Iterator[None]:
        predictions = Family(metric_names.MODEL_PREDICTIONS, "Inputs predicted", "counter", [])
        errors = Family(metric_names.MODEL_ERRORS, "Inputs the model failed on", "counter", [])
        isolated = Family(metric_names.MODEL_ISOLATED, "Inputs computed again in parts of a batch", "counter", [])
        lost = Family(metric_names.MODEL_LOST, "Inputs lost with their replica", "counter", [])
        hung = Family(metric_names.MODEL_HUNG, "Replicas replaced, busy with one batch for too long", "counter", [])
        crashed = Family(metric_names.MODEL_LOST_REPLICAS, "Replicas that were lost without a goodbye", "counter", [])
        hits = Family(metric_names.MODEL_CACHE_HITS, "Inputs found in the cache", "counter", [])
        misses = Family(metric_names.MODEL_CACHE_MISSES, "Inputs not found there", "counter", [])
        sizes = Family(metric_names.MODEL_BATCH_SIZE, "Inputs per batch", "histogram", [], _BATCH_SIZE_BUCKETS)
        latency = Family(
            metric_names.MODEL_BATCH_LATENCY, "From sending a batch to its answer", "histogram", [],
            _LATENCY_BUCKETS_S,
        )  # fmt: skip
        families += [predictions, errors, isolated, lost, hung, crashed, hits, misses, sizes, latency]
        for metrics in list(self._models.values()):
            _add(predictions, metrics.labels, metrics.num_predictions)
            _add(errors, metrics.labels, metrics.num_errors)
            _add(isolated, metrics.labels, metrics.num_isolated)
            _add(lost, metrics.labels, metrics.num_lost)
            _add(hung, metrics.labels, metrics.num_hung)
            _add(crashed, metrics.labels, metrics.num_lost_replicas)
            _add(hits, metrics.labels, metrics.num_cache_hits)
            _add(misses, metrics.labels, metrics.num_cache_misses)
            sizes.series.append((metrics.labels, metrics.batch_size.values()))
            latency.series.append((metrics.labels, metrics.batch_latency_s.values()))
            yield


def make_gauges(
    models: Iterable[tuple[ModelId, int, int]],
    cache: tuple[int, int, int],
    applications: Iterable[tuple[str, float, bool | None]] = (),
) -> list[Family]:
    """Return the gauges, which are read at each collection.

    Parameters
    ----------
    models : iterable of (ModelId, int, int)
        Each version's queue length and number of connected replicas.
    cache : (int, int, int)
        The cache's size in bytes, its number of entries, and how many were evicted.
    applications : iterable of (str, float, bool or None)
        Each application's name, its SLO in seconds, and whether it has a replica; ``None`` if no model is linked.
    """
    slo = Family(metric_names.APP_SLO, "The SLO of an application", "gauge", [])
    ready = Family(metric_names.APP_READY, "Whether a linked application has a replica that can answer", "gauge", [])
    for name, slo_s, is_ready in applications:
        labels = format_labels({metric_names.LABEL_APP: name})
        _add(slo, labels, slo_s)
        if is_ready is not None:
            _add(ready, labels, int(is_ready))
    queue_length = Family(metric_names.MODEL_QUEUE_LENGTH, "Inputs that wait for a replica", "gauge", [])
    replicas = Family(metric_names.MODEL_REPLICAS, "Connected replicas", "gauge", [])
    for model_id, length, num_replicas in models:
        labels = _model_labels(model_id)
        _add(queue_length, labels, length)
        _add(replicas, labels, num_replicas)
    size_bytes = Family(metric_names.CACHE_SIZE, "Inputs and outputs in the cache", "gauge", [])
    entries = Family(metric_names.CACHE_ENTRIES, "Outputs in the cache", "gauge", [])
    evictions = Family(metric_names.CACHE_EVICTIONS, "Outputs that made room for others", "counter", [])
    families = [size_bytes, entries, evictions]
    for family, value in zip(families, cache, strict=True):
        _add(family, "", value)
    return [slo, ready, queue_length, replicas, *families]


def _model_labels(model_id: ModelId) -> str:
    return format_labels({metric_names.LABEL_MODEL: model_id.name, metric_names.LABEL_VERSION: model_id.version})


def _add(family: Family, labels: str, value: float) -> None:
    family.series.append((labels, [value]))
