"""300 deploys, scalings and stops in a row: no process, file descriptor, shared page or folder is left, memory is flat.

Each deploy of the model's next version is asked, and must give that version's own answer; the version before it is
stopped, and every tenth is scaled to three replicas and back. What there is after the first deploys is compared with
what there is after the last: processes, their file descriptors and memory (PSS), entries of the cluster's
folder, segments of shared memory.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from load.processes import cluster_processes, pss_bytes
from load.verdicts import Verdicts, parse_options

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure

APP = "app"
NUM_FIRST = 20
MOST_GROWTH_MB = 4.0
LOGS_IN_BETWEEN = 2
"""The logs of the last replicas that ended are kept; the oldest goes when the next one starts."""
ENDS_OF_CONNECTIONS = 8
"""Each frontend keeps the few connections to Redis that it once needed at the same time."""
SETTLE_S = 3.0


class Seen(NamedTuple):
    """What there is of a cluster."""

    processes: dict[str, int]
    num_files: int
    num_entries: int
    num_segments: int
    size_mb: dict[str, float]


def look(name: str, folder: Path) -> Seen:
    """Look at a cluster that has settled."""
    time.sleep(SETTLE_S)
    processes = cluster_processes(name)
    return Seen(
        {role: len(some) for role, some in sorted(processes.items())},
        sum(one.num_fds() for some in processes.values() for one in some) + len(os.listdir("/proc/self/fd")),
        sum(len(folders) + len(files) for _, folders, files in os.walk(folder)),
        len(os.listdir("/dev/shm")) if Path("/dev/shm").is_dir() else 0,
        {role: sum(map(pss_bytes, some)) / 1e6 for role, some in processes.items()},
    )


def sum_plus(version: int) -> Callable[[Sequence[np.ndarray]], list[float]]:
    """Return the model of a version."""
    return lambda inputs: [float(np.sum(each)) + version for each in inputs]


def deploy(conn: ClipperConnection, version: int) -> None:
    """Deploy a version, ask it, stop what it replaced."""
    deploy_python_closure(conn, APP, str(version), "doubles", sum_plus(version))
    conn.stop_inactive_model_versions([APP])
    if version % 10 == 0:
        conn.set_num_replicas(APP, 3)
        conn.set_num_replicas(APP, 1)
    answered = conn.predict(APP, [1.0, 2.0])
    assert answered.output == 3.0 + version, answered


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    num_deploys = 60 if options.quick else 300
    verdicts = Verdicts("many_deploys", options)
    name = f"many-{os.getpid()}"
    conn = ClipperConnection(
        LocalContainerManager(name, clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0)
    )
    conn.start_clipper()
    with conn:
        folder = Path(conn.cm.get_log_folder()).parent
        create_endpoint(conn, APP, "doubles", sum_plus(1), slo_micros=5_000_000)
        for version in range(2, NUM_FIRST + 1):
            deploy(conn, version)
        first = look(name, folder)
        began_s = time.monotonic()
        for version in range(NUM_FIRST + 1, num_deploys + 1):
            deploy(conn, version)
        took_s = (time.monotonic() - began_s) / (num_deploys - NUM_FIRST)
        last = look(name, folder)
    verdicts.tell("deploys, each asked and the one before stopped", f"{num_deploys}, {took_s:.2f} s each")
    for what, before, after, most_more in (
        ("processes", sum(first.processes.values()), sum(last.processes.values()), 0),
        ("open files", first.num_files, last.num_files, ENDS_OF_CONNECTIONS),
        ("entries of the cluster's folder", first.num_entries, last.num_entries, LOGS_IN_BETWEEN),
        ("segments of shared memory", first.num_segments, last.num_segments, 0),
    ):
        target = f"<= {before + most_more}"
        verdicts.check(f"{what}, beside the first {NUM_FIRST}", target, str(after), after <= before + most_more)
    for role, before_mb in sorted(first.size_mb.items()):
        growth_mb = last.size_mb.get(role, 0.0) - before_mb
        verdicts.check(
            f"memory of the {role}, more than after the first {NUM_FIRST}", f"< {MOST_GROWTH_MB:g} MB",
            f"{growth_mb:+.1f} of {before_mb:.0f} MB", growth_mb < MOST_GROWTH_MB,
        )  # fmt: skip
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
