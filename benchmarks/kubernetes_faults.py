"""Minutes at half capacity on a Kubernetes while pods are deleted, scaled and restarted: nothing lost, wrong or late.

Needs ``KUBECONFIG`` and, where nodes do not share this machine's engine, ``KUBERNETES_REGISTRY``;
``eval "$(scripts/kubernetes-up)"`` sets both. Two query frontends and three replicas in a namespace of its own.
Capacity is measured first; then queries come at half that rate, whatever the replies. The faults follow each other, the
next one when the cluster is whole again. With ``--node N`` the power of that node of ``scripts/kubernetes-up`` is cut
too.

A query whose connection was closed before any byte of its reply came is sent again, three times in all, as HTTP
client libraries do; anything else without a right reply is lost. A connection that is silent for the SLO and a margin
is closed by the client, as a client's timeout does: the machine behind it is dead, and nobody else could say so. Each
reply must be of its own query, and of a version that was current between its request and its reply. When the power of
a node is cut, the batches that its replicas compute get default outputs, which are counted apart.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from load.traffic import DEFAULT_OUTPUT, Report, Traffic, plus_version
from load.verdicts import Verdicts, parse_options

from clipper_nb import ClipperConnection, ClipperException, KubernetesContainerManager
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure

SLO_MS = 2000
CLIENT_MARGIN_MS = 500
"""For the clients' own delays: they share the machine with all nodes."""
BATCH_S = 0.05
BATCH_SIZE = 4
NUM_FRONTENDS, NUM_REPLICAS = 2, 3
WHOLE_WITHIN_S = 150.0
LONGEST_FAULT_S = 120.0
"""No fault begins so close to the end: clients must ask until it is over."""
POWER_CUT = "a node's power cut, and the node back"
ALL = "deployment,statefulset"
ADDRESSES = '{range .items[*]}{.metadata.name}={.status.addresses[?(@.type=="InternalIP")].address} {end}'
COUNTS = "{range .items[*]}{.spec.replicas}/{.status.readyReplicas} {end}"
SCRIPTS = Path(__file__).parent.parent / "scripts"


class Faults:
    """What is done to a cluster while it serves.

    Parameters
    ----------
    conn : ClipperConnection
    traffic : Traffic
    node : int, optional
        The node whose power is cut.
    """

    def __init__(self, conn: ClipperConnection, traffic: Traffic, node: int | None) -> None:
        assert isinstance(conn.cm, KubernetesContainerManager)
        self._conn = conn
        self._cm = conn.cm
        self._traffic = traffic
        self._node = node
        self._version = 1
        self.plan: dict[str, Callable[[], None]] = {
            "a replica's pod deleted": lambda: self._delete_pod("replica"),
            "a query frontend's pod deleted": lambda: self._delete_pod("query_frontend"),
            "the management frontend's pod deleted": lambda: self._delete_pod("management_frontend"),
            "Redis's pod deleted": lambda: self._delete_pod("redis"),
            "replicas 3 → 8 → 2 → 3": self._scale,
            "a new version": self._deploy,
            "rolling restart of everything": self._restart_all,
        }
        if node is not None:
            self.plan[POWER_CUT] = self._cut_power

    def wait_until_whole(self) -> None:
        """Return when both query frontends have all replicas, and every pod is ready."""
        deadline_s = time.monotonic() + WHOLE_WITHIN_S
        while not self._is_whole():
            assert time.monotonic() < deadline_s, f"not whole after {WHOLE_WITHIN_S:g} s"
            time.sleep(1.0)

    def _is_whole(self) -> bool:
        try:
            frontends = self._conn._management_client().get_query_frontends()
        except ClipperException:  # Redis or the management frontend is away
            return False
        pods = self._kubectl("get", ALL, "-o", "jsonpath=" + COUNTS)
        num_ready = [pair.split("/") for pair in pods.split()]
        return [len(each.replicas) for each in frontends] == [NUM_REPLICAS] * NUM_FRONTENDS and all(
            wanted == ready for wanted, ready in num_ready
        )

    def _delete_pod(self, role: str) -> None:
        label = f"ai.clipper.role={role},ai.clipper.container.label={self._cm.cluster_name}"
        pods = self._kubectl("get", "pods", "-l", label, "-o", "jsonpath={.items[*].metadata.name}").split()
        self._kubectl("delete", "pod", pods[0], "--wait=false")

    def _scale(self) -> None:
        for number in (8, 2, NUM_REPLICAS):
            self._conn.set_num_replicas("app", number)

    def _deploy(self) -> None:
        following = self._version + 1
        self._traffic.expect(self._version, following)
        deploy(self._conn, following)
        self._traffic.expect(following)
        self._conn.stop_versioned_models({"app": [str(self._version)]})
        self._version = following

    def _restart_all(self) -> None:
        self._kubectl("rollout", "restart", *self._kubectl("get", ALL, "-o", "name").split())
        for each in self._kubectl("get", ALL, "-o", "name").split():
            self._kubectl("rollout", "status", each, "--timeout=150s")

    def _cut_power(self) -> None:
        subprocess.run([SCRIPTS / "kubernetes-down", "--node", str(self._node)], check=True, capture_output=True)
        time.sleep(20.0)
        subprocess.run([SCRIPTS / "kubernetes-up"], check=True, capture_output=True)

    def _kubectl(self, *arguments: str) -> str:
        command = ["kubectl", "-n", self._cm.namespace, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=200).stdout


def deploy(conn: ClipperConnection, version: int) -> None:
    """Deploy a version, which becomes current."""
    deploy_python_closure(
        conn, "app", version, "doubles", plus_version(version, batch_s=BATCH_S), num_replicas=NUM_REPLICAS,
        batch_size=BATCH_SIZE,
    )  # fmt: skip


def measure(options: argparse.Namespace, verdicts: Verdicts) -> None:
    """Run a cluster through its minutes."""
    manager = KubernetesContainerManager(
        f"faults-{os.getpid()}", namespace="clipper-nb-bench", create_namespace_if_not_exists=True,
        registry=os.environ.get("KUBERNETES_REGISTRY"), useInternalIP=True,
    )  # fmt: skip
    conn = ClipperConnection(manager)
    conn.start_clipper(query_token=False, cache_size=0, num_frontend_replicas=NUM_FRONTENDS)
    limit_ms = SLO_MS + CLIENT_MARGIN_MS
    with conn:
        create_endpoint(
            conn, "app", "doubles", plus_version(1, batch_s=BATCH_S), DEFAULT_OUTPUT, slo_micros=1000 * SLO_MS,
            num_replicas=NUM_REPLICAS, batch_size=BATCH_SIZE,
        )  # fmt: skip
        with Traffic(
            address_apart(conn, options.node), "app", limits_ms=(limit_ms,), patience_s=limit_ms / 1000
        ) as traffic:
            capacity = max(traffic.run_closed(num_clients=n, duration_s=3.0).goodput for n in (16, 32))
            verdicts.tell("capacity", f"{capacity:,.0f} predictions/s")
            duration_s = 60.0 * options.minutes
            faults = Faults(conn, traffic, options.node)
            traffic.start_open(rate=capacity / 2, duration_s=duration_s)
            seen = run(faults, traffic, time.monotonic() + duration_s)
            report = traffic.finish()
    for fault, parts in seen.items():
        verdicts.check(f"lost or refused, {fault} ({len(parts)} times)", "0", *_failures(parts))
    judge(verdicts, report, limit_ms, num_cuts=len(seen.get(POWER_CUT, ())))


def address_apart(conn: ClipperConnection, node: int | None) -> str:
    """Return where queries are answered, at a node whose power stays: every node has the port."""
    address = conn.get_query_addr()
    if node is None:
        return address
    command = ["kubectl", "get", "nodes", "-o", "jsonpath=" + ADDRESSES]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    hosts = [host for name, _, host in (each.partition("=") for each in listed) if name != f"node-{node}"]
    return f"{hosts[0]}:{address.rpartition(':')[2]}"


def run(faults: Faults, traffic: Traffic, until_s: float) -> dict[str, list[tuple[Report, Report]]]:
    """Do one fault after the other until the time is over; return the reports before and after each."""
    seen: dict[str, list[tuple[Report, Report]]] = {}
    while True:
        for name, act in faults.plan.items():
            faults.wait_until_whole()
            if time.monotonic() > until_s - LONGEST_FAULT_S:
                return seen
            before = traffic.look()
            print(f"  {time.strftime('%T')} {name}", flush=True)
            act()
            faults.wait_until_whole()
            time.sleep(2.0)
            seen.setdefault(name, []).append((before, traffic.look()))


def _failures(parts: list[tuple[Report, Report]]) -> tuple[str, bool]:
    failed = sum(after.num_failed - before.num_failed for before, after in parts)
    again = sum(after.num_tried_again - before.num_tried_again for before, after in parts)
    num = sum(after.num_sent - before.num_sent for before, after in parts)
    silent = sum(after.num_silent - before.num_silent for before, after in parts)
    return f"{failed} of {num:,}, {again} sent again" + (f", {silent} of them silent" if silent else ""), failed == 0


def judge(verdicts: Verdicts, report: Report, limit_ms: float, num_cuts: int) -> None:
    """Compare what became of all queries with what must."""
    lost = report.num_lost + report.num_errors
    verdicts.check("lost or refused, of all", "0", f"{lost} of {report.num_sent:,}", lost == 0)
    verdicts.check("wrong", "0", str(report.num_wrong), report.num_wrong == 0)
    under_way = num_cuts * NUM_REPLICAS * BATCH_SIZE
    verdicts.check(
        "default outputs; each power cut may cost the batches under way", f"<= {under_way}",
        f"{report.num_defaults} {report.defaults or ''}", report.num_defaults <= under_way,
    )  # fmt: skip
    late = report.num_above_ms[str(limit_ms)]
    verdicts.check(f"replies after {limit_ms} ms, as clients saw them", "0", str(late), late == 0)
    seen = report.latency
    verdicts.note(f"clients saw p50 {seen['p50_ms']:.1f}, p99 {seen['p99_ms']:.1f}, max {seen['max_ms']:.1f} ms")
    verdicts.note(f"the machine let the clients send a query {report.longest_lag_ms:.0f} ms late at most")
    for example in report.examples:
        verdicts.note(example)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, help="how long; 10, or 4 with --quick")
    parser.add_argument("--node", type=int, help="a node of scripts/kubernetes-up whose power is cut, too")
    options = parse_options(__doc__, parser)
    options.minutes = options.minutes or (4.0 if options.quick else 10.0)
    verdicts = Verdicts("kubernetes_faults", options)
    measure(options, verdicts)
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
