"""Prometheus text as a dictionary: what ``inspect_instance()`` returns. (pure)"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from clipper_nb.clients.metrics_text import Sample, parse_samples, parse_types

_HISTOGRAM_PARTS = ("bucket", "count", "sum")
_QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def parse_metrics(text: str) -> dict[str, list[dict[str, Any]]]:
    """Return every metric's series: ``{name: [{"labels": {...}, "value": ...}, ...]}``.

    A histogram's series have ``count``, ``sum``, and ``p50``, ``p95``, ``p99`` (``None`` without data) in the metric's
    unit. They are estimated from the buckets: times as Prometheus' ``histogram_quantile`` does, and whole numbers, such
    as batch sizes, as the upper bound of the bucket.
    """
    types = parse_types(text)
    report: dict[str, list[dict[str, Any]]] = {name: [] for name, type_ in types.items() if type_ == "histogram"}
    histograms: dict[str, list[Sample]] = {name: [] for name in report}
    for name, labels, value in parse_samples(text):
        base, _, part = name.rpartition("_")
        if base in histograms and part in _HISTOGRAM_PARTS:
            histograms[base].append((name, labels, value))
        elif not name.endswith("_created"):
            report.setdefault(name, []).append({"labels": dict(labels), "value": value})
    for name, samples in histograms.items():
        report[name] = _histograms(samples, is_whole=not name.endswith("_seconds"))
    return report


def _histograms(samples: Iterable[Sample], *, is_whole: bool) -> list[dict[str, Any]]:
    series: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for name, all_labels, value in samples:
        labels = {label: text for label, text in all_labels.items() if label != "le"}
        one = series.setdefault(tuple(sorted(labels.items())), {"labels": labels, "buckets": []})
        if name.endswith("_bucket"):
            one["buckets"].append((float(all_labels["le"]), value))
        elif name.endswith("_count"):
            one["count"] = int(value)
        else:
            one["sum"] = value
    return [_with_quantiles(one, is_whole=is_whole) for one in series.values()]


def _with_quantiles(series: dict[str, Any], *, is_whole: bool) -> dict[str, Any]:
    buckets = sorted(series.pop("buckets"))
    return {**series, **{name: bucket_quantile(buckets, share, is_whole=is_whole) for name, share in _QUANTILES}}


def bucket_quantile(buckets: list[tuple[float, float]], share: float, *, is_whole: bool = False) -> float | None:
    """Return the quantile; *buckets* are (upper bound, count up to there), in order.

    By linear interpolation in its bucket, or the bucket's upper bound for whole numbers.
    """
    if not buckets or buckets[-1][1] == 0:
        return None
    rank = share * buckets[-1][1]
    lower_bound, lower_count = 0.0, 0.0
    for upper_bound, count in buckets:
        if count >= rank:
            if math.isinf(upper_bound):
                return lower_bound
            if is_whole:
                return upper_bound
            return lower_bound + (upper_bound - lower_bound) * (rank - lower_count) / max(count - lower_count, 1)
        lower_bound, lower_count = upper_bound, count
    return lower_bound
