"""From desired and observed replicas to how many to start and which to stop. (pure)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.names import ModelId, parse_model_id
from clipper_nb.protocol.rest import DesiredReplicas


@dataclass(frozen=True)
class ReplicaDifference:
    """How many replicas to start, and which to stop."""

    num_to_start: int
    names_to_stop: tuple[str, ...]


def reconcile_replicas(num_desired: int, observed: Sequence[ObservedContainer], image: str) -> ReplicaDifference:
    """Return the difference for one version, whose replicas all run *image*.

    If there are too many, those of another image stop first, then those that keep ending, then those started last.
    """
    others = tuple(container.name for container in observed if container.image != image)
    known = [container for container in observed if container.image == image]
    surplus = len(known) - num_desired
    if surplus <= 0:
        return ReplicaDifference(-surplus, others)
    by_worth = sorted(enumerate(known), key=lambda pair: (-pair[1].num_exits, -pair[0]))
    return ReplicaDifference(0, (*others, *(container.name for _, container in by_worth[:surplus])))


def missing_replicas(observed: Sequence[ObservedContainer], desired: DesiredReplicas) -> list[ModelId]:
    """Return the autoscaled versions that have fewer replicas than they should, but some.

    Replicas of other versions are started by the caller who asks for them.
    """
    num_observed = Counter((container.model, container.image) for container in observed)
    return [
        parse_model_id(version)
        for version in desired.autoscaled
        if version not in desired.claimed
        and 0 < num_observed[version, desired.images[version]] < desired.num_replicas[version]
    ]


def undesired_replicas(observed: Sequence[ObservedContainer], desired: DesiredReplicas) -> list[str]:
    """Return the names of replicas to stop: those of no registered version, and those beyond a version's number.

    Replicas of a version that a caller is deploying or scaling now belong to that caller.
    """
    by_version: dict[str, list[ObservedContainer]] = {}
    for container in observed:
        by_version.setdefault(container.model or "", []).append(container)
    names: list[str] = []
    for version, containers in by_version.items():
        if version not in desired.claimed:
            number, image = desired.num_replicas.get(version, 0), desired.images.get(version, "")
            names += reconcile_replicas(number, containers, image).names_to_stop
    return names
