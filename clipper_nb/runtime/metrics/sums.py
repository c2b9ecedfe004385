"""Adds up the counters and histograms of several query frontends. (pure)

Each frontend's metrics are sent as numbers in JSON, one line for a hundred series of a family. What a frontend had
counted before its restart is a further part of the sum, so that no counter ever decreases. Work that grows with the
number of applications is done in steps, one for each line, between which queries are answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import add

import msgspec

from clipper_nb.protocol.metric_names import APP_READY, APP_SLO, MODEL_REPLICAS, OWN_PREFIX
from clipper_nb.runtime.metrics.exposition import Family

_NOT_ADDED = frozenset({APP_READY, APP_SLO, MODEL_REPLICAS})
"""All frontends know the same SLOs, and every replica serves all of them: the minimum over the frontends is right."""

_END = b'"end"'
"""The last line; without it the snapshot is incomplete."""


_SERIES_PER_PART = 100

_Series = tuple[str, list[float]]
_Bounds = tuple[float, ...]
"""Versions may have histograms of one name with different bounds."""


class Snapshot(msgspec.Struct):
    """The counters of one frontend; a family of many series may be there in parts, one after the other."""

    families: list[Family]


_decode_family = msgspec.json.Decoder(Family).decode


def encode_snapshot(snapshot: Snapshot) -> Iterator[bytes]:
    """Yield the lines of a snapshot."""
    for part in _parts(snapshot.families):
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


def only_what_counts(base: Snapshot, live: Snapshot, kept: list[Family]) -> Iterator[None]:
    """Add the counters and histograms of *base* to *kept*, in steps, without series that *live* no longer has.

    What models count themselves is not among them: the frontend gets that back by itself.
    """
    known: dict[str, set[str]] = {}
    for part in _parts(live.families):
        known.setdefault(part.name, set()).update(labels for labels, _ in part.series)
        yield
    for part in _parts(base.families):
        if part.type in ("counter", "histogram") and not part.name.startswith(OWN_PREFIX):
            names = known.get(part.name, set())
            kept.append(_with_series(part, [series for series in part.series if series[0] in names]))
            yield


def add_up(snapshots: Sequence[Snapshot], total: list[Family]) -> Iterator[None]:
    """Add the sums over several frontends to *total*, in steps.

    Each series is in the order of the first frontend that has it.
    """
    families: dict[str, dict[_Bounds, Family]] = {}
    sums: dict[tuple[str, _Bounds], dict[str, list[float]]] = {}
    for snapshot in snapshots:
        for part in _parts(snapshot.families):
            families.setdefault(part.name, {}).setdefault(part.bounds, part)
            _add_part(sums.setdefault((part.name, part.bounds), {}), part)
            yield
    for name, by_bounds in families.items():
        for bounds, family in by_bounds.items():
            for series in _split(sums.pop((name, bounds)).items()):
                total.append(_with_series(family, series))
                yield


def _add_part(sums: dict[str, list[float]], part: Family) -> None:
    combine = min if part.name in _NOT_ADDED else add
    for labels, values in part.series:
        known = sums.get(labels)
        sums[labels] = values if known is None else list(map(combine, known, values))


def _parts(families: Iterable[Family]) -> Iterator[Family]:
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
    return Family(family.name, family.documentation, family.type, series, family.bounds)
