"""From how many replicas should run and which do, to how many to start and which to stop. (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clipper_nb.container_managers.specs import ObservedContainer


@dataclass(frozen=True)
class ReplicaDifference:
    """What makes the observed replicas the desired ones."""

    num_to_start: int
    names_to_stop: tuple[str, ...]


def reconcile_replicas(num_desired: int, observed: Sequence[ObservedContainer]) -> ReplicaDifference:
    """Return the difference; of too many, those that keep ending go first, then those started last."""
    surplus = len(observed) - num_desired
    if surplus <= 0:
        return ReplicaDifference(-surplus, ())
    by_worth = sorted(enumerate(observed), key=lambda pair: (-pair[1].num_exits, -pair[0]))
    return ReplicaDifference(0, tuple(container.name for _, container in by_worth[:surplus]))
