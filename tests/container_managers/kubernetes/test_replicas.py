"""What is asked of the API server to scale a version that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clipper_nb.container_managers.kubernetes import names
from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.container_managers.kubernetes.reflector import Reflector
from clipper_nb.container_managers.kubernetes.replicas import KubernetesReplicas
from clipper_nb.container_managers.kubernetes.settings import KubernetesSettings
from clipper_nb.protocol.containers import REPLICA
from clipper_nb.protocol.names import ModelId
from tests.support.api_server import serving

NET = ModelId("net", "1")


def _pod(number: int) -> dict[str, Any]:
    labels = names.selector("c", REPLICA, NET)
    created = "2026-11-30T00:00:00Z"
    return {
        "metadata": {"name": f"p{number}", "uid": f"{number}", "labels": labels, "creationTimestamp": created},
        "status": {"phase": "Running"},
    }


def test_more_replicas_are_one_patch_of_the_deployment(tmp_path: Path) -> None:
    asked: list[tuple[str, str, Any]] = []

    def answer(method: str, path: str, parameters: dict[str, str], body: Any) -> tuple[int, Any]:
        if path.endswith("/pods"):
            return 200, {"items": [_pod(number) for number in range(4)], "metadata": {"resourceVersion": "1"}}
        asked.append((method, path, body))
        return 200, {"kind": "Deployment", "metadata": {}}

    with serving(answer, tmp_path) as kubeconfig:
        api = KubernetesApi("team", kubeconfig)
        KubernetesReplicas(api, "c", KubernetesSettings("team"), Reflector(api, "Pod", {})).scale(NET, 4)
    path = f"/apis/apps/v1/namespaces/team/deployments/{names.version_name('c', NET)}"
    assert asked == [("PATCH", path, {"spec": {"replicas": 4}})]
