"""What a dashboard costs: processor time of the kernel that shows it, and the query frontend's time for its metrics.

    python benchmarks/dashboard.py

Twenty applications and fifty versions without replicas, all registered for real in an embedded cluster, with ten
queries a second that get default outputs, so that the figures change. It runs in a kernel of its own, as in a notebook,
whose messages to the page nobody reads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from pathlib import Path

import urllib3
from jupyter_client.manager import start_new_kernel

from clipper_nb import ClipperConnection, LocalContainerManager

RESULTS = Path(__file__).parent / "results" / "dashboard.json"
NUM_APPLICATIONS = 20
NUM_VERSIONS = 50
TARGET_CORE_PERCENT = 2.0
TARGET_METRICS_MS = 10.0


def main() -> None:
    """Measure in a kernel, and say how it stands with the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=20, help="how long each tab is watched (20)")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    manager, client = start_new_kernel()
    try:
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import dashboard\n"
        code += f"print('FOUND', dashboard.json.dumps(dashboard.measure({arguments.seconds})))"
        lines: list[str] = []
        client.execute_interactive(code, timeout=3600, output_hook=lambda message: _keep(message, lines))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    found = json.loads(next(line for line in "".join(lines).splitlines() if line.startswith("FOUND"))[len("FOUND") :])
    print(json.dumps(found, indent=2))
    worst = max(found["kernel_core_percent"].values())
    print(f"kernel {worst:.2f} % of a core at most (target {TARGET_CORE_PERCENT:g} %)")
    print(f"/metrics {found['metrics_ms']:.1f} ms in the middle (target {TARGET_METRICS_MS:g} ms)")
    if arguments.write:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")


def _keep(message: dict, lines: list[str]) -> None:
    if message["msg_type"] == "stream":
        lines.append(message["content"]["text"])
    elif message["msg_type"] == "error":
        raise RuntimeError("\n".join(message["content"]["traceback"]))


def measure(seconds: int) -> dict:
    """Return the figures; runs in the kernel."""
    manager = LocalContainerManager(
        "dashboard-cost", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    with ClipperConnection(manager) as conn:
        fill(conn)
        return {
            "kernel_core_percent": {tab: watch(conn, tab, seconds) for tab in TABS},
            "metrics_ms": time_metrics(conn),
        }


TABS = ("Applications", "Models", "Metrics", "Try a query", "Events")


def fill(conn: ClipperConnection) -> None:
    """Register applications and versions."""
    for index in range(NUM_VERSIONS):
        conn.register_model(f"model-{index % 17}", str(index // 17), "doubles")
    for index in range(NUM_APPLICATIONS):
        conn.register_application(f"application-{index}", "doubles", "-1", 100_000)
        conn.link_model_to_app(f"application-{index}", f"model-{index % 17}")


def watch(conn: ClipperConnection, tab: str, seconds: int) -> float:
    """Return percent of a core that a dashboard with this tab open takes, beyond the queries beside it."""
    over = threading.Event()
    asking = threading.Thread(target=_ask, args=(conn.get_query_addr(), over), daemon=True)
    asking.start()
    time.sleep(2)
    alone = _processor_share(seconds / 2)
    with conn.dashboard() as dashboard:
        dashboard._ipython_display_()
        dashboard.select(tab)
        time.sleep(3)
        together = _processor_share(seconds)
    over.set()
    asking.join()
    return round((together - alone) * 100, 2)


def _ask(address: str, over: threading.Event) -> None:
    pool = urllib3.HTTPConnectionPool(*address.split(":"))
    number = 0
    while not over.wait(0.1):
        number += 1
        pool.request(
            "POST", f"/application-{number % NUM_APPLICATIONS}/predict", body=json.dumps({"input": [float(number)]})
        )


def _processor_share(seconds: float) -> float:
    started_s, used_s = time.monotonic(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - used_s) / (time.monotonic() - started_s)


def time_metrics(conn: ClipperConnection) -> float:
    """Return milliseconds that ``/metrics`` takes, as its caller sees it."""
    pool = urllib3.HTTPConnectionPool(*conn.get_query_addr().split(":"))
    times_ms = []
    for _ in range(50):
        started_s = time.perf_counter()
        assert pool.request("GET", "/metrics").status == 200
        times_ms.append((time.perf_counter() - started_s) * 1e3)
    return round(statistics.median(times_ms), 2)


if __name__ == "__main__":
    main()
