"""Who is not told a secret gets no query: processes that say they serve another's model."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from clipper_nb import ClipperConnection, ClusterUnreachableError, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.protocol.metric_names import CONTAINERS_REFUSED
from clipper_nb.protocol.replica_proof import replica_secret
from tests.end_to_end.test_rpc_conformance import ClipperContainer
from tests.support.clusters import eventually, kill, new_cluster_name, query, running_cluster
from tests.support.counting_proxy import CountingProxy, counting_proxy

pytestmark = pytest.mark.cluster

NUM_QUERIES = 1000


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    """A cluster whose RPC port nobody has asked for."""
    manager = LocalContainerManager(new_cluster_name(), clipper_query_port=0, clipper_management_port=0)
    with running_cluster(manager=manager, cache_size=0) as conn:
        yield conn


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_rpc_port_opens_when_a_clipper_container_may_come(conn: ClipperConnection) -> None:
    create_endpoint(conn, "ours", "doubles", lambda inputs: [1.0 for _ in inputs], slo_micros=5_000_000)
    assert query(conn, "ours", {"input": [1]})[1]["output"] == 1.0
    assert not _is_open(conn.cm.clipper_rpc_port)
    conn.register_model("outside", 1, "doubles")
    assert _is_open(conn.cm.clipper_rpc_port)
    conn.register_application("outside", "doubles", "-", 5_000_000)
    conn.link_model_to_app("outside", "outside")
    with ClipperContainer(conn.cm.clipper_rpc_port, "outside", "1", 3, lambda inputs: [b"2" for _ in inputs]):
        eventually(
            lambda: query(conn, "outside", {"input": [1]})[1]["output"] == 2, within_s=20, what="it serves"
        )  # fmt: skip


def test_spy_gets_no_query_while_the_victim_serves(conn: ClipperConnection) -> None:
    conn.register_model("opens-the-port", 1, "doubles")
    create_endpoint(conn, "victim", "doubles", lambda inputs: [7.0 for _ in inputs], slo_micros=5_000_000)
    seen: list[bytes] = []

    def answer(inputs: list[bytes]) -> list[bytes]:
        seen.extend(inputs)
        return [b"666" for _ in inputs]

    with ClipperContainer(conn.cm.clipper_rpc_port, "victim", "1", 3, answer) as spy:
        eventually(lambda: spy.asked_for_metadata >= 2, within_s=20, what="it has said what it serves, and again")
        batch = [[float(number)] for number in range(NUM_QUERIES)]
        replies = query(conn, "victim", {"input_batch": batch})[1]["batch_predictions"]
        assert [reply["output"] for reply in replies] == [7.0] * NUM_QUERIES
        assert conn.get_all_model_replicas().count("victim:1:0") == 1
    assert seen == []
    _, refused = next(each for each in conn.inspect_instance().items() if each[0] == CONTAINERS_REFUSED)
    assert "no_token" in str(refused)
    [warning] = [finding for finding in conn.doctor().findings if finding.subject == "Strangers"]
    assert "for want of a token" in warning.found
    log = conn.cm._folder.log_path("query_frontend-0").read_text()
    assert "it says it serves victim:1, and has no token" in log
    assert replica_secret(conn.cm.get_admin_token()) not in log


def test_files_of_tokens_are_private_and_end_with_the_replica(conn: ClipperConnection) -> None:
    create_endpoint(conn, "short", "doubles", lambda inputs: [0.0 for _ in inputs], num_replicas=2)
    folder = conn.cm._folder.secrets_path
    assert len(list(folder.glob("short_1-*"))) == 2
    assert len(list(folder.glob("query_frontend-0.*"))) == 1
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    conn.stop_models(["short"])
    assert list(folder.glob("short_1-*")) == []


class _Watched(LocalContainerManager):
    """A cluster whose management frontend's port a stranger has taken."""

    stranger: CountingProxy

    def get_admin_addr(self) -> str:
        return self.stranger.address


def test_stranger_at_the_admin_port_gets_no_call(conn: ClipperConnection) -> None:
    """Whoever takes that port while the frontend is down would get the bearer token, and be believed."""
    with counting_proxy(conn.get_admin_addr()) as stranger:
        manager = _Watched(conn.cm.cluster_name)
        manager.stranger = stranger
        other = ClipperConnection(manager)
        other.connect()
        create_endpoint(other, "unseen", "doubles", lambda inputs: [3.0 for _ in inputs], slo_micros=5_000_000)
        assert other.predict("unseen", [1.0]).output == 3.0
        assert other.doctor().problems == []
        other.stop_models(["unseen"])
        assert [request for request in stranger.requests if "/admin/" in request] == []


def test_admin_socket_is_for_this_user_alone(conn: ClipperConnection) -> None:
    folder = conn.cm._folder
    assert folder.admin_socket_path.stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_admin_calls_go_on_after_the_frontend_was_killed(conn: ClipperConnection) -> None:
    kill(conn, "management_frontend")
    eventually(lambda: _has_applications(conn), within_s=20, what="admin calls work again")


def _has_applications(conn: ClipperConnection) -> bool:
    try:
        return bool(conn.get_all_apps())
    except ClusterUnreachableError:
        return False
