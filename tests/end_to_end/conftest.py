"""Clusters of each kind: one for a whole file where tests do not disturb each other, and one per test where they do.

Every test that asks for one of these fixtures runs against processes, containers and pods, which behave alike.
A file about one kind alone overrides ``kind``.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from clipper_nb import ClipperConnection
from tests.support.clusters import MANAGERS, running_cluster
from tests.support.r_variables import r_running
from tests.support.selection import ON_KUBERNETES

if TYPE_CHECKING:
    from tests.support.kubernetes_clusters import KubernetesCluster


@pytest.fixture(scope="module", params=["local", pytest.param("docker", marks=pytest.mark.docker), ON_KUBERNETES])
def kind(request: pytest.FixtureRequest) -> str:
    """Which container manager runs the cluster."""
    if request.param == "kubernetes":
        request.getfixturevalue("kubernetes_kind")
    return str(request.param)


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
    """A namespace of this run alone, which is removed at its end."""
    with kubernetes.new_namespace() as name:
        yield name


@pytest.fixture(scope="session")
def kubernetes_kind(kubernetes: KubernetesCluster, namespace: str) -> str:
    """The kind of clusters in this run's namespace, which ``new_manager`` knows from now on."""
    from tests.support.kubernetes_managers import new_kubernetes_manager

    def new(name: str, **options: Any) -> Any:
        wanted = {key: value for key, value in options.items() if not key.endswith("_port")}  # a Service has its own
        return new_kubernetes_manager(kubernetes, namespace, name, **wanted)

    MANAGERS["kubernetes"] = new
    return "kubernetes"


@pytest.fixture(scope="module")
def shared(kind: str) -> Iterator[ClipperConnection]:
    """A cluster that a file's tests share; each uses names of its own."""
    with running_cluster(kind) as conn:
        yield conn


@pytest.fixture
def conn(kind: str) -> Iterator[ClipperConnection]:
    """A cluster of the test's own."""
    with running_cluster(kind) as conn:
        yield conn


@pytest.fixture
def shell(shared: ClipperConnection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A notebook's shell with the magics, whose variable ``conn`` is the cluster."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell puts its own there
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    shell.run_line_magic("load_ext", "clipper_nb")
    shell.user_ns.update(conn=shared, factor=10)
    yield shell
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()


@pytest.fixture(scope="module")
def r() -> Iterator[Any]:
    """R in this process, as in a notebook; its tests alone see what it puts into the environment when it starts."""
    with r_running() as r:
        yield r


@pytest.fixture(scope="module")
def jvms_of_short_lives() -> Iterator[None]:
    """The notebook's JVM and those of the replicas start quickly: none of them lives for a minute."""
    from tests.support.jvms import short_lived_options

    os.environ["JDK_JAVA_OPTIONS"] = short_lived_options()
    yield
    del os.environ["JDK_JAVA_OPTIONS"]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """A session of the notebook's own."""
    from tests.support.spark import notebook_session  # imports scikit-learn, which takes a second

    with notebook_session() as session:
        yield session
