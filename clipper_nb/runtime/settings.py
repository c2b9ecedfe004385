"""The frontends' settings, read from environment variables and checked once at the start."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol import clipper_containers, environment
from clipper_nb.protocol.clipper_containers import ClipperContainers
from clipper_nb.protocol.handed_sockets import listen_at, listen_on_path, rpc_socket_name
from clipper_nb.runtime.http.guard import AccessRules
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.tls import make_context
from clipper_nb.runtime.rpc.peers import ContainerNetwork


@dataclass(frozen=True)
class ListenSettings:
    """Where a server listens: on an inherited socket, or at its own address and port."""

    address: str
    port: int
    socket_fd: int | None

    def open_socket(self) -> socket.socket:
        """Return a listening TCP socket."""
        if self.socket_fd is not None:
            return inherited_socket(self.socket_fd)
        return listen_at(self.address, self.port)


def inherited_socket(fd: int) -> socket.socket:
    """Return a socket that was handed down."""
    inherited = socket.socket(fileno=fd)
    inherited.setblocking(False)
    return inherited


@dataclass(frozen=True)
class RedisSettings:
    """How to reach the configuration in Redis; see :class:`RedisStore`."""

    url: str
    key_prefix: str
    ca_certificates: str | None


@dataclass(frozen=True)
class FrontendSettings:
    """Settings of both frontends."""

    redis: RedisSettings
    http: ListenSettings
    http_limits: HttpLimits
    access: AccessRules
    tls: ssl.SSLContext | None
    """For HTTPS on the TCP port."""


@dataclass(frozen=True)
class WorkerSettings:
    """Settings that each of several query frontends gets from their parent."""

    index: int
    parent_pid: int
    folder: Path
    rpc_ports: tuple[int, ...]
    rpc_sockets: tuple[str, ...] = ()
    """The names of their Unix sockets for replicas, if they have any."""


@dataclass(frozen=True)
class QueryFrontendSettings(FrontendSettings):
    """Settings of the query frontend."""

    frontend_id: str
    rpc: ListenSettings
    cache_size_bytes: int
    run_id: str = ""
    num_frontends: int = 1
    is_apart: bool = False
    """Whether other query frontends of the cluster are in other pods."""
    worker: WorkerSettings | None = None
    rpc_unix_socket_fd: int | None = None
    """A Unix socket for replicas of this machine, beside the TCP port."""
    rpc_unix_folder: Path | None = None
    """Where to make a Unix socket for replicas of any user, if none was handed down."""
    replica_secret: str | None = field(default=None, repr=False)
    container_network: ContainerNetwork | None = None
    """Where containers without a token are started, if their version has an image."""
    proven_network: ContainerNetwork | None = None
    """Where each replica has a token."""
    clipper_containers: ClipperContainers = field(default_factory=lambda: ClipperContainers(clipper_containers.ALL))

    def open_rpc_sockets(self) -> list[socket.socket]:
        """Return the sockets for model containers; one that is handed down may be bound and not listen."""
        sockets = [self.rpc.open_socket()]
        if self.rpc_unix_socket_fd is not None:
            sockets.append(inherited_socket(self.rpc_unix_socket_fd))
        elif self.rpc_unix_folder is not None:
            sockets.append(listen_on_path(self.rpc_unix_folder / rpc_socket_name(0), for_everybody=True))
        return sockets


@dataclass(frozen=True)
class ManagementFrontendSettings(FrontendSettings):
    """Settings of the management frontend."""

    admin_token: str
    run_id: str = ""
    http_unix_socket_fd: int | None = None
    """A Unix socket for admin calls from this machine, beside the TCP port."""
    http_unix_path: Path | None = None
    """Where to make one, if none is handed down."""

    def open_unix_socket(self) -> socket.socket | None:
        """Return that socket, if there is one; may raise ``OSError``."""
        if self.http_unix_socket_fd is not None:
            return inherited_socket(self.http_unix_socket_fd)
        return None if self.http_unix_path is None else listen_on_path(self.http_unix_path)


def query_frontend_settings(variables: Mapping[str, str] = os.environ) -> QueryFrontendSettings:
    """Return the query frontend's settings."""
    variables = _with_secrets(variables)
    return QueryFrontendSettings(
        redis=_redis_settings(variables),
        http=_listen_settings(
            variables, environment.HTTP_PORT, environment.HTTP_SOCKET, environment.DEFAULT_QUERY_PORT
        ),
        http_limits=_http_limits(variables),
        access=_access_rules(variables),
        tls=_tls_context(variables),
        frontend_id=variables.get(environment.FRONTEND_ID) or f"query-frontend-{socket.gethostname()}",
        rpc=_listen_settings(variables, environment.RPC_PORT, environment.RPC_SOCKET, environment.DEFAULT_RPC_PORT),
        cache_size_bytes=_whole(variables, environment.CACHE_SIZE_BYTES, environment.DEFAULT_CACHE_SIZE_BYTES),
        num_frontends=max(1, _whole(variables, environment.NUM_FRONTENDS, 1)),
        run_id=variables.get(environment.RUN_ID, ""),
        is_apart=bool(variables.get(environment.FRONTENDS_ARE_APART)),
        worker=_worker_settings(variables),
        rpc_unix_socket_fd=_whole(variables, environment.RPC_UNIX_SOCKET, 0) or None,
        rpc_unix_folder=_folder(variables, environment.RPC_UNIX_FOLDER),
        container_network=_network(variables, environment.CONTAINER_NETWORK),
        proven_network=_network(variables, environment.PROVEN_NETWORK),
        replica_secret=_read_secret(variables, environment.REPLICA_SECRET_FILE),
        clipper_containers=ClipperContainers(variables.get(environment.CLIPPER_CONTAINERS) or clipper_containers.ALL),
    )


def management_frontend_settings(variables: Mapping[str, str] = os.environ) -> ManagementFrontendSettings:
    """Return the management frontend's settings."""
    variables = _with_secrets(variables)
    return ManagementFrontendSettings(
        redis=_redis_settings(variables),
        http=_listen_settings(
            variables, environment.HTTP_PORT, environment.HTTP_SOCKET, environment.DEFAULT_MANAGEMENT_PORT
        ),
        http_limits=_http_limits(variables),
        access=_access_rules(variables),
        tls=_tls_context(variables),
        admin_token=_required(variables, environment.ADMIN_TOKEN),
        run_id=variables.get(environment.RUN_ID, ""),
        http_unix_socket_fd=_whole(variables, environment.HTTP_UNIX_SOCKET, 0) or None,
        http_unix_path=Path(path) if (path := variables.get(environment.HTTP_UNIX_PATH)) else None,
    )


def _network(variables: Mapping[str, str], name: str) -> ContainerNetwork | None:
    text = variables.get(name)
    return ContainerNetwork(text) if text else None


def _worker_settings(variables: Mapping[str, str]) -> WorkerSettings | None:
    if not variables.get(environment.WORKER_INDEX):
        return None
    rpc_ports = tuple(int(port) for port in _required(variables, environment.WORKERS_RPC_PORTS).split(","))
    has_sockets = bool(variables.get(environment.RPC_UNIX_SOCKET))
    return WorkerSettings(
        index=_whole(variables, environment.WORKER_INDEX, 0),
        parent_pid=_whole(variables, environment.WORKERS_PARENT, 0),
        folder=Path(_required(variables, environment.WORKERS_FOLDER)),
        rpc_ports=rpc_ports,
        rpc_sockets=tuple(map(rpc_socket_name, range(len(rpc_ports)))) if has_sockets else (),
    )


def _listen_settings(variables: Mapping[str, str], port: str, socket_fd: str, default_port: int) -> ListenSettings:
    return ListenSettings(
        address=variables.get(environment.BIND_ADDRESS, "127.0.0.1"),
        port=_whole(variables, port, default_port),
        socket_fd=_whole(variables, socket_fd, 0) or None,
    )


def _redis_settings(variables: Mapping[str, str]) -> RedisSettings:
    return RedisSettings(
        url=_required(variables, environment.REDIS_URL),
        key_prefix=variables.get(environment.REDIS_KEY_PREFIX) or "clipper",
        ca_certificates=variables.get(environment.REDIS_CA_CERTIFICATES) or None,
    )


def _http_limits(variables: Mapping[str, str]) -> HttpLimits:
    return HttpLimits(
        max_body_size_bytes=_whole(variables, environment.MAX_BODY_SIZE_BYTES, environment.DEFAULT_MAX_BODY_SIZE_BYTES),
        max_waiting_size_bytes=_whole(
            variables, environment.MAX_WAITING_SIZE_BYTES, environment.DEFAULT_MAX_WAITING_SIZE_BYTES
        ),
        header_timeout_s=_whole(variables, environment.HEADER_TIMEOUT_S, 5),
        body_timeout_s=_whole(variables, environment.BODY_TIMEOUT_S, 300),
    )


def _access_rules(variables: Mapping[str, str]) -> AccessRules:
    return AccessRules(
        allowed_hosts=_words(variables, environment.ALLOWED_HOSTS),
        allow_origins=_words(variables, environment.ALLOW_ORIGINS),
        query_token=variables.get(environment.QUERY_TOKEN) or None,
        is_https=bool(variables.get(environment.TLS_CERTIFICATE)),
    )


def _tls_context(variables: Mapping[str, str]) -> ssl.SSLContext | None:
    served = variables.get(environment.TLS_CERTIFICATE)
    return make_context(served) if served else None


def _words(variables: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(variables.get(name, "").split())


def _required(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name, "")
    if not value:
        raise InvalidRequestError(f"The environment variable {name} is not set.")
    return value


def _folder(variables: Mapping[str, str], name: str) -> Path | None:
    return Path(variables[name]) if variables.get(name) else None


def _with_secrets(variables: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables, and those that come as files."""
    found = {name: _read_secret(variables, environment.file_variable(name)) for name in environment.SECRETS}
    return {**variables, **{name: secret for name, secret in found.items() if secret is not None}}


def _read_secret(variables: Mapping[str, str], name: str) -> str | None:
    path = variables.get(name)
    if not path:
        return None
    try:
        return Path(path).read_text()
    except OSError as exc:
        raise InvalidRequestError(f"The file that {name} names cannot be read: {exc}.") from exc


def _whole(variables: Mapping[str, str], name: str, default: int) -> int:
    text = variables.get(name, "")
    if not text:
        return default
    if not text.isdigit():
        raise InvalidRequestError(f"The environment variable {name} is {text!r}; expected a whole number.")
    return int(text)
