"""Replicas of a model that sleeps: two must give 1.9 times what one gives, eight must give 7 times.

The model takes 10 ms for a batch of at most four. The same number of clients, each waiting for its reply (a closed
loop), asks one, two and eight replicas in turn, several times over; medians are compared. Each input is unique and each
reply is checked.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections import defaultdict

from load.processes import OthersWatch
from load.traffic import DEFAULT_OUTPUT, Report, Traffic, plus_version
from load.verdicts import Verdicts, parse_options

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

BATCH_S = 0.01
BATCH_SIZE = 4
TARGETS = {2: 1.9, 8: 7.0}
NUM_CLIENTS = 3 * BATCH_SIZE * max(TARGETS)
"""Enough that each replica of the largest number finds its next batch waiting."""
SLO_MICROS = 5_000_000


def measure(conn: ClipperConnection, *, num_rounds: int, duration_s: float) -> dict[int, list[Report]]:
    """Return the reports of each number of replicas."""
    reports: dict[int, list[Report]] = defaultdict(list)
    with Traffic(conn.get_query_addr(), "app") as traffic:
        for _ in range(num_rounds):
            for num_replicas in (1, *TARGETS):
                conn.set_num_replicas("app", num_replicas)
                traffic.run_closed(num_clients=NUM_CLIENTS, duration_s=0.5)
                reports[num_replicas].append(traffic.run_closed(num_clients=NUM_CLIENTS, duration_s=duration_s))
    return reports


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("scaling", options)
    manager = LocalContainerManager(
        f"scaling-{os.getpid()}", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    conn = ClipperConnection(manager)
    conn.start_clipper(query_token=False)
    with conn:
        create_endpoint(
            conn, "app", "doubles", plus_version(1, batch_s=BATCH_S), DEFAULT_OUTPUT, slo_micros=SLO_MICROS,
            batch_size=BATCH_SIZE,
        )  # fmt: skip
        num_rounds, duration_s = (1, 3.0) if options.quick else (3, 5.0)
        with OthersWatch() as others:
            reports = measure(conn, num_rounds=num_rounds, duration_s=duration_s)
    rates = {n: statistics.median(report.goodput for report in some) for n, some in reports.items()}
    ideal = BATCH_SIZE / BATCH_S
    for num_replicas, rate in rates.items():
        verdicts.tell(
            f"{num_replicas} replica{'s' * (num_replicas > 1)}",
            f"{rate:,.0f} predictions/s, {rate / ideal / num_replicas:.0%} of ideal",
        )
    for num_replicas, target in TARGETS.items():
        ratio = rates[num_replicas] / rates[1]
        verdicts.check(
            f"{num_replicas} replicas, as a multiple of one", f">= {target}", f"{ratio:.2f}", ratio >= target
        )
    everything = [report for some in reports.values() for report in some]
    num_sent, num_bad = (sum(column) for column in zip(*((r.num_sent, r.num_failed) for r in everything), strict=True))
    verdicts.check(
        "queries lost, refused or answered with another's reply", "0", f"{num_bad} of {num_sent:,}", num_bad == 0
    )
    num_defaults = sum(report.num_defaults for report in everything)
    verdicts.check("default outputs", "0", str(num_defaults), num_defaults == 0)
    verdicts.note(f"cores used by everything else on this machine: {others.cores:.2f}")
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
