"""The Kubernetes of these tests runs what this machine builds: a registry, pods, services and their names, policies."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import docker
import lightkube
import pytest
from lightkube.models.core_v1 import Container, HTTPGetAction, PodSpec, Probe, ServicePort, ServiceSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.models.networking_v1 import NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicySpec
from lightkube.resources.core_v1 import Pod, Service
from lightkube.resources.networking_v1 import NetworkPolicy

from clipper_nb.images.library import default_base_image
from tests.support.clusters import eventually
from tests.support.kubernetes_clusters import KubernetesCluster

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker]

SERVER = "from http.server import *; ThreadingHTTPServer(('', 8000), SimpleHTTPRequestHandler).serve_forever()"
# A node learns of a service's new address some hundred milliseconds after the pod is ready.
CLIENT = """
import time, urllib.request
for is_last in [False] * 20 + [True]:
    try:
        print(urllib.request.urlopen("http://{server}/", timeout=2).status)
        break
    except OSError as exc:
        if is_last or isinstance(getattr(exc, "reason", exc), TimeoutError):
            print("no answer")
            break
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


@pytest.fixture(scope="module")
def client(kubernetes: KubernetesCluster, namespace: str) -> Iterator[lightkube.Client]:
    with kubernetes.client(namespace) as client:
        yield client


@pytest.fixture(scope="module")
def server(client: lightkube.Client, image: str) -> str:
    """The name of a service whose pod answers."""
    client.create(python_pod("server", image, SERVER, probe=Probe(httpGet=HTTPGetAction(port=8000), periodSeconds=1)))
    service = ServiceSpec(selector={"app": "server"}, ports=[ServicePort(port=80, targetPort=8000)])
    client.create(Service(metadata=ObjectMeta(name="server"), spec=service))
    eventually(lambda: is_ready(client.get(Pod, "server")), within_s=60, what="the server is ready")
    return "server"


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


def what_a_pod_gets(client: lightkube.Client, name: str, image: str, server: str) -> str:
    """Return what a new pod prints, which asks a server."""
    client.create(python_pod(name, image, CLIENT.format(server=server)))
    eventually(lambda: phase_of(client, name) in ("Succeeded", "Failed"), within_s=60, what=f"{name} has ended")
    return "".join(client.log(name)).strip()


def phase_of(client: lightkube.Client, name: str) -> str | None:
    status = client.get(Pod, name).status
    return status and status.phase


def test_a_pod_answers_another_by_its_services_name(client: lightkube.Client, image: str, server: str) -> None:
    assert what_a_pod_gets(client, "client", image, server) == "200"


def test_a_policy_is_enforced(kubernetes: KubernetesCluster, client: lightkube.Client, image: str, server: str) -> None:
    """Only where the cluster is ours: the network plugin of another may ignore policies."""
    peers = [NetworkPolicyPeer(podSelector=LabelSelector(matchLabels={"app": "friend"}))]
    selector = LabelSelector(matchLabels={"app": server})
    spec = NetworkPolicySpec(
        podSelector=selector, policyTypes=["Ingress"], ingress=[NetworkPolicyIngressRule(from_=peers)]
    )
    client.create(NetworkPolicy(metadata=ObjectMeta(name="friends-alone"), spec=spec))
    assert what_a_pod_gets(client, "friend", image, server) == "200"
    stranger = what_a_pod_gets(client, "stranger", image, server)
    assert stranger == "no answer" or not kubernetes.is_ours
    client.delete(NetworkPolicy, "friends-alone")
