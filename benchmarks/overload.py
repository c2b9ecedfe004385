"""Three times the queries that a model can answer: replies stay in time, predictions as many, memory bounded.

The peak is measured in the same run: the most predictions per second that clients got at any load below. Then queries
come at three times that rate, whatever the replies (an open loop), each with an input of its own, and every reply is
checked. The models sleep, so it is they who are short of time and not the machine; one has a fixed batch size, the
other an adaptive one.

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
from load.server_metrics import read_lateness
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


def find_peak(traffic: Traffic, duration_s: float) -> float:
    """Return the most predictions per second at any load up to the capacity."""
    traffic.run_closed(num_clients=32, duration_s=2.0)  # so that the batch size settles and the cache fills
    goodputs = [traffic.run_closed(num_clients=n, duration_s=duration_s).goodput for n in (32, 48)]
    at_most = max(goodputs)
    goodputs += [
        traffic.run_open(rate=share * at_most, duration_s=duration_s).goodput for share in (0.7, 0.8, 0.9, 1.0)
    ]
    return max(goodputs)


def measure(workload: Workload, verdicts: Verdicts, *, is_quick: bool) -> None:
    """Overload one model."""
    name = f"overload-{os.getpid()}"
    manager = LocalContainerManager(name, clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0)
    conn = ClipperConnection(manager)
    conn.start_clipper(cache_size=CACHE_SIZE_BYTES)
    with conn:
        create_endpoint(
            conn, "app", "doubles", workload.function, DEFAULT_OUTPUT, slo_micros=1000 * SLO_MS,
            batch_size=workload.batch_size,
        )  # fmt: skip
        address = conn.get_query_addr()
        with Traffic(address, "app", limits_ms=(SLO_MS, SLO_MS + MARGIN_MS)) as traffic:
            peak = find_peak(traffic, 2.0 if is_quick else 4.0)
            before = read_lateness(address, "app")
            [frontend], [replica] = (cluster_processes(name)[role] for role in (QUERY, REPLICA))
            memory_before_bytes = frontend.memory_info().rss
            used_before_s, began_s = (cpu_s(frontend), cpu_s(replica)), time.monotonic()
            duration_s = 6.0 if is_quick else 30.0
            with MemoryWatch(name) as memory, OthersWatch() as others:
                report = traffic.run_open(rate=FACTOR * peak, duration_s=duration_s)
            took_s = time.monotonic() - began_s
            shares = [
                (cpu_s(p) - used_s) / took_s for p, used_s in zip((frontend, replica), used_before_s, strict=True)
            ]
            late = read_lateness(address, "app") - before
            growth_mb = (memory.largest_bytes(QUERY) - memory_before_bytes) / 1e6
            after = traffic.run_open(rate=0.5 * peak, duration_s=2.0)
    verdicts.tell(f"{workload.name}: peak without overload", f"{peak:,.0f} predictions/s")
    verdicts.tell(f"{workload.name}: queries sent", f"{report.num_sent / report.duration_s:,.0f}/s")
    share_in_time = late.share_within(MARGIN_MS / 1000)
    verdicts.check(
        f"{workload.name}: replies within {SLO_MS} + {MARGIN_MS} ms, at the server", f">= {SHARE_IN_TIME:.1%}",
        f"{share_in_time:.3%}", share_in_time >= SHARE_IN_TIME,
    )  # fmt: skip
    verdicts.check(
        f"{workload.name}: goodput, as a share of the peak", f"> {GOODPUT_SHARE:.0%}",
        f"{report.goodput / peak:.1%}", report.goodput > GOODPUT_SHARE * peak,
    )  # fmt: skip
    verdicts.check(
        f"{workload.name}: memory of the query frontend grows by", f"<= {MEMORY_GROWTH_MB} MB",
        f"{growth_mb:.1f} MB", growth_mb <= MEMORY_GROWTH_MB,
    )  # fmt: skip
    check_replies(verdicts, workload.name, report)
    verdicts.check(
        f"{workload.name}: predictions at half the peak, right after", ">= 99.0%",
        f"{after.num_predictions / after.num_sent:.1%}", after.num_predictions >= 0.99 * after.num_sent,
    )  # fmt: skip
    seen, limit_ms = report.latency, SLO_MS + MARGIN_MS
    verdicts.note(
        f"{workload.name}: clients saw p50 {seen['p50_ms']:.1f}, p99 {seen['p99_ms']:.1f}, "
        f"p99.9 {seen['p999_ms']:.1f}, max {seen['max_ms']:.1f} ms, and "
        f"{report.num_above_ms[str(limit_ms)] / report.num_answered:.3%} of the replies after {limit_ms} ms"
    )
    verdicts.note(
        f"{workload.name}: the machine let them send {report.num_sent_late / report.num_sent:.3%} of the queries more "
        f"than 5 ms late, and one {report.longest_lag_ms:.1f} ms"
    )
    verdicts.note(f"{workload.name}: default outputs by reason: {report.defaults}")
    verdicts.note(
        f"{workload.name}: cores used: query frontend {shares[0]:.2f}, replica {shares[1]:.2f}, clients "
        f"{report.cpu_share:.2f}, everything else on this machine {others.cores:.2f}"
    )


def check_replies(verdicts: Verdicts, name: str, report: Report) -> None:
    """See that every query got the reply that is its own."""
    verdicts.check(
        f"{name}: queries lost, refused or answered with another's reply", "0",
        f"{report.num_failed} of {report.num_sent:,}", report.num_failed == 0,
    )  # fmt: skip
    for example in report.examples:
        verdicts.note(f"{name}: {example}")


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("overload", options)
    for workload in WORKLOADS:
        measure(workload, verdicts, is_quick=options.quick)
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
