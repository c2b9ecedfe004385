"""From a container's spec to the arguments for the Docker Engine: labels, ports, limits, hardening. (pure)"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clipper_nb.container_managers.docker import redis as docker_redis
from clipper_nb.container_managers.docker.rpc_folder import has_network, rpc_mounts, rpc_variables
from clipper_nb.container_managers.docker.secret_files import secret_mounts
from clipper_nb.container_managers.replica_scaling import ReplicaSettings
from clipper_nb.container_managers.secret_files import secret_paths
from clipper_nb.errors import InvalidNameError, InvalidRequestError
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import (
    MANAGEMENT_FRONTEND,
    MONITORING,
    QUERY_FRONTEND,
    REDIS,
    REPLICA,
    ContainerSpec,
)
from clipper_nb.protocol.names import check_cluster_name
from clipper_nb.protocol.resource_limits import ResourceLimits
from clipper_nb.version import __version__

CONTAINER_PORTS = {
    "query": environment.DEFAULT_QUERY_PORT,
    "management": environment.DEFAULT_MANAGEMENT_PORT,
    "rpc": environment.DEFAULT_RPC_PORT,
}
"""Where the frontends listen inside their containers, whatever the host's ports are."""

_PORT_VARIABLES = {environment.HTTP_SOCKET: environment.HTTP_PORT, environment.RPC_SOCKET: environment.RPC_PORT}
_PORT_LABELS = {
    "query": environment.LABEL_QUERY_PORT,
    "management": environment.LABEL_MANAGEMENT_PORT,
    "rpc": environment.LABEL_RPC_PORT,
}
_OURS = frozenset(
    {"command", "detach", "image", "name", "network", "network_mode", "ports", "remove", "restart_policy"}
)
_MERGED = ("labels", "environment")

DEFAULT_MAX_PROCESSES = 512
_LOG_CONFIG = {"type": "json-file", "config": {"max-size": "10m", "max-file": "3"}}
"""By default an engine keeps everything that a container ever wrote."""
_TMPFS = "rw,exec,nosuid,nodev,size=256m,mode=1777"
_SECOND_NS = 1_000_000_000
_NO_NETWORK = {"network_mode": "none", "hostname": "localhost"}
"""By that name it finds itself, as Java wants to; other names are unknown to it."""


def check_docker_cluster_name(name: object) -> str:
    """Return *name* if the names of containers and images can begin with it."""
    checked = check_cluster_name(name)
    if checked != checked.lower() or any(pair in checked for pair in ("..", ".-", "-.", "._", "_.", "_-", "-_", "__")):
        raise InvalidNameError(
            "cluster name on Docker", name, "images are named after it: use lower case letters, digits and inner '-'."
        )
    return checked


def check_is_supported(*, use_centralized_log: bool, docker_network: str | None) -> None:
    """Return if the cluster can do what these arguments ask for."""
    if use_centralized_log:
        raise InvalidRequestError(
            "use_centralized_log is not supported. For a log driver of your own pass "
            "extra_container_kwargs={'log_config': docker.types.LogConfig(type='fluentd', config={...})}."
        )
    if docker_network == "host":
        raise InvalidRequestError("docker_network='host' is not possible: replicas must not reach Redis.")


def check_extra_arguments(extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the user's own arguments for containers; reject those that the cluster sets itself."""
    arguments = dict(extra or {})
    taken = sorted(_OURS.intersection(arguments))
    if taken:
        raise InvalidRequestError(f"extra_container_kwargs cannot have {', '.join(taken)}: the cluster decides those.")
    for name in _MERGED:
        if not isinstance(arguments.get(name, {}), Mapping):
            raise InvalidRequestError(f"extra_container_kwargs[{name!r}] must be a dict.")
    return arguments


def private_network(cluster: str) -> str:
    """Return the name of the network of Redis and both frontends.

    The engine publishes a container's ports through the first of its networks by name. For the query frontend that is
    the models' network, so that its clients do not notice when it loses this one.
    """
    return f"{cluster}-private"


def models_network(cluster: str) -> str:
    """Return the name of the network of the query frontend and of replicas that may come without a token."""
    return f"{cluster}-models"


def proven_network(cluster: str) -> str:
    """Return the name of the network of the query frontend and of replicas that prove who they are.

    It comes after ``models_network`` by name: the query frontend's ports are published through that one.
    """
    return f"{cluster}-proven"


def networks(cluster: str) -> tuple[str, ...]:
    """Return the names of all networks of a cluster."""
    return tuple(name(cluster) for name in (private_network, models_network, proven_network))


def cluster_labels(cluster: str) -> dict[str, str]:
    """Return the labels of everything that belongs to a cluster."""
    return {environment.LABEL_CLUSTER: cluster, environment.LABEL_PACKAGE_VERSION: __version__}


def container_name(cluster: str, spec_name: str) -> str:
    """Return a container's name, which is also its host name in the cluster's networks."""
    return f"{cluster}-{spec_name}"


@dataclass(frozen=True)
class _Role:
    """What is particular to the containers of a role."""

    network: Callable[[str], str] = private_network
    """From the cluster's name to the name of the role's own network."""
    labels: Mapping[str, str] = field(default_factory=dict)
    arguments: Callable[[str], Mapping[str, Any]] = lambda cluster: {}
    """From the cluster's name to arguments besides those of all roles."""


def _look_up_quickly(cluster: str) -> Mapping[str, Any]:
    # If the outer name server is unreachable, looking up a Redis that is down must not take ten seconds.
    return {"dns_opt": ["timeout:1", "attempts:1"]}


_ROLES = {
    QUERY_FRONTEND: _Role(labels={environment.LABEL_QUERY_FRONTEND: ""}, arguments=_look_up_quickly),
    MANAGEMENT_FRONTEND: _Role(labels={environment.LABEL_MANAGEMENT_FRONTEND: ""}, arguments=_look_up_quickly),
    REDIS: _Role(arguments=docker_redis.create_arguments),
    REPLICA: _Role(network=models_network),
    MONITORING: _Role(),
}


def create_arguments(
    spec: ContainerSpec,
    *,
    cluster: str,
    image: str,
    host_ports: Mapping[str, int],
    publish_address: str,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the keyword arguments of ``docker``'s ``containers.create`` for a container of any role.

    Parameters
    ----------
    spec : ContainerSpec
    cluster, image : str
    host_ports : dict
        The host's port by name (``query``, ``management``, ``rpc``).
    publish_address : str
        The host's address that ports are published on.
    extra : dict
        The user's own arguments; labels, environment variables and mounts are merged, others replace ours.
    """
    role = _ROLES[spec.role]
    names = list(spec.sockets.values())
    ports = {_PORT_VARIABLES[variable]: str(CONTAINER_PORTS[name]) for variable, name in spec.sockets.items()}
    bind = {environment.BIND_ADDRESS: "0.0.0.0"} if names else {}
    own_variables = extra.get("environment", {})
    ours: dict[str, Any] = {
        "image": image,
        "name": container_name(cluster, spec.name),
        "environment": {
            **spec.environment,
            **ports,
            **bind,
            **secret_paths(spec.secret_files),
            **rpc_variables(spec),
            **own_variables,
            **({environment.CONTAINER_VARIABLES: " ".join(own_variables)} if own_variables else {}),
        },
        "mounts": [
            *secret_mounts(spec.secret_files, cluster_labels(cluster)),
            *rpc_mounts(spec, cluster),
            *extra.get("mounts", ()),
        ],
        "labels": {**_labels(spec, cluster, host_ports), **extra.get("labels", {})},
        "ports": {f"{CONTAINER_PORTS[name]}/tcp": (publish_address, host_ports[name]) for name in names},
        **({"network": role.network(cluster)} if has_network(spec) else _NO_NETWORK),
        "restart_policy": {"Name": "always"},
        "init": True,
        "read_only": True,
        "tmpfs": {"/tmp": _TMPFS},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "log_config": _LOG_CONFIG,
        "detach": True,
    }
    if spec.command:
        ours["command"] = list(spec.command)
    own = {name: value for name, value in extra.items() if name not in (*_MERGED, "mounts")}
    return {**ours, **role.arguments(cluster), **own}


def limit_arguments(limits: ResourceLimits, default: ResourceLimits) -> dict[str, Any]:
    """Return the arguments that limit a replica; *default* fills what *limits* leaves open."""
    memory = limits.memory_bytes or default.memory_bytes
    cpus = limits.cpus or default.cpus
    arguments: dict[str, Any] = {"pids_limit": limits.processes or default.processes or DEFAULT_MAX_PROCESSES}
    if memory:
        arguments.update(mem_limit=memory, memswap_limit=memory)  # no swap beside it
    if cpus:
        arguments["nano_cpus"] = int(cpus * _SECOND_NS)
    return arguments


def network_arguments(settings: ReplicaSettings, cluster: str) -> dict[str, Any]:
    """Return the arguments that put replicas which have a token and a network into the network of such replicas."""
    has_token = settings.offline_socket is not None  # its program is ours
    return {"network": proven_network(cluster)} if has_token and settings.rpc_socket is None else {}


def exit_status(docker_status: int) -> int:
    """Return an exit status as Python counts: a shell's 128 + n is the signal n, as -n."""
    return 128 - docker_status if 128 < docker_status < 128 + 65 else docker_status


def _labels(spec: ContainerSpec, cluster: str, host_ports: Mapping[str, int]) -> dict[str, str]:
    labels = {
        **cluster_labels(cluster),
        environment.LABEL_NAME: spec.name,
        environment.LABEL_ROLE: spec.role,
        "org.opencontainers.image.title": f"clipper_nb {spec.role}",
        "org.opencontainers.image.version": __version__,
        **_ROLES[spec.role].labels,
    }
    for name in spec.sockets.values():
        labels[_PORT_LABELS[name]] = str(host_ports[name])
    if spec.model is not None:
        model, version = spec.model.split(":", 1)
        labels[environment.LABEL_REPLICA] = f"{model}_{version}"
        labels[environment.LABEL_MODEL], labels[environment.LABEL_MODEL_VERSION] = model, version
        labels["org.opencontainers.image.title"], labels["org.opencontainers.image.version"] = model, version
    if spec.image is not None:
        labels[environment.LABEL_IMAGE] = spec.image
    return labels
