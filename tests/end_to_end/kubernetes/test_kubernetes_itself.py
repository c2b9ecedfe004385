"""The Kubernetes of these tests runs what this machine builds: a registry, two pods, a service and its name."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import docker
import lightkube
import pytest
from lightkube.models.core_v1 import Container, HTTPGetAction, PodSpec, Probe, ServicePort, ServiceSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Pod, Service

from clipper_nb.images.library import default_base_image
from tests.support.clusters import eventually
from tests.support.kubernetes_clusters import KubernetesCluster

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker]

SERVER = "from http.server import *; ThreadingHTTPServer(('', 8000), SimpleHTTPRequestHandler).serve_forever()"
# A node learns of a service's new address some hundred milliseconds after the pod is ready.
CLIENT = """
import time, urllib.request
for last in [False] * 20 + [True]:
    try:
        print(urllib.request.urlopen("http://server/", timeout=10).status)
        break
    except OSError as exc:
        if last: raise
        time.sleep(0.5)
"""


@pytest.fixture(scope="module")
def image(kubernetes: KubernetesCluster) -> Iterator[str]:
    """An image of the local engine, where the nodes find it."""
    engine = docker.from_env(timeout=60)
    name = kubernetes.image_name(f"test-python:{uuid.uuid4().hex[:8]}")
    try:
        engine.images.get(default_base_image()).tag(name)
        if kubernetes.registry:
            reply = engine.images.push(name)
            assert "error" not in reply, reply
        yield name
    finally:
        with contextlib.suppress(docker.errors.ImageNotFound):
            engine.images.remove(name)
        engine.close()


def python_pod(name: str, image: str, program: str, *, probe: Probe | None = None) -> Pod:
    container = Container(name="python", image=image, command=["python3", "-c", program], readinessProbe=probe)
    return Pod(
        metadata=ObjectMeta(name=name, labels={"app": name}),
        spec=PodSpec(
            containers=[container],
            restartPolicy="Never",
            automountServiceAccountToken=False,
            terminationGracePeriodSeconds=1,
        ),
    )


def is_ready(pod: Pod) -> bool:
    conditions = (pod.status and pod.status.conditions) or []
    return any(one.type == "Ready" and one.status == "True" for one in conditions)


@pytest.fixture
def client(kubernetes: KubernetesCluster, namespace: str) -> Iterator[lightkube.Client]:
    with kubernetes.client(namespace) as client:
        yield client


def test_a_pod_answers_another_by_its_services_name(client: lightkube.Client, image: str) -> None:
    probe = Probe(httpGet=HTTPGetAction(port=8000), periodSeconds=1)
    client.create(python_pod("server", image, SERVER, probe=probe))
    service = ServiceSpec(selector={"app": "server"}, ports=[ServicePort(port=80, targetPort=8000)])
    client.create(Service(metadata=ObjectMeta(name="server"), spec=service))
    eventually(lambda: is_ready(client.get(Pod, "server")), within_s=60, what="the server is ready")

    client.create(python_pod("client", image, CLIENT))
    eventually(lambda: phase_of(client, "client") in ("Succeeded", "Failed"), within_s=60, what="the client has ended")
    assert "".join(client.log("client")) == "200\n"


def phase_of(client: lightkube.Client, name: str) -> str | None:
    status = client.get(Pod, name).status
    return status and status.phase
