"""A pod's network plugin goes on when the pod's policies are enforced."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pod_addresses import PodAddresses, Reported

POD = ("shop", "web")


class KnownCluster:
    """A pod of node-1."""

    def __init__(self) -> None:
        self.changed = threading.Event()
        self.pods = {POD: {"spec": {"nodeName": "node-1"}}}

    def get(self, kind: str) -> dict:
        return self.pods


@pytest.fixture
def cluster() -> KnownCluster:
    return KnownCluster()


@pytest.fixture
def addresses(cluster: KnownCluster, tmp_path: Path) -> Iterator[PodAddresses]:
    addresses = PodAddresses(cluster)
    server = addresses.serve(str(tmp_path / "socket"))
    yield addresses
    server.shutdown()
    server.server_close()


def ask(path: Path, node: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(path))
    message = {"namespace": "shop", "name": "web", "address": "10.244.1.2", "node": node}
    connection.sendall(json.dumps(message).encode() + b"\n")
    return connection


def test_a_plugin_waits_until_policies_are_enforced(
    cluster: KnownCluster, addresses: PodAddresses, tmp_path: Path
) -> None:
    with ask(tmp_path / "socket", "node-1") as plugin:
        assert cluster.changed.wait(10)
        assert addresses.read() == {POD: Reported("10.244.1.2", "node-1")}
        addresses.mark_enforced({})
        plugin.setblocking(False)
        try:
            raise AssertionError(plugin.recv(16))
        except BlockingIOError:
            plugin.settimeout(10)
        addresses.mark_enforced(addresses.read())
        assert plugin.recv(16) == b"enforced\n"


def test_an_address_is_forgotten_with_its_pod(cluster: KnownCluster, addresses: PodAddresses, tmp_path: Path) -> None:
    with ask(tmp_path / "socket", "node-1") as plugin:
        assert cluster.changed.wait(10)
        addresses.mark_enforced(addresses.read())
        assert plugin.recv(16) == b"enforced\n"
    pod = cluster.pods.pop(POD)
    addresses.mark_enforced(addresses.read())
    cluster.pods[POD] = pod
    assert addresses.read() == {}


def test_a_pod_that_moved_has_no_address_of_its_old_node(
    cluster: KnownCluster, addresses: PodAddresses, tmp_path: Path
) -> None:
    with ask(tmp_path / "socket", "node-2"):
        assert cluster.changed.wait(10)
        assert addresses.read() == {}
        addresses.mark_enforced({POD: Reported("10.244.1.2", "node-2")})  # lets the server's thread end
