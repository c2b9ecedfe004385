"""Adds up the counters and histograms of several query frontends. (pure)

Each frontend's metrics are sent as numbers in JSON, one line for each family. What a frontend had counted before its
restart is a further part of the sum, so that no counter ever decreases. Work that grows with the number of applications
is done in steps, one for each family, between which queries are answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import add

import msgspec

from clipper_nb.protocol.metric_names import MODEL_REPLICAS
from clipper_nb.runtime.metrics.exposition import Family

_NOT_ADDED = frozenset({MODEL_REPLICAS})
"""Every replica serves all frontends, so the minimum over the frontends is the number of replicas."""

_END = b'"end"'
"""The last line; without it the snapshot is incomplete."""


class Snapshot(msgspec.Struct):
    """The counters of one frontend."""

    families: list[Family]


_decode_family = msgspec.json.Decoder(Family).decode


def encode_snapshot(snapshot: Snapshot) -> Iterator[bytes]:
    """Yield the lines of a snapshot."""
    for family in snapshot.families:
        yield msgspec.json.encode(family) + b"\n"
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


def only_what_counts(base: Snapshot, live: Snapshot) -> Iterator[Family]:
    """Yield the counters and histograms of *base*, without series that *live* no longer has."""
    known = {family.name: {labels for labels, _ in family.series} for family in live.families}
    for family in base.families:
        if family.type in ("counter", "histogram"):
            names = known.get(family.name, set())
            yield _with_series(family, [series for series in family.series if series[0] in names])


def add_up(snapshots: Sequence[Snapshot]) -> Iterator[Family]:
    """Yield the sums over several frontends; each series is in the order of the first frontend that has it."""
    parts: dict[str, list[Family]] = {}
    for snapshot in snapshots:
        for family in snapshot.families:
            parts.setdefault(family.name, []).append(family)
    for families in parts.values():
        yield _add_up_family(families)


def _add_up_family(families: Sequence[Family]) -> Family:
    combine = min if families[0].name in _NOT_ADDED else add
    total: dict[str, list[float]] = {}
    for family in families:
        for labels, values in family.series:
            known = total.get(labels)
            total[labels] = values if known is None else list(map(combine, known, values))
    return _with_series(families[0], list(total.items()))


def _with_series(family: Family, series: list[tuple[str, list[float]]]) -> Family:
    return Family(family.name, family.documentation, family.type, series, family.bounds)
