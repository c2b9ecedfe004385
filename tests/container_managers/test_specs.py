"""What each container of a cluster is; the processes must understand what they are told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from clipper_nb.container_managers import specs
from clipper_nb.container_managers.specs import ClusterOptions, NotGiven
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import REPLICA
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.replica_proof import decode_credentials, make_credentials
from clipper_nb.runtime.model_container.settings import model_container_settings
from clipper_nb.runtime.settings import management_frontend_settings, query_frontend_settings

PYTHON = "/usr/bin/python3"
REDIS = {"CLIPPER_REDIS_URL": "unix://:secret@/c/redis.sock"}
URL = REDIS["CLIPPER_REDIS_URL"]
OPTIONS = ClusterOptions(
    cache_size_bytes=0, header_timeout_s=7, body_timeout_s=70, max_body_size_bytes=1000, max_waiting_size_bytes=9000,
    num_frontend_replicas=1,
)  # fmt: skip


def replica(**changes):
    told = {
        "name": "digits-net-1-0",
        "command": (PYTHON, "-m", "clipper_nb.runtime.model_container"),
        "image": "digits-net:1",
        "input_type": InputType.DOUBLES,
        "model_folder": "/c/images/digits-net/1",
        "rpc_host": "127.0.0.1",
        "rpc_port": 7001,
        "load_timeout_s": 60.0,
    }
    return specs.replica_spec(ModelId("digits-net", "1"), **{**told, **changes})


ALL = [
    specs.redis_spec(("/usr/bin/redis-server", "/c/redis.conf")),
    specs.query_frontend_spec(PYTHON, OPTIONS, REDIS),
    specs.management_frontend_spec(PYTHON, OPTIONS, REDIS, "token"),
    replica(),
]


def test_query_frontend_reads_the_settings_of_its_spec():
    spec = specs.query_frontend_spec(PYTHON, OPTIONS, REDIS)
    settings = query_frontend_settings(
        {**spec.environment, **{variable: str(number) for number, variable in enumerate(spec.sockets, start=5)}}
    )
    assert settings.redis.url == URL
    assert settings.cache_size_bytes == 0
    assert (settings.http_limits.header_timeout_s, settings.http_limits.body_timeout_s) == (7, 70)
    assert settings.http_limits.max_body_size_bytes == 1000
    assert settings.http_limits.max_waiting_size_bytes == 9000
    assert settings.frontend_id == spec.name
    assert {settings.http.socket_fd, settings.rpc.socket_fd} == {5, 6}
    assert set(spec.sockets.values()) == {"query", "rpc"}


def test_management_frontend_reads_the_settings_of_its_spec():
    spec = specs.management_frontend_spec(PYTHON, OPTIONS, REDIS, "token")
    settings = management_frontend_settings({**spec.environment, **dict.fromkeys(spec.sockets, "5")})
    assert settings.redis.url == URL
    assert settings.admin_token == "token"
    assert settings.http_limits.max_body_size_bytes == 1000
    assert settings.http_limits.max_waiting_size_bytes == 9000
    assert settings.http.socket_fd == 5
    assert set(spec.sockets.values()) == {"management"}


@pytest.mark.parametrize("input_type", [str(input_type) for input_type in InputType])
def test_model_container_reads_the_settings_of_its_spec(input_type):
    spec = replica(input_type=input_type, load_timeout_s=0.25)
    settings = model_container_settings(spec.environment)
    assert settings.model_id == ("digits-net", "1")
    assert str(settings.input_type) == input_type
    assert settings.frontend_addresses == ("127.0.0.1:7001",)
    assert settings.model_path == Path("/c/images/digits-net/1")
    assert settings.load_timeout_s == 0.25


def test_replica_belongs_to_its_version():
    assert replica().model == "digits-net:1"
    assert all(spec.model is None for spec in ALL if spec.role != REPLICA)


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.role)
def test_command_is_a_list_of_words_and_the_environment_is_text(spec):
    assert isinstance(spec.command, tuple)
    assert all(isinstance(word, str) and word for word in spec.command)
    assert all(isinstance(value, str) for pair in spec.environment.items() for value in pair)


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.role)
def test_secrets_are_not_on_the_command_line(spec):
    """Everybody on the machine can read that."""
    assert not {"token", URL} & set(spec.command)


def test_names_and_roles_differ():
    assert len({spec.name for spec in ALL}) == len({spec.role for spec in ALL}) == len(ALL)


def test_model_containers_get_no_secrets():
    assert not {"token", URL} & set(replica().environment.values())


def test_resumed_cluster_has_its_options_unless_given_again():
    stored = ClusterOptions.of({}, cache_size_bytes=5, num_frontend_replicas=3).stored()
    asked = ClusterOptions.of({}, num_frontend_replicas=1, cache_size_bytes=NotGiven(9), query_frontend_image=None)
    resumed = asked.over({**stored, "option_of_another_release": 1})
    assert (resumed.cache_size_bytes, resumed.num_frontend_replicas) == (5, 1)
    again = ClusterOptions().over(json.loads(json.dumps(resumed.stored())))
    assert again.stored() == resumed.stored()


def test_option_that_a_kept_cluster_did_not_know_has_its_default():
    assert ClusterOptions.of({}).over({}).stored() == ClusterOptions().stored()


def test_resumed_cluster_has_its_token_unless_one_is_given():
    kept = json.loads(json.dumps(ClusterOptions.of({}, query_token="kept", allowed_hosts=("a.example.org",)).stored()))
    resumed = ClusterOptions.of({"query_token": "new", "allowed_hosts": ("hub.example.org",)}).over(kept)
    assert (resumed.query_token, resumed.allowed_hosts) == ("kept", ("a.example.org",))
    assert ClusterOptions.of({"query_token": "new"}, query_token="").over(kept).query_token == ""


def test_another_replica_has_a_name_and_credentials_of_its_own():
    first = replica(
        credentials=make_credentials("secret", ModelId("digits-net", "1"), "one"), is_read=True, variables={"A": "b"}
    )
    other = specs.another_replica(first, "secret")
    content = other.secret_files[environment.REPLICA_CREDENTIALS_FILE]
    assert decode_credentials(content) == make_credentials("secret", ModelId("digits-net", "1"), other.name)
    assert other.name.startswith("digits-net_1-")
    files = {**first.secret_files, environment.REPLICA_CREDENTIALS_FILE: content}
    assert other == replace(first, name=other.name, secret_files=files)
