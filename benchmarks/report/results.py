"""What was measured: kept as JSON, asked for medians."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from load.wrk import Load


@dataclass(frozen=True)
class Run:
    """One run of wrk."""

    server: str
    workload: str
    num_connections: int
    round: int
    load: Load


@dataclass
class Results:
    """A whole measurement."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    servers: list[dict[str, Any]]
    """Name, kind, configuration and packages of each, in the order of the tables."""
    runs: list[Run] = field(default_factory=list)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    """By server and workload, why it could not be measured."""
    batching_p50_ms: dict[str, list[float]] = field(default_factory=dict)
    """Of one connection, in turn with batching and without it: lists named ``on`` and ``off``."""

    def get_median(self, server: str, workload: str, num_connections: int) -> Load | None:
        """Return the median of each number over the rounds, and the sum of the errors."""
        key = (server, workload, num_connections)
        loads = [run.load for run in self.runs if (run.server, run.workload, run.num_connections) == key]
        if not loads:
            return None
        return Load(
            requests_per_s=statistics.median(load.requests_per_s for load in loads),
            p50_ms=statistics.median(load.p50_ms for load in loads),
            p99_ms=statistics.median(load.p99_ms for load in loads),
            num_errors=sum(load.num_errors for load in loads),
        )

    def get_best(self, kinds: set[str], workload: str, num_connections: int) -> tuple[str, Load] | None:
        """Return who of these kinds answered most queries per second, and how."""
        names = [server["name"] for server in self.servers if server["kind"] in kinds]
        loads = [(name, load) for name in names if (load := self.get_median(name, workload, num_connections))]
        return max(loads, key=lambda pair: pair[1].requests_per_s, default=None)

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
