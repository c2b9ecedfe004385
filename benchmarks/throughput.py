"""How fast the query frontend is, beside the fastest HTTP server that Python has. Run it with ``make bench-quick``.

The reference (``load/echo.py``) and the cluster answer the same load of distinct inputs in turn, so that noise meets
both. What counts are the ratios; the absolute numbers say how fast the machine was today.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from load.wrk import Load, run_wrk
from measuring import print_machine

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

NUM_ROUNDS = 3
DURATION_S = 3
SLO_MICROS = 2_000_000
ECHO = Path(__file__).parent / "load" / "echo.py"


@dataclass(frozen=True)
class Workload:
    """A model and the inputs that it is asked about."""

    name: str
    function: Callable[[list[Any]], Sequence[Any]]
    num_doubles: int
    connections: tuple[int, ...]


def predict_nothing(inputs: list[Any]) -> list[str]:
    """Answer without looking."""
    return ["1" for _ in inputs]


def predict_sum(inputs: list[Any]) -> list[float]:
    """Add up each input."""
    return [x.sum() for x in inputs]


def make_forest() -> Callable[[list[Any]], Sequence[Any]]:
    """Return a forest that costs about as much for one input as for sixty-four."""
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    features = rng.random((2000, 784))
    forest = RandomForestClassifier(n_estimators=100, max_depth=8, random_state=0, n_jobs=1)
    forest.fit(features, features[:, :10].argmax(axis=1))

    def predict_forest(inputs: list[Any]) -> Any:
        return forest.predict(np.stack(inputs))

    return predict_forest


def workloads() -> list[Workload]:
    """Return what is measured."""
    return [
        Workload("no-op on 10 doubles", predict_nothing, 10, (1, 64)),
        Workload("sum of 768 doubles", predict_sum, 768, (64,)),
        Workload("forest on 784 doubles", make_forest(), 784, (64, 256)),
    ]


@contextlib.contextmanager
def running_echo() -> Iterator[str]:
    """Give the address of the reference."""
    process = subprocess.Popen([sys.executable, str(ECHO), "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


def measure(workload: Workload) -> None:
    """Print what the reference and the cluster do under one workload."""
    manager = LocalContainerManager(
        f"bench-{os.getpid()}", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    conn = ClipperConnection(manager)
    conn.start_clipper()
    with conn, running_echo() as echo:
        create_endpoint(conn, "app", "doubles", workload.function, slo_micros=SLO_MICROS)
        targets = {"reference": echo, "clipper_nb": conn.get_query_addr()}
        for num_connections in workload.connections:
            loads: dict[str, list[Load]] = defaultdict(list)
            for _ in range(NUM_ROUNDS):
                for name, address in targets.items():
                    loads[name].append(
                        run_wrk(
                            address,
                            "/app/predict",
                            num_connections=num_connections,
                            num_doubles=workload.num_doubles,
                            duration_s=DURATION_S,
                        )
                    )
            print_loads(f"{workload.name}, {num_connections} connections", loads)


def print_loads(title: str, loads: dict[str, list[Load]]) -> None:
    """Print medians, and the cluster's as multiples of the reference's."""
    print(title)
    medians = {name: median(runs) for name, runs in loads.items()}
    for name, load in medians.items():
        errors = f"  {load.num_errors} ERRORS" if load.num_errors else ""
        print(
            f"  {name:<12}{load.requests_per_s:10,.0f}/s   p50{load.p50_ms:8.2f} ms   p99{load.p99_ms:8.2f} ms{errors}"
        )
    ours, reference = medians["clipper_nb"], medians["reference"]
    throughput = ours.requests_per_s / reference.requests_per_s
    p50, p99 = ours.p50_ms / reference.p50_ms, ours.p99_ms / reference.p99_ms
    print(f"  ratio       {throughput:10.2f}     p50{p50:8.2f}      p99{p99:8.2f}\n", flush=True)


def median(runs: list[Load]) -> Load:
    """Return the median of each number; errors are added up."""
    return Load(
        requests_per_s=statistics.median(run.requests_per_s for run in runs),
        p50_ms=statistics.median(run.p50_ms for run in runs),
        p99_ms=statistics.median(run.p99_ms for run in runs),
        num_errors=sum(run.num_errors for run in runs),
    )


def main() -> None:
    """Measure and print."""
    print_machine()
    for workload in workloads():
        measure(workload)


if __name__ == "__main__":
    main()
