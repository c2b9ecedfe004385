"""What a policy knows of its targets when it chooses among them. (pure)"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from clipper_nb.protocol.score_counts import NO_COUNTS, ArmCounts, Counts


@dataclass(frozen=True)
class PolicyState:
    """What a policy knows at one instant, for its targets in order.

    Attributes
    ----------
    weights : mapping of str to float
        The weights that were set, by target.
    counts : mapping of str to Counts
        Targets without feedback may be missing.
    """

    weights: Mapping[str, float]
    counts: Mapping[str, Counts]

    @property
    def arms(self) -> tuple[str, ...]:
        """The targets."""
        return tuple(self.weights)

    def of(self, arm: str) -> Counts:
        """Return the counts of a target."""
        return self.counts.get(arm, NO_COUNTS)

    @property
    def num(self) -> float:
        """Number of scores of all targets."""
        return math.fsum(self.of(arm).num for arm in self.weights)

    def among(self, arms: tuple[str, ...]) -> PolicyState:
        """Return what is known of some of the targets."""
        return PolicyState({arm: self.weights[arm] for arm in arms}, self.counts)

    def plus(self, added: Mapping[str, Counts]) -> PolicyState:
        """Return the state with counts added."""
        return PolicyState(self.weights, {**self.counts, **{arm: self.of(arm).plus(new) for arm, new in added.items()}})

    def faded(self, factor: float) -> PolicyState:
        """Return the state with all counts multiplied."""
        return PolicyState(self.weights, {arm: counts.times(factor) for arm, counts in self.counts.items()})


def state_at(weights: Mapping[str, float], counts: ArmCounts, now_s: float, half_life_s: float | None) -> PolicyState:
    """Return what is known at an instant."""
    return PolicyState(weights, {arm: found.faded(now_s, half_life_s) for arm, found in counts.items()})
