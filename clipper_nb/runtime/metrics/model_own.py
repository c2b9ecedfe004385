"""What models count themselves, added up over the replicas of each version that come and go. (pure)

The label ``replica`` is a place: the lowest free one from 0. A replica that follows another takes its place, and counts
on where that ended; so no counter falls, no rate has a jump, and there are as many series as replicas at a time.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from clipper_nb.protocol.metric_names import LABEL_MODEL, LABEL_REPLICA, LABEL_VERSION
from clipper_nb.protocol.model_metrics import MAX_METRICS, MAX_SERIES, MetricDefinition, MetricReport
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Replica
from clipper_nb.runtime.metrics.exposition import Family, format_labels

logger = logging.getLogger(__name__)

_Key = tuple[int, tuple[str, ...]]
"""A replica's place, and the values of a series's labels."""


class _OwnMetric:
    """One metric of one version."""

    def __init__(self, definition: MetricDefinition) -> None:
        self.definition = definition
        self.series: dict[_Key, list[float]] = {}

    def add(self, key: _Key, numbers: Sequence[float]) -> None:
        """Add what a replica reports to what is known, or store it if it is a gauge's value."""
        known = self.series.get(key)
        if known is None or self.definition.type == "gauge":
            self.series[key] = list(numbers)
        else:
            known[:] = [one + other for one, other in zip(known, numbers, strict=True)]

    def family(self, model_id: ModelId) -> Family:
        """Return it as it is shown."""
        known = self.definition
        description = known.description or f"The {known.type} {known.name} of a model"
        escaped = description.replace("\\", r"\\").replace("\n", r"\n")
        return Family(known.shown_name, escaped, known.type, [
            (_labels(model_id, place, known.labels, values), list(numbers))
            for (place, values), numbers in self.series.items()
        ], known.bounds)  # fmt: skip


class _Version:
    """The metrics of one version, and the places of its replicas."""

    def __init__(self) -> None:
        self.metrics: dict[str, _OwnMetric] = {}
        self.places: dict[int, int] = {}
        self.refused: set[str] = set()

    def place_of(self, replica_id: int) -> int:
        """Return the place of a replica, the lowest free one for a new replica."""
        place = self.places.get(replica_id)
        if place is None:
            taken = set(self.places.values())
            place = self.places[replica_id] = next(n for n in range(len(taken) + 1) if n not in taken)
        return place


class ModelOwnMetrics:
    """What the models of one query frontend count themselves."""

    def __init__(self) -> None:
        self._versions: defaultdict[ModelId, _Version] = defaultdict(_Version)
        self._read_past: Callable[[], Iterable[Family]] = tuple

    def go_on_from(self, read_past: Callable[[], Iterable[Family]]) -> None:
        """Know that what *read_past* returns is shown too: no version may have such a name as another type."""
        self._read_past = read_past

    def reported(self, replica: Replica, reports: Sequence[MetricReport]) -> None:
        """Add what a replica reports; its definitions are checked, and may still clash with those of others."""
        version = self._versions[replica.model_id]
        place = version.place_of(replica.replica_id)
        for report in reports:
            metric = self._metric(replica.model_id, version, report.definition)
            if metric is None:
                continue
            num_known = sum(1 for each, _ in metric.series if each == place)
            for values, numbers in report.series:
                if (place, values) not in metric.series:
                    if num_known > MAX_SERIES:
                        continue  # only a replica that does not keep to its own limit
                    num_known += 1
                metric.add((place, values), numbers)

    def replica_lost(self, replica: Replica) -> None:
        """Free a replica's place: its counters stay, its gauges go."""
        version = self._versions.get(replica.model_id)
        place = None if version is None else version.places.pop(replica.replica_id, None)
        if version is None or place is None:
            return
        for metric in version.metrics.values():
            if metric.definition.type == "gauge":
                metric.series = {key: numbers for key, numbers in metric.series.items() if key[0] != place}

    def forget(self, model_id: ModelId) -> None:
        """Remove everything of a version."""
        self._versions.pop(model_id, None)

    def collect(self, families: list[Family]) -> Iterator[None]:
        """Add every metric to *families*, in short steps; those of one name follow each other."""
        named: defaultdict[str, list[tuple[ModelId, _OwnMetric]]] = defaultdict(list)
        for model_id, version in self._versions.items():
            for metric in version.metrics.values():
                named[metric.definition.shown_name].append((model_id, metric))
        for name in sorted(named):
            for model_id, metric in named[name]:
                families.append(metric.family(model_id))
                yield

    def _metric(self, model_id: ModelId, version: _Version, definition: MetricDefinition) -> _OwnMetric | None:
        """Return a version's metric; ``None``, and one line in the log, if it cannot be shown beside the others."""
        metric = version.metrics.get(definition.name)
        if metric is not None and metric.definition.is_same(definition):
            return metric
        objection = self._objection(version, metric, definition)
        if objection is None:
            metric = version.metrics[definition.name] = _OwnMetric(definition)
            return metric
        if definition.name not in version.refused and len(version.refused) <= MAX_METRICS:
            version.refused.add(definition.name)
            logger.warning("does not show the metric %s of %s: %s", definition.name, model_id, objection)
        return None

    def _objection(self, version: _Version, metric: _OwnMetric | None, definition: MetricDefinition) -> str | None:
        if metric is not None:
            return f"another replica of that version has it as a {metric.definition.type}, or with other labels"
        if len(version.metrics) >= MAX_METRICS:
            return f"that version has {MAX_METRICS} metrics"
        live = (other.metrics.get(definition.name) for other in self._versions.values())
        shown = {(each.definition.shown_name, each.definition.type) for each in live if each is not None}
        shown |= {(each.name, each.type) for each in self._read_past() if each.series}
        other_types = {of_type for name, of_type in shown if name == definition.shown_name} - {definition.type}
        if other_types:
            return f"another version has it as a {', '.join(other_types)}; rename one of them"
        return None


def _labels(model_id: ModelId, place: int, names: Sequence[str], values: Sequence[str]) -> str:
    ours = {LABEL_MODEL: model_id.name, LABEL_VERSION: model_id.version, LABEL_REPLICA: str(place)}
    return format_labels({**ours, **dict(zip(names, values, strict=True))})
