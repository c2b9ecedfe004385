"""Redis of a cluster on Docker: the cluster's own container, or one that the user runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clipper_nb.container_managers import specs
from clipper_nb.container_managers.docker.archives import owner_of, pack_folder
from clipper_nb.container_managers.secret_files import secret_path
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import ContainerSpec

DEFAULT_IMAGE = "redis:7"
HOST_FROM_INSIDE = {"host.docker.internal": "host-gateway"}
"""The host name through which a container reaches a Redis on the engine's host."""

_PORT = 6379
_SECOND_NS = 1_000_000_000
CONFIG_FILE = "CLIPPER_REDIS_CONFIG_FILE"
"""Tells the path of the file with the password, which is in no environment and on no command line."""
_VOLUME, _FOLDER = "/data", "redis"
"""The volume belongs to the image's own user, the folder to the container's."""
_REQUIRE_PASSWORD = "requirepass "

# Every change is on disk before it is confirmed, so a killed Redis loses nothing; the file is rewritten before it grows
# much larger than that.
_COMMAND = (
    "redis-server", secret_path(CONFIG_FILE), "--dir", f"{_VOLUME}/{_FOLDER}", "--protected-mode", "no", "--hz", "1",
    "--appendonly", "yes", "--appendfsync", "always", "--save", "",
    "--auto-aof-rewrite-percentage", "100", "--auto-aof-rewrite-min-size", "4mb",
)  # fmt: skip
_HEALTH_CHECK = f'REDISCLI_AUTH="$(cut -d " " -f 2 "${CONFIG_FILE}")" redis-cli ping | grep -q PONG'


def volume_name(cluster: str) -> str:
    """Return the name of the volume that holds the configuration."""
    return f"{cluster}-redis"


def own_redis(password: str) -> tuple[ContainerSpec, dict[str, str]]:
    """Return the spec of the cluster's own Redis, and the variables with which the frontends connect to it."""
    spec = replace(specs.redis_spec(_COMMAND), secret_files={CONFIG_FILE: f"{_REQUIRE_PASSWORD}{password}\n"})
    return spec, {environment.REDIS_URL: f"redis://:{password}@{spec.name}:{_PORT}"}


def read_password(secret_files: Mapping[str, str]) -> str:
    """Return the password of the cluster's own Redis, from its container's secret files."""
    return secret_files[CONFIG_FILE].removeprefix(_REQUIRE_PASSWORD).strip()


def put_data_folder(api: Any, container_id: str, user: str | None) -> None:
    """Make the folder of the configuration in a container that was created and not started yet, if it is not there."""
    api.put_archive(container_id, _VOLUME, pack_folder(_FOLDER, owner_of(user)))


def create_arguments(cluster: str) -> dict[str, Any]:
    """Return the arguments of Redis's container besides those of all roles."""
    return {
        "volumes": {volume_name(cluster): {"bind": _VOLUME, "mode": "rw"}},
        "healthcheck": {
            "test": ["CMD-SHELL", _HEALTH_CHECK],
            "interval": 30 * _SECOND_NS,
            "timeout": 5 * _SECOND_NS,
            "start_period": 10 * _SECOND_NS,
        },
    }


def is_on_host(host: str | None) -> bool:
    """Return whether an external Redis runs on the engine's own host."""
    return host in ("localhost", "127.0.0.1", "::1")


def external_variables(
    cluster: str,
    host: str | None,
    port: int,
    username: str | None,
    password: str | None,
    tls: bool,
    ca_file: str | Path | None,
) -> dict[str, str]:
    """Return the environment variables with which the frontends connect to an external Redis."""
    if host is None:
        if username or password or tls or ca_file:
            raise InvalidRequestError("redis_ip says which Redis the password or TLS is for; it is missing.")
        return {}
    inside = next(iter(HOST_FROM_INSIDE)) if is_on_host(host) else host
    user = f"{quote(username or '', safe='')}:{quote(password or '', safe='')}@" if username or password else ""
    variables = {
        environment.REDIS_URL: f"{'rediss' if tls else 'redis'}://{user}{inside}:{port}",
        environment.REDIS_KEY_PREFIX: f"clipper:{cluster}",
    }
    if ca_file is not None:
        try:
            variables[environment.REDIS_CA_CERTIFICATES] = Path(ca_file).expanduser().read_text()
        except OSError as exc:
            raise InvalidRequestError(f"redis_ca_file {str(ca_file)!r} cannot be read: {exc.strerror}.") from exc
    return variables
