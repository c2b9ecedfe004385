"""Reads what pods wrote, also the container before the one that runs now."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.container_managers.kubernetes.observations import container_status
from clipper_nb.container_managers.kubernetes.pods import Manifest
from clipper_nb.container_managers.log_copies import create_copy


def read_log(api: KubernetesApi, pod: Manifest, max_lines: int | None = None) -> str:
    """Return the end of a pod's log: of its container, and of the one before it, which tells why it ended."""
    name, status = pod["metadata"]["name"], container_status(pod)
    text = api.log(name, max_lines=max_lines)
    has_started_again = int(status.get("restartCount", 0)) > 0
    if has_started_again:
        before = api.log(name, max_lines=max_lines, is_previous=True)
        text = before if before == text else before + text
    lines = text.splitlines()
    kept = lines if max_lines is None else lines[-max_lines:]
    return "\n".join(kept)


def write_logs(api: KubernetesApi, pods: Iterable[Manifest], folder: Path) -> list[str]:
    """Write the log of each pod to a file in *folder*; return their paths."""
    paths = []
    for pod in pods:
        path = folder / f"{pod['metadata']['name']}.log"
        text = read_log(api, pod) + "\n"
        with create_copy(path) as copy:
            copy.write(text.encode())
        paths.append(str(path))
    return paths
