"""The frontends' settings, read from environment variables and checked once at the start."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol import environment
from clipper_nb.runtime.http.limits import HttpLimits


@dataclass(frozen=True)
class ListenSettings:
    """Where a server listens: on an inherited socket, or at its own address and port."""

    address: str
    port: int
    socket_fd: int | None

    def open_socket(self) -> socket.socket:
        """Return a listening TCP socket."""
        if self.socket_fd is not None:
            listening = socket.socket(fileno=self.socket_fd)
            listening.setblocking(False)
            return listening
        return socket.create_server((self.address, self.port), backlog=1024)


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


@dataclass(frozen=True)
class WorkerSettings:
    """Settings that each of several query frontends gets from their parent."""

    index: int
    parent_pid: int
    folder: Path
    rpc_ports: tuple[int, ...]


@dataclass(frozen=True)
class QueryFrontendSettings(FrontendSettings):
    """Settings of the query frontend."""

    frontend_id: str
    rpc: ListenSettings
    cache_size_bytes: int
    num_frontends: int = 1
    worker: WorkerSettings | None = None


@dataclass(frozen=True)
class ManagementFrontendSettings(FrontendSettings):
    """Settings of the management frontend."""

    admin_token: str


def query_frontend_settings(variables: Mapping[str, str] = os.environ) -> QueryFrontendSettings:
    """Return the query frontend's settings."""
    return QueryFrontendSettings(
        redis=_redis_settings(variables),
        http=_listen_settings(
            variables, environment.HTTP_PORT, environment.HTTP_SOCKET, environment.DEFAULT_QUERY_PORT
        ),
        http_limits=_http_limits(variables),
        frontend_id=variables.get(environment.FRONTEND_ID) or f"query-frontend-{socket.gethostname()}",
        rpc=_listen_settings(variables, environment.RPC_PORT, environment.RPC_SOCKET, environment.DEFAULT_RPC_PORT),
        cache_size_bytes=_whole(variables, environment.CACHE_SIZE_BYTES, environment.DEFAULT_CACHE_SIZE_BYTES),
        num_frontends=max(1, _whole(variables, environment.NUM_FRONTENDS, 1)),
        worker=_worker_settings(variables),
    )


def management_frontend_settings(variables: Mapping[str, str] = os.environ) -> ManagementFrontendSettings:
    """Return the management frontend's settings."""
    return ManagementFrontendSettings(
        redis=_redis_settings(variables),
        http=_listen_settings(
            variables, environment.HTTP_PORT, environment.HTTP_SOCKET, environment.DEFAULT_MANAGEMENT_PORT
        ),
        http_limits=_http_limits(variables),
        admin_token=_required(variables, environment.ADMIN_TOKEN),
    )


def _worker_settings(variables: Mapping[str, str]) -> WorkerSettings | None:
    if not variables.get(environment.WORKER_INDEX):
        return None
    return WorkerSettings(
        index=_whole(variables, environment.WORKER_INDEX, 0),
        parent_pid=_whole(variables, environment.WORKERS_PARENT, 0),
        folder=Path(_required(variables, environment.WORKERS_FOLDER)),
        rpc_ports=tuple(int(port) for port in _required(variables, environment.WORKERS_RPC_PORTS).split(",")),
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


def _required(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name, "")
    if not value:
        raise InvalidRequestError(f"The environment variable {name} is not set.")
    return value


def _whole(variables: Mapping[str, str], name: str, default: int) -> int:
    text = variables.get(name, "")
    if not text:
        return default
    if not text.isdigit():
        raise InvalidRequestError(f"The environment variable {name} is {text!r}; expected a whole number.")
    return int(text)
