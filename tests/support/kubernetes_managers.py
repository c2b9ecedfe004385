"""Clusters of clipper_nb on a Kubernetes, for tests: each with its own name, and proof that nothing of it stays."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from clipper_nb import ClipperConnection, KubernetesContainerManager
from clipper_nb.container_managers.kubernetes.api import PATHS, KubernetesApi
from clipper_nb.container_managers.kubernetes.observations import (
    container_status,
    is_ending,
    is_ready,
    observe_pod,
    oldest_first,
)
from clipper_nb.images.docker_builder import DockerBuilder
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.environment import LABEL_CLUSTER
from tests.support.clusters import eventually, new_cluster_name
from tests.support.kubernetes_clusters import KubernetesCluster

_OF_A_NAMESPACE = [kind for kind, path in PATHS.items() if "{}" in path]
_TOLD_WITHIN_S = 20.0
"""After which a node has told that a container ended, unless it forgot: one of 1.20 did for more than a minute."""


def new_kubernetes_manager(
    kubernetes: KubernetesCluster, namespace: str, cluster_name: str | None = None, **options: Any
) -> KubernetesContainerManager:
    """Return a manager whose cluster does not run yet, by default of a new name."""
    return KubernetesContainerManager(
        cluster_name or new_cluster_name(),
        namespace=namespace,
        **{"kubeconfig": kubernetes.kubeconfig, "registry": kubernetes.registry, "useInternalIP": True, **options},
    )


@contextlib.contextmanager
def running_on_kubernetes(manager: KubernetesContainerManager, **start_options: Any) -> Iterator[ClipperConnection]:
    """Give a connection to a fresh cluster, and see afterwards that no object of it is left."""
    conn = ClipperConnection(manager)
    try:
        conn.start_clipper(**{"query_token": False, **start_options})
        yield conn
    finally:
        conn.stop_all(graceful=False)
        assert objects_of(manager) == []
        remove_images(manager)


def objects_of(manager: KubernetesContainerManager) -> list[str]:
    """Return the objects that have the cluster's label."""
    api = api_of(manager)
    labels = {LABEL_CLUSTER: manager.cluster_name}
    return [f"{kind} {each['metadata']['name']}" for kind in _OF_A_NAMESPACE for each in api.find(kind, labels)]


def kubectl(kubernetes: KubernetesCluster, *arguments: str, text: str | None = None) -> str:
    """Return what ``kubectl`` writes; it must succeed."""
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(kubernetes.kubeconfig), *arguments],
        input=text, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def api_of(manager: KubernetesContainerManager) -> KubernetesApi:
    """Return what the manager calls the API server with."""
    return manager._api


def pods_of(manager: KubernetesContainerManager, role: str) -> list[str]:
    """Return the names of the pods in a role that were not deleted."""
    labels = {LABEL_CLUSTER: manager.cluster_name, "ai.clipper.role": role}
    found = api_of(manager).find("Pod", labels)
    return [pod["metadata"]["name"] for pod in found if not pod["metadata"].get("deletionTimestamp")]


def uids_of(manager: KubernetesContainerManager, role: str, *, is_serving: bool = False) -> list[str]:
    """Return the uids of the pods in a role that run, oldest first; those alone that are ready, if asked for."""
    labels = {LABEL_CLUSTER: manager.cluster_name, "ai.clipper.role": role}
    found = [pod for pod in oldest_first(api_of(manager).find("Pod", labels)) if not is_ending(pod)]
    return [
        pod["metadata"]["uid"]
        for pod in found
        if (is_ready(pod) if is_serving else "running" in container_status(pod).get("state", {}))
    ]


def delete_pod(manager: KubernetesContainerManager, uid: str, *, grace_s: int | None) -> None:
    """Delete a pod; the other one, if another has its name by now, is left alone.

    Returns when its container has ended, if a time for that was given.
    """
    api = api_of(manager)
    labels = {LABEL_CLUSTER: manager.cluster_name}

    def names() -> list[str]:
        return [pod["metadata"]["name"] for pod in api.find("Pod", labels) if pod["metadata"]["uid"] == uid]

    def is_gone() -> bool:
        left = names()
        if left and time.monotonic() > forgotten_at_s:
            api.delete("Pod", left[0], grace_s=0)
        return not left

    for name in names():
        api.delete("Pod", name, grace_s=grace_s)
    if grace_s is not None:
        forgotten_at_s = time.monotonic() + grace_s + _TOLD_WITHIN_S
        eventually(is_gone, within_s=60, what=f"pod {uid} is gone")


def observe(manager: KubernetesContainerManager) -> list[ObservedContainer]:
    """Return the pods of the cluster that were not deleted."""
    found = api_of(manager).find("Pod", {LABEL_CLUSTER: manager.cluster_name})
    return [observe_pod(pod) for pod in oldest_first(found) if not is_ending(pod)]


def source_of(manager: KubernetesContainerManager) -> str:
    """Return the expression by which another program makes a manager of the same cluster."""
    api, images = api_of(manager), manager._images
    return (
        f"KubernetesContainerManager({manager.cluster_name!r}, namespace={manager.namespace!r}, "
        f"kubeconfig={str(api._kubeconfig)!r}, registry={images._registry!r}, useInternalIP=True)"
    )


def image_tags(manager: KubernetesContainerManager) -> list[str]:
    """Return the tags of the cluster's model versions in the engine."""
    builder = manager.make_image_builder()
    assert isinstance(builder, DockerBuilder)
    return [tag for image in builder.images() if image.cluster == manager.cluster_name for tag in image.tags]


def remove_images(manager: KubernetesContainerManager) -> None:
    """Remove the cluster's images of model versions from the engine."""
    for tag in image_tags(manager):
        manager.make_image_builder().remove(tag)
