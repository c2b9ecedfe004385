"""The metrics of several query frontends as one: counters and histograms add up. (pure)

Each frontend's metrics are taken as samples, which travel as JSON. What a frontend had counted before it was started
again is a further part of the sum, so that no counter ever goes back.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from clipper_nb.runtime.exposition import Family

_NOT_ADDED = frozenset({"clipper_model_replicas"})
"""Every replica serves all frontends, so the fewest that one of them has is how many there are."""


class Snapshot(msgspec.Struct, array_like=True):
    """What one frontend has counted."""

    families: list[Family]


_decode = msgspec.json.Decoder(Snapshot).decode


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return a snapshot as JSON."""
    return msgspec.json.encode(snapshot)


def decode_snapshot(text: bytes) -> Snapshot | None:
    """Return the snapshot in JSON, or ``None`` when it is none."""
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return None


def only_what_counts(base: Snapshot, live: Snapshot) -> Snapshot:
    """Return the counters and histograms of *base* whose series *live* has too: others went with what they name."""
    known = {(name, labels) for family in live.families for name, labels, _ in family.samples}
    return Snapshot(
        [
            Family(f.name, f.documentation, f.type, [s for s in f.samples if s[:2] in known])
            for f in base.families
            if f.type in ("counter", "histogram")
        ]
    )


def add_up(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Return the sum of what several frontends have counted; the order is that of the first that has a series."""
    families: dict[str, Family] = {}
    values: dict[tuple[str, str], float] = {}
    for snapshot in snapshots:
        for family in snapshot.families:
            total = families.setdefault(family.name, Family(family.name, family.documentation, family.type, []))
            for name, labels, value in family.samples:
                key = name, labels
                if key not in values:
                    values[key] = value
                    total.samples.append((name, labels, 0.0))
                elif family.name in _NOT_ADDED:
                    values[key] = min(values[key], value)
                else:
                    values[key] += value
    for family in families.values():
        family.samples = [(name, labels, values[name, labels]) for name, labels, _ in family.samples]
    return Snapshot(list(families.values()))
