"""Minutes at half capacity while replicas are killed and versions switched: nothing lost, wrong or late, memory flat.

Capacity is measured first, with the clients' closed loop. Then queries come at half that rate, whatever the replies
(an open loop). Every 20 s a replica of the current version is killed with SIGKILL; every 10 s the other version becomes
current; with ``--frontends`` of two or more, every minute one process of the query frontend is ended with SIGTERM,
while the others live. Each input is unique, and each reply must be of its own query and of a version that was current
between its request and its reply: the model adds the number of its version.

A query whose connection was closed before any byte of its reply came is sent again, three times in all at most, as HTTP
client libraries do; anything else without a right reply is lost. With one query frontend none is ended, since open
connections would have nobody to go to.

Lateness is what the query frontend counted itself, read every second; with several of them, what one counted in the
second before its end is not known. So the clients' own view is checked too, with a wider margin for their own delays.

Memory is resident memory, the mean of a role's processes. The line through the samples after the warm-up must not rise
by more than ``FLAT_MB`` while it lasts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from load.processes import MANAGEMENT, QUERY, REDIS, REPLICA, MemoryWatch, OthersWatch, cluster_processes
from load.server_metrics import Lateness, read_lateness
from load.traffic import DEFAULT_OUTPUT, Report, Traffic, plus_version
from load.verdicts import Verdicts, parse_options

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure

SLO_MS = 100
MARGIN_MS = 5
CLIENT_MARGIN_MS = 50
BATCH_S = 0.005
BATCH_SIZE = 8
NUM_REPLICAS = 2
KILL_INTERVAL_S = 20.0
SWITCH_INTERVAL_S = 10.0
RESTART_INTERVAL_S = 60.0
FLAT_MB = 3.0
WARM_UP_SHARE = 0.25
CACHE_SIZE_BYTES = 2**20
"""Small, so that it is full, and evicts, before memory is looked at."""
IN_TIME_REASONS = {"queued_too_long", "model_too_slow"}


@dataclass
class Faults:
    """What is done to a cluster while it serves, and what it then said of itself."""

    conn: ClipperConnection
    cluster_name: str
    traffic: Traffic
    num_kills: int = 0
    num_restarts: int = 0
    switches_s: list[float] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    """What was done when."""
    lateness: Lateness = field(default_factory=lambda: Lateness({}))
    current: int = 2

    def __post_init__(self) -> None:
        self._last = read_lateness(self.conn.get_query_addr(), "app")

    def run(self, duration_s: float, *, with_restarts: bool) -> None:
        """Do all of it, each at its interval, for a while."""
        began_s = time.monotonic()
        plan: list[tuple[float, float, Callable[[], None]]] = [
            (0.5 * SWITCH_INTERVAL_S, SWITCH_INTERVAL_S, self.switch),
            (0.35 * KILL_INTERVAL_S, KILL_INTERVAL_S, self.kill_replica),
            (1.0, 1.0, self.read_lateness),
        ]
        if with_restarts:
            plan.append((0.55 * RESTART_INTERVAL_S, RESTART_INTERVAL_S, self.end_frontend))
        while plan:
            plan.sort(key=lambda one: one[0])
            at_s, interval_s, action = plan.pop(0)
            if at_s > duration_s - 2.0:
                continue
            time.sleep(max(0.0, began_s + at_s - time.monotonic()))
            action()
            plan.append((at_s + interval_s, interval_s, action))

    def switch(self) -> None:
        """Make the other version current; only that one may answer what is sent afterwards."""
        other = 3 - self.current
        self.traffic.expect(self.current, other)
        began_s = self._note("a switch")
        self.conn.set_model_version("app", other)
        self.switches_s.append(time.monotonic() - began_s)
        self.traffic.expect(other)
        self.current = other

    def kill_replica(self) -> None:
        """Kill a replica of the current version."""
        wanted = f"CLIPPER_MODEL_VERSION={self.current}".encode()
        replicas = []
        for process in cluster_processes(self.cluster_name)[REPLICA]:
            with contextlib.suppress(OSError), open(f"/proc/{process.pid}/environ", "rb") as environ:
                if wanted in environ.read().split(b"\0"):
                    replicas.append(process)
        self._note("a replica was killed")
        os.kill(random.choice(replicas).pid, signal.SIGKILL)
        self.num_kills += 1

    def end_frontend(self) -> None:
        """End one process of the query frontend that is no parent of another."""
        frontends = cluster_processes(self.cluster_name)[QUERY]
        parents = {process.ppid() for process in frontends}
        self._note("a query frontend was ended")
        os.kill(random.choice([one for one in frontends if one.pid not in parents]).pid, signal.SIGTERM)
        self.num_restarts += 1

    def read_lateness(self) -> None:
        """Add what the query frontend has counted since it was read last."""
        now = read_lateness(self.conn.get_query_addr(), "app")
        self.lateness, self._last = self.lateness + (now - self._last), now

    def last_event_before(self, at_s: float) -> str:
        """Say what was done last before an instant."""
        event_s, event = max((one for one in self.events if one[0] <= at_s), default=(at_s, "nothing"))
        return f"{at_s - event_s:.1f} s after {event}"

    def _note(self, event: str) -> float:
        now_s = time.monotonic()
        self.events.append((now_s, event))
        return now_s


def measure(options: argparse.Namespace, verdicts: Verdicts) -> None:
    """Run a cluster through its minutes."""
    name = f"endurance-{os.getpid()}"
    manager = LocalContainerManager(name, clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0)
    conn = ClipperConnection(manager)
    conn.start_clipper(query_token=False, cache_size=CACHE_SIZE_BYTES, num_frontend_replicas=options.frontends)
    with conn:
        create_endpoint(
            conn, "app", "doubles", plus_version(1, batch_s=BATCH_S), DEFAULT_OUTPUT, slo_micros=1000 * SLO_MS,
            num_replicas=NUM_REPLICAS, batch_size=BATCH_SIZE,
        )  # fmt: skip
        deploy_python_closure(
            conn, "app", 2, "doubles", plus_version(2, batch_s=BATCH_S), num_replicas=NUM_REPLICAS,
            batch_size=BATCH_SIZE,
        )  # fmt: skip
        limits_ms = (SLO_MS + MARGIN_MS, SLO_MS + CLIENT_MARGIN_MS)
        with Traffic(conn.get_query_addr(), "app", limits_ms=limits_ms) as traffic:
            traffic.expect(2)
            capacity = max(traffic.run_closed(num_clients=n, duration_s=3.0).goodput for n in (32, 48, 64))
            verdicts.tell("capacity", f"{capacity:,.0f} predictions/s")
            duration_s = 60.0 * options.minutes
            with MemoryWatch(name, interval_s=2.0, settled_after_s=8.0) as memory, OthersWatch() as others:
                faults = Faults(conn, name, traffic)
                traffic.start_open(rate=capacity / 2, duration_s=duration_s)
                faults.run(duration_s, with_restarts=options.frontends > 1)
                report = traffic.finish()
                faults.read_lateness()
    judge(verdicts, report, faults)
    judge_memory(verdicts, memory, duration_s)
    verdicts.note(f"cores used by everything else on this machine: {others.cores:.2f}")


def judge(verdicts: Verdicts, report: Report, faults: Faults) -> None:
    """Compare what became of the queries with what must."""
    verdicts.tell("replicas killed", str(faults.num_kills))
    verdicts.tell("versions switched, slowest call", f"{len(faults.switches_s)}, {max(faults.switches_s):.2f} s")
    verdicts.tell("query frontends ended, of several", str(faults.num_restarts))
    verdicts.check("queries lost or refused", "0", f"{report.num_lost + report.num_errors} of {report.num_sent:,}",
                   report.num_lost + report.num_errors == 0)  # fmt: skip
    verdicts.check(
        "replies of another query, or of a version that was not current", "0", str(report.num_wrong),
        report.num_wrong == 0,
    )  # fmt: skip
    num_odd = sum(count for reason, count in report.defaults.items() if reason not in IN_TIME_REASONS)
    verdicts.check("default outputs for another reason than time", "0", str(num_odd), num_odd == 0)
    verdicts.tell("default outputs because a replica was lost or slow", f"{report.num_defaults - num_odd:,}")
    num_known = faults.lateness.num_answers
    # Of several frontends one is asked at a time; of a single one all is known.
    verdicts.check(
        "replies that the server's count covers", "> 0" if faults.num_restarts else "100%",
        f"{num_known / report.num_sent:.1%}",
        num_known > 0 if faults.num_restarts else num_known == report.num_sent,
    )  # fmt: skip
    late = faults.lateness.num_later_than(MARGIN_MS / 1000)
    verdicts.check(
        f"replies after {SLO_MS} + {MARGIN_MS} ms, at the server", "0",
        f"{late} of {num_known:,}", late == 0,
    )  # fmt: skip
    limit_ms = SLO_MS + CLIENT_MARGIN_MS
    late = report.num_above_ms[str(limit_ms)]
    verdicts.check(f"replies after {limit_ms} ms, as clients saw them", "0", f"{late}", late == 0)
    seen, again = report.latency, report.latency_tried_again
    limit_ms = SLO_MS + MARGIN_MS
    verdicts.note(
        f"clients saw p50 {seen['p50_ms']:.1f}, p99 {seen['p99_ms']:.1f}, p99.9 {seen['p999_ms']:.1f}, max "
        f"{seen['max_ms']:.1f} ms; {report.num_above_ms[str(limit_ms)]} replies after {limit_ms} ms; "
        f"{report.num_tried_again} queries sent again, their longest {again['max_ms']:.1f} ms"
    )
    verdicts.note(f"the slowest reply came {faults.last_event_before(report.slowest_at_s)}")
    verdicts.note(
        f"the machine let the clients send {report.num_sent_late / report.num_sent:.3%} of the queries more than 5 ms "
        f"late, and one {report.longest_lag_ms:.1f} ms; default outputs by reason: {report.defaults}"
    )
    for example in report.examples:
        verdicts.note(example)


def judge_memory(verdicts: Verdicts, memory: MemoryWatch, duration_s: float) -> None:
    """See whether any role's memory rises."""
    from_s = WARM_UP_SHARE * duration_s
    for role in (QUERY, MANAGEMENT, REPLICA, REDIS):
        slope = memory.growth_bytes_per_s(role, from_s=from_s)
        growth_mb = slope * (duration_s - from_s) / 1e6
        verdicts.check(
            f"memory of a {role}, growth in the last {duration_s - from_s:.0f} s", f"<= {FLAT_MB:g} MB",
            f"{growth_mb:+.2f} MB, {slope * 3600 / 1e6:+.1f} MB/h", growth_mb <= FLAT_MB,
        )  # fmt: skip
        verdicts.tell("  at most", f"{memory.largest_bytes(role) / 1e6:.1f} MB")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, help="how long; 10, or 1.5 with --quick")
    parser.add_argument("--frontends", type=int, default=1, help="query frontends; one of several is ended each minute")
    options = parse_options(__doc__, parser)
    options.minutes = options.minutes or (1.5 if options.quick else 10.0)
    verdicts = Verdicts("endurance", options)
    measure(options, verdicts)
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
