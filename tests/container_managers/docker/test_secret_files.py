"""Secrets reach a container as files, also one that is created again."""

from __future__ import annotations

import pytest

from clipper_nb.container_managers import specs
from clipper_nb.container_managers.docker.create_arguments import create_arguments
from clipper_nb.container_managers.docker.secret_files import FOLDER, secret_files_again
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.replica_proof import make_credentials

SECRET = "what tokens are made from"
MODEL, NAME = ModelId("m", "1.0"), "m_1.0-0a1b2c"
REPLICA = specs.replica_spec(
    MODEL, name=NAME, command=(), image="i:1", input_type=InputType.INTEGERS, rpc_host="h", rpc_port=7000,
    load_timeout_s=60, credentials=make_credentials(SECRET, MODEL, NAME),
)  # fmt: skip
QUERY_FRONTEND = specs.query_frontend_spec("python", ClusterOptions(), {}, secret=SECRET)
MANAGEMENT_FRONTEND = specs.management_frontend_spec("python", ClusterOptions(), {}, "token")


def _arguments(spec, **extra):
    ports = {"query": 1, "management": 2, "rpc": 3}
    return create_arguments(
        spec, cluster="c", image="i:1", host_ports=ports, publish_address="127.0.0.1", extra=extra
    )  # fmt: skip


@pytest.mark.parametrize("spec", [REPLICA, QUERY_FRONTEND, MANAGEMENT_FRONTEND], ids=lambda spec: spec.role)
def test_container_that_is_created_again_gets_the_same_files(spec):
    assert secret_files_again(_arguments(spec)["labels"], SECRET) == dict(spec.secret_files)


@pytest.mark.parametrize("spec", [REPLICA, QUERY_FRONTEND], ids=lambda spec: spec.role)
def test_container_is_told_paths_and_no_secret(spec):
    arguments = _arguments(spec)
    [(variable, content)] = spec.secret_files.items()
    assert arguments["environment"][variable] == f"{FOLDER}/{variable}"
    assert content not in repr(arguments)
    assert content not in repr(spec)


def test_volume_of_the_files_belongs_to_the_cluster():
    [mount] = _arguments(REPLICA)["mounts"]
    assert (mount["Type"], mount["Target"], mount["Source"]) == ("volume", FOLDER, None)
    assert mount["VolumeOptions"]["Labels"]["ai.clipper.container.label"] == "c"
    assert _arguments(MANAGEMENT_FRONTEND)["mounts"] == []


def test_mounts_of_the_user_are_added():
    assert _arguments(REPLICA, mounts=["theirs"])["mounts"][1:] == ["theirs"]
