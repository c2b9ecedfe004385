"""Two functions that do nothing, one of which counts: it must serve at least 98 % of what the other one does.

wrk asks both on one cluster in turn and in pairs, neither always first; the median of the pairs' ratios counts.
"""

from __future__ import annotations

import os
import statistics
import sys

from load.form import CLIPPER
from load.verdicts import Verdicts, parse_options
from load.wrk import run_wrk

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.metrics import counter, histogram

TARGET = 0.98
NUM_CONNECTIONS = 64
NUM_DOUBLES = 10

SEEN = counter("bench_inputs", "Inputs")
SIZES = histogram("bench_batch_size_inputs", "Inputs of a batch", buckets=[1, 4, 16, 64])


def silent(xs: list) -> list:
    """Do nothing."""
    return [0.0 for _ in xs]


def counting(xs: list) -> list:
    """Count the inputs and the size of the batch."""
    SEEN.inc(len(xs))
    SIZES.observe(len(xs))
    return [0.0 for _ in xs]


def rate(conn: ClipperConnection, application: str, duration_s: int) -> float:
    """Return the requests that were answered per second."""
    seen = run_wrk(
        conn.get_query_addr(), f"/{application}/predict", CLIPPER,
        num_connections=NUM_CONNECTIONS, num_doubles=NUM_DOUBLES, duration_s=duration_s,
    )  # fmt: skip
    assert seen.num_errors == 0, seen
    return seen.requests_per_s


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("own_metrics", options)
    num_pairs, duration_s = (6, 2) if options.quick else (15, 4)
    manager = LocalContainerManager(
        f"own-metrics-{os.getpid()}", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    rates: dict[str, list[float]] = {"silent": [], "counting": []}
    with ClipperConnection(manager) as conn:
        for application, function in (("silent", silent), ("counting", counting)):
            create_endpoint(conn, application, "doubles", function, slo_micros=5_000_000)
        for pair in range(-1, num_pairs):
            for application in sorted(rates, reverse=pair % 2 == 0):
                measured = rate(conn, application, duration_s)
                if pair >= 0:  # the first one warms up
                    rates[application].append(measured)
    ratio = statistics.median(ours / theirs for theirs, ours in zip(*rates.values(), strict=True))
    verdicts.tell("without metrics", f"{statistics.median(rates['silent']):,.0f} predictions/s")
    verdicts.check("with a counter and a histogram, of that", f">= {TARGET}", f"{ratio:.3f}", ratio >= TARGET)
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
