"""Three times the queries that a model can answer: replies stay in time, predictions as many, memory bounded.

The peak is measured in the same run, before and after: the most predictions per second that clients got at any load up
to the capacity, so that a moment in which the machine was busy does not lower it. Queries come at three times the peak,
whatever the replies (an open loop), each with an input of its own, and every reply is checked. The models sleep, so it
is they who are short of time and not the machine; one has a fixed batch size, the other an adaptive one.

How late a reply left is the query frontend's own count (``clipper_app_lateness_seconds``), from the arrival of the
request; what the clients saw is told beside it, and has their own delays in it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from load.processes import QUERY, REPLICA, MemoryWatch, OthersWatch, cluster_processes, cpu_s
from load.server_metrics import Lateness, read_lateness
from load.traffic import DEFAULT_OUTPUT, Report, Traffic, plus_version
from load.verdicts import Verdicts, parse_options

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

SLO_MS = 20
MARGIN_MS = 5
FACTOR = 3
SHARE_IN_TIME = 0.999
GOODPUT_SHARE = 0.85
MEMORY_GROWTH_MB = 16
CACHE_SIZE_BYTES = 2**20
"""Small, so that it is full, and evicts, before the overload begins."""


@dataclass(frozen=True)
class Workload:
    """A model that is short of time."""

    name: str
    function: Callable[[list[Any]], list[float]]
    batch_size: int


WORKLOADS = (
    Workload("fixed", plus_version(1, batch_s=0.005), 16),
    Workload("adaptive", plus_version(1, batch_s=0.001, each_s=0.0003), -1),
)


@dataclass
class Measured:
    """What was seen of one model."""

    below: list[Report]
    """At loads up to the capacity, before and after."""
    over: Report
    after: Report
    """At half the peak, right after."""
    late: Lateness
    """Of the overload's replies."""
    growth_bytes: int
    """Of the query frontend's memory, at most, during the overload."""
    frontend_cores: float
    replica_cores: float
    other_cores: float

    @property
    def peak(self) -> float:
        """Most predictions per second without overload."""
        return max(report.goodput for report in self.below)


def run_below_capacity(traffic: Traffic, duration_s: float) -> list[Report]:
    """Return what becomes of queries at several loads up to the capacity."""
    reports = [traffic.run_closed(num_clients=n, duration_s=duration_s) for n in (32, 48)]
    capacity = max(report.goodput for report in reports)
    return reports + [traffic.run_open(rate=share * capacity, duration_s=duration_s) for share in (0.7, 0.8, 0.9, 1.0)]


def measure(workload: Workload, *, is_quick: bool) -> Measured:
    """Overload one model."""
    name = f"overload-{os.getpid()}"
    manager = LocalContainerManager(name, clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0)
    conn = ClipperConnection(manager)
    conn.start_clipper(query_token=False, cache_size=CACHE_SIZE_BYTES)
    with conn:
        create_endpoint(
            conn, "app", "doubles", workload.function, DEFAULT_OUTPUT, slo_micros=1000 * SLO_MS,
            batch_size=workload.batch_size,
        )  # fmt: skip
        address = conn.get_query_addr()
        [frontend], [replica] = (cluster_processes(name)[role] for role in (QUERY, REPLICA))
        with Traffic(address, "app", limits_ms=(SLO_MS + MARGIN_MS,)) as traffic:
            below_s, over_s = (2.0, 6.0) if is_quick else (4.0, 30.0)
            below = [traffic.run_closed(num_clients=32, duration_s=2.0)]  # the batch size settles, the cache fills
            below += run_below_capacity(traffic, below_s)
            rate = FACTOR * max(report.goodput for report in below)
            late_before, size_before_bytes = read_lateness(address, "app"), frontend.memory_info().rss
            used_s, began_s = (cpu_s(frontend), cpu_s(replica)), time.monotonic()
            with MemoryWatch(name) as memory, OthersWatch() as others:
                over = traffic.run_open(rate=rate, duration_s=over_s)
            took_s = time.monotonic() - began_s
            used_s = (cpu_s(frontend) - used_s[0], cpu_s(replica) - used_s[1])
            late = read_lateness(address, "app") - late_before
            after = traffic.run_open(rate=rate / FACTOR / 2, duration_s=2.0)
            below += run_below_capacity(traffic, below_s)
    growth_bytes = memory.largest_bytes(QUERY) - size_before_bytes
    return Measured(below, over, after, late, growth_bytes, used_s[0] / took_s, used_s[1] / took_s, others.cores)


def judge(name: str, measured: Measured, verdicts: Verdicts) -> None:
    """Compare with what must be."""
    peak, over, after = measured.peak, measured.over, measured.after
    verdicts.tell(f"{name}: peak without overload", f"{peak:,.0f} predictions/s")
    rate = over.num_sent / over.duration_s
    # Less when the machine was too busy to show the peak before, so that it only appeared after: then measure again.
    verdicts.check(
        f"{name}: queries sent in overload", f">= {0.9 * FACTOR:.1f} x the peak", f"{rate:,.0f}/s, {rate / peak:.1f} x",
        rate >= 0.9 * FACTOR * peak,
    )  # fmt: skip
    in_time = measured.late.share_within(MARGIN_MS / 1000)
    verdicts.check(
        f"{name}: replies within {SLO_MS} + {MARGIN_MS} ms, at the server", f">= {SHARE_IN_TIME:.1%}",
        f"{in_time:.3%}", in_time >= SHARE_IN_TIME,
    )  # fmt: skip
    goodput = over.goodput / peak
    verdicts.check(
        f"{name}: goodput, as a share of the peak", f"> {GOODPUT_SHARE:.0%}", f"{goodput:.1%}", goodput > GOODPUT_SHARE
    )
    growth_mb = measured.growth_bytes / 1e6
    verdicts.check(
        f"{name}: memory of the query frontend grows by", f"<= {MEMORY_GROWTH_MB} MB",
        f"{growth_mb:.1f} MB", growth_mb <= MEMORY_GROWTH_MB,
    )  # fmt: skip
    share = after.num_predictions / after.num_sent
    verdicts.check(f"{name}: predictions at half the peak, right after", ">= 99.0%", f"{share:.1%}", share >= 0.99)
    check_replies(name, [*measured.below, over, after], verdicts)
    tell_circumstances(name, measured, verdicts)


def check_replies(name: str, reports: list[Report], verdicts: Verdicts) -> None:
    """See that every query got the reply that is its own."""
    num_failed, num_sent = sum(report.num_failed for report in reports), sum(report.num_sent for report in reports)
    verdicts.check(
        f"{name}: queries lost, refused or answered with another's reply", "0",
        f"{num_failed} of {num_sent:,}", num_failed == 0,
    )  # fmt: skip
    for report in reports:
        for example in report.examples:
            verdicts.note(f"{name}: {example}")


def tell_circumstances(name: str, measured: Measured, verdicts: Verdicts) -> None:
    """Say what else was seen in overload, for whoever asks why."""
    over, limit_ms = measured.over, SLO_MS + MARGIN_MS
    seen = over.latency
    verdicts.note(
        f"{name}: clients saw p50 {seen['p50_ms']:.1f}, p99 {seen['p99_ms']:.1f}, p99.9 {seen['p999_ms']:.1f}, "
        f"max {seen['max_ms']:.1f} ms, and {over.num_above_ms[str(limit_ms)] / over.num_answered:.3%} of the "
        f"replies after {limit_ms} ms"
    )
    verdicts.note(
        f"{name}: the machine let them send {over.num_sent_late / over.num_sent:.3%} of the queries more than 5 ms "
        f"late, and one {over.longest_lag_ms:.1f} ms"
    )
    verdicts.note(f"{name}: default outputs by reason: {over.defaults}")
    verdicts.note(
        f"{name}: cores used: query frontend {measured.frontend_cores:.2f}, replica {measured.replica_cores:.2f}, "
        f"clients {over.cpu_share:.2f}, everything else on this machine {measured.other_cores:.2f}"
    )


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("overload", options)
    for workload in WORKLOADS:
        judge(workload.name, measure(workload, is_quick=options.quick), verdicts)
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
