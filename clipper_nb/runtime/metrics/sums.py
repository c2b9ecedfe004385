"""Adds up the counters and histograms of several query frontends. (pure)

Each frontend's metrics are sent as numbers in JSON, one line for a hundred series of a family. What has been counted by
frontends that ended is a further part of the sum, so that no counter ever decreases. Work that grows with the number of
applications is done in steps, one for each line, between which queries are answered.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import islice
from operator import add

import msgspec

from clipper_nb.protocol.metric_names import APP_READY, APP_SLO, MODEL_REPLICAS, TARGET_SCORE, TARGET_SCORES
from clipper_nb.runtime.metrics.exposition import Exemplar, Family

_NOT_ADDED = frozenset({APP_READY, APP_SLO, MODEL_REPLICAS, TARGET_SCORE, TARGET_SCORES})
"""All frontends know the same SLOs and scores, and every replica serves all of them: the minimum over them is right."""

_END = b'"end"'
"""The last line; without it the snapshot is incomplete."""


_SERIES_PER_PART = 100

_Series = tuple[str, list[float]]
_Bounds = tuple[float, ...]
"""Versions may have histograms of one name with different bounds."""
_Exemplars = dict[str, dict[int, Exemplar]]


class Snapshot(msgspec.Struct):
    """The counters of one frontend; a family of many series may be there in parts, one after the other."""

    families: list[Family]


_decode_family = msgspec.json.Decoder(Family).decode


def encode_snapshot(snapshot: Snapshot) -> Iterator[bytes]:
    """Yield the lines of a snapshot."""
    for part in parts(snapshot.families):
        yield msgspec.json.encode(part) + b"\n"
    yield _END


def decode_snapshot(text: bytes) -> Iterator[Family]:
    """Yield the families in the output of :func:`encode_snapshot`.

    Raises
    ------
    msgspec.DecodeError
        It is something else, or incomplete.
    """
    *lines, end = text.split(b"\n")
    if end != _END:
        raise msgspec.DecodeError("the end is missing")
    yield from map(_decode_family, lines)


def add_up(snapshots: Sequence[Snapshot], total: list[Family], *, seen_by_all: Container[str] = ()) -> Iterator[None]:
    """Add the sums over several frontends to *total*, in steps.

    Each series is in the order of the first frontend that has it. The largest value is taken of families that are
    *seen_by_all*: each frontend counted the same. Of the exemplars of a bucket the last is kept. Versions whose models
    give one name to metrics of two types can be known to two frontends: those of the first type are shown.
    """
    families: dict[str, dict[_Bounds, Family]] = {}
    sums: dict[tuple[str, _Bounds], dict[str, list[float]]] = {}
    exemplars: dict[tuple[str, _Bounds], _Exemplars] = {}
    for snapshot in snapshots:
        for part in parts(snapshot.families):
            by_bounds = families.setdefault(part.name, {})
            if any(known.type != part.type for known in by_bounds.values()):
                continue
            by_bounds.setdefault(part.bounds, part)
            combine = min if part.name in _NOT_ADDED else max if part.name in seen_by_all else add
            _add_part(sums.setdefault((part.name, part.bounds), {}), part, combine)
            if part.exemplars:
                _add_exemplars(exemplars.setdefault((part.name, part.bounds), {}), part.exemplars)
            yield
    for name, by_bounds in families.items():
        for bounds, family in by_bounds.items():
            family.exemplars = exemplars.get((name, bounds), {})
            for series in _split(sums.pop((name, bounds)).items()):
                total.append(_with_series(family, series))
                yield


def _add_part(sums: dict[str, list[float]], part: Family, combine: Callable[[float, float], float]) -> None:
    for labels, values in part.series:
        known = sums.get(labels)
        sums[labels] = values if known is None else list(map(combine, known, values))


def _add_exemplars(known: _Exemplars, others: _Exemplars) -> None:
    for labels, by_bucket in others.items():
        last = known.setdefault(labels, {})
        for bucket, each in by_bucket.items():
            if bucket not in last or last[bucket].observed_at <= each.observed_at:
                last[bucket] = each


def parts(families: Iterable[Family]) -> Iterator[Family]:
    """Yield the families, those of many series in parts; one without series is one part."""
    for family in families:
        for series in _split(family.series):
            yield _with_series(family, series)


def _split(series: Iterable[_Series]) -> Iterator[list[_Series]]:
    remaining = iter(series)
    part = list(islice(remaining, _SERIES_PER_PART))
    yield part
    while part := list(islice(remaining, _SERIES_PER_PART)):
        yield part


def _with_series(family: Family, series: list[_Series]) -> Family:
    exemplars = family.exemplars
    if exemplars:
        exemplars = {labels: exemplars[labels] for labels, _ in series if labels in exemplars}
    return Family(family.name, family.documentation, family.type, series, family.bounds, exemplars)
