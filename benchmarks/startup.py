"""The loop of a notebook, before and now: start a cluster, deploy, edit and deploy again, scale, stop.

The build of a fixed revision and the one of this checkout take their turn, each in an environment of its own with the
same libraries. Every run is a notebook's process (``loop/notebook.py``) that starts its own cluster. What counts are
the ratios.

    python benchmarks/startup.py --docker --peers --write      everything, written to benchmarks/results/
    python benchmarks/startup.py --quick                       fewer edits, no array, two pairs, in two minutes
    python benchmarks/startup.py --only "embedded, forest" --rounds 2 --against main
    python benchmarks/startup.py --only "docker, plain" --add   that part anew, beside what was written before
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from loop.builds import BASELINE_REVISION, make_build
from loop.neighbours import NEIGHBOURS, measure_neighbour
from loop.notebook import MARK
from peers.environments import InstallError, anonymous, make_environment
from peers.process import running_process
from report.loop_tables import format_markdown, format_terminal
from report.loop_targets import ARRAY, DOCKER, DOCKER_PLAIN, FOREST, PEERS, PLAIN, SCENARIOS, judge, scenario_of
from report.machine import describe_machine
from report.pairs import BEFORE, NOW, PairResults, Sample
from workloads import FOREST_VARIABLE, save_forest

NOTEBOOK = Path(__file__).parent / "loop" / "notebook.py"
PLOT = Path(__file__).parent / "report" / "loop_plot.py"
RESULTS = Path(__file__).parent / "results"
RAW = "startup.json"
TIMEOUT_S = 600.0
QUIET_S = 1.0


class NotebookError(Exception):
    """A notebook did not end well."""


class Comparison:
    """Runs both builds in turn, and keeps what it saw.

    Parameters
    ----------
    builds : dict[str, Path]
        The Python of ``BEFORE`` and of ``NOW``.
    options : argparse.Namespace
        Of ``parse_options``.
    """

    def __init__(self, builds: dict[str, Path], options: argparse.Namespace) -> None:
        self.results = PairResults(
            machine=describe_machine(),
            settings={
                "against": options.against, "rounds": options.rounds, "num_edits": options.num_edits,
                "num_replicas": options.num_replicas, "pause_s": options.pause_s, "scenarios": options.scenarios,
            },
        )  # fmt: skip
        self._builds = builds
        self._options = options

    def run(self, folder: Path) -> None:
        """Measure everything, with files in *folder*."""
        os.environ[FOREST_VARIABLE] = str(folder / "forest.joblib")
        save_forest(os.environ[FOREST_VARIABLE])
        self._warm_up(folder)
        for round_ in range(self._options.rounds):
            for scenario in self._options.scenarios:
                for who in order_of(round_):
                    self._measure(who, scenario, round_, folder)
            for peer in NEIGHBOURS if self._options.peers else ():
                self._try_peer(peer, round_, folder)

    def _warm_up(self, folder: Path) -> None:
        """Bring the files of both builds into memory, and make what is made once for each, such as base images."""
        brief = argparse.Namespace(**{**vars(self._options), "num_edits": 1, "num_replicas": 1, "pause_s": 0.0})
        for scenario in self._options.scenarios:
            for who in (BEFORE, NOW):
                self.try_notebook(who, scenario, folder, brief)

    def _measure(self, who: str, scenario: str, round_: int, folder: Path) -> None:
        self.results.others_cores.append(busy_cores(QUIET_S))
        measured = self.try_notebook(who, scenario, folder, self._options)
        self.results.samples += [
            Sample(who, scenario_of(scenario, one["what"]), one["what"], round_, one["value"], one["unit"])
            for one in measured
        ]

    def try_notebook(self, who: str, scenario: str, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
        """Run a notebook. A failure is noted, since the other numbers of a long run are still good."""
        measured: list[dict[str, Any]] = []
        try:
            measured = run_notebook(self._builds[who], scenario, folder, options)
        except (NotebookError, subprocess.TimeoutExpired) as exc:
            print(exc)
            self.results.failures[f"{scenario}, {who}"] = anonymous(str(exc))[-300:].replace("\n", " ")
        self._tell(f"{scenario}, {who}")
        return measured

    def _try_peer(self, peer: str, round_: int, folder: Path) -> None:
        """Measure a peer once. A failure is noted and ends its part, and nothing else."""
        if peer in self.results.failures:
            return
        own_folder = folder / f"{NEIGHBOURS.index(peer)}-{round_}"  # short: Ray puts sockets below it
        own_folder.mkdir()
        try:
            for what, took_ms in measure_neighbour(peer, own_folder):
                self.results.samples.append(Sample(peer, PEERS, what, round_, took_ms, "ms"))
        except Exception as exc:
            self.results.failures[peer] = f"{type(exc).__name__}: {anonymous(str(exc))[:300]}"
        self._tell(f"{peer}, round {round_ + 1}")

    def _tell(self, what: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def order_of(round_: int) -> tuple[str, str]:
    """Return who is measured first: neither always is, so that drift meets both (A B B A)."""
    return (NOW, BEFORE) if round_ % 2 else (BEFORE, NOW)


def run_notebook(python: Path, scenario: str, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run one notebook by the Python of a build, and return what it measured."""
    kind, _, model = scenario.partition(", ")
    output = folder / "measured.json"
    command = [
        str(python), str(NOTEBOOK), model, str(output), *(["--docker"] if kind == DOCKER else []),
        "--num-edits", str(options.num_edits), "--num-replicas", str(options.num_replicas),
        "--pause-s", str(options.pause_s),
    ]  # fmt: skip
    log = folder / "notebook.log"
    environment = {MARK: uuid.uuid4().hex, "PYTHONPATH": ""}
    with running_process(command, folder=folder, log=log, environment=environment) as process:
        status = process.wait(TIMEOUT_S)
    if status:
        raise NotebookError(f"A notebook ended with status {status}:\n{log.read_text(errors='replace')[-3000:]}")
    measured: list[dict[str, Any]] = json.loads(output.read_text())
    return measured


def busy_cores(interval_s: float) -> float:
    """Return the cores that are busy while nothing of ours runs."""
    return float(psutil.cpu_percent(interval_s)) / 100 * (os.cpu_count() or 1)


def parse_options() -> argparse.Namespace:
    """Return the command line's options."""
    parts = (*SCENARIOS, PEERS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two edits, no array, two pairs")
    parser.add_argument("--docker", action="store_true", help="containers too; needs an engine")
    parser.add_argument("--peers", action="store_true", help="Ray Serve, LitServe and MLServer too")
    parser.add_argument("--only", choices=parts, action="append", metavar="PART", help="; ".join(parts))
    parser.add_argument("--against", default=BASELINE_REVISION, metavar="REVISION", help="the build before")
    parser.add_argument("--rounds", type=int, help="pairs of runs")
    parser.add_argument("--output", type=Path, help="folder to write to")
    parser.add_argument("--write", action="store_true", help="write to benchmarks/results")
    parser.add_argument("--add", action="store_true", help="the same, and keep what was not measured again")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 4)
    options.num_edits, options.pause_s = (2, 0.5) if options.quick else (5, 2.0)
    options.num_replicas = 8
    options.scenarios = list(options.only or choose_scenarios(options))
    if PEERS in options.scenarios:
        options.scenarios.remove(PEERS)
        options.peers = True
    options.output = options.output or (RESULTS if options.write or options.add else None)
    return options


def choose_scenarios(options: argparse.Namespace) -> Iterator[str]:
    """Yield what is measured by default."""
    yield from (PLAIN, FOREST) if options.quick else (PLAIN, FOREST, ARRAY)
    if options.docker:
        yield DOCKER_PLAIN


def write(results: PairResults, folder: Path) -> None:
    """Write table, raw numbers and plot."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / RAW
    results.write(raw)
    (folder / "startup.md").write_text(format_markdown(results))
    try:
        subprocess.run([make_environment("plot"), PLOT, raw, folder / "startup.png"], check=True, timeout=120)
    except (InstallError, subprocess.SubprocessError) as exc:
        print(f"no plot: {exc}")
    print(f"written: {folder}")


def main() -> int:
    """Measure, print and write; return 1 when a target is missed or something could not be measured."""
    options = parse_options()
    # A killed benchmark must not leave clusters behind: its context managers end them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    compiled = describe_machine()["compiled"]
    builds = {
        BEFORE: make_build(BEFORE, options.against, compiled=compiled),
        NOW: make_build(NOW, None, compiled=compiled),
    }
    comparison = Comparison(builds, options)
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        comparison.run(Path(folder))
    comparison.results.note_when()
    if options.add:
        earlier = PairResults.read(options.output / RAW)
        earlier.note_when()
        comparison.results.add_earlier(earlier)
    if options.output:
        write(comparison.results, options.output)
    print(f"\n{format_terminal(comparison.results)}")
    is_good = all(verdict.is_met for verdict in judge(comparison.results)) and not comparison.results.failures
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
