"""The record of an embedded cluster across its stop: which folders hold a cluster to resume, and what it keeps."""

from __future__ import annotations

import secrets
import sys
from dataclasses import replace
from typing import Any

from clipper_nb.clients.cluster_version import is_compatible
from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.specs import ClusterOptions, resumed_port
from clipper_nb.display.diagnosis import Finding
from clipper_nb.errors import ClusterStartError, ClusterUnreachableError, ExistsError
from clipper_nb.protocol.cluster_record import ClusterRecord, Keeping, ProcessIdentity
from clipper_nb.protocol.environment import DEFAULT_MANAGEMENT_PORT, DEFAULT_QUERY_PORT, DEFAULT_RPC_PORT
from clipper_nb.protocol.tls_identity import TlsIdentity
from clipper_nb.version import __version__

_NUM_TOKEN_BYTES = 24
_NO_PROCESSES: dict[str, Any] = {
    "supervisor_pid": 0, "supervisor_start": "", "guardian_pid": 0, "guardian_start": "",
}  # fmt: skip
_PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def choose_keeping(*, detach: bool, has_own_folder: bool) -> Keeping:
    """Return when a new cluster is to be resumed: its folder is the user's own, or a temporary one. (pure)"""
    if detach:
        return "always"
    return "after_crash" if has_own_folder else "never"


def find_kept(folder: ClusterFolder) -> ClusterRecord | None:
    """Return the record of a cluster that does not run and is to be resumed."""
    record = folder.read_record()
    return None if record is None or record.keeping == "never" else record


def exists_error(cluster_name: str) -> ExistsError:
    """Return the error of a caller that starts a cluster that runs."""
    return ExistsError(
        f"A cluster with name '{cluster_name}' already runs. Use connect() to work with it, stop_all() to end it, or "
        "another cluster_name."
    )


def supervisor_finding(folder: ClusterFolder, *, answers: bool) -> Finding:
    """Return what the doctor says of the supervisor of a cluster to which the notebook is connected."""
    if answers:
        return Finding("Supervisor", "ok", "It answers, and restarts processes that end.")
    advice = "Call stop_all(), which removes what is left of it, and then start_clipper()."
    if find_kept(folder) is not None:
        advice = "Call start_clipper(), which brings it back."
    found = f"It does not answer: the cluster '{folder.path.name}' has ended, or hangs."
    return Finding("Supervisor", "problem", found, advice)


def check_resumable(kept: ClusterRecord) -> None:
    """Raise :class:`ClusterStartError` if this release or this Python cannot run a kept cluster. (pure)"""
    if not is_compatible(kept.package_version):
        raise _not_resumable(kept, f"clipper_nb {kept.package_version}", f"clipper_nb {__version__}")
    if kept.python_version != _PYTHON_VERSION:
        raise _not_resumable(kept, f"Python {kept.python_version}", f"Python {_PYTHON_VERSION}")


def check_can_be_kept(record: ClusterRecord) -> None:
    """Raise :class:`ClusterUnreachableError` if a running cluster is of a release that removes its folder. (pure)"""
    if not record.python_version:
        raise ClusterUnreachableError(
            f"The cluster '{record.cluster_name}' is run by clipper_nb {record.package_version}, which cannot keep it, "
            "and still runs. stop_all() ends it and removes what it has."
        )


def starting_record(record: ClusterRecord, starter: ProcessIdentity, *, is_resumed: bool) -> ClusterRecord:
    """Return the record of a cluster while *starter* starts it: with that it ends, and is what it was before. (pure)"""
    keeping: Keeping = "always" if is_resumed else "never"
    return replace(record, owner_pid=starter.pid, owner_start=starter.start, keeping=keeping)


def started_record(record: ClusterRecord, asked: ClusterRecord) -> ClusterRecord:
    """Return the record of a cluster whose start is complete: with the owner and the keeping of *asked*. (pure)"""
    return replace(record, owner_pid=asked.owner_pid, owner_start=asked.owner_start, keeping=asked.keeping)


def stopped_record(record: ClusterRecord) -> ClusterRecord:
    """Return the record of a cluster that was stopped to be resumed. (pure)"""
    return replace(record, owner_pid=None, owner_start=None, **_NO_PROCESSES, keeping="always")


def _not_resumable(kept: ClusterRecord, theirs: str, ours: str) -> ClusterStartError:
    return ClusterStartError(
        f"The kept cluster '{kept.cluster_name}' was run by {theirs}; this is {ours}, which may not load its "
        f"functions. Nothing was changed. Resume it with {theirs}, or call start_clipper(fresh=True), which removes it "
        "first."
    )


def new_record(
    cluster_name: str,
    options: ClusterOptions,
    *,
    ports: tuple[int, int, int],
    opens_rpc_port: bool,
    owner: ProcessIdentity | None,
    keeping: Keeping,
    tls: TlsIdentity | None = None,
) -> ClusterRecord:
    """Return the record of a cluster that starts for the first time; *ports* are those of query, management and RPC."""
    query_port, management_port, rpc_port = ports
    return ClusterRecord(
        cluster_name=cluster_name,
        package_version=__version__,
        admin_token=secrets.token_urlsafe(_NUM_TOKEN_BYTES),
        redis_password=secrets.token_urlsafe(_NUM_TOKEN_BYTES),
        owner_pid=None if owner is None else owner.pid,
        owner_start=None if owner is None else owner.start,
        query_port=query_port,
        management_port=management_port,
        rpc_port=rpc_port,
        opens_rpc_port=opens_rpc_port,
        keeping=keeping,
        python_version=_PYTHON_VERSION,
        options=options.stored(),
        tls=tls,
    )


def resumed_record(kept: ClusterRecord, new: ClusterRecord) -> ClusterRecord:
    """Return the record with which a kept cluster runs again: its own, with what *new* says of this start. (pure)

    A port that is not the default was asked for, and wins.
    """
    return replace(
        kept,
        package_version=new.package_version,
        owner_pid=new.owner_pid,
        owner_start=new.owner_start,
        query_port=resumed_port(new.query_port, kept.query_port, DEFAULT_QUERY_PORT),
        management_port=resumed_port(new.management_port, kept.management_port, DEFAULT_MANAGEMENT_PORT),
        rpc_port=resumed_port(new.rpc_port, kept.rpc_port, DEFAULT_RPC_PORT),
        opens_rpc_port=kept.opens_rpc_port or new.opens_rpc_port,
        **_NO_PROCESSES,
        keeping="always" if "always" in (kept.keeping, new.keeping) else new.keeping,
        options=new.options,
        tls=new.tls,
    )
