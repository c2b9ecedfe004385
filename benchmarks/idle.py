"""A cluster that nobody asks anything: the cores it uses, and the memory of its frontends.

The cluster has a deployed model with two replicas and an application, and has answered queries, as clusters have that
are idle for a while. Time on a core is that of all its processes together, as the kernel counts it to the nanosecond.
Memory is the proportional set size (PSS), summed over all processes of the query and the management frontend: what they
share with other processes counts for its part.
"""

from __future__ import annotations

import os
import sys
import time

from load.processes import MANAGEMENT, QUERY, OthersWatch, cluster_processes, cpu_s, pss_bytes
from load.traffic import DEFAULT_OUTPUT, Report, Traffic, plus_version
from load.verdicts import Verdicts, parse_options

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

CORE_SHARE = 0.005
MEMORY_MB = 120
SETTLE_S = 5.0


def measure(name: str, verdicts: Verdicts, *, duration_s: float) -> None:
    """Look at a cluster that has nothing to do."""
    time.sleep(SETTLE_S)
    processes = cluster_processes(name)
    began_s = time.monotonic()
    before_s = {role: sum(map(cpu_s, some)) for role, some in processes.items()}
    with OthersWatch() as others:
        time.sleep(duration_s)
    took_s = time.monotonic() - began_s
    shares = {role: (sum(map(cpu_s, some)) - before_s[role]) / took_s for role, some in processes.items()}
    verdicts.check(
        f"core used by the whole cluster, in {duration_s:g} s", f"< {CORE_SHARE:.1%}",
        f"{sum(shares.values()):.3%}", sum(shares.values()) < CORE_SHARE,
    )  # fmt: skip
    for role, share in sorted(shares.items()):
        verdicts.tell(f"  of it: {len(processes[role])} x {role}", f"{share:.3%}")
    sizes_mb = {role: sum(map(pss_bytes, some)) / 1e6 for role, some in processes.items()}
    both_mb = sizes_mb[QUERY] + sizes_mb[MANAGEMENT]
    verdicts.check("memory of both frontends (PSS)", f"< {MEMORY_MB} MB", f"{both_mb:.1f} MB", both_mb < MEMORY_MB)
    for role, size_mb in sorted(sizes_mb.items()):
        verdicts.tell(f"  {len(processes[role])} x {role} (PSS)", f"{size_mb:.1f} MB")
    verdicts.note(f"cores used by everything else on this machine: {others.cores:.2f}")


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("idle", options)
    name = f"idle-{os.getpid()}"
    manager = LocalContainerManager(name, clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0)
    conn = ClipperConnection(manager)
    conn.start_clipper()
    with conn:
        create_endpoint(
            conn, "app", "doubles", plus_version(1, batch_s=0.001), DEFAULT_OUTPUT, slo_micros=1_000_000, num_replicas=2
        )
        with Traffic(conn.get_query_addr(), "app") as traffic:
            report: Report = traffic.run_closed(num_clients=16, duration_s=3.0)
        verdicts.check(
            "queries before, lost, refused or answered with another's reply", "0",
            f"{report.num_failed} of {report.num_sent:,}", report.num_failed == 0,
        )  # fmt: skip
        measure(name, verdicts, duration_s=10.0 if options.quick else 60.0)
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
