"""What the loop of a notebook must cost at most, as a share of what it cost before or in milliseconds. (pure)"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from loop import notebook as measured
from report.pairs import NOW, PairResults, format_number

EMBEDDED, DOCKER = "embedded", "docker"
PLAIN, FOREST, ARRAY = (f"{EMBEDDED}, {model}" for model in measured.MODELS)
DOCKER_PLAIN = f"{DOCKER}, {measured.PLAIN}"

PEERS = "peers, forest"

CLUSTER = EMBEDDED
"""What no model has a part in; every run on the embedded cluster measures it."""

SCENARIOS = {
    PLAIN: "Embedded cluster, a function without libraries",
    FOREST: "Embedded cluster, scikit-learn forest of 100 trees",
    ARRAY: "Embedded cluster, NumPy array of 200 MB",
    DOCKER_PLAIN: "Docker, a function without libraries",
}
TITLES = {CLUSTER: "Embedded cluster", **SCENARIOS}
SCALE_TO_8 = measured.SCALE.format(8)
MEMORY_OF_8 = measured.REPLICA_MEMORY.format(8)


@dataclass(frozen=True)
class Target:
    """The most that something may be."""

    scenario: str
    what: str
    share: float | None = None
    """Of what it was before."""
    milliseconds: float | None = None

    def __str__(self) -> str:
        if self.share is None:
            return f"at most {self.milliseconds:g} ms"
        return f"at most {self.share:.2g} of before"


TARGETS = (
    Target(PLAIN, measured.FIRST_DEPLOY, share=1.1),
    Target(PLAIN, measured.SECOND_DEPLOY, share=1 / 4),
    Target(PLAIN, measured.LATER_DEPLOY, share=1 / 4),
    Target(FOREST, measured.FIRST_DEPLOY, share=1.1),
    Target(FOREST, measured.SECOND_DEPLOY, share=1 / 10),
    Target(FOREST, measured.LATER_DEPLOY, share=1 / 10),
    Target(FOREST, SCALE_TO_8, share=1 / 15),
    Target(FOREST, MEMORY_OF_8, share=0.3),
    Target(ARRAY, MEMORY_OF_8, share=0.2),
    Target(CLUSTER, measured.START, milliseconds=500),
    Target(PLAIN, measured.STOP, milliseconds=300),
    Target(PLAIN, measured.OWN_WORK, milliseconds=60),
    Target(DOCKER_PLAIN, measured.SECOND_DEPLOY, share=0.5),
    Target(DOCKER_PLAIN, SCALE_TO_8, share=0.35),
)


def scenario_of(run: str, what: str) -> str:
    """Return what a number of a run counts for: the run's scenario, or the cluster alone."""
    is_of_cluster = what in (measured.IMPORT, measured.START, measured.ALL_MEMORY.format(0))
    return CLUSTER if is_of_cluster and run.startswith(EMBEDDED) else run


@dataclass(frozen=True)
class Verdict:
    """One target beside what was measured."""

    target: Target
    measured: str
    is_met: bool


def judge(results: PairResults) -> Iterator[Verdict]:
    """Yield a verdict for each target that was measured."""
    for target in TARGETS:
        values = (
            results.get_values(NOW, target.scenario, target.what)
            if target.share is None
            else results.get_ratios(target.scenario, target.what)
        )
        if values:
            median = statistics.median(values)
            limit, unit = (target.milliseconds, " ms") if target.share is None else (target.share, "")
            shown = format_number(median) if target.share is None else f"{median:.3f}"
            yield Verdict(target, f"{shown}{unit}", median <= (limit or 0.0))
