"""What the engine is asked for, whatever the role of a container."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.container_managers import specs
from clipper_nb.container_managers.docker import redis as docker_redis
from clipper_nb.container_managers.docker.create_arguments import create_arguments, network_arguments, networks
from clipper_nb.container_managers.replica_scaling import ReplicaSettings
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.protocol.containers import ContainerSpec
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId

SPECS = {
    "redis": docker_redis.own_redis("secret")[0],
    "query frontend": specs.query_frontend_spec("python", ClusterOptions(), {}),
    "management frontend": specs.management_frontend_spec("python", ClusterOptions(), {}, "token"),
    "replica": specs.replica_spec(
        ModelId("m", "1"),
        name="m_1-abc",
        command=(),
        image="i:1",
        input_type=InputType.INTEGERS,
        rpc_host="h",
        rpc_port=7000,
        load_timeout_s=60,
    ),
}


def _arguments(spec: ContainerSpec, **extra: Any) -> dict[str, Any]:
    ports = {"query": 1, "management": 2, "rpc": 3}
    return create_arguments(
        spec, cluster="c", image="i:1", host_ports=ports, publish_address="127.0.0.1", extra=extra
    )  # fmt: skip


@pytest.mark.parametrize("role", SPECS)
def test_logs_rotate_unless_the_user_configures_them(role):
    rotating = {"type": "json-file", "config": {"max-size": "10m", "max-file": "3"}}
    assert _arguments(SPECS[role])["log_config"] == rotating
    assert _arguments(SPECS[role], log_config={"type": "syslog"})["log_config"] == {"type": "syslog"}


@pytest.mark.parametrize("role", SPECS)
def test_crashed_container_is_restarted(role):
    assert _arguments(SPECS[role])["restart_policy"] == {"Name": "always"}


def test_replicas_share_a_network_that_redis_is_not_in():
    networks = {role: _arguments(spec)["network"] for role, spec in SPECS.items()}
    assert networks.pop("replica") == "c-models"
    assert set(networks.values()) == {"c-private"}


@pytest.mark.parametrize(
    ("offline_socket", "rpc_socket", "arguments"),
    [(None, None, {}), ("/s", "/s", {}), ("/s", None, {"network": "c-proven"})],
    ids=["written for Clipper", "without a network", "with a network"],
)
def test_replicas_with_a_token_have_a_network_of_their_own(offline_socket, rpc_socket, arguments):
    settings = ReplicaSettings("h", 7000, offline_socket=offline_socket, rpc_socket=rpc_socket)
    assert network_arguments(settings, "c") == arguments


def test_ports_are_published_through_the_network_of_models():
    assert sorted(networks("c"))[0] == "c-models"


def test_replica_without_a_network_sees_the_sockets_only():
    spec = specs.replica_spec(
        ModelId("m", "1"), name="m_1-abc", command=(), image="i:1", input_type=InputType.INTEGERS, rpc_host="h",
        rpc_port=7000, load_timeout_s=60, rpc_socket="/run/clipper_nb_rpc/0.sock",
    )  # fmt: skip
    arguments = _arguments(spec)
    assert (arguments["network_mode"], arguments["hostname"]) == ("none", "localhost")
    assert "network" not in arguments
    (mount,) = arguments["mounts"]
    assert (mount["Target"], mount["Source"], mount["ReadOnly"]) == ("/run/clipper_nb_rpc", "c-rpc", True)
    (shared,) = _arguments(SPECS["query frontend"])["mounts"]
    assert (shared["Source"], shared["ReadOnly"]) == ("c-rpc", False)
    assert _arguments(SPECS["query frontend"])["environment"]["CLIPPER_RPC_UNIX_FOLDER"] == "/run/clipper_nb_rpc"
    assert [_arguments(SPECS[role])["mounts"] for role in ("management frontend", "replica")] == [[], []]


def test_only_frontends_have_their_label_and_a_short_dns_timeout():
    for role, label in [("query frontend", "query_frontend"), ("management frontend", "management_frontend")]:
        arguments = _arguments(SPECS[role])
        assert arguments["labels"][f"ai.clipper.{label}.label"] == ""
        assert arguments["dns_opt"] == ["timeout:1", "attempts:1"]
    assert "dns_opt" not in _arguments(SPECS["replica"]) | _arguments(SPECS["redis"])


def test_the_users_arguments_replace_those_of_a_role():
    assert _arguments(SPECS["redis"], healthcheck={"test": ["NONE"]})["healthcheck"] == {"test": ["NONE"]}
