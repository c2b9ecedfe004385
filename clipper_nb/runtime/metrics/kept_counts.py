"""What one run of a query frontend has counted, as it is kept for the time after it. (pure)

It counts as long as what it names is registered: an application or version that is registered again is another one. So
the instants of their registration are kept too.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from clipper_nb.protocol.metric_names import (
    LABEL_APP,
    LABEL_MODEL,
    LABEL_VERSION,
    SHADOW_AGREED,
    SHADOW_COMPARED,
    SHADOW_DROPPED,
    SHADOW_FAILURES,
    SHADOW_QUERIES,
    TARGET_DEFAULT_OUTPUTS,
    TARGET_LATENCY,
    TARGET_QUERIES,
)
from clipper_nb.protocol.records import Configuration
from clipper_nb.runtime.metrics.exposition import Family
from clipper_nb.runtime.metrics.sums import Snapshot, encode_snapshot, parts

_WHILE_SET = frozenset(
    {TARGET_QUERIES, TARGET_DEFAULT_OUTPUTS, TARGET_LATENCY,
     SHADOW_QUERIES, SHADOW_DROPPED, SHADOW_FAILURES, SHADOW_COMPARED, SHADOW_AGREED}
)  # fmt: skip
"""Shown only while an application's queries are divided, or it has a shadow."""
_LABELS = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)')


class Registrations(msgspec.Struct, frozen=True):
    """When each application and version was registered, in seconds since the epoch."""

    applications: Mapping[str, float]
    versions: Mapping[str, float]
    """By ``name:version``."""


def registrations(configuration: Configuration) -> Registrations:
    """Return those of a configuration."""
    return Registrations(
        {name: each.registered_at for name, each in configuration.applications.items()},
        {str(model_id): each.registered_at for model_id, each in configuration.versions.items()},
    )


class KeptHead(msgspec.Struct, frozen=True):
    """What is kept beside the counts.

    Attributes
    ----------
    frontend_id : str
        The frontend of which it was a run; empty for the sum over runs that have ended.
    registered : Registrations
        As the frontend knew them.
    kept_at : float
        Seconds since the epoch, by the clock of the frontend's machine.
    has_ended : bool
        Whether it said itself that it counts no more.
    run : str
        The run; empty for the sum.
    """

    frontend_id: str
    registered: Registrations
    kept_at: float
    has_ended: bool = False
    run: str = ""


class KeptCounts(NamedTuple):
    """What was kept: counts, and what their names stood for."""

    registered: Registrations
    families: list[Family]


def only_counts(families: Iterable[Family], kept: list[Family]) -> Iterator[None]:
    """Add the counters and histograms of a frontend to *kept*, in steps, without what is 0 and without exemplars."""
    for part in parts(families):
        if part.type in ("counter", "histogram"):
            series = [each for each in part.series if any(each[1])]
            if series:
                kept.append(Family(part.name, part.documentation, part.type, series, part.bounds))
        yield


def encode_counts(families: list[Family]) -> Iterator[bytes]:
    """Yield the lines of counts."""
    return encode_snapshot(Snapshot(families))


def pack(head: KeptHead, lines: bytes) -> str:
    """Return counts as the text that is kept; it takes milliseconds for each megabyte."""
    return base64.b64encode(zlib.compress(msgspec.json.encode(head) + b"\n" + lines, 1)).decode()


def unpack(text: str) -> tuple[KeptHead, bytes]:
    """Return what :func:`pack` was given.

    Raises
    ------
    ValueError
        It is something else.
    """
    try:
        head, _, lines = zlib.decompress(base64.b64decode(text)).partition(b"\n")
    except zlib.error as exc:
        raise ValueError(str(exc)) from exc
    return msgspec.json.decode(head, type=KeptHead), lines


def still_counted(kept: KeptCounts, now: Registrations, shown: Container[str] | None = None) -> Iterator[Family]:
    """Yield the counts of what is registered *now* as it was then.

    Of counts of targets and shadows only those are yielded whose labels are *shown*, unless it is ``None``.
    """
    for family in kept.families:
        series = [
            (labels, values)
            for labels, values in family.series
            if _is_still_registered(labels, kept.registered, now)
            and (shown is None or family.name not in _WHILE_SET or labels in shown)
        ]
        yield Family(family.name, family.documentation, family.type, series, family.bounds)


def labels_of_targets(families: Iterable[Family]) -> set[str]:
    """Return the labels of the targets and shadows that a frontend shows."""
    return {labels for part in families if part.name in _WHILE_SET for labels, _ in part.series}


def _is_still_registered(labels: str, then: Registrations, now: Registrations) -> bool:
    found = dict(_LABELS.findall(labels))  # a model's own labels have other names than ours
    application = found.get(LABEL_APP)
    version = f"{found[LABEL_MODEL]}:{found[LABEL_VERSION]}" if LABEL_MODEL in found else None
    return _is_same(application, then.applications, now.applications) and _is_same(version, then.versions, now.versions)


def _is_same(name: str | None, then: Mapping[str, float], now: Mapping[str, float]) -> bool:
    return name is None or (name in now and now[name] == then.get(name))
