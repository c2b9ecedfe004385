"""NetworkPolicies of a cluster: who may connect to whom. (pure)

A network plugin enforces them, or does not: ``conn.doctor()`` cannot see which, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipper_nb.container_managers.kubernetes import names
from clipper_nb.container_managers.kubernetes.core_objects import PORTS
from clipper_nb.container_managers.kubernetes.pods import Manifest, metadata
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND, REDIS, REPLICA

_DNS_PORT = 53
FULL = "full"
"""The value of ``names.LABEL_NETWORK`` on replicas that may connect to anything."""


def network_policies(cluster: str, *, has_own_redis: bool) -> list[Manifest]:
    """Return the policies of a cluster; frontends whose Redis is elsewhere may connect to anything."""
    frontends = (QUERY_FRONTEND, MANAGEMENT_FRONTEND)
    to_redis = [_to([REDIS], cluster, names.REDIS_PORT), _to_dns()] if has_own_redis else [{}]
    policies = [
        _policy(
            cluster,
            names.query_frontend_name(cluster),
            QUERY_FRONTEND,
            ingress=[{"ports": [_tcp(PORTS["query"])]}, _from([REPLICA], cluster, PORTS["rpc"])],
            egress=to_redis,
        ),
        _policy(
            cluster,
            names.management_frontend_name(cluster),
            MANAGEMENT_FRONTEND,
            ingress=[{"ports": [_tcp(PORTS["management"])]}],
            egress=to_redis,
        ),
        _policy(
            cluster,
            f"replicas-at-{cluster}",
            REPLICA,
            ingress=[],
            egress=[_to([QUERY_FRONTEND], cluster, PORTS["rpc"]), _to_dns()],
        ),
        _policy(cluster, f"replicas-with-network-at-{cluster}", REPLICA, more={names.LABEL_NETWORK: FULL}, egress=[{}]),
    ]
    if has_own_redis:
        ingress = [_from(frontends, cluster, names.REDIS_PORT)]
        policies.append(_policy(cluster, names.redis_name(cluster), REDIS, ingress=ingress, egress=[]))
    return policies


def _policy(
    cluster: str,
    name: str,
    role: str,
    *,
    egress: list[Any],
    ingress: list[Any] | None = None,
    more: Mapping[str, str] | None = None,
) -> Manifest:
    """Return the policy of a role's pods; without *ingress* it leaves that to the others."""
    spec: Manifest = {
        "podSelector": {"matchLabels": {**names.selector(cluster, role), **(more or {})}},
        "policyTypes": ["Egress"] if ingress is None else ["Ingress", "Egress"],
        "egress": egress,
    }
    if ingress is not None:
        spec["ingress"] = ingress
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(name, names.cluster_labels(cluster, role)),
        "spec": spec,
    }


def _from(roles: tuple[str, ...] | list[str], cluster: str, port: int) -> Manifest:
    return {"from": [_pods(cluster, role) for role in roles], "ports": [_tcp(port)]}


def _to(roles: list[str], cluster: str, port: int) -> Manifest:
    return {"to": [_pods(cluster, role) for role in roles], "ports": [_tcp(port)]}


def _to_dns() -> Manifest:
    return {"ports": [{"port": _DNS_PORT, "protocol": "UDP"}, _tcp(_DNS_PORT)]}


def _pods(cluster: str, role: str) -> Manifest:
    return {"podSelector": {"matchLabels": names.selector(cluster, role)}}


def _tcp(port: int) -> Manifest:
    return {"port": port, "protocol": "TCP"}
