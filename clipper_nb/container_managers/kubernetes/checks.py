"""Checks what a cluster on Kubernetes depends on: the server, its nodes, volumes and policies."""

from __future__ import annotations

import re

from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.display.diagnosis import Finding
from clipper_nb.errors import ClipperException

_OLDEST = (1, 20)
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def check_kubernetes(api: KubernetesApi, *, has_volume: bool | None) -> list[Finding]:
    """Check the API server and what can be seen behind it.

    *has_volume* says whether Redis of the cluster that runs has one; ``None`` if none runs, or Redis is elsewhere.
    """
    try:
        version = api.version()
    except ClipperException as exc:
        return [Finding("Kubernetes", "problem", exc.msg)]
    return [_check_version(version, api.address), *_check_nodes(api), *_check_volume(has_volume), _POLICIES]


_POLICIES = Finding(
    "Network policies",
    "warning",
    "Who may connect to whom is written in NetworkPolicies; whether the network plugin enforces them cannot be seen.",
    "Ask whoever runs the Kubernetes, or try: a pod of another application must not reach the Service of Redis.",
)


def _check_version(version: str, address: str) -> Finding:
    found = f"Version {version} answers at {address}."
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if numbers is not None and (int(numbers[1]), int(numbers[2])) < _OLDEST:
        return Finding("Kubernetes", "warning", found, "Use 1.20 or newer; older ones are not tested.")
    return Finding("Kubernetes", "ok", found)


def _check_nodes(api: KubernetesApi) -> list[Finding]:
    try:
        nodes = api.find("Node")
    except ClipperException:
        return []  # a right that few have
    away = []
    for node in nodes:
        conditions = node.get("status", {}).get("conditions") or ()
        if not any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            away.append(node["metadata"]["name"])
    if away:
        return [Finding("Nodes", "warning", f"{len(away)} of {len(nodes)} nodes are not ready: {', '.join(away[:5])}.")]
    return [Finding("Nodes", "ok", f"{len(nodes)} nodes are ready.")]


def _check_volume(has_volume: bool | None) -> list[Finding]:
    if has_volume is None:
        return []
    if has_volume:
        return [Finding("Configuration", "ok", "Redis has a volume.")]
    return [
        Finding(
            "Configuration",
            "warning",
            "Redis has no volume: the configuration is lost when its pod moves to another node.",
            "Pass storage_class= with a StorageClass that provisions volumes.",
        )
    ]


def default_storage_class(api: KubernetesApi) -> str | None:
    """Return the name of the cluster's default class, if it has one that the caller may see."""
    try:
        classes = api.find("StorageClass")
    except ClipperException:
        return None
    for each in classes:
        if each["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true":
            return str(each["metadata"]["name"])
    return None
