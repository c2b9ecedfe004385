"""Replicas without a network, asked from inside: they answer queries, and reach nothing but the query frontend.

And containers without an account: each kind has a user of its own, who is nobody on this machine.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from clipper_nb import ClipperConnection, InvalidRequestError
from clipper_nb.container_managers.secret_files import FOLDER as SECRETS
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.images.user_ids import UNUSED
from clipper_nb.protocol.names import ModelId
from tests.support.any_code import run_code
from tests.support.clusters import eventually, kill, running_cluster
from tests.support.docker_clusters import container_of, containers_of, gateway_of, network_of

pytestmark = [pytest.mark.cluster, pytest.mark.docker]

SLO_MICROS = 30_000_000


_CONNECT = """
import socket
result = []
for address in {addresses!r}:
    try:
        socket.create_connection(tuple(address), timeout=2).close()
        result.append("reached")
    except OSError as exc:
        result.append(type(exc).__name__)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClipperConnection]:
    """A cluster of two query frontends with the models ``alone``, without a network, and ``other``, with one."""
    with running_cluster("docker", cache_size=0, num_frontend_replicas=2) as conn:
        create_endpoint(conn, "alone", "strings", run_code, slo_micros=SLO_MICROS, batch_size=1)
        create_endpoint(conn, "other", "strings", run_code, slo_micros=SLO_MICROS, batch_size=1, network_access=True)
        yield conn


def _inside(conn: ClipperConnection, app: str, code: str) -> Any:
    answer = conn.predict(app, code)
    assert not answer.default, answer
    return answer.output


def test_containers_have_user_ids_of_their_own(cluster: ClipperConnection) -> None:
    """As the host sees them: an account with one of them could read a container's environment, and kill it."""
    replicas = containers_of(cluster, "replica")
    containers = [
        *(container_of(cluster, role) for role in ("redis", "management_frontend", "query_frontend")),
        *replicas,
    ]
    found = [{uid for process in _processes_of(each) for uid in process.uids()} for each in containers]
    assert [len(uids) for uids in found] == [1] * 5
    uids = set.union(*found)
    assert len(uids) == 5
    assert all(UNUSED.first < uid <= UNUSED.last for uid in uids)
    for container, (uid,) in zip(containers, found, strict=True):
        listed = container.exec_run(["find", SECRETS, "-type", "f", "-printf", "%m %U\n"]).output.decode()
        assert set(listed.splitlines()) == {f"400 {uid}"}
    user = UNUSED.of_version(cluster.cm.cluster_name, ModelId("alone", "1"))
    code = "import getpass, os; result = [getpass.getuser(), f'{os.getuid()}:{os.getgid()}']"
    assert _inside(cluster, "alone", code) == ["clipper", user]


def _processes_of(container: Any) -> list[psutil.Process]:
    first = psutil.Process(container.attrs["State"]["Pid"])
    return [first, *first.children(recursive=True)]


def test_replica_without_a_network_reaches_nothing(cluster: ClipperConnection) -> None:
    network = network_of(cluster, "proven")
    host = socket.create_server(("0.0.0.0", 0))
    other = next(c for c in containers_of(cluster, "replica") if c.labels["ai.clipper.model.name"] == "other")
    with host:
        port = host.getsockname()[1]
        addresses = [
            (gateway_of(network), port),
            ("172.17.0.1", port),
            (other.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"], 7000),
            ("query_frontend-0", 7000),
            ("1.1.1.1", 53),
        ]
        found = _inside(cluster, "alone", _CONNECT.format(addresses=addresses))
        assert "reached" not in found
        assert _inside(cluster, "other", _CONNECT.format(addresses=addresses[:1])) == ["reached"]  # it listens
    code = "import os; result = sorted(os.listdir('/sys/class/net'))"
    assert _inside(cluster, "alone", code) == ["lo"]


def test_function_that_needs_a_network_is_told_how_to_get_it(cluster: ClipperConnection) -> None:
    for code in (
        "import socket; socket.create_connection(('1.1.1.1', 53))",
        "import socket; socket.getaddrinfo('x.y', 1)",
    ):
        answer = cluster.predict("alone", code)
        assert answer.reason == "model_error"
        assert "deploy with network_access=True" in str(answer.explanation)


def test_sockets_cannot_be_replaced_from_inside(cluster: ClipperConnection) -> None:
    code = """
import os
path = os.environ["CLIPPER_FRONTEND_SOCKET"]
folder = os.path.dirname(path)
result = [sorted(os.listdir(folder))]
for action in (lambda: os.unlink(path), lambda: open(folder + "/mine", "w"), lambda: os.rename(path, path + "x")):
    try:
        action()
        result.append("done")
    except OSError as exc:
        result.append(exc.errno)
"""
    assert _inside(cluster, "alone", code) == [["0.sock", "1.sock"], 30, 30, 30]  # read-only


def test_it_scales_and_outlives_its_frontend_and_container(cluster: ClipperConnection) -> None:
    cluster.set_num_replicas("alone", 2)
    replicas = [c for c in containers_of(cluster, "replica") if c.labels["ai.clipper.model.name"] == "alone"]
    assert [c.attrs["HostConfig"]["NetworkMode"] for c in replicas] == ["none", "none"]
    replicas[0].remove(force=True)  # by hand: the watch makes it again, from what the engine knows of it
    kill(cluster, "query_frontend")
    eventually(lambda: len(cluster.get_all_model_replicas()) == 3, within_s=40, what="all replicas are connected again")
    assert _inside(cluster, "alone", "result = 'serves'") == "serves"
    modes = [c.attrs["HostConfig"]["NetworkMode"] for c in containers_of(cluster, "replica")]
    assert modes.count("none") == 2


def test_processes_cannot_be_without_a_network() -> None:
    with running_cluster() as conn:
        with pytest.raises(InvalidRequestError, match="cannot run without a network"):
            deploy_python_closure(conn, "m", 1, "ints", lambda xs: xs, network_access=False)
        assert conn.get_all_models() == []
