"""A cluster on Kubernetes beside a bare Deployment of the same image, and beside a cluster on Docker.

From ``set_num_replicas`` to its return, when every query frontend has the new replica, at most 1.3 times what a
Deployment of the same image, whose containers only sleep, takes until its new pod is ready. wrk asks a model that does
nothing through the Service and on the Docker manager in turn: at least 0.9 of the requests per second. Needs
``KUBECONFIG`` and ``KUBERNETES_REGISTRY``, as ``eval "$(scripts/kubernetes-up)"`` sets them.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from typing import Any

from load.form import CLIPPER
from load.verdicts import Verdicts, parse_options
from load.wrk import run_wrk

from clipper_nb import ClipperConnection, DockerContainerManager, KubernetesContainerManager
from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.deployers.python import create_endpoint

SLOWER, THROUGHPUT = 1.3, 0.9
NUM_CONNECTIONS, NUM_DOUBLES = 64, 10
NAMESPACE = "clipper-nb-bench"
READY_WITHIN_S = 60.0


def scale_bare(api: KubernetesApi, number: int) -> float:
    """Scale the bare Deployment; return the seconds until so many pods are ready."""
    began_s = time.monotonic()
    api.patch("Deployment", "bare", {"spec": {"replicas": number}})
    while _num_ready(api) != number:
        assert time.monotonic() < began_s + READY_WITHIN_S, "the bare Deployment is not ready"
        time.sleep(0.02)
    return time.monotonic() - began_s


def _num_ready(api: KubernetesApi) -> int:
    status = (api.get("Deployment", "bare") or {}).get("status", {})
    return int(status.get("readyReplicas", 0)) if status.get("replicas") == status.get("readyReplicas") else -1


def bare_deployment(template: dict[str, Any]) -> dict[str, Any]:
    """Return a Deployment whose one container sleeps, of the image and with the settings of a version's."""
    labels = {"app": "bare"}
    container = template["spec"]["containers"][0]
    kept = {name: container[name] for name in ("image", "imagePullPolicy", "securityContext") if name in container}
    spec = {
        "automountServiceAccountToken": False,
        "containers": [{"name": "main", "command": ["sleep", "3600"], **kept}],
        "securityContext": template["spec"]["securityContext"],
        "terminationGracePeriodSeconds": 0,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bare", "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def scaling(conn: ClipperConnection, verdicts: Verdicts, num_pairs: int) -> None:
    """Compare one more replica with one more pod of the same image."""
    assert isinstance(conn.cm, KubernetesContainerManager)
    api = KubernetesApi(NAMESPACE)
    [version] = api.find(
        "Deployment", {"ai.clipper.container.label": conn.cm.cluster_name, "ai.clipper.role": "replica"}
    )
    api.delete("Deployment", "bare", wait_for_dependents=True)
    api.create(bare_deployment(version["spec"]["template"]))
    scale_bare(api, 1)
    ours, bare = [], []
    for pair in range(-1, num_pairs):
        began_s = time.monotonic()
        conn.set_num_replicas("app", 2)
        took_s = time.monotonic() - began_s
        bare_s = scale_bare(api, 2)
        conn.set_num_replicas("app", 1)
        scale_bare(api, 1)
        if pair >= 0:  # the first one pulls images
            ours.append(took_s)
            bare.append(bare_s)
    api.delete("Deployment", "bare")
    ratio = statistics.median(ours) / statistics.median(bare)
    verdicts.check(
        "one replica more, beside one pod more of a bare Deployment", f"<= {SLOWER}",
        f"{ratio:.2f} ({statistics.median(ours):.2f} s, {statistics.median(bare):.2f} s)", ratio <= SLOWER,
    )  # fmt: skip


def throughput(clusters: list[ClipperConnection], verdicts: Verdicts, num_pairs: int, duration_s: int) -> None:
    """Compare the requests per second of both clusters; the second one is that on Kubernetes."""
    rates: list[list[float]] = [[], []]
    for pair in range(-1, num_pairs):
        for side in (0, 1) if pair % 2 else (1, 0):
            seen = run_wrk(
                clusters[side].get_query_addr(), "/app/predict", CLIPPER,
                num_connections=NUM_CONNECTIONS, num_doubles=NUM_DOUBLES, duration_s=duration_s,
            )  # fmt: skip
            assert seen.num_errors == 0, seen
            if pair >= 0:
                rates[side].append(seen.requests_per_s)
    docker, kubernetes = map(statistics.median, rates)
    ratio = statistics.median(after / before for before, after in zip(*rates, strict=True))
    verdicts.check(
        "requests per second through the Service, beside Docker", f">= {THROUGHPUT}",
        f"{ratio:.2f} ({kubernetes:,.0f}, {docker:,.0f})", ratio >= THROUGHPUT,
    )  # fmt: skip


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("kubernetes_speed", options)
    num_pairs, duration_s = (4, 2) if options.quick else (8, 4)
    name = f"speed-{os.getpid()}"
    docker = DockerContainerManager(name, clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0)
    kubernetes = KubernetesContainerManager(
        name, namespace=NAMESPACE, create_namespace_if_not_exists=True,
        registry=os.environ.get("KUBERNETES_REGISTRY"), useInternalIP=True,
    )  # fmt: skip
    clusters = [ClipperConnection(docker), ClipperConnection(kubernetes)]
    for conn in clusters:
        conn.start_clipper(query_token=False)
    with clusters[0], clusters[1]:
        for conn in clusters:
            create_endpoint(conn, "app", "doubles", lambda xs: [0.0 for _ in xs], slo_micros=5_000_000)
        throughput(clusters, verdicts, num_pairs, duration_s)
        scaling(clusters[1], verdicts, num_pairs)
    docker.remove_images()
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
