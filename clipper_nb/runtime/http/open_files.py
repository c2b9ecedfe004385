"""The limit of open files, which also limits connections."""

from __future__ import annotations

import contextlib
import sys

if sys.platform != "win32":
    import resource

_MAX_CONNECTIONS = 20_000  # each costs some memory, even without a limit of open files
_KEPT_FREE = 0.1  # for replicas, Redis, the log, files that libraries open
_MIN_KEPT_FREE = 32


def raise_open_files_limit() -> None:
    """Raise this process's limit of open files to its hard limit."""
    if sys.platform == "win32":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS reports "unlimited" but does not allow it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def max_http_connections() -> int:
    """Return how many HTTP connections leave enough files for everything else."""
    if sys.platform == "win32":
        return _MAX_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return max(1, min(_MAX_CONNECTIONS, soft - max(_MIN_KEPT_FREE, int(soft * _KEPT_FREE))))
