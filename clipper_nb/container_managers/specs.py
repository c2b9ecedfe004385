"""What each container of a cluster is: its command, environment and sockets. (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clipper_nb.protocol import environment
from clipper_nb.protocol.names import ModelId

QUERY_FRONTEND = "query_frontend"
MANAGEMENT_FRONTEND = "management_frontend"
REDIS = "redis"
REPLICA = "replica"


@dataclass(frozen=True)
class ClusterOptions:
    """What ``start_clipper`` was asked for."""

    cache_size_bytes: int = environment.DEFAULT_CACHE_SIZE_BYTES
    header_timeout_s: int = 5
    body_timeout_s: int = 300
    max_body_size_bytes: int = environment.DEFAULT_MAX_BODY_SIZE_BYTES
    num_frontend_replicas: int = 1


@dataclass(frozen=True)
class ContainerSpec:
    """One container that should run."""

    name: str
    role: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    working_folder: str = "."
    """Relative to the cluster's folder."""
    sockets: Mapping[str, str] = field(default_factory=dict)
    """Listening sockets that the container is handed: their names by environment variable."""
    model: str | None = None
    """``name:version`` of a replica's model version."""
    stop_timeout_s: float = 5.0


@dataclass(frozen=True)
class ObservedContainer:
    """One container as it is."""

    name: str
    role: str
    model: str | None
    is_running: bool
    num_exits: int = 0
    """How often it ended without being asked to; it is started again each time."""
    exit_status: int | None = None
    """Of the last end; negative is the signal that ended it."""
    pid: int | None = None


def frontend_environment(options: ClusterOptions, redis_url: str) -> dict[str, str]:
    """Return what both frontends are told."""
    return {
        environment.REDIS_URL: redis_url,
        environment.MAX_BODY_SIZE_BYTES: str(options.max_body_size_bytes),
    }


def query_frontend_spec(python: str, options: ClusterOptions, redis_url: str) -> ContainerSpec:
    """Return the query frontend's spec."""
    return ContainerSpec(
        name="query_frontend-0",
        role=QUERY_FRONTEND,
        command=(python, "-m", environment.QUERY_FRONTEND_MODULE),
        environment={
            **frontend_environment(options, redis_url),
            environment.FRONTEND_ID: "query_frontend-0",
            environment.CACHE_SIZE_BYTES: str(options.cache_size_bytes),
            environment.HEADER_TIMEOUT_S: str(options.header_timeout_s),
            environment.BODY_TIMEOUT_S: str(options.body_timeout_s),
        },
        sockets={environment.HTTP_SOCKET: "query", environment.RPC_SOCKET: "rpc"},
        stop_timeout_s=10.0,
    )


def management_frontend_spec(python: str, options: ClusterOptions, redis_url: str, admin_token: str) -> ContainerSpec:
    """Return the management frontend's spec."""
    return ContainerSpec(
        name="management_frontend-0",
        role=MANAGEMENT_FRONTEND,
        command=(python, "-m", environment.MANAGEMENT_FRONTEND_MODULE),
        environment={**frontend_environment(options, redis_url), environment.ADMIN_TOKEN: admin_token},
        sockets={environment.HTTP_SOCKET: "management"},
    )


def redis_spec(redis_server: str, config_path: str) -> ContainerSpec:
    """Return Redis's spec."""
    return ContainerSpec(name="redis-0", role=REDIS, command=(redis_server, config_path))


def replica_spec(
    model_id: ModelId,
    *,
    name: str,
    python: str,
    input_type: str,
    image_folder: str,
    rpc_host: str,
    rpc_port: int,
    load_timeout_s: float,
) -> ContainerSpec:
    """Return the spec of one replica of a Python model version."""
    return ContainerSpec(
        name=name,
        role=REPLICA,
        command=(python, "-m", environment.MODEL_CONTAINER_MODULE),
        environment={
            environment.MODEL_NAME: model_id.name,
            environment.MODEL_VERSION: model_id.version,
            environment.INPUT_TYPE: input_type,
            environment.FRONTEND_HOST: rpc_host,
            environment.FRONTEND_RPC_PORT: str(rpc_port),
            environment.MODEL_PATH: image_folder,
            environment.LOAD_TIMEOUT_S: f"{load_timeout_s:g}",
        },
        working_folder=image_folder,
        model=str(model_id),
        stop_timeout_s=10.0,
    )
