"""The counts of the query frontend that the panels show. (pure)"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from clipper_nb.clients.metrics_text import parse_samples
from clipper_nb.protocol import metric_names

_OF_APPLICATIONS = (metric_names.APP_QUERIES, metric_names.APP_DEFAULT_OUTPUTS, f"{metric_names.APP_LATENCY}_bucket")
_OF_TARGETS = (
    metric_names.TARGET_QUERIES,
    metric_names.TARGET_DEFAULT_OUTPUTS,
    f"{metric_names.TARGET_LATENCY}_bucket",
)
_OF_SHADOWS = (
    metric_names.SHADOW_QUERIES,
    metric_names.SHADOW_DROPPED,
    metric_names.SHADOW_COMPARED,
    metric_names.SHADOW_AGREED,
)
_DEFAULT_OUTPUTS = (metric_names.APP_DEFAULT_OUTPUTS, metric_names.TARGET_DEFAULT_OUTPUTS)
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
_SHOWN = (*_OF_APPLICATIONS, *_OF_TARGETS, *_OF_SHADOWS, *_OF_VERSIONS, _OWN)


@dataclass
class Series:
    """What the query frontend has counted of one application, one model version, or one version for one application.

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
class ShadowCounts:
    """What an application's shadow was asked since it was set.

    Attributes
    ----------
    model_id : str
        As ``name:version``.
    values : dict
        Counters by name, such as ``clipper_shadow_queries_total``.
    """

    model_id: str
    values: dict[str, float] = field(default_factory=dict)

    @property
    def agreement(self) -> float | None:
        """The share of the compared outputs that are the same; ``None`` before the first."""
        num_compared = self.values.get(metric_names.SHADOW_COMPARED, 0.0)
        return self.values.get(metric_names.SHADOW_AGREED, 0.0) / num_compared if num_compared else None


@dataclass
class Counts:
    """All series: those of applications by name, those of versions by ``name:version``.

    Where an application's queries are divided, *targets* has those of each version, by ``application name:version``.
    """

    applications: dict[str, Series] = field(default_factory=dict)
    versions: dict[str, Series] = field(default_factory=dict)
    targets: dict[str, Series] = field(default_factory=dict)
    shadows: dict[str, ShadowCounts] = field(default_factory=dict)
    """By application."""


def target_key(application: str, model_id: str) -> str:
    """Return the key of the series of a version for an application."""
    return f"{application} {model_id}"


def parse_counts(text: str) -> Counts:
    """Return what the panels show of the query frontend's metrics."""
    applications: defaultdict[str, Series] = defaultdict(Series)
    versions: defaultdict[str, Series] = defaultdict(Series)
    targets: defaultdict[str, Series] = defaultdict(Series)
    shadows: dict[str, ShadowCounts] = {}
    for name, labels, value in parse_samples(text, _SHOWN):
        if name in _OF_APPLICATIONS:
            _add(applications[labels[metric_names.LABEL_APP]], name, labels, value)
        else:
            key = f"{labels[metric_names.LABEL_MODEL]}:{labels[metric_names.LABEL_VERSION]}"
            application = labels.get(metric_names.LABEL_APP, "")
            if name in _OF_SHADOWS:
                shadows.setdefault(application, ShadowCounts(key)).values[name] = value
            else:
                series = targets[target_key(application, key)] if name in _OF_TARGETS else versions[key]
                _add(series, name, labels, value)
    return Counts(dict(applications), dict(versions), dict(targets), shadows)


def _add(series: Series, name: str, labels: Mapping[str, str], value: float) -> None:
    if name.startswith(metric_names.OWN_PREFIX):
        if "le" not in labels:
            series.own.setdefault(name.removeprefix(metric_names.OWN_PREFIX), []).append(value)
    elif "le" in labels:
        series.buckets.setdefault(name.removesuffix("_bucket"), []).append((float(labels["le"]), value))
    elif name in _DEFAULT_OUTPUTS:
        series.defaults[labels[metric_names.LABEL_REASON]] = value
    else:
        series.values[name] = value
