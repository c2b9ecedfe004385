"""What each container of a cluster is: its command, environment and sockets. (pure)"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from clipper_nb.protocol import environment
from clipper_nb.protocol.clipper_containers import FOREIGN
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND, REDIS, REPLICA, ContainerSpec
from clipper_nb.protocol.environment_variables import encode_variables
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId, parse_model_id
from clipper_nb.protocol.replica_proof import ReplicaCredentials, encode_credentials, make_credentials
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits
from clipper_nb.protocol.tls_identity import TlsIdentity

_NUM_RUN_ID_BYTES = 6
_NUM_NAME_BYTES = 3
"""Enough to distinguish the replicas of one version."""

QUERY_FRONTEND_NAME = f"{QUERY_FRONTEND}-0"
MANAGEMENT_FRONTEND_NAME = f"{MANAGEMENT_FRONTEND}-0"
REDIS_NAME = f"{REDIS}-0"


class NotGiven(int):
    """The default of an argument; by its type, a call that leaves the argument out differs from one that repeats it."""


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
    allowed_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    query_token: str = field(default="", repr=False)
    """Empty for a cluster whose clients need none."""
    tls: bool = False
    tls_files: tuple[str, ...] = ()
    """The paths of the user's certificate and key; empty if the cluster makes its own."""
    clipper_containers: str | None = None
    """Which versions containers without a token may serve; ``None`` is the manager's own choice."""

    given: frozenset[str] = frozenset()
    """Names of the options that the caller gave; a resumed cluster has the others as it had them."""

    @classmethod
    def of(cls, otherwise: Mapping[str, Any], /, **arguments: Any) -> ClusterOptions:
        """Return options of which ``None`` and :class:`NotGiven` stand for what the caller left out.

        *otherwise* has values for a new cluster that are no option's default.
        """
        given = {
            name: value for name, value in arguments.items() if value is not None and not isinstance(value, NotGiven)
        }
        return cls(**{**otherwise, **given}, given=frozenset(given))

    def stored(self) -> dict[str, Any]:
        """Return the options as JSON can hold them."""
        return {name: getattr(self, name) for name in _names_of_options()}

    def over(self, stored: Mapping[str, Any]) -> ClusterOptions:
        """Return the options of a resumed cluster; stored ones that this release does not know are ignored."""
        kept = {name: stored[name] for name in _names_of_options() if name in stored and name not in self.given}
        # JSON has no tuples.
        values: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in kept.items()}
        return replace(self, **values)


def resumed_port(asked: int, kept: int, default: int) -> int:
    """Return the port that a resumed cluster takes: a port that is not the default was asked for, and wins."""
    return kept if asked in (default, 0) else asked


def _names_of_options() -> list[str]:
    return [each.name for each in fields(ClusterOptions) if each.name != "given"]


def new_run_id() -> dict[str, str]:
    """Return the variable that all frontends have, with a value that no earlier start of the cluster had."""
    return {environment.RUN_ID: secrets.token_hex(_NUM_RUN_ID_BYTES)}


def query_frontend_spec(
    python: str,
    options: ClusterOptions,
    redis: Mapping[str, str],
    known_hosts: Sequence[str] = (),
    *,
    secret: str | None = None,
    clipper_containers: str = FOREIGN,
    tls: TlsIdentity | None = None,
) -> ContainerSpec:
    """Return the query frontend's spec.

    *redis* holds the variables of both frontends, by which they find Redis, *known_hosts* the names that the manager
    gave it. *secret* is what the tokens of replicas are made from; without it they have to prove nothing.
    *clipper_containers* says which versions containers without a token may serve, if the user has not said it. Its
    port speaks HTTPS with *tls*, else HTTP.
    """
    return ContainerSpec(
        name=QUERY_FRONTEND_NAME,
        role=QUERY_FRONTEND,
        command=(python, "-m", environment.QUERY_FRONTEND_MODULE),
        environment={
            **_frontend_variables(options, redis, known_hosts, tls),
            environment.FRONTEND_ID: QUERY_FRONTEND_NAME,
            environment.NUM_FRONTENDS: str(options.num_frontend_replicas),
            environment.CACHE_SIZE_BYTES: str(options.cache_size_bytes),
            environment.HEADER_TIMEOUT_S: str(options.header_timeout_s),
            environment.BODY_TIMEOUT_S: str(options.body_timeout_s),
            environment.ALLOW_ORIGINS: " ".join(options.allow_origins),
            environment.CLIPPER_CONTAINERS: options.clipper_containers or clipper_containers,
        },
        secret_files={} if secret is None else {environment.REPLICA_SECRET_FILE: secret},
        sockets={environment.HTTP_SOCKET: "query", environment.RPC_SOCKET: "rpc"},
        stop_timeout_s=10.0,
    )


def management_frontend_spec(
    python: str,
    options: ClusterOptions,
    redis: Mapping[str, str],
    admin_token: str,
    known_hosts: Sequence[str] = (),
    *,
    tls: TlsIdentity | None = None,
) -> ContainerSpec:
    """Return the management frontend's spec; the arguments are those of the query frontend's."""
    return ContainerSpec(
        name=MANAGEMENT_FRONTEND_NAME,
        role=MANAGEMENT_FRONTEND,
        command=(python, "-m", environment.MANAGEMENT_FRONTEND_MODULE),
        environment={**_frontend_variables(options, redis, known_hosts, tls), environment.ADMIN_TOKEN: admin_token},
        sockets={environment.HTTP_SOCKET: "management"},
    )


def _frontend_variables(
    options: ClusterOptions, redis: Mapping[str, str], known_hosts: Sequence[str], tls: TlsIdentity | None
) -> dict[str, str]:
    """Return what both frontends are told."""
    return {
        **redis,
        environment.MAX_BODY_SIZE_BYTES: str(options.max_body_size_bytes),
        environment.MAX_WAITING_SIZE_BYTES: str(options.max_waiting_size_bytes),
        environment.ALLOWED_HOSTS: " ".join([*known_hosts, *options.allowed_hosts]),
        environment.QUERY_TOKEN: options.query_token,
        **({} if tls is None else {environment.TLS_CERTIFICATE: tls.served}),
    }


def redis_spec(command: tuple[str, ...], variables: Mapping[str, str] | None = None) -> ContainerSpec:
    """Return Redis's spec."""
    return ContainerSpec(name=REDIS_NAME, role=REDIS, command=command, environment=variables or {})


def new_replica_name(model_id: ModelId) -> str:
    """Return the name of a new replica of a version."""
    return f"{model_id.name}_{model_id.version}-{secrets.token_hex(_NUM_NAME_BYTES)}"


def another_replica(spec: ContainerSpec, secret: str) -> ContainerSpec:
    """Return the spec of one more replica like an existing one: with a name, and credentials, of its own."""
    model_id = parse_model_id(str(spec.model))
    name = new_replica_name(model_id)
    credentials = encode_credentials(make_credentials(secret, model_id, name))
    files = {**spec.secret_files, environment.REPLICA_CREDENTIALS_FILE: credentials}
    return replace(spec, name=name, secret_files=files)


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
    credentials: ReplicaCredentials | None = None,
    rpc_socket: str | None = None,
    model_folder: str | None = None,
    variables: Mapping[str, str] | None = None,
    is_read: bool = False,
    limits: ResourceLimits = NO_LIMITS,
) -> ContainerSpec:
    """Return the spec of one replica of a model version.

    *model_folder* is its model's folder, if not ``/model``; *variables* are those that come with the version, in its
    environment, or in a file if that *is_read* by its program. *credentials* are what the replica proves itself with,
    *rpc_socket* is the path of the query frontend's Unix socket, which replaces its address and port.
    """
    own = {
        environment.MODEL_NAME: model_id.name,
        environment.MODEL_VERSION: model_id.version,
        environment.INPUT_TYPE: str(input_type),
        **_frontend_address(rpc_host, rpc_port, rpc_socket),
        environment.LOAD_TIMEOUT_S: f"{load_timeout_s:g}",
    }
    if model_folder is not None:
        own[environment.MODEL_PATH] = model_folder
    files = {} if credentials is None else {environment.REPLICA_CREDENTIALS_FILE: encode_credentials(credentials)}
    if variables and is_read:
        files[environment.VARIABLES_FILE] = encode_variables(variables)
    return ContainerSpec(
        name=name,
        role=REPLICA,
        command=command,
        environment=own if is_read else {**(variables or {}), **own},
        secret_files=files,
        working_folder=model_folder or ".",
        model=str(model_id),
        image=image,
        stop_timeout_s=10.0,
        limits=limits,
    )


def _frontend_address(host: str, port: int, path: str | None) -> dict[str, str]:
    if path is not None:
        return {environment.FRONTEND_SOCKET: path}
    return {environment.FRONTEND_HOST: host, environment.FRONTEND_RPC_PORT: str(port)}
