"""Refusals and silence of an API server become errors that say what to do."""

from __future__ import annotations

import socket

import pytest

from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.errors import ClusterError, ClusterUnreachableError, ExistsError, InvalidRequestError
from tests.support.api_server import serving, write_kubeconfig

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}


@pytest.fixture
def api_for(tmp_path):
    """``api_for(answer)``: the API of a server that answers so."""
    import contextlib

    with contextlib.ExitStack() as stack:
        yield lambda answer: KubernetesApi("team", stack.enter_context(serving(answer, tmp_path)))


def refusing(status, message="", reason=""):
    return lambda *_: (status, {"kind": "Status", "message": message, "reason": reason, "code": status})


def test_objects_are_created_found_changed_and_deleted(api_for):
    asked = []

    def answer(method, path, parameters, body):
        asked.append((method, path, parameters, body))
        return 200, {"items": [SECRET], "metadata": {"resourceVersion": "7"}}

    api = api_for(answer)
    api.create(SECRET)
    assert api.find("Secret", {"a": "b", "c": "d"}) == [SECRET]
    api.patch("Deployment", "d", {"spec": {"replicas": 2}})
    api.delete("Pod", "p", grace_s=0)
    assert asked == [
        ("POST", "/api/v1/namespaces/team/secrets", {}, SECRET),
        ("GET", "/api/v1/namespaces/team/secrets", {"labelSelector": "a=b,c=d"}, None),
        ("PATCH", "/apis/apps/v1/namespaces/team/deployments/d", {}, {"spec": {"replicas": 2}}),
        (
            "DELETE", "/api/v1/namespaces/team/pods/p", {},
            {"propagationPolicy": "Background", "gracePeriodSeconds": 0},
        ),
    ]  # fmt: skip


def test_what_is_not_there_is_no_error(api_for):
    api = api_for(refusing(404, "not found"))
    assert api.get("Secret", "s") is None
    assert api.find("PodDisruptionBudget") == []
    assert api.patch("Deployment", "d", {"spec": {}}) is None
    assert api.log("p") == ""
    assert not api.has_api("policy/v1")
    api.delete("Secret", "s")


def test_a_name_that_is_taken_is_told(api_for):
    with pytest.raises(ExistsError, match="Namespace 'team' has a Secret 's' already"):
        api_for(refusing(409, "exists", "AlreadyExists")).create(SECRET)


@pytest.mark.parametrize(
    ("status", "message", "told"),
    [
        (401, "Unauthorized", "does not accept your credentials, creating Secret 's'"),
        (403, 'secrets is forbidden: User "u" cannot create', "Ask for the role in docs/kubernetes.md"),
        (403, "pods is forbidden: exceeded quota: q", "refused creating Secret 's': pods is forbidden: exceeded quota"),
        (404, 'namespaces "team" not found', 'namespaces "team" not found'),
        (422, "Secret is invalid", "Kubernetes refused creating Secret 's': Secret is invalid."),
    ],
)
def test_a_refusal_says_what_was_refused_and_why(api_for, status, message, told):
    with pytest.raises(ClusterError) as caught:
        api_for(refusing(status, message)).create(SECRET)
    assert told in caught.value.msg
    assert not isinstance(caught.value, ClusterUnreachableError)


def test_a_server_that_is_away_is_told_by_its_address(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    api = KubernetesApi("team", write_kubeconfig(tmp_path, f"http://127.0.0.1:{port}"))
    with pytest.raises(ClusterUnreachableError, match=f"127.0.0.1:{port}.* does not answer, listing Pods"):
        api.find("Pod")


def test_a_busy_server_is_asked_again(api_for):
    statuses = [429, 429, 200]
    assert api_for(lambda *_: (statuses.pop(0), {"gitVersion": "v1.31.2"})).version() == "v1.31.2"


@pytest.mark.parametrize("content", ["", "not: [yaml", "current-context: nowhere\nclusters: []\ncontexts: []\n"])
def test_a_kubeconfig_that_cannot_be_used_is_told(tmp_path, content):
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    with pytest.raises(InvalidRequestError, match="`kubectl get pods` must work"):
        KubernetesApi("team", path).find("Pod")


def test_without_any_settings_that_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(InvalidRequestError, match="there is no kubeconfig, and this process is in no pod"):
        KubernetesApi("team").find("Pod")


def test_of_several_kubeconfigs_the_first_that_is_there_counts(tmp_path, monkeypatch, api_for):
    api_for(lambda *_: (200, {"gitVersion": "v1.31.2"}))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'absent'}:{tmp_path / 'kubeconfig'}")
    assert KubernetesApi("team").version() == "v1.31.2"


def test_behind_a_kubectl_proxy_no_kubeconfig_is_read(tmp_path, monkeypatch, api_for):
    address = api_for(lambda *_: (200, {"gitVersion": "v1.31.2"})).address
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    api = KubernetesApi("team", proxy=address)
    assert api.version() == "v1.31.2"
    assert api.kubectl_options() == ["--kubeconfig", "/dev/null", "--server", address]
