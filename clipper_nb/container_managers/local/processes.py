"""The processes of an embedded cluster, seen from the notebook: started, waited for, found again, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.log_files import open_log
from clipper_nb.container_managers.local.process_table import ProcessTable, descendants, this_machine
from clipper_nb.images.child_environment import child_environment
from clipper_nb.protocol import environment
from clipper_nb.protocol.cluster_record import ClusterRecord, ProcessIdentity

HOST = "127.0.0.1"

_END_TIMEOUT_S = 5.0
_ORPHAN_TIMEOUT_S = 15.0


def process_runs(pid: int, start: str | None, table: ProcessTable | None = None) -> bool:
    """Return whether exactly that process still runs; if *start* is ``None``, whether any process has its id."""
    table = table or this_machine()
    entry = table.read(pid)
    return entry is not None and not entry.is_zombie and start in (None, entry.identity.start)


def start_supervisor(folder: ClusterFolder) -> subprocess.Popen[bytes]:
    """Start the supervisor of the cluster in *folder*, which must hold a record."""
    with open_log(folder.supervisor_log_path) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", environment.SUPERVISOR_MODULE, str(folder.path)],
            cwd=folder.path,
            env={**child_environment(), **_import_path(), environment.CLUSTER_FOLDER: str(folder.path)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # A thread reads its exit status when it ends; otherwise it would stay as a zombie of this process.
    threading.Thread(target=process.wait, name="clipper_nb supervisor", daemon=True).start()
    return process


def is_guarded(folder: ClusterFolder) -> bool:
    """Return whether a process runs that starts the cluster's supervisor again when it is killed."""
    record = folder.read_record()
    return record is not None and this_machine().runs(record.guardian)


def wait_for_supervisor(record: ClusterRecord, *, timeout_s: float) -> None:
    """Return when a cluster's guardian and supervisor have ended, or after *timeout_s* for each."""
    table = this_machine()
    table.wait_for_end(record.guardian, timeout_s=timeout_s)
    found = table.read(record.supervisor_pid) if record.supervisor_pid else None
    if found is not None and record.supervisor_start in ("", found.identity.start):  # "" in records of release 0.1
        table.wait_for_end(found.identity, timeout_s=timeout_s)


def wait_for_orphan(folder: ClusterFolder) -> None:
    """Wait for the end of a cluster whose owner has ended, such as the kernel before a restart.

    A cluster that still answers afterwards sees its owner, perhaps in another process namespace.
    """
    record = folder.read_record()
    if record is None or record.owner_pid is None or process_runs(record.owner_pid, record.owner_start):
        return
    wait_for_supervisor(record, timeout_s=_ORPHAN_TIMEOUT_S)


def processes_of(folder: ClusterFolder, table: ProcessTable | None = None) -> list[ProcessIdentity]:
    """Return all processes of the cluster but this one.

    A process belongs to the cluster if it has the cluster's folder in its environment, or writes into one of its logs,
    or descends from one that does, or if the supervisor has seen it do so.
    """
    table = table or this_machine()
    entries = table.read_all()
    logs_path = folder.logs_path.resolve()
    marked = {pid for pid in entries if _carries_mark(pid, str(folder.path), logs_path, table)}
    seen = {process.pid for process in folder.read_descendants() if process.pid in entries
            and entries[process.pid].identity == process}  # fmt: skip
    found = (marked | seen | descendants(entries, marked | seen)) - {os.getpid()}
    return [entries[pid].identity for pid in sorted(found) if not entries[pid].is_zombie]


def kill_processes_of(folder: ClusterFolder) -> None:
    """Kill every process of the cluster, including those that they start meanwhile."""
    table = this_machine()
    deadline_s = time.monotonic() + _END_TIMEOUT_S
    while (lost := processes_of(folder, table)) and time.monotonic() < deadline_s:
        for process in lost:
            table.send_signal(process, signal.SIGKILL)
        for process in lost:
            table.wait_for_end(process, timeout_s=deadline_s - time.monotonic())


def _carries_mark(pid: int, folder_path: str, logs_path: Path, table: ProcessTable) -> bool:
    return table.variable(pid, environment.CLUSTER_FOLDER) == folder_path or any(
        output.parent == logs_path for output in table.outputs(pid)
    )


def _import_path() -> dict[str, str]:
    """Return the variable that lets the cluster's processes import this package if it is not installed."""
    import importlib.metadata  # takes 8 ms, and the supervisor imports this module without calling this

    try:
        importlib.metadata.distribution("clipper-nb")
    except importlib.metadata.PackageNotFoundError:
        folder = str(Path(__file__).resolve().parents[2])
        return {"PYTHONPATH": os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH", "")]))}
    return {}
