"""The containers of a cluster as the Docker Engine shows them, for tests."""

from __future__ import annotations

import ipaddress
from typing import Any

from clipper_nb import ClipperConnection, DockerContainerManager
from clipper_nb.protocol import environment


def docker_client(conn: ClipperConnection) -> Any:
    """Return the ``docker.DockerClient`` that the cluster's manager uses."""
    assert isinstance(conn.cm, DockerContainerManager)
    return conn.cm.docker_client


def containers_of(conn: ClipperConnection, role: str) -> list[Any]:
    """Return the cluster's containers in *role*, oldest first."""
    assert isinstance(conn.cm, DockerContainerManager)
    return conn.cm._containers.find(**{environment.LABEL_ROLE: role})


def container_of(conn: ClipperConnection, role: str) -> Any:
    """Return the oldest container in *role*."""
    return containers_of(conn, role)[0]


def network_of(conn: ClipperConnection, purpose: str) -> Any:
    """Return one of the cluster's networks: ``private``, ``models`` or ``proven``."""
    return docker_client(conn).networks.get(f"{conn.cm.cluster_name}-{purpose}")


def gateway_of(network: Any) -> str:
    """Return the address of the engine's host in a network.

    An engine that was started for the first time does not tell that of its own bridge, which is the first address.
    """
    settings = network.attrs["IPAM"]["Config"][0]
    return str(settings.get("Gateway") or next(ipaddress.ip_network(settings["Subnet"]).hosts()))
