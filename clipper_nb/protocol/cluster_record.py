"""``cluster.json`` of an embedded cluster, also of release 0.1: what a process needs to know to join it. (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from clipper_nb.protocol.tls_identity import TlsIdentity, parse_identity

Keeping = Literal["never", "after_crash", "always"]
"""When the folder of a cluster that does not run belongs to a cluster to be resumed: never; if it was killed, also by
the end of its machine, but not if it ended with its owner; or until ``stop_all()``."""

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
    admin_token: str = field(repr=False)
    redis_password: str = field(repr=False)
    owner_pid: int | None
    """The cluster ends with this process; ``None`` for a detached cluster."""
    owner_start: str | None
    """Distinguishes it from a later process with that id; ``None`` also in a record of release 0.1."""
    query_port: int
    management_port: int
    rpc_port: int
    opens_rpc_port: bool = True
    """Whether that port is open from the start; else it is reserved until a container without a token is expected."""
    supervisor_pid: int = 0
    supervisor_start: str = ""
    guardian_pid: int = 0
    """The supervisor's parent, which starts it again; 0 if there is none."""
    guardian_start: str = ""
    keeping: Keeping = "never"
    python_version: str = ""
    """``major.minor`` of the Python that pickled its functions; empty in a record of release 0.1."""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The arguments of its ``start_clipper()``, among them the token that its clients need."""
    tls: TlsIdentity | None = None
    """What its frontends prove themselves with; ``None`` if they speak HTTP."""

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

    @property
    def guardian(self) -> ProcessIdentity:
        """The process that starts the supervisor again; if there is none, an identity that no process has."""
        return ProcessIdentity(self.guardian_pid, self.guardian_start)


def parse_record(found: Any) -> ClusterRecord:
    """Return the record in the file's JSON; raises ``TypeError`` for anything else.

    Fields that a newer release added are ignored.
    """
    if not isinstance(found, dict):
        raise TypeError(f"a record is a JSON object, not {type(found).__name__}")
    if _OLD_FIELD in found:
        found = {**found, "owner_start": None}
    known = {each.name for each in fields(ClusterRecord)}
    values = {name: value for name, value in found.items() if name in known}
    if values.get("tls") is not None:
        values["tls"] = parse_identity(values["tls"])
    return ClusterRecord(**values)


def is_old_record(found: Any, cluster_name: str) -> bool:
    """Return whether the file's JSON is the record of that cluster, as release 0.1 wrote it."""
    return isinstance(found, dict) and found.keys() >= _OLD_FIELDS and found["cluster_name"] == cluster_name
