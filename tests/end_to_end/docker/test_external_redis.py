"""Clusters that keep their configuration in a Redis of the user's."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest

from clipper_nb import ClusterStartError, InvalidRequestError
from clipper_nb.container_managers.docker import core
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import (
    eventually,
    leftovers,
    new_cluster_name,
    new_manager,
    query,
    removed_afterwards,
    running_cluster,
)
from tests.support.docker_clusters import container_of, containers_of, gateway_of

pytestmark = pytest.mark.docker

_PASSWORD = "p@ss:word/with?everything#"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def gateway(client: Any) -> str:
    """The address of the engine's host that every container reaches."""
    return gateway_of(client.networks.get("bridge"))


@contextlib.contextmanager
def _redis_container(client: Any, address: str, *options: str, files: Path | None = None) -> Iterator[int]:
    """Run a Redis that belongs to no cluster, and give its port at *address*."""
    container = client.containers.create(
        "redis:7",
        ["redis-server", "--save", "", *options],
        name=f"users-redis-{new_cluster_name()}",
        ports={"6379/tcp": (address, None)},
        volumes={str(files): {"bind": "/tls", "mode": "ro"}} if files else {},
    )
    try:
        container.start()
        container.reload()
        eventually(lambda: b"Ready to accept" in container.logs(), within_s=20, what="Redis is ready")
        yield int(container.ports["6379/tcp"][0]["HostPort"])
    finally:
        container.remove(force=True, v=True)


@pytest.fixture(scope="module")
def redis_arguments(client: Any, gateway: str) -> Iterator[dict[str, Any]]:
    """What leads a manager to a Redis with a password."""
    with _redis_container(client, gateway, "--requirepass", _PASSWORD) as port:
        yield {"redis_ip": gateway, "redis_port": port, "redis_password": _PASSWORD}


def test_the_configuration_outlives_the_cluster(redis_arguments: dict[str, Any]) -> None:
    with removed_afterwards(new_manager("docker", **redis_arguments)) as conn:
        conn.start_clipper()
        assert containers_of(conn, "redis") == []
        create_endpoint(conn, "app", "doubles", lambda inputs: [x[0] for x in inputs], slo_micros=5_000_000)
        before = [conn.get_all_apps(verbose=True), conn.get_all_models(verbose=True)]
        conn.stop_all()
        assert leftovers(conn.cm) == []

        conn.start_clipper()
        assert [conn.get_all_apps(verbose=True), conn.get_all_models(verbose=True)] == before
        assert conn.get_num_replicas("app") == 0
        assert query(conn, "app", {"input": [1.0]})[1]["default_reason"] == "no_ready_replica"
        conn.set_num_replicas("app", 1)
        assert query(conn, "app", {"input": [1.0]})[1]["output"] == 1.0


def test_clusters_that_share_a_redis_do_not_see_each_other(redis_arguments: dict[str, Any]) -> None:
    with (
        running_cluster("docker", manager=new_manager("docker", **redis_arguments)) as first,
        running_cluster("docker", manager=new_manager("docker", **redis_arguments)) as second,
    ):
        first.register_application("app", "doubles", "first", 1_000_000)
        assert second.get_all_apps() == []
        second.register_application("app", "strings", "second", 1_000_000)
        assert query(first, "app", {"input": [1.0]})[1]["output"] == "first"
        assert query(second, "app", {"input": "text"})[1]["output"] == "second"
        second.unregister_application("app")
        assert first.get_all_apps() == ["app"]


def test_localhost_is_the_engine_host_and_password_is_hidden(redis_arguments: dict[str, Any]) -> None:
    manager = new_manager("docker", **{**redis_arguments, "redis_ip": "localhost"})
    with running_cluster("docker", manager=manager) as conn:
        conn.register_application("app", "doubles", "0", 1_000_000)
        assert conn.get_all_apps() == ["app"]
        for role in ("query_frontend", "management_frontend"):
            assert _PASSWORD not in str(container_of(conn, role).top())
            assert _PASSWORD not in container_of(conn, role).logs().decode()
            assert _PASSWORD not in json.dumps(container_of(conn, role).attrs)


def test_a_password_without_a_redis_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="redis_ip"):
        new_manager("docker", redis_password="secret")


# --- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory, gateway: str) -> Path:
    """A folder with a private CA, ``ca.crt``, and a server's key and certificate that it signed."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=private CA", "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", *key, "-subj", "/CN=redis", "-keyout", "redis.key", "-out", "redis.csr")
    (folder / "names").write_text(f"subjectAltName=IP:{gateway}")
    openssl("x509", "-req", "-in", "redis.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "redis.crt")  # fmt: skip
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)  # Redis reads them as another user
    return folder


@pytest.fixture(scope="module")
def tls_redis_arguments(client: Any, gateway: str, certificates: Path) -> Iterator[dict[str, Any]]:
    """What leads a manager to a Redis that speaks TLS alone, but for the CA that has signed its certificate."""
    options = ["--port", "0", "--tls-port", "6379", "--tls-auth-clients", "no", "--requirepass", _PASSWORD]
    for name, file in (("cert", "redis.crt"), ("key", "redis.key"), ("ca-cert", "ca.crt")):
        options += [f"--tls-{name}-file", f"/tls/{file}"]
    with _redis_container(client, gateway, *options, files=certificates) as port:
        yield {"redis_ip": gateway, "redis_port": port, "redis_password": _PASSWORD, "redis_tls": True}


def test_redis_over_tls_with_a_private_ca(tls_redis_arguments: dict[str, Any], certificates: Path) -> None:
    manager = new_manager("docker", **tls_redis_arguments, redis_ca_file=certificates / "ca.crt")
    with running_cluster("docker", manager=manager) as conn:
        conn.register_application("app", "doubles", "over TLS", 1_000_000)
        assert query(conn, "app", {"input": [1.0]})[1]["output"] == "over TLS"


# --- failures


@pytest.mark.slow
def test_a_redis_that_cannot_be_used_ends_the_start(
    redis_arguments: dict[str, Any], tls_redis_arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "_EXTERNAL_REDIS_TIMEOUT_S", 6.0)
    host, port = redis_arguments["redis_ip"], redis_arguments["redis_port"]
    failures = [
        ({**redis_arguments, "redis_password": "wrong"}, f"{host}:{port}", "invalid username-password pair"),
        ({**redis_arguments, "redis_port": 1}, f"{host}:1", "Connection refused"),
        ({**redis_arguments, "redis_ip": "no-such-host.invalid"}, f"no-such-host.invalid:{port}", "Redis is away"),
        (tls_redis_arguments, f"{host}:{tls_redis_arguments['redis_port']}", "certificate verify failed"),
    ]

    def check(failure: tuple[dict[str, Any], str, str]) -> None:
        arguments, address, words = failure
        with removed_afterwards(new_manager("docker", **arguments)) as conn:
            started_s = time.monotonic()
            with pytest.raises(ClusterStartError) as caught:
                conn.start_clipper()
            assert time.monotonic() - started_s < 60
            assert leftovers(conn.cm) == []
        assert f"Redis at {address} does not answer" in str(caught.value)
        assert words in caught.value.log_tail

    with ThreadPoolExecutor(len(failures)) as pool:
        list(pool.map(check, failures))
