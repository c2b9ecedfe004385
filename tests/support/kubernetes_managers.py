"""Clusters of clipper_nb on a Kubernetes, for tests: each with its own name, and proof that nothing of it stays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from clipper_nb import ClipperConnection, KubernetesContainerManager
from clipper_nb.container_managers.kubernetes.api import PATHS, KubernetesApi
from clipper_nb.images.docker_builder import DockerBuilder
from clipper_nb.protocol.environment import LABEL_CLUSTER
from tests.support.clusters import new_cluster_name
from tests.support.kubernetes_clusters import KubernetesCluster

_OF_A_NAMESPACE = [kind for kind, path in PATHS.items() if "{}" in path]


def new_kubernetes_manager(
    kubernetes: KubernetesCluster, namespace: str, cluster_name: str | None = None, **options: Any
) -> KubernetesContainerManager:
    """Return a manager whose cluster does not run yet, by default of a new name."""
    return KubernetesContainerManager(
        cluster_name or new_cluster_name(),
        namespace=namespace,
        kubeconfig=kubernetes.kubeconfig,
        **{"registry": kubernetes.registry, "useInternalIP": True, **options},
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


def api_of(manager: KubernetesContainerManager) -> KubernetesApi:
    """Return what the manager calls the API server with."""
    return manager._api


def pods_of(manager: KubernetesContainerManager, role: str) -> list[str]:
    """Return the names of the pods in a role that were not deleted."""
    labels = {LABEL_CLUSTER: manager.cluster_name, "ai.clipper.role": role}
    found = api_of(manager).find("Pod", labels)
    return [pod["metadata"]["name"] for pod in found if not pod["metadata"].get("deletionTimestamp")]


def remove_images(manager: KubernetesContainerManager) -> None:
    """Remove the cluster's images of model versions from the engine."""
    builder = manager.make_image_builder()
    assert isinstance(builder, DockerBuilder)
    for image in builder.images():
        if image.cluster == manager.cluster_name:
            for tag in image.tags:
                builder.remove(tag)
