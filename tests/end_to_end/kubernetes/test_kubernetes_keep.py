"""The pod of the docs that keeps a cluster: it starts the replicas of an autoscaled version without a notebook."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import clipper_nb
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.display.progress import QUIET
from clipper_nb.images.builder import ImageRequest
from clipper_nb.protocol.names import ModelId
from tests.support.clusters import eventually
from tests.support.kubernetes_clusters import KubernetesCluster
from tests.support.kubernetes_managers import api_of, kubectl, new_kubernetes_manager, running_on_kubernetes
from tests.support.scaling import want_replicas

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker, pytest.mark.timeout(300)]
DOCS = Path(__file__).parents[3] / "docs"


def documents(page: str, heading: str) -> list[dict[str, Any]]:
    """Return the objects in the first YAML below a heading."""
    text = (DOCS / page).read_text().partition(f"## {heading}\n")[2]
    return list(yaml.safe_load_all(text.partition("```yaml\n")[2].partition("```")[0]))


@pytest.fixture
def applied(kubernetes: KubernetesCluster, namespace: str) -> Iterator[Any]:
    """Apply objects, and remove them at the end."""
    done: list[str] = []

    def apply(found: list[dict[str, Any]]) -> None:
        done.append(yaml.safe_dump_all(found))
        kubectl(kubernetes, "-n", namespace, "apply", "-f", "-", text=done[-1])

    yield apply
    for text in done:
        kubectl(kubernetes, "-n", namespace, "delete", "--ignore-not-found", "--wait=false", "-f", "-", text=text)


def test_the_pod_of_the_docs_scales_without_a_notebook(kubernetes, namespace, applied, tmp_path):
    manager = new_kubernetes_manager(kubernetes, namespace)
    package = Path(clipper_nb.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(package, tmp_path / "clipper_nb", ignore=ignored)  # the rest of it: images have the serving part
    with running_on_kubernetes(manager) as conn:
        # An image with what `pip install clipper-nb[kubernetes]` has.
        request = ImageRequest(manager.cluster_name, ModelId("keeper", "1"), str(tmp_path), packages=["lightkube"])
        image = manager._images.find(manager.make_image_builder().build(request), QUIET)
        *rights, deployment = documents("kubernetes-operations.md", "Autoscaling without a notebook")
        pod = deployment["spec"]["template"]["spec"]
        (main,) = pod["containers"]
        main["image"], main["imagePullPolicy"] = image.reference, image.pull_policy
        assert main["command"][-3:] == ["default-cluster", "--namespace", "team"]
        main["command"][-3:] = [manager.cluster_name, "--namespace", namespace]
        main["env"] = [{"name": "PYTHONPATH", "value": "/model"}]
        applied([*documents("kubernetes.md", "Rights"), *rights, deployment])

        deploy_python_closure(conn, "m", 1, "doubles", lambda inputs: [x.sum() for x in inputs])
        manager._end_keeper()  # as if this notebook were gone
        want_replicas(conn, "m", "1", 2)

        def log() -> str:
            pods = api_of(manager).find("Pod", {"app": "clipper-keeper"})
            return "\n".join(api_of(manager).log(each["metadata"]["name"]) for each in pods)

        try:
            eventually(lambda: len(conn.get_all_model_replicas()) == 2, within_s=60, what="a second replica")
        finally:
            print(log())
        assert f"keeps cluster {manager.cluster_name}" in log()
