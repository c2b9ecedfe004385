"""A build that serves one model in a process of its own, and what is measured of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from load.form import CLIPPER
from load.wrk import run_wrk
from loop.serving import APP
from workloads import Workload

from clipper_nb.protocol.environment import DEFAULT_CACHE_SIZE_BYTES

NUM_CONNECTIONS = 64
SERVING = Path(__file__).with_name("serving.py")
START_TIMEOUT_S = 120


@dataclass
class Build:
    """A build that serves, and what was measured of it."""

    address: str
    process: subprocess.Popen[str]
    rates: list[float] = field(default_factory=list)
    """Predictions per second."""
    costs_s: list[float] = field(default_factory=list)
    """Processor time for each prediction."""

    def measure(self, workload: Workload, duration_s: int) -> tuple[float, float]:
        """Return predictions per second, and the processor time of each."""
        before_s = self._processor_time_s()
        seen = run_wrk(
            self.address, f"/{APP}/predict", CLIPPER,
            num_connections=NUM_CONNECTIONS, num_doubles=workload.num_doubles, duration_s=duration_s,
        )  # fmt: skip
        assert seen.num_errors == 0, seen
        return seen.requests_per_s, (self._processor_time_s() - before_s) / (seen.requests_per_s * duration_s)

    def _processor_time_s(self) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


@contextlib.contextmanager
def serving(
    python: Path, workload_name: str, input_type: str = "doubles", cache_size_bytes: int = DEFAULT_CACHE_SIZE_BYTES
) -> Iterator[Build]:
    """Give a cluster of the build that *python* has."""
    environment = {**os.environ, "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]])}
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        [str(python), str(SERVING), workload_name, input_type, str(cache_size_bytes)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"The build of {python} did not start its cluster.")
        yield Build(address, process)
        process.stdin.close()
        process.wait(START_TIMEOUT_S)
