"""The counts of the query frontend that the panels show. (pure)"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from clipper_nb.clients.metrics_text import parse_samples
from clipper_nb.protocol import metric_names

_OF_APPLICATIONS = (metric_names.APP_QUERIES, metric_names.APP_DEFAULT_OUTPUTS, f"{metric_names.APP_LATENCY}_bucket")
_OF_VERSIONS = (
    metric_names.MODEL_PREDICTIONS,
    metric_names.MODEL_ERRORS,
    metric_names.MODEL_CACHE_HITS,
    metric_names.MODEL_CACHE_MISSES,
    f"{metric_names.MODEL_BATCH_SIZE}_sum",
    f"{metric_names.MODEL_BATCH_SIZE}_count",
    f"{metric_names.MODEL_BATCH_LATENCY}_bucket",
    metric_names.MODEL_QUEUE_LENGTH,
)
_OWN = rf"{metric_names.OWN_PREFIX}\w+"
"""A pattern: models choose the names."""
_SHOWN = (*_OF_APPLICATIONS, *_OF_VERSIONS, _OWN)


@dataclass
class Series:
    """What the query frontend has counted of one application or one model version.

    Attributes
    ----------
    values : dict
        Counters and gauges by name, such as ``clipper_app_queries_total``.
    defaults : dict
        Default outputs by reason.
    buckets : dict
        Histograms by name, such as ``clipper_app_latency_seconds``: (upper bound, count up to there), in order.
    own : dict
        What a version counts itself, by name without prefix and bucket: the values of all replicas and labels.
    """

    values: dict[str, float] = field(default_factory=dict)
    defaults: dict[str, float] = field(default_factory=dict)
    buckets: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    own: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Counts:
    """All series: those of applications by name, those of versions by ``name:version``."""

    applications: dict[str, Series] = field(default_factory=dict)
    versions: dict[str, Series] = field(default_factory=dict)


def parse_counts(text: str) -> Counts:
    """Return what the panels show of the query frontend's metrics."""
    applications: defaultdict[str, Series] = defaultdict(Series)
    versions: defaultdict[str, Series] = defaultdict(Series)
    for name, labels, value in parse_samples(text, _SHOWN):
        if name in _OF_APPLICATIONS:
            _add(applications[labels[metric_names.LABEL_APP]], name, labels, value)
        else:
            key = f"{labels[metric_names.LABEL_MODEL]}:{labels[metric_names.LABEL_VERSION]}"
            _add(versions[key], name, labels, value)
    return Counts(dict(applications), dict(versions))


def _add(series: Series, name: str, labels: Mapping[str, str], value: float) -> None:
    if name.startswith(metric_names.OWN_PREFIX):
        if "le" not in labels:
            series.own.setdefault(name.removeprefix(metric_names.OWN_PREFIX), []).append(value)
    elif "le" in labels:
        series.buckets.setdefault(name.removesuffix("_bucket"), []).append((float(labels["le"]), value))
    elif name == metric_names.APP_DEFAULT_OUTPUTS:
        series.defaults[labels[metric_names.LABEL_REASON]] = value
    else:
        series.values[name] = value
