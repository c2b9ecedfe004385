"""What the query frontend itself says of the latencies of an application's answers."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

LATENESS = "clipper_app_lateness_seconds"


@dataclass(frozen=True)
class Lateness:
    """How many answers there were, by how much they missed the SLO at most. Of two, the sum and the difference."""

    counts: dict[float, int]
    """Answers that were late by at most so many seconds; infinity has them all."""

    @property
    def num_answers(self) -> int:
        """All answers."""
        return self.counts.get(float("inf"), 0)

    def num_later_than(self, margin_s: float) -> int:
        """Return how many were later; the margin must be the bound of a bucket."""
        return self.num_answers - self.counts.get(margin_s, 0)

    def share_within(self, margin_s: float) -> float:
        """Return which share came by the SLO and the margin; the margin must be the bound of a bucket."""
        return self.counts[margin_s] / self.num_answers

    def __sub__(self, before: Lateness) -> Lateness:
        """Return what came after *before*, of the same frontend; of another one that began meanwhile, all."""
        if before.num_answers > self.num_answers:
            return self
        return Lateness({bound: count - before.counts.get(bound, 0) for bound, count in self.counts.items()})

    def __add__(self, other: Lateness) -> Lateness:
        bounds = self.counts.keys() | other.counts.keys()
        return Lateness({bound: self.counts.get(bound, 0) + other.counts.get(bound, 0) for bound in bounds})


def read_lateness(address: str, application: str) -> Lateness:
    """Return the lateness of all answers so far."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    [family] = [family for family in text_string_to_metric_families(text) if family.name == LATENESS]
    return Lateness(
        {
            float(sample.labels["le"]): int(sample.value)
            for sample in family.samples
            if sample.name.endswith("_bucket") and sample.labels["app"] == application
        }
    )
