"""How long one waits: for the import, a cluster, a deploy, a switch, a prediction. Run it with ``make bench``.

It prints medians over several runs beside their targets, and exits with 0 whatever they are: a busy machine is no bug.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict

from measuring import Samples, print_machine, print_ratio, print_row, timed

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import deploy_python_closure

NUM_IMPORTS = 10
NUM_CLUSTERS = 5
NUM_SWITCHES = 20
NUM_QUERIES = 500
SLO_MS = 1000

HEAVY_MODULES = ("docker", "ipywidgets", "tornado", "redis", "numpy")
IMPORT = "import clipper_nb"
IMPORT_NAMES = "from clipper_nb import ClipperConnection, LocalContainerManager"
PYTHON = "python -c pass, as the reference"
START = "start_clipper()"
DEPLOY = "deploy_python_closure() of a small function"
FIRST_PREDICTION = "first prediction after a deploy"
SWITCH = "set_model_version()"
PREDICT = "predict over one connection, p50"
LIVEZ = "GET /livez over the same connection, p50"
STOP = "stop_all()"

TARGETS_MS = {IMPORT: 300, IMPORT_NAMES: 300, START: 3000, DEPLOY: 2000}


def measure_imports(samples: Samples) -> list[str]:
    """Import the package in fresh interpreters, and return which heavy modules came with it."""
    loaded: set[str] = set()
    for _ in range(NUM_IMPORTS):
        with timed(samples, PYTHON):
            subprocess.run([sys.executable, "-c", "pass"], check=True)
        for statement in (IMPORT, IMPORT_NAMES):
            took_ms, modules = time_import(statement)
            samples[statement].append(took_ms)
            loaded.update(modules)
    return sorted(loaded)


def time_import(statement: str) -> tuple[float, list[str]]:
    """Return the milliseconds of an import, as its own fresh interpreter saw them, and the heavy modules it loaded."""
    code = (
        f"import time; began_s = time.perf_counter(); {statement}; took_s = time.perf_counter() - began_s\n"
        f"import json, sys; print(json.dumps([took_s * 1000, [m for m in {HEAVY_MODULES} if m in sys.modules]]))"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    took_ms, modules = json.loads(result.stdout)
    return took_ms, modules


def measure_cluster(samples: Samples, run: int) -> None:
    """Take one cluster from its start to its end."""
    conn = ClipperConnection(LocalContainerManager(f"bench-{os.getpid()}-{run}"))
    with timed(samples, START):
        conn.start_clipper(cache_size=0)  # without a cache, so that every query reaches the model
    try:
        conn.register_application("sums", "doubles", "-1", slo_micros=SLO_MS * 1000)
        client = http.client.HTTPConnection(conn.get_query_addr(), timeout=10)
        with contextlib.closing(client):
            client.connect()
            for version in (1, 2):
                with timed(samples, DEPLOY):
                    deploy_python_closure(conn, "sum", version, "doubles", lambda inputs: [x.sum() for x in inputs])
                if version == 1:
                    conn.link_model_to_app("sums", "sum")
                with timed(samples, FIRST_PREDICTION):
                    predict(client)
            for turn in range(NUM_SWITCHES):
                with timed(samples, SWITCH):
                    conn.set_model_version("sum", 1 + turn % 2)
            measure_latencies(samples, client)
    finally:
        with timed(samples, STOP):
            conn.stop_all()


def measure_latencies(samples: Samples, client: http.client.HTTPConnection) -> None:
    """Query and ask for a sign of life in turn, so that noise meets both."""
    latencies: Samples = defaultdict(list)
    for _ in range(NUM_QUERIES):
        with timed(latencies, PREDICT):
            predict(client)
        with timed(latencies, LIVEZ):
            request(client, "GET", "/livez")
    for name, latencies_ms in latencies.items():
        samples[name].append(statistics.median(latencies_ms))


def predict(client: http.client.HTTPConnection) -> None:
    answer = json.loads(request(client, "POST", "/sums/predict", '{"input": [1.0, 2.0, 3.0]}'))
    if answer["default"] or answer["output"] != 6.0:
        raise RuntimeError(f"A query got {answer} instead of 6.0.")


def request(client: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> bytes:
    client.request(method, path, body)
    reply = client.getresponse()
    text = reply.read()
    if reply.status != http.client.OK:
        raise RuntimeError(f"{method} {path} was answered with {reply.status}: {text!r}")
    return text


def main() -> None:
    """Measure and print."""
    print_machine()
    samples: Samples = defaultdict(list)
    time_import(IMPORT_NAMES)  # not counted: it brings the files into memory
    loaded = measure_imports(samples)
    for name in (PYTHON, IMPORT, IMPORT_NAMES):
        print_row(samples, name, TARGETS_MS.get(name))
    print_ratio(samples, IMPORT, PYTHON, "the import, as a multiple of python -c pass")
    print_ratio(samples, IMPORT_NAMES, PYTHON, "the import of the names, as a multiple of it")
    print(f"  heavy modules loaded by either, of {', '.join(HEAVY_MODULES)}: {', '.join(loaded) or 'none'}\n")
    for run in range(NUM_CLUSTERS):
        measure_cluster(samples, run)
    for name in (START, DEPLOY, FIRST_PREDICTION, SWITCH, STOP, PREDICT, LIVEZ):
        print_row(samples, name, TARGETS_MS.get(name))
    print_ratio(samples, PREDICT, LIVEZ, "predict, as a multiple of GET /livez")


if __name__ == "__main__":
    main()
