"""What a cluster leaves on a Kubernetes, what it needs there, and how it is reached."""

from __future__ import annotations

import _thread
import dataclasses
import json
import subprocess
import threading
from pathlib import Path

import pytest
import yaml

from clipper_nb import (
    ClipperConnection,
    ClipperException,
    ClusterNotFoundError,
    ClusterStartError,
    ExistsError,
    InvalidRequestError,
)
from clipper_nb.deployers.python import deploy_python_closure
from tests.support.clusters import eventually, query
from tests.support.kubernetes_clusters import KubernetesCluster
from tests.support.kubernetes_managers import (
    api_of,
    kubectl,
    new_kubernetes_manager,
    objects_of,
    running_on_kubernetes,
)

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker, pytest.mark.timeout(300)]
DOCS = Path(__file__).parents[3] / "docs" / "kubernetes.md"


def serve(conn: ClipperConnection, answer: int) -> None:
    """Deploy a model that gives one answer, behind an application."""
    conn.register_application("app", "ints", "-1", 10_000_000)
    deploy_python_closure(conn, "model", "1", "ints", lambda xs: [answer] * len(xs))
    conn.link_model_to_app("app", "model")
    assert ask(conn) == answer


def ask(conn: ClipperConnection) -> object:
    _, reply = query(conn, "app", {"input": [1]})
    assert not reply["default"], reply
    return reply["output"]


def kubeconfig_of(kubernetes: KubernetesCluster, namespace: str, account: str, folder: Path) -> Path:
    """Return the kubeconfig of a service account, which the server gives a token."""
    config = yaml.safe_load(Path(kubernetes.kubeconfig).read_text())
    found: dict[str, str] = {}

    def has_token() -> bool:
        secrets = json.loads(kubectl(kubernetes, "-n", namespace, "get", "secrets", "-o", "json"))["items"]
        for secret in secrets:
            if secret["metadata"].get("annotations", {}).get("kubernetes.io/service-account.name") == account:
                found.update(secret.get("data") or {})
        return "token" in found

    manifest = {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": f"{account}-key", "annotations": {"kubernetes.io/service-account.name": account}},
    }  # fmt: skip
    kubectl(kubernetes, "-n", namespace, "apply", "-f", "-", text=json.dumps(manifest))
    eventually(has_token, within_s=20, what="the account has a token")
    import base64

    config["users"] = [
        {"name": config["users"][0]["name"], "user": {"token": base64.b64decode(found["token"]).decode()}}
    ]
    for each in config["clusters"]:  # its files may be beside it
        authority = each["cluster"].get("certificate-authority")
        if authority is not None:
            each["cluster"]["certificate-authority"] = str(Path(kubernetes.kubeconfig).resolve().parent / authority)
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def test_the_role_in_the_docs_is_enough_for_a_notebook(kubernetes, namespace, tmp_path):
    role = yaml.safe_load(DOCS.read_text().partition("```yaml\n")[2].partition("```")[0])
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "clipper-notebook"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": "notebook", "namespace": namespace}],
    }  # fmt: skip
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "notebook"}}
    for manifest in (account, role, binding):
        kubectl(kubernetes, "-n", namespace, "apply", "-f", "-", text=json.dumps(manifest))
    kubeconfig = kubeconfig_of(kubernetes, namespace, "notebook", tmp_path)
    manager = new_kubernetes_manager(dataclasses.replace(kubernetes, kubeconfig=kubeconfig), namespace)
    with running_on_kubernetes(manager) as conn:
        serve(conn, 5)
        conn.set_num_replicas("model", 2)
        conn.set_num_replicas("model", 1)
        assert conn.get_clipper_logs(str(tmp_path / "logs"))
        assert ask(conn) == 5
        assert "kind: StatefulSet" in manager.manifests()
    with pytest.raises(ClipperException, match=r"forbids listing Nodes.*docs/kubernetes.md"):
        api_of(manager).find("Node")


def test_an_interrupted_start_leaves_nothing(kubernetes, namespace):
    manager = new_kubernetes_manager(kubernetes, namespace)

    def interrupt() -> None:
        eventually(lambda: len(objects_of(manager)) > 8, within_s=60, what="objects are there")
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        ClipperConnection(manager).start_clipper(query_token=False)
    thread.join()
    assert objects_of(manager) == []


def test_a_start_that_fails_says_why_and_leaves_nothing(kubernetes, namespace):
    manager = new_kubernetes_manager(kubernetes, namespace, node_selector={"clipper": "nowhere"})
    with pytest.raises(ClusterStartError, match=r"finds no node: .*didn't match"):
        ClipperConnection(manager).start_clipper(query_token=False)
    assert objects_of(manager) == []
    with pytest.raises(ClusterNotFoundError, match=f"has no cluster with name '{manager.cluster_name}'"):
        ClipperConnection(manager).connect()


@pytest.mark.long
def test_clusters_of_one_namespace_or_name_leave_each_other(kubernetes, namespace):
    """``test_a_cluster_is_made_again_from_its_manifests_and_joined``, with two of one name, stands for it."""
    with kubernetes.new_namespace() as other_namespace:
        first = new_kubernetes_manager(kubernetes, namespace)
        others = [
            new_kubernetes_manager(kubernetes, namespace),
            new_kubernetes_manager(kubernetes, other_namespace, first.cluster_name),
        ]
        with running_on_kubernetes(first) as conn:
            serve(conn, 1)
            for number, manager in enumerate(others, start=2):
                with running_on_kubernetes(manager) as other:
                    serve(other, number)
                    with pytest.raises(ExistsError, match="already exists in namespace"):
                        ClipperConnection(manager).start_clipper()
            assert ask(conn) == 1


def test_a_cluster_is_made_again_from_its_manifests_and_joined(kubernetes, namespace):
    manager = new_kubernetes_manager(kubernetes, namespace)
    with running_on_kubernetes(manager) as conn, kubernetes.new_namespace() as copy:
        serve(conn, 7)
        kubectl(kubernetes, "-n", copy, "apply", "-f", "-", text=manager.manifests())
        joined = ClipperConnection(new_kubernetes_manager(kubernetes, copy, manager.cluster_name))
        eventually(lambda: _connects(joined), within_s=90, what="the copy answers")
        assert joined.cm.get_admin_token() == conn.cm.get_admin_token()
        assert joined.get_all_apps() == []
        eventually(lambda: len(joined.cm.observe_replicas()) == 1, within_s=20, what="it has the replica")
        joined.stop_all(graceful=False)
        assert ask(conn) == 7


def _connects(conn: ClipperConnection) -> bool:
    try:
        conn.connect()
        conn.get_all_apps()
    except ClipperException:
        return False
    return True


def test_unpublished_services_are_reached_through_a_tunnel(kubernetes, namespace):
    """Without a volume, too: such a cluster cannot be kept."""
    options = {"service_types": {"query": "ClusterIP", "management": "ClusterIP"}, "storage_class": ""}
    with running_on_kubernetes(new_kubernetes_manager(kubernetes, namespace, **options)) as conn:
        assert conn.get_query_addr().startswith("127.0.0.1:")
        serve(conn, 9)
        with pytest.raises(InvalidRequestError, match="cannot be kept: its Redis has no volume"):
            conn.stop_all(keep=True)
        conn.connect()
        assert ask(conn) == 9


def test_what_cannot_be_done_is_told(kubernetes, namespace):
    manager = new_kubernetes_manager(kubernetes, "clipper-nb-no-such-namespace")
    with pytest.raises(ClipperException, match=r"'clipper-nb-no-such-namespace' does not exist. Pass create_namespace"):
        ClipperConnection(manager).start_clipper()


@pytest.mark.long
def test_https_reaches_the_frontends(kubernetes, namespace):
    """That of Docker in ``test_docker_tls.py`` stands for it; the frontends are the same."""
    with running_on_kubernetes(new_kubernetes_manager(kubernetes, namespace), tls=True) as conn:
        conn.register_application("app", "ints", "-1", 10_000_000)
        deploy_python_closure(conn, "model", "1", "ints", lambda xs: [3] * len(xs))
        conn.link_model_to_app("app", "model")
        assert conn.predict("app", [1]).output == 3
        assert conn.get_query_addr()


def test_the_api_server_is_called_through_a_kubectl_proxy(kubernetes, namespace):
    command = ["kubectl", "--kubeconfig", str(kubernetes.kubeconfig), "proxy", "--port=0"]
    started = new_kubernetes_manager(
        kubernetes, namespace, service_types=dict.fromkeys(("query", "management"), "ClusterIP")
    )
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy,
        running_on_kubernetes(started) as conn,
    ):
        try:
            address = proxy.stdout.readline().split()[-1]  # Starting to serve on 127.0.0.1:45678
            by_proxy = {"kubeconfig": None, "kubernetes_proxy_addr": address}
            other = ClipperConnection(new_kubernetes_manager(kubernetes, namespace, started.cluster_name, **by_proxy))
            other.connect()
            serve(other, 7)
            other.set_num_replicas("model", 2)
            assert ask(conn) == 7
        finally:
            proxy.terminate()
