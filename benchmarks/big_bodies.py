"""Small queries beside large ones: their p99 as a ratio to without, their real answers, their replies in time.

Eight clients ask one small query after the other. Beside them comes one large request a second, of another application
of the same model: 15 MB of doubles, or a batch of 16,384 inputs. Runs with and without take turns, so that noise meets
both. How late a reply left is the query frontend's own count (``clipper_app_lateness_seconds``).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import statistics
import sys
import threading

from load.processes import OthersWatch
from load.server_metrics import read_lateness
from load.traffic import DEFAULT_OUTPUT, Report, Traffic, plus_version
from load.verdicts import Verdicts, parse_options

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS

SLO_MS = 100
MARGIN_S = 0.005
SHARE_ANSWERED = 0.99
NUM_CLIENTS = 8
INTERVAL_S = 1.0


class LargeClient:
    """Sends one body after the other, one a second; a context manager."""

    def __init__(self, address: str, application: str, body: bytes) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=30)
        self._path = f"/{application}/predict"
        self._body = body
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.statuses: list[int] = []

    def __enter__(self) -> LargeClient:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while not self._is_over.wait(INTERVAL_S):
            self._connection.request("POST", self._path, self._body)
            reply = self._connection.getresponse()
            reply.read()
            self.statuses.append(reply.status)


def make_bodies() -> dict[str, bytes]:
    """Return the large bodies by their names."""
    chance = random.Random(1)
    numbers = {"input": [chance.random() for _ in range(780_000)]}
    batch = {"input_batch": [[chance.random() for _ in range(4)] for _ in range(MAX_BATCH_INPUTS)]}
    return {"15 MB of doubles": json.dumps(numbers).encode(), "16,384 inputs": json.dumps(batch).encode()}


def measure(
    traffic: Traffic, address: str, name: str, body: bytes, verdicts: Verdicts, options: argparse.Namespace
) -> None:
    """Compare small queries with that body beside them and without."""
    without: list[Report] = []
    beside: list[Report] = []
    before = read_lateness(address, "app")
    for _ in range(2 if options.quick else 4):
        without.append(traffic.run_closed(num_clients=NUM_CLIENTS, duration_s=4.0))
        with LargeClient(address, "large", body) as large:
            beside.append(traffic.run_closed(num_clients=NUM_CLIENTS, duration_s=4.0))
        assert set(large.statuses) == {200}
    late = read_lateness(address, "app") - before
    share = sum(report.num_predictions for report in beside) / sum(report.num_answered for report in beside)
    verdicts.check(f"{name}: real answers of small queries", f">= {SHARE_ANSWERED:.0%}", f"{share:.3%}", share >= 0.99)
    num_late = late.num_later_than(MARGIN_S)
    verdicts.check(
        f"{name}: replies after {SLO_MS} ms and {MARGIN_S * 1000:g} ms", "0", f"{num_late} of {late.num_answers:,}",
        num_late == 0,
    )  # fmt: skip
    for quantile in ("p50_ms", "p99_ms", "max_ms"):
        ratios = [two.latency[quantile] / one.latency[quantile] for one, two in zip(without, beside, strict=True)]
        alone_ms = statistics.median(report.latency[quantile] for report in without)
        verdicts.tell(f"{name}: {quantile[:-3]} to without ({alone_ms:.1f} ms)", f"{statistics.median(ratios):.1f} x")


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("big_bodies", options)
    manager = LocalContainerManager(
        f"large-{os.getpid()}", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    conn = ClipperConnection(manager)
    conn.start_clipper(query_token=False)
    with conn:
        model = plus_version(1, batch_s=0.0)
        create_endpoint(conn, "app", "doubles", model, DEFAULT_OUTPUT, slo_micros=1000 * SLO_MS)
        conn.register_application("large", "doubles", DEFAULT_OUTPUT, slo_micros=1000 * SLO_MS)
        conn.link_model_to_app("large", "app")
        with OthersWatch() as others, Traffic(conn.get_query_addr(), "app") as traffic:
            traffic.run_closed(num_clients=NUM_CLIENTS, duration_s=1.0)
            for name, body in make_bodies().items():
                measure(traffic, conn.get_query_addr(), name, body, verdicts, options)
        verdicts.note(f"cores used by everything else on this machine: {others.cores:.2f}")
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
