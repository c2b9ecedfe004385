"""What was measured of two builds in turn: kept as JSON, compared pair by pair."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BEFORE, NOW = "before", "now"


@dataclass(frozen=True)
class Sample:
    """One number."""

    who: str
    """``BEFORE``, ``NOW``, or a peer."""
    scenario: str
    what: str
    round: int
    value: float
    unit: str


@dataclass
class PairResults:
    """A whole measurement."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)
    others_cores: list[float] = field(default_factory=list)
    """Before each run, the cores that this machine used for something else."""
    failures: dict[str, str] = field(default_factory=dict)
    """By peer, or scenario and build, why it could not be measured."""
    measured: dict[str, str] = field(default_factory=dict)
    """By scenario, when it was measured, at which revision, and how often."""

    @classmethod
    def read(cls, path: Path) -> PairResults:
        """Return what ``write`` has written."""
        fields = json.loads(path.read_text())
        return cls(**{**fields, "samples": [Sample(**one) for one in fields["samples"]]})

    def note_when(self) -> None:
        """Note for each scenario that has no note when it was measured, which was with these settings."""
        when = f"{self.machine['date']}, revision {self.machine['revision']}, {self.settings['rounds']} runs of each"
        self.measured = {**{one.scenario: when for one in self.samples}, **self.measured}

    def add_earlier(self, earlier: PairResults) -> None:
        """Add what was measured before of the scenarios that these results have nothing of."""
        mine = {one.scenario for one in self.samples}
        self.samples += [one for one in earlier.samples if one.scenario not in mine]
        self.others_cores += earlier.others_cores
        self.measured = {**earlier.measured, **self.measured}

    def get_values(self, who: str, scenario: str, what: str) -> list[float]:
        """Return every value, in the order in which it was measured."""
        return [one.value for one in self.samples if (one.who, one.scenario, one.what) == (who, scenario, what)]

    def get_ratios(self, scenario: str, what: str) -> list[float]:
        """Return now as a share of before for each round, in which both were measured one right after the other."""
        ratios = []
        for round_ in sorted({one.round for one in self.samples}):
            before, now = (self._round_median(who, scenario, what, round_) for who in (BEFORE, NOW))
            if before and now is not None:
                ratios.append(now / before)
        return ratios

    def get_peers(self) -> list[str]:
        """Return the peers that were measured, in order."""
        return list(dict.fromkeys(one.who for one in self.samples if one.who not in (BEFORE, NOW)))

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    def _round_median(self, who: str, scenario: str, what: str, round_: int) -> float | None:
        key = (who, scenario, what, round_)
        values = [one.value for one in self.samples if (one.who, one.scenario, one.what, one.round) == key]
        return statistics.median(values) if values else None


def format_number(value: float) -> str:
    """Return three digits or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def format_spread(values: Sequence[float]) -> str:
    """Return median, smallest and largest."""
    smallest, largest = format_number(min(values)), format_number(max(values))
    return f"{format_number(statistics.median(values))} ({smallest} - {largest})"
