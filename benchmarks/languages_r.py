"""R functions: how long a call takes for one input and for 64, how long a replica takes to be ready, and its memory.

On the embedded cluster, without a cache. Two functions: the sum of a vector, which is the price of R itself, and an
``lm`` that predicts rows of a data frame. Latencies are those of an HTTP client, one request after the other; memory is
the proportional set size (PSS). ``languages.py`` prints them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from load.processes import REPLICA, cluster_processes, pss_bytes
from measuring import Samples, timed
from one_by_one import BATCH_SIZES, measure_requests

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.r import create_endpoint

NUM_STARTS = 5
SLO_MICROS = 5_000_000

SUM = "function(inputs) lapply(inputs, sum)"
LM = "local({ fit <- lm(mpg ~ wt + factor(cyl), mtcars); function(rows) predict(fit, rows) })"
START = "R: deploy until the replica is ready"


def measure_r(samples: Samples) -> dict[str, float]:
    """Add start-up times and latencies to *samples*; return the memory of replicas in MB by what they serve."""
    from rpy2.robjects import r

    name = f"bench-r-{os.getpid()}"
    conn = ClipperConnection(LocalContainerManager(name, clipper_query_port=0, clipper_management_port=0))
    conn.start_clipper(query_token=False, cache_size=0)
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
