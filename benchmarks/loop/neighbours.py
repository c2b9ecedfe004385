"""How long the nearest peers take until the same forest answers: a deployment in a running Ray, or a new server."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from load.correctness import Examiner
from peers.environments import FOLDER, make_environment
from peers.process import running_process
from peers.servers import BENCHMARKS, SERVERS, free_port
from workloads import FOREST, load_model

RAY = "Ray Serve"
STARTED_ANEW = ("LitServe", "MLServer")
NEIGHBOURS = (RAY, *STARTED_ANEW)

FIRST_RUN = "first serve.run() in a running Ray, until the first right answer"
LATER_RUN = "serve.run() of an edited deployment, until its first answer"
START = "start of a server, until its first answer"

NUM_RUNS = 4
TIMEOUT_S = 300.0

Took = tuple[str, float]
"""What was measured, and its milliseconds."""


def measure_neighbour(name: str, folder: Path) -> Iterator[Took]:
    """Measure one peer once, in a folder of its own."""
    return _measure_ray(folder) if name == RAY else _measure_start(name, folder)


def _measure_start(name: str, folder: Path) -> Iterator[Took]:
    [server] = [one for one in SERVERS if one.name == name]
    make_environment(str(server.environment))
    examiner = Examiner(FOREST, load_model(FOREST.name))
    began_s = time.perf_counter()
    with server.start(FOREST, examiner, folder) as running:
        yield START, (time.perf_counter() - began_s) * 1000
        examiner.check(running.address, running.path, running.form, num_connections=1)


def _measure_ray(folder: Path) -> Iterator[Took]:
    python = make_environment("ray")
    output = folder / "took.json"
    command = [str(python), str(FOLDER / "ray" / "redeploy.py"), str(free_port()), str(output), str(NUM_RUNS)]
    environment = {
        "BENCHMARK_WORKLOAD": FOREST.name,
        "PYTHONPATH": str(BENCHMARKS),
        "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with running_process(command, folder=folder, log=folder / "log", environment=environment) as process:
        if process.wait(TIMEOUT_S):
            raise subprocess.CalledProcessError(process.returncode, "redeploy.py")
    first_ms, *later_ms = json.loads(output.read_text())
    yield FIRST_RUN, first_ms
    for took_ms in later_ms:
        yield LATER_RUN, took_ms
