"""Every server that is compared: how it is started for a workload, and how one talks to it."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from load import form
from load.correctness import Examiner, NotReadyError
from load.form import Form
from peers.environments import FOLDER, anonymous, make_environment
from peers.process import running_process
from workloads import NOOP, SUM, Workload, load_model

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

START_S = 120.0
SLO_MICROS = 10_000_000
"""Longer than any latency seen, so that no reply is a default output; those that are count as errors."""
NUM_WORKERS = 2
BATCHED_PATH = "/batched/predict"
UNBATCHED_PATH = "/unbatched/predict"

BENCHMARKS = FOLDER.parent
ECHO = BENCHMARKS / "load" / "echo.py"
ECHO_NAME, OURS_NAME = "echo", "clipper_nb"
REFERENCE, OURS, IN_PROCESS, FRAMEWORK = "reference", "ours", "in-process", "framework"


@dataclass(frozen=True)
class Running:
    """A server that has answered its first query."""

    address: str
    path: str
    form: Form
    count_defaults: Callable[[], int] = lambda: 0
    """How many replies so far were default outputs, which look like predictions to wrk."""


Start = Callable[[Workload, Examiner, Path], AbstractContextManager[Running]]
"""Starts a server for a workload; the folder is its own, for files and its log."""


@dataclass(frozen=True)
class Server:
    """One line of the table."""

    name: str
    kind: str
    configuration: str
    start: Start
    environment: str | None = None
    """Name of the folder with its requirements, when it does not run in this interpreter's environment."""
    workloads: tuple[Workload, ...] | None = None
    """The only ones that it is measured with."""


# ------------------------------------------------------------------------------------------------------ ours, reference


def _echo(*options: str) -> Start:
    @contextlib.contextmanager
    def start(workload: Workload, examiner: Examiner, folder: Path) -> Iterator[Running]:
        port = free_port()
        command = [sys.executable, str(ECHO), str(port), *options]
        with _answering(command, port, "/predict", form.LENGTH, examiner, folder, {}) as running:
            yield running

    return start


@contextlib.contextmanager
def start_cluster(
    workload: Workload, examiner: Examiner, folder: Path, *, with_unbatched: bool = False
) -> Iterator[Running]:
    """Start a cluster; *with_unbatched* also serves the model without batching, at ``UNBATCHED_PATH``."""
    manager = LocalContainerManager(
        f"bench-{os.getpid()}", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    conn = ClipperConnection(manager)
    conn.start_clipper(query_token=False)
    with conn:
        model = load_model(workload.name)
        create_endpoint(conn, "batched", "doubles", model, slo_micros=SLO_MICROS)
        if with_unbatched:
            create_endpoint(conn, "unbatched", "doubles", model, slo_micros=SLO_MICROS, batch_size=1)
        address = conn.get_query_addr()
        examiner.wait_until_ready(address, BATCHED_PATH, form.CLIPPER, timeout_s=START_S, runs=lambda: True)
        yield Running(address, BATCHED_PATH, form.CLIPPER, partial(_count_defaults, conn))


def _count_defaults(conn: ClipperConnection) -> int:
    return int(sum(series["value"] for series in conn.inspect_instance()["clipper_app_default_outputs_total"]))


# --------------------------------------------------------------------------------------------------------------- peers


def _peer(name: str, path: str, wire: Form, *, num_workers: int = NUM_WORKERS, **variables: str) -> Start:
    @contextlib.contextmanager
    def start(workload: Workload, examiner: Examiner, folder: Path) -> Iterator[Running]:
        python = make_environment(name)
        port = free_port()
        environment = {
            **variables,
            "BENCHMARK_WORKLOAD": workload.name,
            "BENCHMARK_WORKERS": str(num_workers),
            "PYTHONPATH": os.pathsep.join([str(FOLDER / name), str(BENCHMARKS)]),
            "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
            "VIRTUAL_ENV": str(python.parent.parent),
        }
        command = [str(python), str(FOLDER / name / "server.py"), str(port)]
        with _answering(command, port, path, wire, examiner, folder, environment) as running:
            yield running

    return start


@contextlib.contextmanager
def _answering(
    command: list[str],
    port: int,
    path: str,
    wire: Form,
    examiner: Examiner,
    folder: Path,
    environment: dict[str, str],
) -> Iterator[Running]:
    log = folder / "log"
    variables = {name: value.replace("{folder}", str(folder)) for name, value in environment.items()}
    with running_process(command, folder=folder, log=log, environment=variables) as process:
        address = f"127.0.0.1:{port}"
        try:
            examiner.wait_until_ready(address, path, wire, timeout_s=START_S, runs=lambda: process.poll() is None)
        except NotReadyError as exc:
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            said = f"; its log ends with {anonymous(lines[-1].strip())[:200]!r}" if lines else ""
            raise NotReadyError(f"{exc}{said}") from exc
        yield Running(address, path, wire)


def free_port() -> int:
    """Return a port of the loopback interface that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


_RAY_VARIABLES = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "{folder}/haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "{folder}/admin.sock",
    "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "{folder}",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "{folder}/server-state",
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}

SERVERS = (
    Server(
        ECHO_NAME, REFERENCE, "httptools on uvloop, answers with the length of the request; no JSON, no model", _echo(),
    ),
    Server(
        "parsing echo", REFERENCE, "the same, and parses the JSON with msgspec", _echo("--json"), workloads=(SUM,),
    ),
    Server(
        OURS_NAME, OURS, "embedded cluster as by default: one replica, adaptive batch size, cache on", start_cluster,
    ),
    Server(
        "FastAPI", IN_PROCESS, "model in process, plain def, uvicorn with uvloop and httptools, 2 workers",
        _peer("fastapi", "/predict", form.OUTPUT), "fastapi",
    ),
    Server(
        "FastAPI, 1 worker", IN_PROCESS, "the same with 1 worker",
        _peer("fastapi", "/predict", form.OUTPUT, num_workers=1), "fastapi", (NOOP,),
    ),
    Server(
        "LitServe", FRAMEWORK, "batches of at most 64, at most 1 ms to fill one, fast_queue, 1 worker, 1 API server",
        _peer("litserve", "/predict", form.OUTPUT), "litserve",
    ),
    Server(
        "MLServer", FRAMEWORK, "batches of at most 64, at most 5 ms to fill one, 1 parallel worker, no metrics",
        _peer("mlserver", "/v2/models/model/infer", form.OPEN_INFERENCE), "mlserver",
    ),
    Server(
        "BentoML", FRAMEWORK, "batchable, batches of at most 64, 2 workers, no access log",
        _peer("bentoml", "/predict", form.BENTOML), "bentoml",
    ),
    Server(
        "Ray Serve", FRAMEWORK, "batches of at most 64, at most 5 ms to fill one, 1 replica, HAProxy,"
        " throughput-optimized, no access log, no dashboard",
        _peer("ray", "/", form.OUTPUT, **_RAY_VARIABLES), "ray",
    ),
    Server(
        "MLflow", FRAMEWORK, "mlflow models serve, 2 workers; it does not batch",
        _peer("mlflow", "/invocations", form.MLFLOW, MLFLOW_DISABLE_TELEMETRY="true"), "mlflow",
    ),
)  # fmt: skip
