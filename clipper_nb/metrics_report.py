"""Prometheus text as a dictionary: what ``inspect_instance()`` returns. (pure)"""

from __future__ import annotations

import math
from typing import Any

_QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def parse_metrics(text: str) -> dict[str, list[dict[str, Any]]]:
    """Return every metric's series: ``{name: [{"labels": {...}, "value": ...}, ...]}``.

    A histogram's series have ``count``, ``sum`` and, estimated from the buckets as Prometheus'
    ``histogram_quantile`` does, ``p50``, ``p95`` and ``p99`` (``None`` without data), in the metric's unit.
    """
    from prometheus_client.parser import text_string_to_metric_families

    report: dict[str, list[dict[str, Any]]] = {}
    for family in text_string_to_metric_families(text):
        if family.type == "histogram":
            report[family.name] = _histograms(family.samples)
            continue
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                report.setdefault(sample.name, []).append({"labels": sample.labels, "value": sample.value})
    return report


def _histograms(samples: Any) -> list[dict[str, Any]]:
    series: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for sample in samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        one = series.setdefault(tuple(sorted(labels.items())), {"labels": labels, "buckets": []})
        if sample.name.endswith("_bucket"):
            one["buckets"].append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            one["count"] = int(sample.value)
        elif sample.name.endswith("_sum"):
            one["sum"] = sample.value
    return [_with_quantiles(one) for one in series.values()]


def _with_quantiles(series: dict[str, Any]) -> dict[str, Any]:
    buckets = sorted(series.pop("buckets"))
    return {**series, **{name: bucket_quantile(buckets, share) for name, share in _QUANTILES}}


def bucket_quantile(buckets: list[tuple[float, float]], share: float) -> float | None:
    """Return the quantile by linear interpolation in its bucket; *buckets* are (upper bound, count up to there)."""
    if not buckets or buckets[-1][1] == 0:
        return None
    rank = share * buckets[-1][1]
    lower_bound, lower_count = 0.0, 0.0
    for upper_bound, count in buckets:
        if count >= rank:
            if math.isinf(upper_bound):
                return lower_bound
            return lower_bound + (upper_bound - lower_bound) * (rank - lower_count) / max(count - lower_count, 1)
        lower_bound, lower_count = upper_bound, count
    return lower_bound
