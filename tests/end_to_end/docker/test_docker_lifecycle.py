"""Clusters on Docker begin and end: other processes, ports, labels, health, networks, images."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from clipper_nb import (
    ClipperConnection,
    ClusterNotFoundError,
    ClusterUnreachableError,
    DockerContainerManager,
    ExistsError,
    ImageNotFoundError,
    InvalidRequestError,
    ReplicaStartError,
)
from clipper_nb.container_managers.docker import core
from clipper_nb.container_managers.docker.admin_folder import AdminFolder, make_admin_folder
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import (
    eventually,
    http_request,
    leftovers,
    new_cluster_name,
    new_manager,
    query,
    removed_afterwards,
    running_cluster,
)
from tests.support.docker_clusters import container_of, containers_of, docker_client

pytestmark = pytest.mark.docker


_ROLES = ("redis", "query_frontend", "management_frontend", "replica")


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClipperConnection]:
    """A cluster whose application ``app`` is served by version 1 of a model of that name."""
    with running_cluster("docker") as conn:
        create_endpoint(conn, "app", "doubles", lambda inputs: [x[0] for x in inputs], slo_micros=5_000_000)
        yield conn


def _in_another_process(cluster_name: str, code: str) -> subprocess.Popen[str]:
    """Start a Python process in which ``conn`` is a connection, not connected yet, to a cluster of that name."""
    first = f"""
from clipper_nb import ClipperConnection, DockerContainerManager
conn = ClipperConnection(DockerContainerManager({cluster_name!r}, "localhost", False, 0, 0, 0, 0))
"""
    return subprocess.Popen([sys.executable, "-c", first + code], stdout=subprocess.PIPE, text=True)


# --- from other processes


def test_another_process_finds_ports_and_token_and_predicts(cluster: ClipperConnection) -> None:
    code = "conn.connect(); print(conn.predict('app', [4.5]).output, conn.get_all_models(), conn.get_query_addr())"
    with _in_another_process(cluster.cm.cluster_name, code) as process:
        output, _ = process.communicate(timeout=60)
    assert output.strip() == f"4.5 ['app:1'] {cluster.get_query_addr()}"


def test_another_process_can_stop_everything(conn: ClipperConnection) -> None:
    deploy_python_closure(conn, "m", 1, "doubles", lambda inputs: inputs)
    with _in_another_process(conn.cm.cluster_name, "conn.stop_all()") as process:
        assert process.wait(timeout=60) == 0
    assert leftovers(conn.cm) == []
    with pytest.raises(ClusterUnreachableError):
        conn.get_all_apps()


_DEPLOY_AND_DIE = """
import os, signal
from clipper_nb.deployers.python import deploy_python_closure
conn.connect()
deploy_python_closure(conn, "orphan", 1, "doubles", lambda inputs: [sum(x) for x in inputs])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_version_of_a_notebook_killed_after_the_deploy_is_whole(cluster: ClipperConnection) -> None:
    """Its image is there, so it can be scaled, fetched, and started again after a crash."""
    with _in_another_process(cluster.cm.cluster_name, _DEPLOY_AND_DIE) as process:
        assert process.wait(timeout=120) == -signal.SIGKILL
    try:
        info = cluster.get_model_info("orphan", 1)
        assert info is not None
        cluster.set_num_replicas("orphan", 2)
        assert [c.image.tags for c in containers_of(cluster, "replica") if "orphan" in c.name] == [
            [info["container_name"]]
        ] * 2
        assert cluster.fetch_model("orphan")([[1.0, 2.0]]) == [3.0]
    finally:
        cluster.stop_models(["orphan"])


@pytest.mark.parametrize("moment", ["networks", "redis", "query_frontend"])
def test_an_interrupted_start_leaves_nothing(moment: str) -> None:
    with removed_afterwards(new_manager("docker")) as conn:
        process = _in_another_process(conn.cm.cluster_name, "conn.start_clipper(); print('started')")
        eventually(
            lambda: leftovers(conn.cm) if moment == "networks" else containers_of(conn, moment),
            within_s=60, what=f"the start has come to {moment}",
        )  # fmt: skip
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert output == ""
        assert process.returncode == -signal.SIGINT
        assert leftovers(conn.cm) == []


def test_connecting_to_a_missing_cluster_is_refused() -> None:
    conn = ClipperConnection(DockerContainerManager(new_cluster_name()))
    with pytest.raises(ClusterNotFoundError, match=rf"{conn.cm.cluster_name}.*start_clipper\(\)"):
        conn.connect()
    conn.cm.docker_client.close()


def test_a_second_start_is_refused_and_the_first_goes_on(cluster: ClipperConnection) -> None:
    second = ClipperConnection(new_manager("docker", cluster.cm.cluster_name))
    with pytest.raises(ExistsError, match=rf"'{cluster.cm.cluster_name}' already exists.*connect\(\)"):
        second.start_clipper()
    second.cm.docker_client.close()
    assert query(cluster, "app", {"input": [2.5]})[1]["output"] == 2.5


def test_second_start_does_not_disturb_a_start_under_way() -> None:
    with removed_afterwards(new_manager("docker")) as first:
        process = _in_another_process(first.cm.cluster_name, "conn.start_clipper(); print('started')")
        eventually(lambda: leftovers(first.cm), within_s=60, what="the other start is under way")
        with pytest.raises(ExistsError):
            first.start_clipper()
        assert process.communicate(timeout=60)[0] == "started\n"
        first.connect()
        assert first.get_all_apps() == []


# --- ports, labels, arguments, networks


_EXTRA = {"labels": {"team": "blue"}, "environment": {"TEAM": "blue"}, "mem_swappiness": 0, "shm_size": "8m"}


def _taken_ports(cluster: ClipperConnection) -> dict[str, int]:
    return dict.fromkeys(
        ("clipper_query_port", "clipper_rpc_port", "clipper_management_port"), cluster.cm.clipper_query_port
    )


@pytest.fixture(scope="module")
def second(cluster: ClipperConnection) -> Iterator[ClipperConnection]:
    """A cluster that was asked to use a port of the first, with the user's own arguments for containers."""
    manager = new_manager(
        "docker", extra_container_kwargs=_EXTRA, model_container_kwargs={"shm_size": "16m"}, **_taken_ports(cluster)
    )
    with running_cluster("docker", manager=manager) as conn:
        yield conn


def test_a_port_that_a_container_has_is_replaced(cluster: ClipperConnection, second: ClipperConnection) -> None:
    taken, manager = cluster.cm.clipper_query_port, second.cm
    found = {manager.clipper_query_port, manager.clipper_rpc_port, manager.clipper_management_port, taken}
    assert len(found) == 4
    assert second.get_query_addr().endswith(f":{manager.clipper_query_port}")
    assert http_request(second.get_query_addr(), "GET", "/livez")[0] == 200
    assert query(cluster, "app", {"input": [3.5]})[1]["output"] == 3.5


def test_doctor_warns_of_ports_that_are_taken(cluster: ClipperConnection) -> None:
    conn = ClipperConnection(new_manager("docker", **_taken_ports(cluster)))
    told = {finding.subject: finding for finding in conn.doctor().findings}
    assert told["Ports"].state == "warning"
    assert str(cluster.cm.clipper_query_port) in told["Ports"].found
    conn.cm.docker_client.close()


def test_extra_arguments_reach_every_container_and_are_merged(second: ClipperConnection) -> None:
    import os

    create_endpoint(second, "app", "doubles", lambda xs: [os.environ["TEAM"] for _ in xs], slo_micros=5_000_000)
    assert query(second, "app", {"input": []})[1]["output"] == "blue"
    for role in _ROLES:
        container = container_of(second, role)
        assert container.labels["team"] == "blue"
        assert "TEAM=blue" in container.attrs["Config"]["Env"]
        assert container.attrs["HostConfig"]["ShmSize"] == (16 if role == "replica" else 8) * 1024**2


def _names_with_label(conn: ClipperConnection, label: str) -> list[str]:
    found = docker_client(conn).containers.list(filters={"label": label}, ignore_removed=True)
    return [c.name for c in found if c.name.startswith(conn.cm.cluster_name)]


@pytest.mark.parametrize(
    ("sent", "reply"),
    [(b"POST /app/predict HTTP/1.1\r\nHo", b""), (b"\xff" * 1000 + b"\r\n\r\n", b"HTTP/1.1 400 ")],
    ids=["half", "garbage"],
)
def test_bad_clients_at_the_published_port_disturb_no_other(
    cluster: ClipperConnection, sent: bytes, reply: bytes
) -> None:
    """All that they do is tested on the embedded cluster; here the engine is between them and the frontend."""
    host, port = cluster.get_query_addr().split(":")
    for value in range(20):
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(13) == reply
        assert query(cluster, "app", {"input": [float(value)]})[1]["output"] == value


def test_scripts_that_list_clippers_labels_work(cluster: ClipperConnection) -> None:
    name, manager = cluster.cm.cluster_name, cluster.cm
    replica = container_of(cluster, "replica").name
    core = [f"{name}-{each}-0" for each in ("redis", "query_frontend", "management_frontend")]
    assert sorted(_names_with_label(cluster, f"ai.clipper.container.label={name}")) == sorted([*core, replica])
    assert _names_with_label(cluster, "ai.clipper.model_container.label=app_1") == [replica]
    assert _names_with_label(cluster, "ai.clipper.query_frontend.label") == [f"{name}-query_frontend-0"]
    assert _names_with_label(cluster, "ai.clipper.management_frontend.label") == [f"{name}-management_frontend-0"]
    labels = container_of(cluster, "query_frontend").labels
    assert labels["ai.clipper.query_frontend.query.port"] == str(manager.clipper_query_port)
    assert labels["ai.clipper.query_frontend.rpc.port"] == str(manager.clipper_rpc_port)
    labels = container_of(cluster, "management_frontend").labels
    assert labels["ai.clipper.management.port"] == str(manager.clipper_management_port)


def test_pods_of_a_cluster_of_the_same_name_are_left_alone(conn: ClipperConnection) -> None:
    """As where a kubelet runs pods on this engine: their containers have the labels of our pods."""
    create_endpoint(conn, "app", "doubles", lambda inputs: [x[0] for x in inputs], slo_micros=5_000_000)
    replica = container_of(conn, "replica")
    labels = {**replica.labels, "io.kubernetes.pod.uid": "ce7a10be"}
    pods = [
        docker_client(conn).containers.run(
            replica.image.id, ["600"], entrypoint="sleep", labels=labels, detach=True, network_mode="none"
        )
        for _ in range(2)
    ]
    try:
        assert container_of(conn, "replica").id == replica.id
        pods.pop().remove(force=True)
        conn.set_num_replicas("app", 2)
        conn.set_num_replicas("app", 1)
        assert len(conn.cm.observe_replicas()) == 1
        conn.stop_models(["app"])
        conn.stop_all()
        assert docker_client(conn).containers.get(pods[0].id).status == "running"
    finally:
        for pod in pods:
            pod.remove(force=True)


@pytest.mark.parametrize("role", _ROLES)
def test_every_container_says_what_it_is(cluster: ClipperConnection, role: str) -> None:
    labels = container_of(cluster, role).labels
    assert labels["ai.clipper.role"] == role
    assert labels["ai.clipper.name"]
    title = "app" if role == "replica" else f"clipper_nb {role}"
    assert labels["org.opencontainers.image.title"] == title
    assert labels["org.opencontainers.image.version"]


def test_admin_calls_use_the_port_if_no_folder_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an engine that numbers users differently, or whose containers may not touch this machine's files."""
    folders = []

    def make_closed_folder(engine_url: str, container_user: str, start_id: str) -> AdminFolder | None:
        folder = make_admin_folder(engine_url, container_user, start_id)
        assert folder is not None
        os.chown(folder.shared_path, os.getuid(), os.getgid())
        folder.shared_path.chmod(0o500)
        folders.append(folder.path)
        return folder

    monkeypatch.setattr(core, "make_admin_folder", make_closed_folder)
    with running_cluster("docker") as conn:
        assert conn.cm.get_admin_endpoint() == f"http://{conn.get_admin_addr()}"
        conn.register_application("app", "doubles", "-", 100_000)
        assert conn.get_all_apps() == ["app"]
    assert [path.exists() for path in folders] == [False]


@pytest.mark.parametrize(
    "arguments",
    [
        {"extra_container_kwargs": {"restart_policy": {"Name": "no"}}},
        {"extra_container_kwargs": {"network": "mine"}},
        {"model_container_kwargs": {"name": "mine"}},
        {"extra_container_kwargs": {"labels": ["team=blue"]}},
        {"use_centralized_log": True},
        {"docker_network": "host"},
    ],
)
def test_arguments_that_cannot_be_are_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        new_manager("docker", **arguments)


def test_frontends_join_a_network_of_the_user_which_stays(cluster: ClipperConnection) -> None:
    client = docker_client(cluster)
    users_network = client.networks.create(f"users-{new_cluster_name()}", driver="bridge")
    try:
        with running_cluster("docker", manager=new_manager("docker", docker_network=users_network.name)) as conn:
            name = conn.cm.cluster_name
            image = container_of(conn, "query_frontend").image.id
            for host, port in ((f"{name}-query_frontend-0", 1337), (f"{name}-management_frontend-0", 1338)):
                code = f"import urllib.request as r; print(r.urlopen('http://{host}:{port}/livez', timeout=5).status)"
                output = client.containers.run(
                    image, ["python", "-c", code], network=users_network.name, remove=True, stderr=True
                )
                assert output == b"200\n"
            assert users_network.name not in container_of(conn, "redis").attrs["NetworkSettings"]["Networks"]
        users_network.reload()
        assert users_network.containers == []
    finally:
        users_network.remove()


# --- what grows


def test_file_of_redis_does_not_grow_with_every_change(cluster: ClipperConnection) -> None:
    redis = container_of(cluster, "redis")
    changes = "for n = 1, 60000 do redis.call('set', 'test', string.rep('x', 64) .. n) end redis.call('del', 'test')"
    assert redis.exec_run(["redis-cli", "eval", changes, "0"]).exit_code == 0

    def size_bytes() -> int:
        used = redis.exec_run(["du", "-sb", "/data"]).output
        return int(used.split()[0])

    eventually(lambda: size_bytes() < 1 << 20, within_s=20, what="the file is written anew")
    assert cluster.get_all_apps() == ["app"]


# --- half-dead clusters


def test_leftovers_of_a_cluster_are_named_and_removed(conn: ClipperConnection) -> None:
    deploy_python_closure(conn, "m", 1, "doubles", lambda inputs: inputs)
    conn.cm._end_watch()
    container_of(conn, "query_frontend").remove(force=True)
    container_of(conn, "management_frontend").kill()
    container_of(conn, "redis").pause()
    with pytest.raises(ClusterUnreachableError, match=r"has no query_frontend; stop_all\(\)"):
        conn.connect()
    conn.stop_all()
    assert leftovers(conn.cm) == []


def test_connecting_to_a_cluster_that_is_ending_says_so(conn: ClipperConnection) -> None:
    """The management frontend was told to stop: stop_all() has come as far as that."""
    conn.cm._end_watch()
    conn.cm._containers.end([container_of(conn, "management_frontend")], timeout_s=0)
    with pytest.raises(
        ClusterNotFoundError, match=r"is ending, .* its management_frontend was told to stop.*stop_all\(\)"
    ):
        conn.connect()
    conn.stop_all()


def test_a_cluster_without_containers_can_be_removed_and_started(conn: ClipperConnection) -> None:
    folder = conn.cm._admin_folder
    conn.cm._end_watch()
    for container in conn.cm._containers.find():
        container.remove(force=True)
    with pytest.raises(ClusterNotFoundError):
        conn.connect()
    with pytest.raises(ExistsError, match=r"stopped only in part.*stop_all\(\)"):
        conn.start_clipper()
    conn.stop_all()
    assert folder is None or not folder.path.exists()
    conn.start_clipper()


# --- images


@contextlib.contextmanager
def _image(client: Any, dockerfile: str) -> Iterator[str]:
    tag = f"{new_cluster_name()}:1"
    client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, forcerm=True)
    try:
        yield tag
    finally:
        client.images.remove(tag)


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        (["/no/such/program"], 127, "/no/such/program"),
        (["sh", "-c", "echo the licence has expired; exit 7"], 7, "the licence has expired"),
        (["true"], 0, "ended with exit status 0"),
    ],
)
def test_an_image_that_does_not_serve_is_an_error_with_its_log(
    cluster: ClipperConnection, command: list[str], status: int, words: str
) -> None:
    dockerfile = f"FROM redis:7\nENTRYPOINT []\nCMD {json.dumps(command)}\n"
    with _image(docker_client(cluster), dockerfile) as tag:
        with pytest.raises(ReplicaStartError, match=words) as caught:
            cluster.deploy_model("broken", 1, "doubles", tag)
        assert caught.value.exit_status == status
        assert [container.model for container in cluster.cm.observe_replicas()] == ["app:1"]
        assert cluster.get_all_models() == ["app:1"]


def test_missing_image_is_reported_and_changes_nothing(cluster: ClipperConnection) -> None:
    deploy_python_closure(cluster, "gone", 1, "doubles", lambda inputs: inputs, num_replicas=1)
    image = cluster.get_model_info("gone", 1)["container_name"]
    cluster.set_num_replicas("gone", 0)
    docker_client(cluster).images.remove(image)
    with pytest.raises(ImageNotFoundError, match=image):
        cluster.set_num_replicas("gone", 1)
    assert cluster.get_num_replicas("gone") == 0
    cluster.stop_models(["gone"])


# --- health; last, as the engine asks every thirty seconds only


@pytest.mark.slow
def test_health_checks_become_healthy(cluster: ClipperConnection) -> None:
    waiting = [container_of(cluster, role) for role in _ROLES]
    eventually(lambda: all(_health(each) == "healthy" for each in waiting), within_s=60, what="all are healthy")


@pytest.mark.slow
def test_a_container_is_starting_before_it_is_healthy(cluster: ClipperConnection) -> None:
    deploy_python_closure(cluster, "fresh", 1, "doubles", lambda inputs: inputs)
    replica = containers_of(cluster, "replica")[-1]
    assert _health(replica) == "starting"
    cluster.stop_models(["fresh"])


def _health(container: Any) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])
