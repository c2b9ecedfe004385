"""The feedback of a target as counts that add up, so that several frontends can add to them. (pure)

Counts fade: with a half-life h, a count of t seconds ago counts 2^(-t/h). Adding and fading commute, so the order of
additions does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """The feedback of one target."""

    num: float = 0.0
    """Number of scores."""
    total: float = 0.0
    """Their sum."""
    estimate: float = 0.0
    """Sum of scores divided by the probability with which the target was asked: the estimated sum of all rewards."""

    @property
    def mean(self) -> float | None:
        """The mean score; ``None`` without any."""
        return self.total / self.num if self.num > 0 else None

    def plus(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(self.num + other.num, self.total + other.total, self.estimate + other.estimate)

    def times(self, factor: float) -> Counts:
        """Return the counts, each multiplied."""
        return Counts(self.num * factor, self.total * factor, self.estimate * factor)


NO_COUNTS = Counts()


@dataclass(frozen=True)
class DatedCounts:
    """Counts as they were at an instant, in seconds since the epoch."""

    counts: Counts
    at_s: float

    def faded(self, now_s: float, half_life_s: float | None) -> Counts:
        """Return what they count at a later instant."""
        if half_life_s is None or now_s <= self.at_s:
            return self.counts
        return self.counts.times(2.0 ** (-(now_s - self.at_s) / half_life_s))

    def plus(self, added: Counts, now_s: float, half_life_s: float | None) -> DatedCounts:
        """Return these with counts of an instant added."""
        return DatedCounts(self.faded(now_s, half_life_s).plus(added), max(now_s, self.at_s))


ArmCounts = Mapping[str, DatedCounts]
"""By target."""
