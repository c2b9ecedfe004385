"""A shadow ten times slower than what answers: the p99 of replies must stay within 5 %, and no reply may change.

Version 1 takes 10 ms for a batch of at most four; version 2, the shadow, takes 100 ms. Queries come at random instants
(an open loop) at half of what version 1 can do, with and without the shadow in turn; the median of the pairs' quotients
counts. Each input is unique and each reply is checked: one of the shadow would be wrong.
"""

from __future__ import annotations

import os
import statistics
import sys

from load.processes import OthersWatch
from load.traffic import DEFAULT_OUTPUT, Report, Traffic, plus_version
from load.verdicts import Verdicts, parse_options

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure

BATCH_S, SHADOW_BATCH_S = 0.01, 0.1
BATCH_SIZE = 4
RATE = 0.5 * BATCH_SIZE / BATCH_S
SLO_MICROS = 1_000_000
LARGEST_QUOTIENT = 1.05


def measure(conn: ClipperConnection, *, num_pairs: int, duration_s: float) -> tuple[list[Report], list[Report]]:
    """Return the reports without and with the shadow; of each pair another is first."""
    without: list[Report] = []
    with_shadow: list[Report] = []
    with Traffic(conn.get_query_addr(), "app") as traffic:
        traffic.expect(1)
        traffic.run_open(rate=RATE, duration_s=1.0)
        for pair in range(num_pairs):
            for is_shadowed in (bool(pair % 2), not pair % 2):
                if is_shadowed:
                    conn.shadow("app", "app:2")
                (with_shadow if is_shadowed else without).append(traffic.run_open(rate=RATE, duration_s=duration_s))
                if is_shadowed:
                    sums = conn.shadow_report("app").attrs
                    print(f"  {sums['num_asked']:,} asked, {sums['num_dropped']:,} dropped", flush=True)
                    conn.shadow("app", None)
    return without, with_shadow


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("shadow", options)
    manager = LocalContainerManager(
        f"shadow-{os.getpid()}", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    conn = ClipperConnection(manager)
    conn.start_clipper(query_token=False)
    with conn:
        create_endpoint(
            conn, "app", "doubles", plus_version(1, batch_s=BATCH_S), DEFAULT_OUTPUT, slo_micros=SLO_MICROS,
            batch_size=BATCH_SIZE,
        )  # fmt: skip
        conn.set_traffic("app", {"app:1": 1})
        slow = plus_version(2, batch_s=SHADOW_BATCH_S)
        deploy_python_closure(conn, "app", 2, "doubles", slow, batch_size=BATCH_SIZE)
        num_pairs, duration_s = (2, 3.0) if options.quick else (9, 10.0)
        with OthersWatch() as others:
            without, with_shadow = measure(conn, num_pairs=num_pairs, duration_s=duration_s)
    p99_ms = [[report.latency["p99_ms"] for report in some] for some in (without, with_shadow)]
    quotient = statistics.median(shadowed / alone for alone, shadowed in zip(*p99_ms, strict=True))
    verdicts.tell("p99 without a shadow, median", f"{statistics.median(p99_ms[0]):.2f} ms")
    verdicts.tell("p99 with a shadow, median", f"{statistics.median(p99_ms[1]):.2f} ms")
    verdicts.check(
        "quotient of both, median of pairs", f"<= {LARGEST_QUOTIENT}", f"{quotient:.3f}", quotient <= LARGEST_QUOTIENT
    )
    everything = [*without, *with_shadow]
    num_sent, num_bad = sum(r.num_sent for r in everything), sum(r.num_failed + r.num_defaults for r in everything)
    verdicts.check(
        "queries lost, refused, or answered with a default or another's output", "0", f"{num_bad} of {num_sent:,}",
        num_bad == 0,
    )  # fmt: skip
    verdicts.note(f"cores used by everything else on this machine: {others.cores:.2f}")
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
