"""One cluster that serves a model until its standard input ends.

The Python of a build runs it in a process of its own, with a workload's name, an input type and the size of the cache.
It prints the query frontend's address, and for each line that it reads the processor time that all processes of the
cluster have used, in seconds.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil
from workloads import load_model

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

APP = "app"
SLO_MICROS = 5_000_000


def main() -> None:
    """Serve, and tell."""
    ports = dict.fromkeys(("clipper_query_port", "clipper_management_port", "clipper_rpc_port"), 0)
    conn = ClipperConnection(LocalContainerManager(f"before-{os.getpid()}", **ports))
    # Builds from before there were tokens ask for none.
    has_tokens = "query_token" in inspect.signature(conn.start_clipper).parameters
    conn.start_clipper(cache_size=int(sys.argv[3]), **{"query_token": False} if has_tokens else {})
    with conn:
        create_endpoint(conn, APP, sys.argv[2], load_model(sys.argv[1]), slo_micros=SLO_MICROS, allow_large=True)
        print(conn.get_query_addr(), flush=True)
        for _ in sys.stdin:
            print(processor_time_s(), flush=True)


def processor_time_s() -> float:
    """Return what the processes below this one have used."""
    used_s = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            used_s += times.user + times.system
    return used_s


if __name__ == "__main__":
    main()
