"""Policies become the rules that Kubernetes' reference of NetworkPolicy asks for."""

from __future__ import annotations

from typing import Any

import network_policies
import pytest

DNS = "10.77.0.10"
ALLOW = "-j MARK --set-xmark 0x20000/0x20000"


def pod(name: str, address: str, *, namespace: str = "shop", node: str = "node-1", **labels: str) -> dict:
    port = {"name": "http", "containerPort": 8000}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"ports": [port]}]},
        "status": {"podIP": address, "phase": "Running"},
    }


class KnownCluster:
    """A web pod on node-1 and its cache on node-2, a stranger in another namespace, and the policies of a test."""

    def __init__(self, *specs: dict) -> None:
        pods = [
            pod("web", "10.244.1.2", app="web"),
            pod("cache", "10.244.2.2", node="node-2", app="cache"),
            pod("stranger", "10.244.2.3", namespace="other", node="node-2", app="web"),
        ]
        self._objects: dict[str, dict[tuple[str, str], Any]] = {
            "pods": {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in pods},
            "namespaces": {
                ("", name): {"metadata": {"name": name, "labels": {"team": name}}}
                for name in ("shop", "other", "kube-system")
            },
            "policies": {("shop", f"p{i}"): {"spec": spec} for i, spec in enumerate(specs)},
        }

    def get(self, kind: str) -> dict:
        return self._objects[kind]


def rules_of(*specs: dict, node: str = "node-1") -> dict[str, list[str]]:
    return network_policies.Rules(KnownCluster(*specs), DNS, {}).render(node)


def allowed_by(rule: dict, direction: str = "Ingress", selector: dict | None = None) -> list[str]:
    """Return what the only chain lets through, by a policy of one rule for the web pod."""
    spec = {"podSelector": selector or {}, "policyTypes": [direction], direction.lower(): [rule]}
    main, chain = rules_of(spec).values()
    assert main[1:] == [f"{'-d' if direction == 'Ingress' else '-s'} 10.244.1.2/32 -j CLIPPER-{direction.upper()}-1"]
    assert (chain[0], chain[-1]) == ("-j MARK --set-xmark 0x0/0x20000", "-m mark ! --mark 0x20000/0x20000 -j DROP")
    return [line.removesuffix(ALLOW).strip() for line in chain[1:-1]]


def test_without_a_policy_everything_passes() -> None:
    assert list(rules_of()) == [network_policies.MAIN]


def test_a_policy_without_rules_lets_nothing_in() -> None:
    chains = rules_of({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]})
    assert chains["CLIPPER-INGRESS-1"] == [
        "-j MARK --set-xmark 0x0/0x20000",
        "-m mark ! --mark 0x20000/0x20000 -j DROP",
    ]


def test_a_policy_is_for_the_pods_of_its_namespace_and_node() -> None:
    everyone = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert [rule.split()[1] for rule in rules_of(everyone)[network_policies.MAIN][1:]] == ["10.244.1.2/32"] * 2
    assert [rule.split()[1] for rule in rules_of(everyone, node="node-2")[network_policies.MAIN][1:]] == [
        "10.244.2.2/32"
    ] * 2


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ({}, ["-s 0.0.0.0/0"]),
        ({"from": [{"podSelector": {}}]}, ["-s 10.244.2.2/32", "-s 10.244.1.2/32"]),
        ({"from": [{"podSelector": {"matchLabels": {"app": "cache"}}}]}, ["-s 10.244.2.2/32"]),
        ({"from": [{"namespaceSelector": {"matchLabels": {"team": "other"}}}]}, ["-s 10.244.2.3/32"]),
        (
            {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}]},
            ["-s 10.244.2.3/32", "-s 10.244.1.2/32"],
        ),
        ({"ports": [{"port": 80}]}, ["-s 0.0.0.0/0 -p tcp --dport 80"]),
        ({"ports": [{"port": "http"}]}, ["-s 0.0.0.0/0 -p tcp --dport 8000"]),
        ({"ports": [{"port": "nope"}]}, []),
        ({"ports": [{"protocol": "UDP"}]}, ["-s 0.0.0.0/0 -p udp"]),
        ({"from": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}, ["-s 10.1.0.0/16"]),
    ],
)
def test_a_rule_lets_in_what_it_names(rule: dict, allowed: list[str]) -> None:
    assert sorted(allowed_by(rule)) == sorted(allowed)


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ({"ports": [{"port": 53, "protocol": "UDP"}]}, ["-d 0.0.0.0/0 -p udp --dport 53"]),
        (
            {"to": [{"podSelector": {"matchLabels": {"app": "cache"}}}], "ports": [{"port": "http"}]},
            ["-d 10.244.2.2/32 -p tcp --dport 8000"],
        ),
        (
            {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]},
            [f"-d {DNS}/32"],
        ),
    ],
)
def test_a_rule_lets_out_what_it_names(rule: dict, allowed: list[str]) -> None:
    assert allowed_by(rule, "Egress") == allowed


def test_a_range_is_without_its_exceptions() -> None:
    block = {"cidr": "10.0.0.0/8", "except": ["10.96.0.0/16"]}
    chains = rules_of({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": block}]}]})
    assert chains["CLIPPER-EGRESS-1"][1] == "-d 10.0.0.0/8 -j CLIPPER-EGRESS-1-0"
    assert chains["CLIPPER-EGRESS-1-0"] == ["-d 10.96.0.0/16 -j RETURN", ALLOW]


def test_what_one_of_several_policies_allows_passes() -> None:
    specs = [
        {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": port}]}]} for port in (1, 2)
    ]
    ports = [rule.split()[5] for rule in rules_of(*specs)["CLIPPER-INGRESS-1"] if "--dport" in rule]
    assert ports == ["1", "2"]


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ({"key": "app", "operator": "In", "values": ["web", "api"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["web"]}, False),
        ({"key": "tier", "operator": "NotIn", "values": ["web"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "tier", "operator": "DoesNotExist"}, True),
    ],
)
def test_a_selectors_expression_selects(expression: dict, selected: bool) -> None:
    assert network_policies.is_selected({"matchExpressions": [expression]}, {"app": "web"}) is selected


def test_chains_are_changed_in_one_step() -> None:
    text = network_policies.format_for_restore({"A": ["-j B"], "B": []}, {"A": [], "C": []})
    assert text == "*filter\n:A - [0:0]\n:B - [0:0]\n:C - [0:0]\n-A A -j B\n-X C\nCOMMIT\n"
