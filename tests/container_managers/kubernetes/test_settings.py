"""The arguments of the container manager are checked before anything is asked of a Kubernetes."""

from __future__ import annotations

import pytest

from clipper_nb import ClipperException, InvalidRequestError, KubernetesContainerManager
from clipper_nb.container_managers.kubernetes.settings import ServiceTypes, check_proxy_addr, check_service_types


def test_by_default_both_frontends_are_at_ports_of_the_nodes():
    assert check_service_types(None) == check_service_types({}) == ServiceTypes("NodePort", "NodePort")


def test_service_types_are_taken_as_clipper_took_them():
    given = {"redis": "ClusterIP", "management": "ClusterIP", "query": "LoadBalancer", "query-rpc": "ClusterIP"}
    assert check_service_types({**given, "metric": "NodePort"}) == ServiceTypes("LoadBalancer", "ClusterIP")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("NodePort", "service_types must be 'dict' type"),
        ({"querry": "NodePort"}, "service_types has unknown keys: 'querry'"),
        ({"query": "Ingress"}, "service_types has unknown values: .*Clipper does not support"),
        ({"redis": "NodePort"}, "would publish redis"),
    ],
)
def test_wrong_service_types_are_told_as_clipper_told_them(given, message):
    with pytest.raises(ClipperException, match=message):
        KubernetesContainerManager(service_types=given)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("cluster_name", "My_Cluster", "lower case letters"),
        ("namespace", "Team A", "namespace is 'Team A'"),
        ("kubernetes_proxy_addr", "127.0.0.1", "host and port of a `kubectl proxy`, .*; it is '127.0.0.1'"),
        ("kubernetes_proxy_addr", "https://127.0.0.1:8001", "host and port"),
        ("kubernetes_proxy_addr", 8001, "host and port"),
        ("image_pull_secrets", "one", "image_pull_secrets must be a list"),
        ("node_selector", ["gpu"], "node_selector must be a dict"),
        ("node_selector", {"gpu": True}, "node_selector must be a dict"),
        ("tolerations", {"key": "gpu"}, "tolerations must be a list"),
        ("redis_password", "secret", "redis_ip says which Redis"),
        ("container_user_ids", range(3), "at least 16"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(argument, value, message):
    with pytest.raises(InvalidRequestError, match=message):
        KubernetesContainerManager(**{argument: value})


def test_a_proxy_is_an_address_in_place_of_a_kubeconfig():
    assert check_proxy_addr("127.0.0.1:8001", None, None) == "http://127.0.0.1:8001"
    assert check_proxy_addr("http://[::1]:8001/", None, None) == "http://[::1]:8001"
    with pytest.raises(InvalidRequestError, match="Pass one of them"):
        KubernetesContainerManager(kubernetes_proxy_addr="127.0.0.1:8001", context="minikube")


def test_the_repr_names_the_cluster_and_its_place():
    manager = KubernetesContainerManager("c", namespace="team", redis_ip="r", redis_password="pass-word")
    assert repr(manager) == "KubernetesContainerManager(cluster_name='c', namespace='team')"
    assert manager.external_redis
    assert "pass-word" not in repr(manager._settings)
