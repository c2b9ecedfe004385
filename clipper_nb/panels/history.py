"""The last two minutes of a cluster's traffic, from what was counted each second. (pure)"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from clipper_nb.clients.metrics_report import bucket_quantile
from clipper_nb.panels.counts import Counts, Series, ShadowCounts, target_key
from clipper_nb.protocol import metric_names

_Formula = Callable[["Series | None", Series, float], "Traffic"]

LENGTH_S = 120.0
WINDOW_S = 10.0
"""The span of the tables' figures."""


@dataclass(frozen=True)
class Traffic:
    """The traffic of one application or one model version within a span of time.

    Attributes
    ----------
    rate_per_s : float
        Queries of an application; predictions of a version.
    p50_s, p99_s : float or None
        Latency of an application's answers, or of a version's batches; ``None`` without any.
    defaults : dict
        Share of the answers that were the default output, by reason; only reasons that occurred.
    errors_per_s : float
        Inputs that a version failed on.
    batch_size : float or None
        Mean number of inputs per batch.
    queue_length : float
        Inputs that waited at the end of the span.
    cache_hit_share : float or None
        Of the inputs that were looked up; ``None`` without any.
    num_queries : int
        Queries of an application that were answered.
    """

    rate_per_s: float = 0.0
    p50_s: float | None = None
    p99_s: float | None = None
    defaults: dict[str, float] | None = None
    errors_per_s: float = 0.0
    batch_size: float | None = None
    queue_length: float = 0.0
    cache_hit_share: float | None = None
    num_queries: int = 0

    @property
    def default_share(self) -> float:
        """Share of the answers that were the default output."""
        return sum((self.defaults or {}).values())


NO_TRAFFIC = Traffic()


class History:
    """Keeps what was counted, one entry per poll."""

    def __init__(self) -> None:
        self._entries: deque[tuple[float, Counts]] = deque()

    def add(self, at_s: float, counts: Counts) -> None:
        """Keep what had been counted at *at_s*, on a monotonic clock; unchanged series are shared."""
        if self._entries:
            _share_unchanged(self._entries[-1][1].applications, counts.applications)
            _share_unchanged(self._entries[-1][1].versions, counts.versions)
            _share_unchanged(self._entries[-1][1].targets, counts.targets)
        self._entries.append((at_s, counts))
        while self._entries[0][0] < at_s - LENGTH_S:
            self._entries.popleft()

    @property
    def ages_s(self) -> list[float]:
        """The times of the points, one per entry but the first, in seconds relative to the last entry."""
        entries = list(self._entries)
        return [at_s - entries[-1][0] for at_s, _ in entries[1:]]

    def application(self, name: str, window_s: float = WINDOW_S) -> Traffic:
        """Return an application's traffic within the last seconds."""
        return _between(*self._window(window_s, "applications", name), _application_traffic)

    def has_only_defaults(self, name: str) -> bool:
        """Return whether an application has answered queries since it was registered, and none with a prediction."""
        newest = self._entries[-1][1].applications.get(name) if self._entries else None
        num_queries = newest.values.get(metric_names.APP_QUERIES, 0.0) if newest else 0.0
        return newest is not None and 0 < num_queries <= sum(newest.defaults.values())

    def version(self, model_id: str, window_s: float = WINDOW_S) -> Traffic:
        """Return the traffic of a version, ``name:version``, within the last seconds."""
        return _between(*self._window(window_s, "versions", model_id), _version_traffic)

    def target(self, application: str, model_id: str, window_s: float = WINDOW_S) -> Traffic:
        """Return the traffic of an application that a version answered, if its queries are divided among several."""
        return _between(*self._window(window_s, "targets", target_key(application, model_id)), _target_traffic)

    def shadow(self, application: str) -> ShadowCounts | None:
        """Return what an application's shadow was asked since it was set; ``None`` if it has none."""
        return self._entries[-1][1].shadows.get(application) if self._entries else None

    def own(self, model_id: str) -> dict[str, list[float]]:
        """Return what a version counts itself, as it was seen last."""
        newest = self._entries[-1][1].versions.get(model_id) if self._entries else None
        return newest.own if newest else {}

    def application_points(self, name: str) -> list[Traffic]:
        """Return an application's traffic between each entry and the next."""
        return self._points("applications", name, _application_traffic)

    def version_points(self, model_id: str) -> list[Traffic]:
        """Return a version's traffic between each entry and the next."""
        return self._points("versions", model_id, _version_traffic)

    def application_rates(self, name: str, length: int) -> list[float]:
        """Return an application's latest queries per second, oldest first."""
        return [traffic.rate_per_s for traffic in self._points("applications", name, _rate_alone, length)]

    def _window(self, window_s: float, kind: str, key: str) -> tuple[Series | None, Series | None, float]:
        if not self._entries:
            return None, None, 0.0
        now_s, newest = self._entries[-1]
        then_s, oldest = next(entry for entry in self._entries if entry[0] >= now_s - window_s - 0.5)
        return getattr(oldest, kind).get(key), getattr(newest, kind).get(key), now_s - then_s

    def _points(self, kind: str, key: str, traffic: _Formula, length: int | None = None) -> list[Traffic]:
        entries = list(self._entries)[-(length or len(self._entries)) - 1 :]
        return [
            _between(getattr(older, kind).get(key), getattr(newer, kind).get(key), newer_s - older_s, traffic)
            for (older_s, older), (newer_s, newer) in pairwise(entries)
        ]


def _application_traffic(older: Series | None, newer: Series, span_s: float) -> Traffic:
    return _answers(metric_names.APP_QUERIES, metric_names.APP_LATENCY, older, newer, span_s)


def _target_traffic(older: Series | None, newer: Series, span_s: float) -> Traffic:
    return _answers(metric_names.TARGET_QUERIES, metric_names.TARGET_LATENCY, older, newer, span_s)


def _answers(queries: str, latency: str, older: Series | None, newer: Series, span_s: float) -> Traffic:
    answered = _increase(queries, older, newer)
    latencies = _new_observations(latency, older, newer)
    before = older.defaults if older else {}
    defaults = {reason: count - before.get(reason, 0.0) for reason, count in newer.defaults.items()}
    return Traffic(
        rate_per_s=answered / span_s,
        p50_s=bucket_quantile(latencies, 0.5),
        p99_s=bucket_quantile(latencies, 0.99),
        defaults={reason: count / answered for reason, count in defaults.items() if count > 0 and answered},
        num_queries=round(answered),
    )


def _rate_alone(older: Series | None, newer: Series, span_s: float) -> Traffic:
    return Traffic(rate_per_s=_increase(metric_names.APP_QUERIES, older, newer) / span_s)


def _version_traffic(older: Series | None, newer: Series, span_s: float) -> Traffic:
    latencies = _new_observations(metric_names.MODEL_BATCH_LATENCY, older, newer)
    num_batches = _increase(f"{metric_names.MODEL_BATCH_SIZE}_count", older, newer)
    hits = _increase(metric_names.MODEL_CACHE_HITS, older, newer)
    misses = _increase(metric_names.MODEL_CACHE_MISSES, older, newer)
    return Traffic(
        rate_per_s=_increase(metric_names.MODEL_PREDICTIONS, older, newer) / span_s,
        p50_s=bucket_quantile(latencies, 0.5),
        p99_s=bucket_quantile(latencies, 0.99),
        errors_per_s=_increase(metric_names.MODEL_ERRORS, older, newer) / span_s,
        batch_size=_increase(f"{metric_names.MODEL_BATCH_SIZE}_sum", older, newer) / num_batches
        if num_batches
        else None,
        queue_length=newer.values.get(metric_names.MODEL_QUEUE_LENGTH, 0.0),
        cache_hit_share=hits / (hits + misses) if hits + misses else None,
    )


def _between(older: Series | None, newer: Series | None, span_s: float, traffic: _Formula) -> Traffic:
    if newer is None or span_s <= 0:
        return Traffic()
    return traffic(None if older is None or _began_anew(older, newer) else older, newer, span_s)


def _began_anew(older: Series, newer: Series) -> bool:
    """Return whether a counter fell: the application or the version was registered again."""
    counters = older.values.keys() - {metric_names.MODEL_QUEUE_LENGTH}
    return any(newer.values.get(name, 0.0) < older.values[name] for name in counters)


def _increase(name: str, older: Series | None, newer: Series) -> float:
    return newer.values.get(name, 0.0) - (older.values.get(name, 0.0) if older else 0.0)


def _new_observations(name: str, older: Series | None, newer: Series) -> list[tuple[float, float]]:
    before = dict(older.buckets.get(name, ())) if older else {}
    return [(bound, count - before.get(bound, 0.0)) for bound, count in newer.buckets.get(name, ())]


def _share_unchanged(before: dict[str, Series], now: dict[str, Series]) -> None:
    for key, series in now.items():
        if before.get(key) == series:
            now[key] = before[key]
