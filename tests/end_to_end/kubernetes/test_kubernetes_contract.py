"""The container manager of Kubernetes keeps what the connection relies on."""

from __future__ import annotations

import pytest

from clipper_nb import KubernetesContainerManager
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.testing import ContainerManagerContract
from tests.support.kubernetes_clusters import KubernetesCluster
from tests.support.kubernetes_managers import new_kubernetes_manager, objects_of, remove_images

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker, pytest.mark.timeout(300)]


class TestKubernetesContainerManager(ContainerManagerContract):
    @pytest.fixture(autouse=True)
    def place(self, kubernetes: KubernetesCluster, namespace: str) -> None:
        self._place = kubernetes, namespace

    def make_manager(self, cluster_name: str) -> ContainerManager:
        return new_kubernetes_manager(*self._place, cluster_name)

    def remove(self, manager: ContainerManager) -> None:
        assert isinstance(manager, KubernetesContainerManager)
        assert objects_of(manager) == []
        remove_images(manager)
