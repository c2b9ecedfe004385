"""Secrets reach a container as files, also one that is created again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from clipper_nb.container_managers import specs
from clipper_nb.container_managers.docker.archives import pack_files
from clipper_nb.container_managers.docker.create_arguments import create_arguments
from clipper_nb.container_managers.docker.redis import own_redis, read_password
from clipper_nb.container_managers.docker.secret_files import read_secrets, secret_files_again
from clipper_nb.container_managers.secret_files import FOLDER, with_secrets_as_files
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.replica_proof import make_credentials
from clipper_nb.runtime.settings import management_frontend_settings, query_frontend_settings

SECRET = "what tokens are made from"
MODEL, NAME = ModelId("m", "1.0"), "m_1.0-0a1b2c"
VARIABLES = {"API_KEY": "api-key"}
_replica_spec = partial(
    specs.replica_spec, MODEL, name=NAME, command=(), image="i:1", input_type=InputType.INTEGERS, rpc_host="h",
    rpc_port=7000, load_timeout_s=60, credentials=make_credentials(SECRET, MODEL, NAME),
)  # fmt: skip
REPLICA = _replica_spec(variables=VARIABLES, is_read=True)
REDIS, TO_REDIS = own_redis("redis-password")
OPTIONS = ClusterOptions(query_token="query-token")
QUERY_FRONTEND = with_secrets_as_files(specs.query_frontend_spec("python", OPTIONS, TO_REDIS, secret=SECRET))
MANAGEMENT_FRONTEND = with_secrets_as_files(specs.management_frontend_spec("python", OPTIONS, TO_REDIS, "admin-token"))
CORE = (REDIS, QUERY_FRONTEND, MANAGEMENT_FRONTEND)
CORE_FILES = {spec.role: spec.secret_files for spec in CORE}


def _arguments(spec, **extra):
    ports = {"query": 1, "management": 2, "rpc": 3}
    return create_arguments(
        spec, cluster="c", image="i:1", host_ports=ports, publish_address="127.0.0.1", extra=extra
    )  # fmt: skip


def _config(spec):
    """Return the configuration of a container, as the engine tells it."""
    arguments = _arguments(spec)
    variables = [f"{name}={value}" for name, value in arguments["environment"].items()]
    return {"Labels": arguments["labels"], "Env": variables}


def _nobody(model_id):
    raise AssertionError(model_id)


@pytest.mark.parametrize("spec", [REPLICA, *CORE], ids=lambda spec: spec.role)
def test_container_that_is_created_again_gets_the_same_files(spec):
    assert secret_files_again(_config(spec), CORE_FILES, {MODEL: VARIABLES}.__getitem__) == dict(spec.secret_files)


def test_version_without_variables_has_no_file_of_them():
    spec = _replica_spec(variables={}, is_read=True)
    assert secret_files_again(_config(spec), CORE_FILES, _nobody) == dict(spec.secret_files)
    assert "CLIPPER_VARIABLES_FILE" not in spec.secret_files


def test_other_programs_have_variables_in_the_environment():
    spec = _replica_spec(variables=VARIABLES, is_read=False)
    assert secret_files_again(_config(spec), CORE_FILES, _nobody) == dict(spec.secret_files)
    assert spec.environment["API_KEY"] == "api-key"


def test_container_names_the_variables_that_win():
    variables = _arguments(REPLICA, environment={"B": "2", "A": "1"})["environment"]
    assert (variables["CLIPPER_CONTAINER_VARIABLES"], variables["A"]) == ("B A", "1")


@pytest.mark.parametrize("spec", [REPLICA, *CORE], ids=lambda spec: spec.role)
def test_container_is_told_paths_and_no_secret(spec):
    arguments = _arguments(spec)
    assert spec.secret_files
    for variable, content in spec.secret_files.items():
        assert arguments["environment"][variable] == f"{FOLDER}/{variable}"
        assert content not in repr(arguments)
        assert content not in repr(spec)
    for secret in ("redis-password", "query-token", "admin-token", "api-key"):
        assert secret not in repr(arguments)


@pytest.mark.parametrize("role", ["query_frontend", "management_frontend"])
def test_frontend_reads_its_secrets_from_the_files(role, tmp_path):
    spec = {spec.role: spec for spec in CORE}[role]
    for variable, content in spec.secret_files.items():
        (tmp_path / variable).write_text(content)
    variables = {**spec.environment, **{variable: str(tmp_path / variable) for variable in spec.secret_files}}
    read = query_frontend_settings if role == "query_frontend" else management_frontend_settings
    settings = read(variables)
    assert settings.redis.url == TO_REDIS["CLIPPER_REDIS_URL"]
    assert settings.access.query_token == "query-token"
    assert getattr(settings, "admin_token", "admin-token") == "admin-token"


def test_cluster_without_a_query_token_has_no_file_of_it():
    spec = with_secrets_as_files(specs.query_frontend_spec("python", ClusterOptions(), TO_REDIS, secret=SECRET))
    assert set(spec.secret_files) == {"CLIPPER_REDIS_URL_FILE", "CLIPPER_REPLICA_SECRET_FILE"}


def test_secrets_of_a_container_are_read_from_its_archive():
    class Container:
        name = "c-redis-0"

        def get_archive(self, path):
            return [pack_files({f"{path[1:]}/{name}": text for name, text in REDIS.secret_files.items()}, None)], {}

    assert read_secrets(Container()) == REDIS.secret_files
    assert read_password(read_secrets(Container())) == "redis-password"


def test_volume_of_the_files_belongs_to_the_cluster():
    [mount] = _arguments(REPLICA)["mounts"]
    assert (mount["Type"], mount["Target"], mount["Source"]) == ("volume", FOLDER, None)
    assert mount["VolumeOptions"]["Labels"]["ai.clipper.container.label"] == "c"
    assert _arguments(replace(REPLICA, secret_files={}))["mounts"] == []


def test_mounts_of_the_user_are_added():
    assert _arguments(REPLICA, mounts=["theirs"])["mounts"][1:] == ["theirs"]
