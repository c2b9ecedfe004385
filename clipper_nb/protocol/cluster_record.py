"""``cluster.json`` of an embedded cluster, also of release 0.1: what a process needs to know to join it. (pure)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RECORD_FILE = "cluster.json"

_OLD_FIELD = "owner_started_at"
"""Records of release 0.1 have this instead of ``owner_start``: wall time, which may step."""
_OLD_FIELDS = {"cluster_name", "package_version", "admin_token", "redis_password", "supervisor_pid", _OLD_FIELD}


@dataclass(frozen=True)
class ProcessIdentity:
    """Distinguishes one process from every other that has had, or will have, its process id."""

    pid: int
    start: str
    """Opaque; equal only for the same process. Never wall time, which steps."""


@dataclass(frozen=True)
class ClusterRecord:
    """What a process needs to know to join a running cluster."""

    cluster_name: str
    package_version: str
    admin_token: str
    redis_password: str
    owner_pid: int | None
    """The cluster ends with this process; ``None`` for a detached cluster."""
    owner_start: str | None
    """Distinguishes it from a later process with that id; ``None`` also in a record of release 0.1."""
    query_port: int
    management_port: int
    rpc_port: int
    supervisor_pid: int = 0
    supervisor_start: str = ""

    @property
    def owner(self) -> ProcessIdentity | None:
        """The process that the cluster ends with, if it can be identified."""
        if self.owner_pid is None or self.owner_start is None:
            return None
        return ProcessIdentity(self.owner_pid, self.owner_start)

    @property
    def supervisor(self) -> ProcessIdentity:
        """The process that runs the cluster; before it has started, an identity that no process has."""
        return ProcessIdentity(self.supervisor_pid, self.supervisor_start)


def parse_record(fields: Any) -> ClusterRecord:
    """Return the record in the file's JSON; raises ``TypeError`` for anything else."""
    if _OLD_FIELD in fields:
        fields = {name: value for name, value in fields.items() if name != _OLD_FIELD} | {"owner_start": None}
    return ClusterRecord(**fields)


def is_old_record(fields: Any, cluster_name: str) -> bool:
    """Return whether the file's JSON is the record of that cluster, as release 0.1 wrote it."""
    return isinstance(fields, dict) and fields.keys() >= _OLD_FIELDS and fields["cluster_name"] == cluster_name
