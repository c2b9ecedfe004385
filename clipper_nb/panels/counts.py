"""What the panels show of what the query frontend has counted. (pure)"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from clipper_nb.clients.metrics_text import parse_samples

_OF_APPLICATIONS, _OF_VERSIONS = "clipper_app_", "clipper_model_"
_SHOWN = (
    *(_OF_APPLICATIONS + name for name in ("queries_total", "default_outputs_total", "latency_seconds_bucket")),
    *(
        _OF_VERSIONS + name
        for name in (
            "predictions_total", "errors_total", "cache_hits_total", "cache_misses_total", "batch_size_sum",
            "batch_size_count", "batch_latency_seconds_bucket", "queue_length",
        )
    ),
)  # fmt: skip


@dataclass
class Series:
    """What was counted of one application or one model version since it is there.

    Attributes
    ----------
    values : dict
        Counters and gauges by name, such as ``queries_total``.
    defaults : dict
        Default outputs by reason.
    buckets : dict
        Histograms by name, such as ``latency_seconds``: (upper bound in seconds, count up to there), in order.
    """

    values: dict[str, float] = field(default_factory=dict)
    defaults: dict[str, float] = field(default_factory=dict)
    buckets: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


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
        if name.startswith(_OF_APPLICATIONS):
            _add(applications[labels["app"]], name[len(_OF_APPLICATIONS) :], labels, value)
        else:
            _add(versions[f"{labels['model']}:{labels['version']}"], name[len(_OF_VERSIONS) :], labels, value)
    return Counts(dict(applications), dict(versions))


def _add(series: Series, name: str, labels: Mapping[str, str], value: float) -> None:
    if "le" in labels:
        series.buckets.setdefault(name.removesuffix("_bucket"), []).append((float(labels["le"]), value))
    elif name == "default_outputs_total":
        series.defaults[labels["reason"]] = value
    else:
        series.values[name] = value
