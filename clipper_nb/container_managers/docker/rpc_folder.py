"""The folder that query frontends and replicas without a network share: frontends have their Unix sockets there.

It is a volume in memory. Replicas mount it read-only: they can connect to what is there, and change nothing.
"""

from __future__ import annotations

from typing import Any

from clipper_nb.images.docker_engine import docker_module
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import QUERY_FRONTEND, ContainerSpec
from clipper_nb.protocol.handed_sockets import rpc_socket_name

FOLDER = "/run/clipper_nb_rpc"
SOCKET = f"{FOLDER}/{rpc_socket_name(0)}"
VOLUME_OPTIONS = {"type": "tmpfs", "device": "tmpfs", "o": "nr_blocks=256,mode=1777"}
"""One megabyte, in pages, since Podman takes ``size`` for a quota. Query frontends of any user may make sockets."""


def volume_name(cluster: str) -> str:
    """Return the name of the volume."""
    return f"{cluster}-rpc"


def rpc_mounts(spec: ContainerSpec, cluster: str) -> list[Any]:
    """Return the mount of a container that has a part in it."""
    is_frontend = spec.role == QUERY_FRONTEND
    if not is_frontend and has_network(spec):
        return []
    return [docker_module().types.Mount(FOLDER, volume_name(cluster), type="volume", read_only=not is_frontend)]


def rpc_variables(spec: ContainerSpec) -> dict[str, str]:
    """Return the environment variable that tells a query frontend of the folder, or a replica of what it lacks."""
    if spec.role == QUERY_FRONTEND:
        return {environment.RPC_UNIX_FOLDER: FOLDER}
    return {} if has_network(spec) else {environment.NO_NETWORK: "1"}


def has_network(spec: ContainerSpec) -> bool:
    """Return whether a container has a network; a replica that finds its frontend by a path needs none."""
    return environment.FRONTEND_SOCKET not in spec.environment
