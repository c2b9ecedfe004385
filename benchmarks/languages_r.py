"""R functions: how long a call takes for one input and for 64, how long a replica takes to be ready, and its memory.

On the embedded cluster, without a cache. Two functions: the sum of a vector, which is the price of R itself, and an
``lm`` that predicts rows of a data frame. Latencies are those of an HTTP client, one request after the other; memory is
the proportional set size (PSS). It exits with 0 whatever the numbers are.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import statistics
from collections import defaultdict
from collections.abc import Callable

from load.processes import REPLICA, cluster_processes, pss_bytes
from measuring import Samples, format_ms, print_machine, print_row, timed

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.r import create_endpoint

NUM_STARTS = 5
NUM_WARM_UPS = 100
NUM_REQUESTS = 500
BATCH_SIZES = (1, 64)
SLO_MICROS = 5_000_000

SUM = "function(inputs) lapply(inputs, sum)"
LM = "local({ fit <- lm(mpg ~ wt + factor(cyl), mtcars); function(rows) predict(fit, rows) })"
START = "R: deploy until the replica is ready"


def measure_r(samples: Samples) -> dict[str, float]:
    """Add start-up times and latencies to *samples*; return the memory of replicas in MB by what they serve."""
    from rpy2.robjects import r

    name = f"bench-r-{os.getpid()}"
    conn = ClipperConnection(LocalContainerManager(name, clipper_query_port=0, clipper_management_port=0))
    conn.start_clipper(cache_size=0)
    memory_mb: dict[str, float] = {}
    with conn:
        kinds: dict[str, Callable[[int], object]] = {
            "R: sum of 10 doubles": lambda i: [float(i + j) for j in range(10)],
            "R: lm on a data frame": lambda i: json.dumps({"wt": 1.5 + i % 1000 / 250, "cyl": (4, 6, 8)[i % 3]}),
        }
        for app, (kind, make_input) in zip(("sum", "lm"), kinds.items(), strict=True):
            for run in range(NUM_STARTS):
                with timed(samples, START):
                    if app == "sum":
                        create_endpoint(conn, f"{app}-{run}", "doubles", r(SUM), slo_micros=SLO_MICROS)
                    else:
                        create_endpoint(
                            conn, f"{app}-{run}", "strings", r(LM), slo_micros=SLO_MICROS,
                            sample_input=r("mtcars[c('wt', 'cyl')]"),
                        )  # fmt: skip
                if run:
                    conn.stop_models([f"{app}-{run}"])
            for batch_size in BATCH_SIZES:
                name_of_row = f"{kind}, {batch_size} at once"
                measure_requests(samples, name_of_row, conn.get_query_addr(), f"{app}-0", make_input, batch_size)
            (replica,) = cluster_processes(name)[REPLICA]
            memory_mb[kind] = pss_bytes(replica) / 1e6
            conn.stop_models([f"{app}-0"])
    return memory_mb


def measure_requests(
    samples: Samples, name: str, address: str, app: str, make_input: Callable[[int], object], batch_size: int
) -> None:
    """Send requests over one connection, each with inputs of its own, and add the milliseconds of each."""
    warm_ups: Samples = defaultdict(list)
    with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as client:
        for number in range(NUM_WARM_UPS + NUM_REQUESTS):
            inputs = [make_input(number * batch_size + i) for i in range(batch_size)]
            body = json.dumps({"input_batch": inputs})
            with timed(samples if number >= NUM_WARM_UPS else warm_ups, name):
                client.request("POST", f"/{app}/predict", body)
                answers = json.loads(client.getresponse().read())["batch_predictions"]
            if any(answer["default"] for answer in answers):
                raise RuntimeError(f"{name}: {answers}")


def print_latency(samples: Samples, name: str) -> None:
    """Print median and 99th percentile."""
    p99_ms = statistics.quantiles(samples[name], n=100)[98]
    print(
        f"{name:<48}p50 {format_ms(statistics.median(samples[name])):>6} ms   p99 {format_ms(p99_ms):>6} ms", flush=True
    )


def main() -> None:
    """Measure and print."""
    print_machine()
    samples: Samples = defaultdict(list)
    memory_mb = measure_r(samples)
    print_row(samples, START)
    for name in samples:
        if name != START:
            print_latency(samples, name)
    for kind, size_mb in memory_mb.items():
        print(f"{kind + ': memory of a replica (PSS)':<48}{size_mb:>10.0f} MB")


if __name__ == "__main__":
    main()
