"""The Kubernetes that tests run on: that of ``KUBECONFIG``, or the one that ``scripts/kubernetes-up`` started here."""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import lightkube
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, Node, Pod

from tests.support.clusters import eventually

NAMESPACE_GONE_WITHIN_S = 100.0


@dataclass(frozen=True)
class KubernetesCluster:
    """A Kubernetes that answers.

    Parameters
    ----------
    kubeconfig : Path
    registry : str or None
        Where images are pushed that its nodes pull; None if its nodes have the images of the local engine.
    is_ours : bool
        Whether ``scripts/kubernetes-up`` started it.
    """

    kubeconfig: Path
    registry: str | None
    is_ours: bool

    @contextlib.contextmanager
    def client(self, namespace: str | None = None) -> Iterator[lightkube.Client]:
        """Give a client of the API server, for objects of *namespace* where no other is named."""
        config = lightkube.KubeConfig.from_file(self.kubeconfig)
        client = lightkube.Client(config=config, namespace=namespace, timeout=httpx2.Timeout(20), trust_env=False)
        try:
            yield client
        finally:
            client.close()

    def node_names(self) -> list[str]:
        """Return the names of its nodes."""
        with self.client() as client:
            return names_of(client, Node)

    @contextlib.contextmanager
    def new_namespace(self) -> Iterator[str]:
        """Make a namespace, give its name, and remove it with everything in it."""
        name = f"clipper-nb-test-{uuid.uuid4().hex[:8]}"
        with self.client() as client:
            client.create(Namespace(metadata=ObjectMeta(name=name)))
            try:
                yield name
            finally:
                client.delete(Namespace, name)
                # Their own time to end may be half a minute each.
                client.deletecollection(Pod, namespace=name, grace_period=1)
                eventually(
                    lambda: name not in names_of(client, Namespace),
                    within_s=NAMESPACE_GONE_WITHIN_S,
                    what=f"namespace {name} is removed",
                )

    def image_name(self, image: str) -> str:
        """Return the name under which nodes find *image* once it is pushed."""
        return f"{self.registry}/{image}" if self.registry else image


def names_of(client: lightkube.Client, kind: type[Any]) -> list[str]:
    """Return the names of all objects of a kind, of the client's namespace if the kind has namespaces."""
    return [str(one.metadata.name) for one in client.list(kind)]


def find_kubernetes_cluster() -> KubernetesCluster:
    """Return the cluster that tests may use.

    Raises
    ------
    LookupError
        If there is none.
    """
    ours = Path(os.environ.get("KUBERNETES_DIR", "/var/lib/clipper_nb-kubernetes"))
    kubeconfig, registry = os.environ.get("KUBECONFIG"), os.environ.get("KUBERNETES_REGISTRY")
    exports = ours / "exports"
    exported = dict(re.findall(r"^export (\w+)=(\S+)$", exports.read_text(), re.M)) if exports.exists() else {}
    if not kubeconfig and not exported:
        raise LookupError(
            "no Kubernetes is there for tests: start one by scripts/kubernetes-up, or set KUBECONFIG to a cluster "
            "that you may use, and KUBERNETES_REGISTRY to a registry from which its nodes pull"
        )
    kubeconfig = kubeconfig or exported["KUBECONFIG"]
    is_ours = Path(kubeconfig).resolve() == (ours / "kubeconfig").resolve()
    if is_ours:
        registry = registry or exported["KUBERNETES_REGISTRY"]
    cluster = KubernetesCluster(Path(kubeconfig), registry or None, is_ours)
    try:
        assert cluster.node_names(), f"the cluster of {kubeconfig} has no node"
    except (httpx2.HTTPError, lightkube.ApiError, lightkube.ConfigError) as exc:
        raise LookupError(f"the cluster of {kubeconfig} does not answer: {exc}") from exc
    return cluster
