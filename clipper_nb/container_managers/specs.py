"""What each container of a cluster is: its command, environment and sockets. (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND, REDIS, REPLICA, ContainerSpec
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId

QUERY_FRONTEND_NAME = f"{QUERY_FRONTEND}-0"
MANAGEMENT_FRONTEND_NAME = f"{MANAGEMENT_FRONTEND}-0"
REDIS_NAME = f"{REDIS}-0"


@dataclass(frozen=True)
class ClusterOptions:
    """The arguments of ``start_clipper``."""

    query_frontend_image: str | None = None
    management_frontend_image: str | None = None

    cache_size_bytes: int = environment.DEFAULT_CACHE_SIZE_BYTES
    header_timeout_s: int = 5
    body_timeout_s: int = 300
    max_body_size_bytes: int = environment.DEFAULT_MAX_BODY_SIZE_BYTES
    max_waiting_size_bytes: int = environment.DEFAULT_MAX_WAITING_SIZE_BYTES
    num_frontend_replicas: int = 1


def query_frontend_spec(python: str, options: ClusterOptions, redis: Mapping[str, str]) -> ContainerSpec:
    """Return the query frontend's spec; *redis* holds the variables with which it connects to Redis."""
    return ContainerSpec(
        name=QUERY_FRONTEND_NAME,
        role=QUERY_FRONTEND,
        command=(python, "-m", environment.QUERY_FRONTEND_MODULE),
        environment={
            **redis,
            environment.MAX_BODY_SIZE_BYTES: str(options.max_body_size_bytes),
            environment.MAX_WAITING_SIZE_BYTES: str(options.max_waiting_size_bytes),
            environment.FRONTEND_ID: QUERY_FRONTEND_NAME,
            environment.NUM_FRONTENDS: str(options.num_frontend_replicas),
            environment.CACHE_SIZE_BYTES: str(options.cache_size_bytes),
            environment.HEADER_TIMEOUT_S: str(options.header_timeout_s),
            environment.BODY_TIMEOUT_S: str(options.body_timeout_s),
        },
        sockets={environment.HTTP_SOCKET: "query", environment.RPC_SOCKET: "rpc"},
        stop_timeout_s=10.0,
    )


def management_frontend_spec(
    python: str, options: ClusterOptions, redis: Mapping[str, str], admin_token: str
) -> ContainerSpec:
    """Return the management frontend's spec; *redis* holds the variables with which it connects to Redis."""
    return ContainerSpec(
        name=MANAGEMENT_FRONTEND_NAME,
        role=MANAGEMENT_FRONTEND,
        command=(python, "-m", environment.MANAGEMENT_FRONTEND_MODULE),
        environment={
            **redis,
            environment.MAX_BODY_SIZE_BYTES: str(options.max_body_size_bytes),
            environment.MAX_WAITING_SIZE_BYTES: str(options.max_waiting_size_bytes),
            environment.ADMIN_TOKEN: admin_token,
        },
        sockets={environment.HTTP_SOCKET: "management"},
    )


def redis_spec(command: tuple[str, ...], variables: Mapping[str, str] | None = None) -> ContainerSpec:
    """Return Redis's spec."""
    return ContainerSpec(name=REDIS_NAME, role=REDIS, command=command, environment=variables or {})


def replica_spec(
    model_id: ModelId,
    *,
    name: str,
    command: tuple[str, ...],
    image: str,
    input_type: InputType,
    rpc_host: str,
    rpc_port: int,
    load_timeout_s: float,
    model_folder: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> ContainerSpec:
    """Return the spec of one replica of a model version.

    *model_folder* is its model's folder, if not ``/model``; *variables* are those of its environment that come with
    the version.
    """
    own = {
        environment.MODEL_NAME: model_id.name,
        environment.MODEL_VERSION: model_id.version,
        environment.INPUT_TYPE: str(input_type),
        environment.FRONTEND_HOST: rpc_host,
        environment.FRONTEND_RPC_PORT: str(rpc_port),
        environment.LOAD_TIMEOUT_S: f"{load_timeout_s:g}",
    }
    if model_folder is not None:
        own[environment.MODEL_PATH] = model_folder
    return ContainerSpec(
        name=name,
        role=REPLICA,
        command=command,
        environment={**(variables or {}), **own},
        working_folder=model_folder or ".",
        model=str(model_id),
        image=image,
        stop_timeout_s=10.0,
    )
