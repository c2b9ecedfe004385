"""What the benchmarks' numbers rest on: wrong answers are seen, servers end, targets are judged as written."""

from __future__ import annotations

import http.server
import json
import sys
import threading
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

# Ignores SIGTERM, and so does its child, which has a process group of its own.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
print(subprocess.Popen([sys.executable, "-c", child], start_new_session=True).pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def benchmarks_on_path(monkeypatch):
    """Import the benchmarks as their scripts do, and forget them afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("load", "peers", "report", "workloads"):
            del sys.modules[name]


class Server(http.server.ThreadingHTTPServer):
    """Answers with the first number of each input, but for one reply that *spoil* changes."""

    daemon_threads = True
    request_queue_size = 64  # sixteen connect at once, and the usual five have lost one

    def __init__(self, spoil):
        super().__init__(("127.0.0.1", 0), Handler)
        self.spoil = spoil
        self.num_replies = 0
        self.lock = threading.Lock()
        self.address = f"127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        numbers = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
        reply = {"output": str(int(numbers[0])), "default": False, "default_reason": None}
        with self.server.lock:
            self.server.num_replies += 1
            if self.server.num_replies == 40:
                reply |= self.server.spoil
        body = json.dumps(reply).encode()
        self.send_response(reply.get("status", 200))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def check(address):
    from load import form
    from load.correctness import Examiner
    from workloads import NOOP, load_model

    Examiner(NOOP, load_model(NOOP.name)).check(address, "/", form.CLIPPER, num_connections=16)


def test_right_answers_pass():
    """A server that answers each query with its own answer is measured."""
    with Server(spoil={}) as server:
        check(server.address)
        assert server.num_replies == 64


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        ({"output": "7"}, "7 in place of"),
        ({"status": 500}, "status 500"),
        ({"default": True, "default_reason": "model_too_slow"}, "default output, model_too_slow"),
        ({"output": "no number"}, "no number"),
    ],
)
def test_one_wrong_answer_of_many_is_seen(spoil, complaint):
    """Somebody else's answer, another status, a default output and nonsense are no predictions."""
    from load.correctness import WrongAnswersError

    with Server(spoil) as server, pytest.raises(WrongAnswersError, match=complaint):
        check(server.address)


def test_a_server_is_ended_with_processes_of_other_groups(tmp_path, monkeypatch):
    """Nothing is left, even of servers that ignore SIGTERM and start processes in sessions of their own."""
    import psutil
    from peers import process

    monkeypatch.setattr(process, "STOP_S", 0.2)
    log = tmp_path / "log"
    with process.running_process([sys.executable, "-c", STUBBORN], folder=tmp_path, log=log, environment={}) as server:
        deadline_s = time.monotonic() + 60
        while not log.read_text().endswith("\n"):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        child = psutil.Process(int(log.read_text()))
        assert child.is_running()
    assert server.poll() is not None
    while not has_ended(child):  # it was killed, and a busy machine takes its memory back first
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def has_ended(child):
    import psutil

    try:
        return child.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def make_results(**requests_per_s):
    from load.wrk import Load
    from report.results import Results, Run

    kinds = {"echo": "reference", "clipper_nb": "ours", "FastAPI": "in-process", "MLServer": "framework"}
    return Results(
        machine={},
        settings={"connections": {"noop": [64]}},
        servers=[{"name": name, "kind": kind} for name, kind in kinds.items()],
        runs=[
            Run(name, "noop", 64, round_, Load(rate, p50_ms=2.0, p99_ms=9.0, num_errors=1))
            for name, rates in requests_per_s.items()
            for round_, rate in enumerate(rates)
        ],
        failures={"MLServer": {"noop": "not installed: no such package"}} if "MLServer" not in requests_per_s else {},
    )


def test_targets_are_judged_by_medians():
    """Half of the reference is enough; one good round among bad ones is not."""
    from report.targets import judge

    results = make_results(echo=[100.0, 100.0, 100.0], clipper_nb=[50.0, 52.0, 1.0], MLServer=[2.6, 2.6, 2.6])
    verdicts = {verdict.target: verdict for verdict in judge(results)}
    assert verdicts["no-op, 64 connections: at least 0.5 of echo"].is_met
    framework = verdicts["no-op, 64 connections: at least 20 x the best serving framework"]
    assert (framework.is_met, framework.measured) == (False, "19.23 (MLServer)")
    assert not verdicts["no-op, 64 connections: p99 below that framework's p50"].is_met
    assert not [target for target in verdicts if "FastAPI" in target or "forest" in target]  # neither was measured


def test_results_are_written_with_every_run(tmp_path):
    """The raw numbers are what tables and plot are made of."""
    results = make_results(echo=[100.0, 101.0], clipper_nb=[50.0])
    results.write(tmp_path / "raw.json")
    raw = json.loads((tmp_path / "raw.json").read_text())
    assert [(run["server"], run["round"], run["load"]["requests_per_s"]) for run in raw["runs"]] == [
        ("echo", 0, 100.0), ("echo", 1, 101.0), ("clipper_nb", 0, 50.0),
    ]  # fmt: skip
    assert raw["failures"] == {"MLServer": {"noop": "not installed: no such package"}}


def test_a_peer_that_failed_is_in_the_table_with_the_reason():
    """It is never silently left out."""
    from report.tables import format_terminal

    printed = format_terminal(make_results(echo=[100.0], clipper_nb=[50.0]))
    assert [line.split() for line in printed.splitlines() if "MLServer" in line] == [
        ["MLServer", "failed"],
        ["MLServer,", "noop:", "not", "installed:", "no", "such", "package"],
    ]
    assert ["clipper_nb", "50", "2.00", "9.00", "1", "0.500"] in [line.split() for line in printed.splitlines()]
