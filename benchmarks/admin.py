"""Admin calls and scrapes with ten applications, and with a thousand: an admin call may take twice as long at most.

One cluster: a version that answers queries, and then applications, versions and links that nobody asks: 10 of each, and
at last 1,000 applications with 500 versions and links. Before and after, each call is timed many times, and a client
asks 200 queries a second with nothing else going on, with admin calls all the time, and with scrapes all the time.

How long the query frontend's event loop is held is told by the time on a core that one turn of such a loop takes, with
the same metrics, in this process: waiting for a core is not counted.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from load.processes import QUERY, OthersWatch, cluster_processes
from load.traffic import DEFAULT_OUTPUT, Report, Traffic, plus_version
from load.verdicts import Verdicts, parse_options

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.clients.http_client import HttpClient
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics
from clipper_nb.runtime.process import keep_garbage_collector_short
from clipper_nb.runtime.slices import in_slices
from clipper_nb.runtime.workers.metrics import expose

FEW, MANY = 10, 1000
MAX_RATIO = 2.0
MAX_TURN_MS = 5.0
RATE = 200
SLO_MICROS = 5_000_000


@dataclass
class Measured:
    """What was measured with one number of applications."""

    calls_ms: dict[str, float] = field(default_factory=dict)
    """Medians by the name of the call."""
    core_ms: dict[str, float] = field(default_factory=dict)
    """Of the query frontend, for one call and for one scrape."""
    reports: dict[str, Report] = field(default_factory=dict)
    """Of the queries meanwhile."""


def fill(conn: ClipperConnection, begin: int, end: int) -> None:
    """Add applications; every second gets a version and a link."""
    for number in range(begin, end):
        conn.register_application(f"app-{number}", "doubles", DEFAULT_OUTPUT, SLO_MICROS)
        if number % 2 == 0:
            conn.register_model(f"model-{number}", 1, "doubles")
            conn.link_model_to_app(f"app-{number}", f"model-{number}")


def admin_calls(conn: ClipperConnection) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield calls, for ever, that leave in the end what was there before."""
    management = conn._management_client()
    versions = [ModelId("app", "1"), ModelId("app", "2")]
    while True:
        yield "register", lambda: management.register_application("x", "doubles", DEFAULT_OUTPUT, SLO_MICROS)
        yield "link", lambda: management.link_model("x", "model-0")
        yield "unlink", lambda: management.unlink_model("x", "model-0")
        yield "unregister", lambda: management.unregister_application("x")
        for version in versions:
            yield "switch", lambda version=version: management.set_model_version(version)


def time_calls(conn: ClipperConnection, num_rounds: int) -> dict[str, float]:
    """Return the median of each call."""
    samples: dict[str, list[float]] = {}
    for _, (name, call) in zip(range(6 * num_rounds), admin_calls(conn), strict=False):
        began_s = time.perf_counter()
        call()
        samples.setdefault(name, []).append((time.perf_counter() - began_s) * 1000)
    return {name: statistics.median(some) for name, some in samples.items()}


def scrapes(address: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield scrapes for ever."""
    http = HttpClient(address, "query frontend")
    while True:
        yield "scrape", lambda: http.request("GET", "/metrics", timeout_s=30, is_repeatable=True)


def run_during(
    traffic: Traffic, calls: Iterator[tuple[str, Callable[[], None]]] | None, *, duration_s: float, pause_s: float
) -> tuple[Report, int]:
    """Return what became of queries while the calls were made one after the other, and how many were made."""
    traffic.start_open(rate=RATE, duration_s=duration_s)
    num_calls = 0
    end_s = time.monotonic() + duration_s
    while calls is not None and (time.monotonic() < end_s or num_calls % 6):
        next(calls)[1]()
        num_calls += 1
        time.sleep(pause_s)
    return traffic.finish(), num_calls


def measure(conn: ClipperConnection, traffic: Traffic, *, num_rounds: int, duration_s: float) -> Measured:
    """Measure with what there is now."""
    measured = Measured(time_calls(conn, num_rounds))
    [frontend] = cluster_processes(conn.cm.cluster_name)[QUERY]
    load = {
        "nothing": (None, 0.0),
        "admin calls": (admin_calls(conn), 0.0),
        "scrapes": (scrapes(conn.get_query_addr()), 0.5),
    }
    for name, (calls, pause_s) in load.items():
        before_s = sum(frontend.cpu_times()[:2])
        report, num_calls = run_during(traffic, calls, duration_s=duration_s, pause_s=pause_s)
        core_s = sum(frontend.cpu_times()[:2]) - before_s
        measured.reports[name] = report
        if calls is None:
            idle_s = core_s
        else:
            measured.core_ms[name] = max(0.0, core_s - idle_s) / num_calls * 1000
    return measured


async def longest_scrape_turn_ms(num_applications: int) -> float:
    """Return the most time on a core that one turn of the loop takes while all metrics are told."""
    metrics = QueryFrontendMetrics()
    for number in range(num_applications):
        metrics.application(f"app-{number}", 0.1).query_answered(0.003, None)
    for number in range(num_applications // 2):
        metrics.model(ModelId(f"model-{number}", "1")).batch_answered(3, 0.002)
    turns_ms: list[float] = []

    async def turn() -> None:
        while True:
            began_s = time.thread_time()
            await asyncio.sleep(0)
            turns_ms.append((time.thread_time() - began_s) * 1000)

    keep_garbage_collector_short()  # as a frontend does
    turning = asyncio.create_task(turn())
    for _ in range(5):
        await in_slices(metrics.collect(families := []))
        await expose(families)
    turning.cancel()
    return max(turns_ms)


def judge(verdicts: Verdicts, few: Measured, many: Measured) -> None:
    """Compare what was measured."""
    for name, few_ms in few.calls_ms.items():
        many_ms = many.calls_ms[name]
        verdicts.check(
            f"{name}: {few_ms:.1f} ms with {FEW} applications, {many_ms:.1f} ms with {MANY:,}", f"<= {MAX_RATIO} times",
            f"{many_ms / few_ms:.2f} times", many_ms <= MAX_RATIO * few_ms,
        )  # fmt: skip
    for name in ("admin calls", "scrapes"):
        for what, key in (("p99", "p99_ms"), ("longest", "max_ms")):
            alone_ms, meanwhile_ms = (many.reports[one].latency[key] for one in ("nothing", name))
            verdicts.tell(
                f"{what} of queries during {name} ({MANY:,})", f"{meanwhile_ms:.1f} ms, alone {alone_ms:.1f} ms"
            )
    call_ms = many.core_ms["admin calls"]
    verdicts.check(
        "query frontend's time on a core for one admin call", f"<= {MAX_TURN_MS:g} ms",
        f"{few.core_ms['admin calls']:.1f} ms, {call_ms:.1f} ms", call_ms <= MAX_TURN_MS,
    )  # fmt: skip
    verdicts.tell("the same for one scrape", f"{few.core_ms['scrapes']:.1f} ms, {many.core_ms['scrapes']:.1f} ms")
    turn_ms = asyncio.run(longest_scrape_turn_ms(MANY))
    verdicts.check(
        "longest turn of the loop in a scrape", f"<= {MAX_TURN_MS:g} ms", f"{turn_ms:.1f} ms", turn_ms <= MAX_TURN_MS
    )
    everything = [report for measured in (few, many) for report in measured.reports.values()]
    num_bad = sum(report.num_failed + report.num_defaults for report in everything)
    verdicts.check("queries lost, refused or answered by default", "0", str(num_bad), num_bad == 0)


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("admin", options)
    manager = LocalContainerManager(
        f"admin-{os.getpid()}", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    conn = ClipperConnection(manager)
    conn.start_clipper(query_token=False)
    num_rounds, duration_s = (10, 3.0) if options.quick else (40, 10.0)
    with conn, Traffic(conn.get_query_addr(), "app") as traffic, OthersWatch() as others:
        create_endpoint(conn, "app", "doubles", plus_version(1, batch_s=0.001), DEFAULT_OUTPUT, slo_micros=SLO_MICROS)
        deploy_python_closure(conn, "app", 2, "doubles", plus_version(2, batch_s=0.001))
        traffic.expect(1, 2)
        fill(conn, 0, FEW)
        few = measure(conn, traffic, num_rounds=num_rounds, duration_s=duration_s)
        fill(conn, FEW, MANY)
        many = measure(conn, traffic, num_rounds=num_rounds, duration_s=duration_s)
    judge(verdicts, few, many)
    verdicts.note(f"cores used by everything else on this machine: {others.cores:.2f}")
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
