"""Binary tensors of the Open Inference Protocol beside predict bodies, an echo and MLServer: requests per second.

A model that does nothing is asked for an image of 224 x 224 x 3 bytes, as a V2 binary tensor and as base64 in JSON, and
for 768 doubles, as a V2 binary tensor and as JSON. All sides of a comparison take their turn, in rounds, none always
first; the median of the rounds' ratios counts. Nothing is cached, so that the load generator may send one body again
and again: it would copy more than the servers do if it made each anew.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from load.v2_requests import Request, base64_input, base64_tensor, binary_tensor, json_input, json_tensor
from load.verdicts import Verdicts, parse_options
from load.wrk import run_body
from loop.builds import BASELINE_REVISION, make_build
from loop.served_build import serving
from loop.serving import APP
from peers.environments import FOLDER, InstallError, make_environment
from peers.process import running_process
from peers.servers import BENCHMARKS, ECHO, free_port
from report.v2_answers import compare_answers
from workloads import NOOP

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

IMAGE_TARGET, DOUBLES_TARGET, ECHO_TARGET, MLSERVER_TARGET = 5.0, 1.4, 0.6, 10.0
NUM_CONNECTIONS = 64
START_S = 120.0

IMAGE = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), np.uint8)
DOUBLES = np.random.default_rng(1).random((1, 768))


class Side:
    """One form of a tensor, asked of one server."""

    def __init__(self, address: str, request: Request, folder: Path, *, may_fail: bool = False) -> None:
        self._may_fail = may_fail  # another server may need longer than wrk waits
        self.num_errors = 0
        self._address = address
        self._request = request
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(request.body)
        self._body = Path(file.name)
        self.rates: list[float] = []

    def check(self) -> None:
        """See that it is answered."""
        connection = http.client.HTTPConnection(self._address, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", self._request.path, self._request.body, self._request.headers)
            reply = connection.getresponse()
            body = reply.read()
        assert reply.status == 200, (reply.status, body[:500])
        assert b'"default"' not in body or b'"default":false' in body, body[:500]

    def measure(self, duration_s: int, *, counts: bool) -> None:
        """Ask for a while."""
        seen = run_body(
            self._address, self._request.path, self._body,
            headers=self._request.headers, num_connections=NUM_CONNECTIONS, duration_s=duration_s,
        )  # fmt: skip
        assert seen.num_errors == 0 or self._may_fail, (self._request.path, seen)
        if counts:
            self.num_errors += seen.num_errors
            self.rates.append(seen.requests_per_s)

    @property
    def rate(self) -> float:
        """The median of its rates."""
        return statistics.median(self.rates)


def measure(sides: list[Side], num_rounds: int, duration_s: int) -> None:
    """Measure the sides in turn; a first round warms up."""
    for side in sides:
        side.check()
    for number in range(-1, num_rounds):
        for side in sides if number % 2 else reversed(sides):
            side.measure(duration_s, counts=number >= 0)


def ratio(one: Side, other: Side) -> float:
    """Return the median of what one side answers of the other."""
    return statistics.median(a / b for a, b in zip(one.rates, other.rates, strict=True))


@contextlib.contextmanager
def running_cluster() -> Iterator[ClipperConnection]:
    """Give a cluster with models that do nothing."""
    manager = LocalContainerManager(
        f"v2-{os.getpid()}", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    conn = ClipperConnection(manager)
    conn.start_clipper(query_token=False, cache_size=0)
    with conn:
        create_endpoint(conn, "images", "bytes", lambda xs: [float(len(x)) for x in xs], slo_micros=20_000_000)
        create_endpoint(conn, "doubles", "doubles", lambda xs: [float(len(x)) for x in xs], slo_micros=20_000_000)
        yield conn


@contextlib.contextmanager
def running_echo(folder: Path) -> Iterator[str]:
    """Give the address of a server that reads a body and answers with its length."""
    port = free_port()
    with running_process(
        [sys.executable, str(ECHO), str(port)], folder=folder, log=folder / "echo.log", environment={}
    ):
        _wait_for(port, "/", "POST")
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def running_mlserver(folder: Path) -> Iterator[str]:
    """Give the address of MLServer with the same model."""
    python = make_environment("mlserver")
    port = free_port()
    environment = {
        "BENCHMARK_RUNTIME": "tensor_runtime.TensorRuntime",
        "PYTHONPATH": os.pathsep.join([str(FOLDER / "mlserver"), str(BENCHMARKS)]),
        "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
    }
    command = [str(python), str(FOLDER / "mlserver" / "server.py"), str(port)]
    with running_process(command, folder=folder, log=folder / "mlserver.log", environment=environment):
        _wait_for(port, "/v2/models/model/ready", "GET")
        yield f"127.0.0.1:{port}"


def _wait_for(port: int, path: str, method: str) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            connection = http.client.HTTPConnection(f"127.0.0.1:{port}", timeout=5)
            connection.request(method, path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"nothing answers at {path}")
        time.sleep(0.2)


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    before = make_build("before", BASELINE_REVISION, compiled=True)
    verdicts = Verdicts("v2", options)
    num_rounds, duration_s = (3, 2) if options.quick else (9, 4)
    answers = ""
    with tempfile.TemporaryDirectory() as temporary, running_cluster() as conn:
        folder, address = Path(temporary), conn.get_query_addr()
        with running_echo(folder) as echo, serving(before, NOOP.name, "bytes", 0) as build_before:
            image = Side(address, binary_tensor("images", "UINT8", IMAGE), folder)
            image_base64 = Side(address, base64_input("images", IMAGE), folder)
            image_before = Side(build_before.address, base64_input(APP, IMAGE), folder)
            doubles = Side(address, binary_tensor("doubles", "FP64", DOUBLES), folder)
            doubles_json = Side(address, json_input("doubles", DOUBLES[0]), folder)
            doubles_echo = Side(echo, binary_tensor("doubles", "FP64", DOUBLES), folder)
            image_echo = Side(echo, binary_tensor("images", "UINT8", IMAGE), folder)
            measure([image, image_base64, image_before, image_echo], num_rounds, duration_s)
            measure([doubles, doubles_json, doubles_echo], num_rounds, duration_s)
        verdicts.tell("image as V2 binary tensor", f"{image.rate:,.0f} requests/s")
        verdicts.tell("image as base64 input", f"{image_base64.rate:,.0f} requests/s")
        verdicts.tell("image read by an echo, asked in the same way", f"{image_echo.rate:,.0f} requests/s")
        verdicts.tell(
            f"image as base64 input, asked of the build {BASELINE_REVISION}", f"{image_before.rate:,.0f} requests/s"
        )
        _check(verdicts, "image: V2 binary, of that build's base64", image, image_before, IMAGE_TARGET)
        verdicts.tell("image: V2 binary, of base64", f"{ratio(image, image_base64):.2f} x")
        verdicts.tell("768 doubles as V2 binary tensor", f"{doubles.rate:,.0f} requests/s")
        verdicts.tell("768 doubles as JSON input", f"{doubles_json.rate:,.0f} requests/s")
        _check(verdicts, "768 doubles: V2 binary, of JSON", doubles, doubles_json, DOUBLES_TARGET)
        _check(verdicts, "768 doubles: V2 binary, of an echo that reads as much", doubles, doubles_echo, ECHO_TARGET)
        try:
            with running_mlserver(folder) as mlserver:
                answers = compare_answers(address, mlserver)
                theirs = {
                    "base64": Side(mlserver, base64_tensor("model", IMAGE), folder, may_fail=True),
                    "numbers": Side(mlserver, json_tensor("model", "UINT8", IMAGE), folder, may_fail=True),
                }
                again = Side(address, binary_tensor("images", "UINT8", IMAGE), folder)
                measure([again, *theirs.values()], max(2, num_rounds // 3), 5 * duration_s)
            for name, side in theirs.items():
                verdicts.tell(f"MLServer: image as {name}", f"{side.rate:,.1f} requests/s, {side.num_errors} failed")
            best = max(side.rate for side in theirs.values())
            found = again.rate / best
            verdicts.check(
                "image: V2 binary, of MLServer's best", f">= {MLSERVER_TARGET:g} x", f"{found:.1f} x",
                found >= MLSERVER_TARGET,
            )  # fmt: skip
        except InstallError as exc:
            verdicts.note(f"MLServer was not compared: {exc}")
    return verdicts.finish(answers)


def _check(verdicts: Verdicts, what: str, one: Side, other: Side, target: float) -> None:
    found = ratio(one, other)
    verdicts.check(what, f">= {target:g} x", f"{found:.2f} x", found >= target)


if __name__ == "__main__":
    sys.exit(main())
