"""Throughput and latency of the query frontend beside other servers. Run by ``make bench`` and ``make bench-quick``.

Every server answers the same load with the same model in turn, a few rounds long, so that noise meets all. One runs at
a time, from its start to its end. What counts are the ratios; the absolute numbers say how fast the machine was today.

    python benchmarks/throughput.py                                  everything, written to benchmarks/results/
    python benchmarks/throughput.py --quick                          reference and ours alone, in about a minute
    python benchmarks/throughput.py --only clipper_nb,MLServer --workloads forest --connections 64,256

The environment variables ROUNDS and DURATION_S are defaults of the options of that name.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from load.correctness import Examiner
from load.wrk import run_wrk
from peers.environments import InstallError, anonymous, get_versions, make_environment
from peers.servers import (
    BATCHED_PATH,
    ECHO_NAME,
    OURS,
    OURS_NAME,
    REFERENCE,
    SERVERS,
    UNBATCHED_PATH,
    Running,
    Server,
    start_cluster,
)
from report.machine import describe_machine
from report.results import Results, Run
from report.tables import format_markdown, format_terminal
from workloads import FOREST, FOREST_VARIABLE, NOOP, SUM, WORKLOADS, Workload, load_model, save_forest

CONNECTIONS = (1, 16, 64, 256)
QUICK_CONNECTIONS = {NOOP.name: (1, 64), SUM.name: (64,), FOREST.name: (64, 256)}
WARM_UP_S = 1
NUM_BATCHING_PAIRS = 5

RESULTS = Path(__file__).parent / "results"
PLOT = Path(__file__).parent / "report" / "plot.py"

_OWN_PACKAGES = {REFERENCE: "httptools", OURS: "clipper-nb"}
_OTHER_PACKAGES = ("numpy", "orjson", "pydantic", "scikit-learn", "starlette", "uvicorn", "uvloop")


class Measurement:
    """Runs everything, and keeps what it saw."""

    def __init__(self, servers: list[Server], workloads: list[Workload], options: argparse.Namespace) -> None:
        self._servers = servers
        self._workloads = workloads
        self._options = options
        self._folder = Path()
        self._connections = {workload.name: connections_of(workload, options) for workload in workloads}
        self._failures: dict[str, dict[str, str]] = {}  # by server and workload
        self.results = Results(
            machine=describe_machine(),
            settings={
                "rounds": options.rounds, "duration_s": options.duration_s, "warm_up_s": WARM_UP_S,
                "connections": self._connections,
            },
            servers=[self._describe(server) for server in servers],
            failures=self._failures,
        )  # fmt: skip

    def _describe(self, server: Server) -> dict[str, Any]:
        """Install a server, and return what the results say of it."""
        try:
            python = make_environment(server.environment) if server.environment else Path(sys.executable)
            packages = get_versions(python)
        except InstallError as exc:
            packages = {}
            for workload in self._workloads:
                self._note_failure(server, workload, f"not installed: {exc}")
        package = server.environment or _OWN_PACKAGES[server.kind]
        return {
            "name": server.name, "kind": server.kind, "configuration": server.configuration,
            "version": f"{package} {packages[package]}" if package in packages else "not installed",
            "packages": {name: packages[name] for name in _OTHER_PACKAGES if name in packages},
        }  # fmt: skip

    def run(self) -> None:
        """Measure every workload, and leave nothing but the results."""
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            self._folder = Path(folder)
            os.environ[FOREST_VARIABLE] = str(self._folder / "forest.joblib")
            save_forest(os.environ[FOREST_VARIABLE])
            for workload in self._workloads:
                examiner = Examiner(workload, load_model(workload.name))
                for round_ in range(self._options.rounds):
                    for server in self._servers:
                        if workload in (server.workloads or WORKLOADS):
                            self._try_server(server, workload, examiner, round_)
            if self._wants_batching_compared():
                self._compare_batching()

    def _wants_batching_compared(self) -> bool:
        has_ours = any(server.name == OURS_NAME for server in self._servers)
        return has_ours and NOOP in self._workloads and not self._options.quick

    def _try_server(self, server: Server, workload: Workload, examiner: Examiner, round_: int) -> None:
        """Measure one server once. A failure is noted and ends that server's part in the workload, and nothing else."""
        if workload.name in self._failures.get(server.name, {}):
            return
        began_s = time.monotonic()
        try:
            with server.start(workload, examiner, self._make_folder(server, workload)) as running:
                self._measure(server, workload, examiner, round_, running)
        except Exception as exc:
            self._note_failure(server, workload, f"{type(exc).__name__}: {anonymous(str(exc))[:300]}")
        took_s = time.monotonic() - began_s
        failure = self._failures.get(server.name, {}).get(workload.name, "")
        print(f"{workload.name}, round {round_ + 1}, {server.name}: {took_s:.0f} s {failure}", flush=True)

    def _note_failure(self, server: Server, workload: Workload, reason: str) -> None:
        self._failures.setdefault(server.name, {})[workload.name] = reason

    def _make_folder(self, server: Server, workload: Workload) -> Path:
        """Return a folder of the server's own; its path is short, because Ray puts sockets below it."""
        folder = self._folder / f"{self._servers.index(server)}{workload.name}"
        folder.mkdir(exist_ok=True)
        return folder

    def _measure(self, server: Server, workload: Workload, examiner: Examiner, round_: int, running: Running) -> None:
        def load(num_connections: int, duration_s: int) -> Any:
            return run_wrk(
                running.address, running.path, running.form,
                num_connections=num_connections, num_doubles=workload.num_doubles, duration_s=duration_s,
            )  # fmt: skip

        load(max(self._connections[workload.name]), WARM_UP_S)
        for num_connections in self._connections[workload.name]:
            examiner.check(running.address, running.path, running.form, num_connections=num_connections)
            num_defaults = running.count_defaults()
            seen = load(num_connections, self._options.duration_s)
            num_defaults = running.count_defaults() - num_defaults
            seen = replace(seen, num_errors=seen.num_errors + num_defaults)
            self.results.runs.append(Run(server.name, workload.name, num_connections, round_, seen))

    def _compare_batching(self) -> None:
        """Measure one connection to one cluster in turn with batching and without it."""
        examiner = Examiner(NOOP, load_model(NOOP.name))
        latencies: dict[str, list[float]] = {"on": [], "off": []}
        folder = self._folder / "batching"
        folder.mkdir()
        with start_cluster(NOOP, examiner, folder, with_unbatched=True) as running:
            for pair in range(-1, NUM_BATCHING_PAIRS * self._options.rounds):
                both = [("on", BATCHED_PATH), ("off", UNBATCHED_PATH)]
                for name, path in both if pair % 2 else reversed(both):  # neither is always the first
                    load = run_wrk(
                        running.address, path, running.form,
                        num_connections=1, num_doubles=NOOP.num_doubles, duration_s=1,
                    )  # fmt: skip
                    if pair >= 0:  # the first one warms up
                        latencies[name].append(load.p50_ms)
        self.results.batching_p50_ms = latencies


def connections_of(workload: Workload, options: argparse.Namespace) -> tuple[int, ...]:
    """Return the numbers of connections that a workload is measured with."""
    if options.connections:
        return tuple(options.connections)
    return QUICK_CONNECTIONS[workload.name] if options.quick else CONNECTIONS


def parse_options() -> argparse.Namespace:
    """Return the command line's options, and the environment's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="reference and ours alone, fewer connections, no file")
    parser.add_argument("--only", type=_names, default=[], metavar="NAMES", help="these servers, with commas between")
    parser.add_argument("--workloads", type=_names, default=[workload.name for workload in WORKLOADS], metavar="NAMES")
    parser.add_argument("--connections", type=lambda text: [int(one) for one in text.split(",")], metavar="NUMBERS")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--duration-s", type=int)
    parser.add_argument("--output", type=Path, help="folder to write to; benchmarks/results when all is measured")
    options = parser.parse_args()
    options.rounds = options.rounds or int(os.environ.get("ROUNDS", "2" if options.quick else "3"))
    options.duration_s = options.duration_s or int(os.environ.get("DURATION_S", "1" if options.quick else "2"))
    for given, known in (
        (options.only, {server.name for server in SERVERS}),
        (options.workloads, {workload.name for workload in WORKLOADS}),
    ):
        if unknown := set(given) - known:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}")
    return options


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def is_wanted(server: Server, options: argparse.Namespace) -> bool:
    """Return whether a server takes part."""
    if options.only:
        return server.name in options.only
    return server.name in (ECHO_NAME, OURS_NAME) or not options.quick


def choose_output(options: argparse.Namespace) -> Path | None:
    """Return where to write to. A part must not replace the whole in the repository."""
    is_whole = not (options.quick or options.only or options.connections) and len(options.workloads) == len(WORKLOADS)
    return options.output or (RESULTS if is_whole else None)


def write(results: Results, folder: Path) -> None:
    """Write table, raw numbers and plot."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / "throughput.json"
    results.write(raw)
    (folder / "throughput.md").write_text(format_markdown(results))
    try:
        subprocess.run([make_environment("plot"), PLOT, raw, folder / "throughput.png"], check=True, timeout=120)
    except (InstallError, subprocess.SubprocessError) as exc:
        print(f"no plot: {exc}")
    print(f"written: {folder}")


def main() -> None:
    """Measure, print, and write the results of a whole measurement."""
    options = parse_options()
    # A killed benchmark must not leave servers behind: its context managers end them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    servers = [server for server in SERVERS if is_wanted(server, options)]
    workloads = [workload for workload in WORKLOADS if workload.name in options.workloads]
    measurement = Measurement(servers, workloads, options)
    measurement.run()
    if output := choose_output(options):
        write(measurement.results, output)
    print(format_terminal(measurement.results))


if __name__ == "__main__":
    main()
