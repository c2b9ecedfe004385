"""One Kubernetes for all tests of this folder, with a namespace that is removed at their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.kubernetes_clusters import KubernetesCluster


@pytest.fixture(scope="session")
def kubernetes() -> KubernetesCluster:
    """The Kubernetes of ``KUBECONFIG``, or of ``scripts/kubernetes-up``."""
    from tests.support.kubernetes_clusters import find_kubernetes_cluster

    try:
        return find_kubernetes_cluster()
    except LookupError as exc:
        pytest.fail(str(exc), pytrace=False)


@pytest.fixture(scope="session")
def namespace(kubernetes: KubernetesCluster) -> Iterator[str]:
    """A namespace of this run alone."""
    with kubernetes.new_namespace() as name:
        yield name
