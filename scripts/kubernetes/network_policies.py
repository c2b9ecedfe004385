"""Enforces NetworkPolicies on one node with iptables, since Debian has no network plugin that does.

``python3 network_policies.py KUBECONFIG NODE DNS_ADDRESS SOCKET`` in the node's network namespace. It lists
and watches policies, pods and namespaces, and writes for each pod of the node what may come in and go out: policies of
``networking.k8s.io/v1`` with ports, named ports, selectors of pods and namespaces, and ranges of addresses. What they
forbid is dropped.
Two things differ from the plugins of large clusters. The cluster's DNS, a process of the machine, counts as a pod of
``kube-system`` with the label ``k8s-app: kube-dns``. And the processes of a pod's own node are no exception to what may
go out, since node-1 has the API server.
"""

from __future__ import annotations

import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from typing import NamedTuple

from api_objects import Cluster, Key
from pod_addresses import PodAddresses, Reported

PATHS = {
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
}
MAIN = "CLIPPER-POLICIES"
ALLOWED = "0x20000/0x20000"
SETTLE_S = 0.02
CHECK_EVERY_S = 2.0
DNS_LABELS = {"k8s-app": "kube-dns"}


class Pod(NamedTuple):
    """What policies ask of a pod."""

    namespace: str
    labels: dict[str, str]
    address: str
    node: str
    named_ports: dict[tuple[str, str], int]


class Allowed(NamedTuple):
    """What one line of a rule lets through: addresses, but not those in *unless*, at a port if one is named."""

    addresses: str
    unless: tuple[str, ...] = ()
    protocol: str | None = None
    port: int | None = None


def read_pods(cluster: Cluster, dns_address: str, reported: dict[Key, Reported]) -> list[Pod]:
    """Return the pods that have an address of their own, and the DNS."""
    pods = [Pod("kube-system", DNS_LABELS, dns_address, "", {("TCP", "dns-tcp"): 53, ("UDP", "dns"): 53})]
    for key, item in sorted(cluster.get("pods").items()):
        status, spec = item.get("status", {}), item["spec"]
        ended = status.get("phase") in ("Succeeded", "Failed")
        address = reported[key].address if key in reported else status.get("podIP")
        if ended or spec.get("hostNetwork") or not address:
            continue
        ports = {
            (port.get("protocol", "TCP"), port["name"]): port["containerPort"]
            for container in spec["containers"]
            for port in container.get("ports") or []
            if port.get("name")
        }
        labels = item["metadata"].get("labels") or {}
        pods.append(Pod(key[0], labels, address, spec.get("nodeName", ""), ports))
    return pods


def is_selected(selector: dict, labels: dict[str, str]) -> bool:
    """Return whether labels are those of a selector; an empty one selects everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for one in selector.get("matchExpressions") or []:
        value, values = labels.get(one["key"]), one.get("values") or []
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds[one["operator"]]:
            return False
    return True


class Rules:
    """The policies of a cluster, as lines for ``iptables-restore``."""

    def __init__(self, cluster: Cluster, dns_address: str, reported: dict[Key, Reported]) -> None:
        self._policies = sorted(cluster.get("policies").items())
        self._pods = read_pods(cluster, dns_address, reported)
        # From Kubernetes 1.21 on, each namespace has its name as a label.
        self._namespaces = {
            name: {**(item["metadata"].get("labels") or {}), "kubernetes.io/metadata.name": name}
            for (_, name), item in cluster.get("namespaces").items()
        }

    def render(self, node: str) -> dict[str, list[str]]:
        """Return the chains for the pods of *node*, each with its rules; the one that all packets enter is ``MAIN``."""
        chains = {MAIN: ["-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"]}
        for pod in self._pods:
            if pod.node != node:
                continue
            for direction, mine, theirs in (("Egress", "-s", "-d"), ("Ingress", "-d", "-s")):
                found = self._find_allowed(pod, direction)
                if found is None:
                    continue
                chain = f"CLIPPER-{direction.upper()}-{len(chains)}"
                chains[MAIN].append(f"{mine} {pod.address}/32 -j {chain}")
                chains[chain] = ["-j MARK --set-xmark 0x0/0x20000"]
                for number, allowed in enumerate(dict.fromkeys(found)):
                    _add_allowed(chains, chain, f"{chain}-{number}", theirs, allowed)
                chains[chain].append(f"-m mark ! --mark {ALLOWED} -j DROP")
        return chains

    def _find_allowed(self, pod: Pod, direction: str) -> list[Allowed] | None:
        """Return what may pass in a direction; None if no policy is for it, so that everything may."""
        policies = [
            (namespace, item["spec"])
            for (namespace, _), item in self._policies
            if namespace == pod.namespace
            and direction in item["spec"].get("policyTypes", ["Ingress"])
            and is_selected(item["spec"].get("podSelector") or {}, pod.labels)
        ]
        if not policies:
            return None
        return [
            allowed
            for namespace, spec in policies
            for rule in spec.get(direction.lower()) or []
            for allowed in self._read_rule(rule, namespace, pod, direction)
        ]

    def _read_rule(self, rule: dict, namespace: str, pod: Pod, direction: str) -> Iterator[Allowed]:
        ports = rule.get("ports") or [{}]
        peers = rule.get("to" if direction == "Egress" else "from")
        named = any(isinstance(port.get("port"), str) for port in ports)
        if not peers:
            # A name is a number of the pod that is reached, so it is looked up in each.
            reached = self._pods if direction == "Egress" and named else [None]
            peers_found: list[tuple[str, tuple[str, ...], Pod | None]] = [
                (f"{one.address}/32" if one else "0.0.0.0/0", (), one) for one in reached
            ]
        else:
            peers_found = [found for peer in peers for found in self._find_peers(peer, namespace)]
        for addresses, unless, other in peers_found:
            for port in ports:
                yield from _read_port(port, addresses, unless, pod if direction == "Ingress" else other)

    def _find_peers(self, peer: dict, namespace: str) -> Iterator[tuple[str, tuple[str, ...], Pod | None]]:
        block = peer.get("ipBlock")
        if block:
            yield block["cidr"], tuple(block.get("except") or ()), None
            return
        in_namespaces = peer.get("namespaceSelector")
        for other in self._pods:
            if in_namespaces is None:
                in_place = other.namespace == namespace
            else:
                in_place = is_selected(in_namespaces, self._namespaces.get(other.namespace, {}))
            if in_place and is_selected(peer.get("podSelector") or {}, other.labels):
                yield f"{other.address}/32", (), other


def _read_port(port: dict, addresses: str, unless: tuple[str, ...], reached: Pod | None) -> Iterator[Allowed]:
    if not port:
        yield Allowed(addresses, unless)
        return
    protocol, number = port.get("protocol", "TCP"), port.get("port")
    if isinstance(number, str):
        number = reached.named_ports.get((protocol, number)) if reached else None
        if number is None:
            return
    yield Allowed(addresses, unless, protocol.lower(), number)


def _add_allowed(chains: dict[str, list[str]], chain: str, inner: str, theirs: str, allowed: Allowed) -> None:
    match = f"{theirs} {allowed.addresses}"
    if allowed.protocol:
        match += f" -p {allowed.protocol}"
        if allowed.port:
            match += f" --dport {allowed.port}"
    if not allowed.unless:
        chains[chain].append(f"{match} -j MARK --set-xmark {ALLOWED}")
        return
    chains[chain].append(f"{match} -j {inner}")
    chains[inner] = [f"{theirs} {one} -j RETURN" for one in allowed.unless]
    chains[inner].append(f"-j MARK --set-xmark {ALLOWED}")


def format_for_restore(chains: dict[str, list[str]], before: dict[str, list[str]]) -> str:
    """Return what makes *chains* of those *before* in one step, for ``iptables-restore --noflush``."""
    names = dict.fromkeys([*chains, *before])
    lines = ["*filter", *(f":{name} - [0:0]" for name in names)]
    lines += [f"-A {name} {rule}" for name, rules in chains.items() for rule in rules]
    lines += [f"-X {name}" for name in names if name not in chains]
    return "\n".join([*lines, "COMMIT", ""])


def enforce(chains: dict[str, list[str]], before: dict[str, list[str]]) -> None:
    """Make *chains* those of the node."""
    restore = ["iptables-restore", "--wait", "10", "--noflush"]
    subprocess.run(restore, input=format_for_restore(chains, before), text=True, check=True, timeout=60)


def come_first() -> None:
    """See that packets enter ``MAIN`` before any rule that lets them through, as kube-proxy and Docker insert some."""
    for hook in ("FORWARD", "INPUT"):
        listed = subprocess.run(["iptables", "-w", "-S", hook], capture_output=True, text=True, check=True, timeout=60)
        rules = [line for line in listed.stdout.splitlines() if line.startswith("-A ")]
        mine = f"-A {hook} -j {MAIN}"
        if rules[:1] != [mine]:
            subprocess.run(["iptables", "-w", "-I", hook, "-j", MAIN], check=True, timeout=60)
            for number, rule in reversed(list(enumerate(rules, 2))):
                if rule == mine:
                    subprocess.run(["iptables", "-w", "-D", hook, str(number)], check=True, timeout=60)


def main() -> None:
    """Follow the cluster until the process is ended."""
    kubeconfig, node, dns_address, socket = sys.argv[1:]
    cluster = Cluster(kubeconfig, PATHS)
    cluster.follow()
    addresses = PodAddresses(cluster)
    addresses.serve(socket)
    before: dict[str, list[str]] = {}
    while True:
        if cluster.changed.wait(CHECK_EVERY_S):
            time.sleep(SETTLE_S)
            cluster.changed.clear()
        if not cluster.is_listed():
            continue
        reported = addresses.read()
        chains = Rules(cluster, dns_address, reported).render(node)
        try:
            if chains != before:
                enforce(chains, before)
                before = chains
            come_first()
        except subprocess.SubprocessError:
            traceback.print_exc()
            cluster.changed.set()
            continue
        addresses.mark_enforced(reported)


if __name__ == "__main__":
    main()
