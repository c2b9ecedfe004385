"""What model code can see and do, told by model code itself; and what the frontends and Redis show to the host."""

from __future__ import annotations

import errno
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from clipper_nb import ClipperConnection, DockerContainerManager, ReplicaMemoryError, ResourceLimits
from clipper_nb.clients.metrics_text import parse_samples
from clipper_nb.container_managers.docker.redis import read_password
from clipper_nb.container_managers.docker.secret_files import read_secrets
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.protocol.metric_names import CONTAINERS_REFUSED, LABEL_REASON
from clipper_nb.protocol.replica_proof import replica_secret
from tests.support.any_code import run_code
from tests.support.clusters import disconnect, eventually, http_request, query, running_cluster
from tests.support.counting_proxy import CountingProxy, counting_proxy
from tests.support.docker_clusters import container_of, containers_of, docker_client, gateway_of, network_of
from tests.support.load import Load

pytestmark = pytest.mark.docker

_MIB = 1024**2
_LIMITS = ResourceLimits(memory="256m", cpus=0.5, processes=64)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClipperConnection]:
    """A cluster with two models: ``probe``, which runs any code, and its neighbour ``other``."""
    with running_cluster("docker", cache_size=0) as conn:
        create_endpoint(
            conn,
            "probe",
            "strings",
            run_code,
            slo_micros=30_000_000,
            batch_size=1,
            limits=_LIMITS,
            network_access=True,
        )
        create_endpoint(conn, "other", "doubles", lambda inputs: [x[0] for x in inputs], slo_micros=5_000_000)
        yield conn
        folder = conn.cm._admin_folder.path
        assert folder.is_dir()
    assert not folder.exists()


def _inside(conn: ClipperConnection, code: str) -> Any:
    """Run *code* in the model container and return its ``result``."""
    reply = query(conn, "probe", {"input": code})[1]
    assert not reply["default"], reply
    return reply["output"]


def _replica_of(conn: ClipperConnection, model: str) -> Any:
    return next(c for c in containers_of(conn, "replica") if c.labels["ai.clipper.model.name"] == model)


_SPY = """
import builtins, threading
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.model_container.client import ModelContainerClient
from clipper_nb.runtime.model_container.settings import model_container_settings

class Spy:
    def predict(self, inputs):
        builtins.spied += len(inputs)
        return [666.0 for _ in inputs]

builtins.spied = 0
own = model_container_settings()
for credentials in (None, own.credentials):
    client = ModelContainerClient(
        Spy(), ModelId("other", "1"), InputType.DOUBLES, own.frontend_addresses, credentials=credentials
    )
    threading.Thread(target=client.run, daemon=True).start()
result = own.credentials is not None
"""


def test_model_cannot_answer_in_the_place_of_another(cluster: ClipperConnection) -> None:
    """It says it serves its neighbour's model: once without a proof, once with one by its own token."""
    assert _inside(cluster, _SPY)
    eventually(
        lambda: _num_refused(cluster).keys() == {"no_token", "wrong_proof"}, within_s=30, what="both are refused"
    )
    replies = query(cluster, "other", {"input_batch": [[float(number)] for number in range(300)]})[1]
    assert [reply["output"] for reply in replies["batch_predictions"]] == [float(number) for number in range(300)]
    assert _inside(cluster, "import builtins; result = builtins.spied") == 0


class _Watched(DockerContainerManager):
    """A cluster whose management frontend's published port a stranger has taken."""

    stranger: CountingProxy

    def get_admin_addr(self) -> str:
        return self.stranger.address


def test_stranger_at_the_admin_port_gets_no_call(cluster: ClipperConnection) -> None:
    """While the frontend's container is down the engine releases its port, for anybody to take."""
    host, port = cluster.get_admin_addr().split(":")
    with counting_proxy(f"{host}:{port}") as stranger:
        manager = _Watched(cluster.cm.cluster_name)
        manager.stranger = stranger
        other = ClipperConnection(manager)
        other.connect()
        try:
            other.set_num_replicas("other", 2)
            other.set_num_replicas("other", 1)
            assert other.doctor().problems == []
        finally:
            disconnect(manager)
        assert [request for request in stranger.requests if "/admin/" in request] == []


def test_token_is_in_neither_environment_nor_inspection(cluster: ClipperConnection) -> None:
    token = _inside(
        cluster, "import json, os; result = json.load(open(os.environ['CLIPPER_REPLICA_CREDENTIALS_FILE']))['token']"
    )
    secret = replica_secret(cluster.cm.get_admin_token())
    assert _inside(cluster, "import os; result = str(dict(os.environ))").count(token) == 0
    for container in (_replica_of(cluster, "probe"), container_of(cluster, "query_frontend")):
        shown = json.dumps([container.attrs, container.logs().decode()])
        assert token not in shown
        assert secret not in shown


def _num_refused(conn: ClipperConnection) -> dict[str, float]:
    metrics = http_request(conn.get_query_addr(), "GET", "/metrics")[1]
    samples = parse_samples(metrics, (CONTAINERS_REFUSED,))
    return {labels[LABEL_REASON]: number for _, labels, number in samples if number}


# --- what model code may do


_READ_STATUS = "result = dict(line.rstrip().split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)"


def test_model_code_runs_without_privileges(cluster: ClipperConnection) -> None:
    status = _inside(cluster, _READ_STATUS)
    assert "0" not in status["Uid"].split()
    assert "0" not in status["Gid"].split()
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


@pytest.mark.parametrize("folder", ["/", "/etc", "/model", "/usr/local/lib", "library"])
def test_the_image_is_read_only(cluster: ClipperConnection, folder: str) -> None:
    code = f"""
import clipper_nb, os
folder = os.path.dirname(clipper_nb.__file__) if {folder!r} == 'library' else {folder!r}
try:
    open(os.path.join(folder, 'mine'), 'w')
    result = None
except OSError as exc:
    result = exc.errno
"""
    assert _inside(cluster, code) == errno.EROFS


def test_tmp_is_writable_and_bounded(cluster: ClipperConnection) -> None:
    limit = _inside(cluster, "import os; s = os.statvfs('/tmp'); result = s.f_blocks * s.f_frsize")
    assert 0 < limit <= 256 * _MIB
    code = f"""
import os
with open('/tmp/small', 'w') as file:
    file.write('kept')
try:
    os.posix_fallocate(os.open('/tmp/large', os.O_CREAT | os.O_WRONLY), 0, {limit + _MIB})
    result = 'was written'
except OSError as exc:
    result = [exc.errno, open('/tmp/small').read()]
for name in ('small', 'large'):
    os.unlink('/tmp/' + name)
"""
    assert _inside(cluster, code) == [errno.ENOSPC, "kept"]


def test_too_many_processes_fail_in_their_replica_alone(cluster: ClipperConnection) -> None:
    code = """
import os, signal, time
children = []
try:
    while len(children) < 1000:
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        children.append(child)
    result = 'no limit'
except OSError as exc:
    result = [exc.errno, len(children)]
finally:
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
"""
    failure, num_children = _inside(cluster, code)
    assert failure == errno.EAGAIN
    assert 30 < num_children < 64  # the rest are the replica's own
    assert query(cluster, "other", {"input": [1.0]})[1]["output"] == 1.0
    assert _inside(cluster, "result = 'serves on'") == "serves on"


# --- limits


def _limits_of(container: Any) -> tuple[int, int, int, int]:
    host = container.attrs["HostConfig"]
    return host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]


_EXPECTED_LIMITS = (256 * _MIB, 256 * _MIB, 500_000_000, 64)


def test_limits_of_a_deploy_reach_the_replica(cluster: ClipperConnection) -> None:
    assert _limits_of(_replica_of(cluster, "probe")) == _EXPECTED_LIMITS
    memory, _, _, processes = _limits_of(_replica_of(cluster, "other"))
    assert (memory, processes) == (0, 512)
    assert int(_inside(cluster, _READ_CGROUP.format("memory/memory.limit_in_bytes", "memory.max"))) == 256 * _MIB
    assert int(_inside(cluster, _READ_CGROUP.format("pids/pids.max", "pids.max"))) == 64


_READ_CGROUP = """
import os
names = ['/sys/fs/cgroup/{}', '/sys/fs/cgroup/{}']
result = next(open(name).read() for name in names if os.path.exists(name))
"""


def test_limits_apply_to_every_replica_of_their_version(cluster: ClipperConnection) -> None:
    deploy_python_closure(cluster, "scaled", 1, "doubles", lambda inputs: [1 for _ in inputs], limits=_LIMITS)
    deploy_python_closure(cluster, "scaled", 2, "doubles", lambda inputs: [2 for _ in inputs])
    cluster.set_num_replicas("scaled", 0, 1)
    cluster.set_model_version("scaled", 1, num_replicas=1)  # a roll-back
    cluster.set_num_replicas("scaled", 2)
    version = {"ai.clipper.model.name": "scaled", "ai.clipper.model.version": "1"}
    replicas = [c for c in containers_of(cluster, "replica") if version.items() <= c.labels.items()]
    assert [_limits_of(replica) for replica in replicas] == [_EXPECTED_LIMITS] * 2
    cluster.stop_models(["scaled"])


class _HugeWhenLoaded:
    def __reduce__(self) -> tuple:
        def load() -> None:
            print("loading far too much")
            kept = []
            while True:
                kept.append(bytearray(_MIB))

        return (load, ())

    def __call__(self, inputs: list) -> list:
        return [0 for _ in inputs]


def test_a_model_too_large_for_its_limit_is_named(cluster: ClipperConnection) -> None:
    with pytest.raises(ReplicaMemoryError) as caught:
        deploy_python_closure(
            cluster, "other", 2, "doubles", _HugeWhenLoaded(), limits=ResourceLimits(memory="128m")
        )  # fmt: skip
    assert "other:2 was killed at its memory limit" in str(caught.value)
    assert "limits=ResourceLimits(memory=...)" in str(caught.value)
    assert caught.value.exit_status == -9
    assert "loading far too much" in caught.value.log_tail
    assert "other:2" not in [container.model for container in cluster.cm.observe_replicas()]
    assert query(cluster, "other", {"input": [2.0]})[1]["output"] == 2.0


def test_a_model_that_eats_memory_dies_alone_and_is_reported(cluster: ClipperConnection) -> None:
    with Load(cluster.get_query_addr(), "other", num_clients=2) as load:
        load.wait_for(50)
        reply = query(cluster, "probe", {"input": "kept = [bytearray(1 << 20) for _ in range(1 << 20)]"})[1]
        assert reply["default_reason"] == "model_error"
        assert "Two replicas of probe:1 were lost" in reply["default_explanation"]
        # The engine itself brings it back.
        eventually(lambda: _serves(cluster), within_s=20, what="the replica serves again")
        load.wait_for(50)
    assert {(reply.status, reply.body["default"]) for reply in load.replies} == {(200, False)}
    (observed,) = [container for container in cluster.cm.observe_replicas() if container.model == "probe:1"]
    assert observed.was_out_of_memory
    assert observed.exit_status == -9
    assert observed.num_exits >= 1
    (neighbour,) = [container for container in cluster.cm.observe_replicas() if container.model == "other:1"]
    assert (neighbour.num_exits, neighbour.was_out_of_memory) == (0, False)


def _serves(conn: ClipperConnection) -> bool:
    return query(conn, "probe", {"input": f"result = {time.monotonic()}"})[1]["default"] is False


# --- what can be reached


_REACHED = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def is_reached(address):
    try:
        socket.create_connection(address, timeout=3).close()
        return True
    except OSError:
        return False
addresses = {addresses}
with ThreadPoolExecutor(len(addresses)) as pool:
    result = [address for address, is_so in zip(addresses, pool.map(is_reached, addresses)) if is_so]
"""


def _reached_from_model(conn: ClipperConnection, addresses: list) -> list:
    return [tuple(address) for address in _inside(conn, _REACHED.format(addresses=addresses))]


def _reached_from_query_frontend(conn: ClipperConnection, addresses: list) -> list:
    code = _REACHED.format(addresses=addresses) + "print(json.dumps(result))"
    output = container_of(conn, "query_frontend").exec_run(["python", "-c", code]).output
    return [tuple(address) for address in json.loads(output)]


def _address_in(container: Any, network: Any) -> str:
    return str(container.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"])


def test_model_code_reaches_only_the_query_frontend(
    cluster: ClipperConnection,
) -> None:
    name, private = cluster.cm.cluster_name, network_of(cluster, "private")
    forbidden = []
    for role, port in (("redis", 6379), ("management_frontend", 1338)):
        hosts = (f"{role}-0", f"{name}-{role}-0", _address_in(container_of(cluster, role), private))
        forbidden += [(host, port) for host in hosts]
    # The same probe, from where they must be reached.
    assert _reached_from_query_frontend(cluster, forbidden) == forbidden
    assert _reached_from_model(cluster, [("query_frontend-0", 7000), *forbidden]) == [("query_frontend-0", 7000)]


def test_model_code_reaches_no_published_port_by_a_gateway(cluster: ClipperConnection) -> None:
    networks = [network_of(cluster, purpose) for purpose in ("private", "models", "proven")]
    networks.append(docker_client(cluster).networks.get("bridge"))
    hosts = [gateway_of(network) for network in networks]
    hosts += ["127.0.0.1", "host.docker.internal"]
    manager = cluster.cm
    ports = [6379, 1338, manager.clipper_management_port, manager.clipper_query_port, manager.clipper_rpc_port]
    with socket.create_server(("0.0.0.0", 0)) as server:  # what is open to all is reached, so the probe is no cheat
        open_port = server.getsockname()[1]
        gateway = gateway_of(network_of(cluster, "proven"))
        addresses = [(gateway, open_port), *((host, port) for host in hosts for port in ports)]
        assert _reached_from_model(cluster, addresses) == [(gateway, open_port)]


# --- frontends and Redis


@pytest.mark.parametrize("role", ["redis", "query_frontend", "management_frontend", "replica"])
def test_no_container_has_rights(cluster: ClipperConnection, role: str) -> None:
    container = container_of(cluster, role)
    host = container.attrs["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] in (None, [])
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    # As the kernel sees the process itself.
    process = psutil.Process(container.attrs["State"]["Pid"])
    for each in (process, *process.children(recursive=True)):
        status = Path(f"/proc/{each.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status
        assert 0 not in each.uids()


def test_frontends_are_published_on_loopback_and_redis_nowhere(cluster: ClipperConnection) -> None:
    ports = {
        role: container_of(cluster, role).attrs["NetworkSettings"]["Ports"]
        for role in ("query_frontend", "management_frontend", "redis")
    }
    published = {role: {inside for inside, where in of_role.items() if where} for role, of_role in ports.items()}
    assert published == {
        "query_frontend": {"1337/tcp", "7000/tcp"}, "management_frontend": {"1338/tcp"}, "redis": set(),
    }  # fmt: skip
    hosts = {where["HostIp"] for of_role in ports.values() for list_ in of_role.values() for where in list_ or ()}
    assert hosts == {"127.0.0.1"}


def test_redis_requires_a_password_shown_on_no_command_line(cluster: ClipperConnection) -> None:
    redis = container_of(cluster, "redis")
    password = read_password(read_secrets(redis))
    assert len(password) > 20
    assert b"NOAUTH" in redis.exec_run(["redis-cli", "keys", "*"]).output
    assert redis.exec_run(["redis-cli", "ping"], environment={"REDISCLI_AUTH": password}).output == b"PONG\n"
    command_lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert any("redis-server" in line for line in command_lines)
    assert not any(password in line for line in command_lines)


def test_admin_rest_requires_the_token(cluster: ClipperConnection) -> None:
    address, body = cluster.get_admin_addr(), json.dumps({"verbose": False})
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert http_request(address, "POST", "/admin/get_all_models", body, headers)[0] == 401
    headers = {"Authorization": f"Bearer {cluster.cm.get_admin_token()}"}
    status, models = http_request(address, "POST", "/admin/get_all_models", body, headers)
    assert status == 200
    assert "probe:1" in models
