"""Both container managers keep what the connection relies on."""

from __future__ import annotations

import pytest

from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.testing import ContainerManagerContract
from tests.support.clusters import leftovers, new_manager, release

pytestmark = pytest.mark.cluster


class _OnThisMachine(ContainerManagerContract):
    kind: str

    def make_manager(self, cluster_name: str) -> ContainerManager:
        return new_manager(self.kind, cluster_name)

    def remove(self, manager: ContainerManager) -> None:
        assert leftovers(manager) == []
        release(manager)


class TestLocalContainerManager(_OnThisMachine):
    kind = "local"


@pytest.mark.docker
class TestDockerContainerManager(_OnThisMachine):
    kind = "docker"
