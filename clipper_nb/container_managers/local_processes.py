"""The processes of an embedded cluster, seen from the notebook: started, waited for, found again, ended."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from clipper_nb.child_environment import child_environment
from clipper_nb.container_managers.cluster_folder import ClusterFolder
from clipper_nb.errors import ClusterStartError
from clipper_nb.protocol import environment

HOST = "127.0.0.1"

_TAIL_SIZE_BYTES = 256 * 1024


def this_process() -> tuple[int, float]:
    """Return this process's id and start, which tells it from a later process with the same id."""
    process = _psutil().Process()
    return process.pid, process.create_time()


def process_runs(pid: int, started_at: float | None) -> bool:
    """Whether that very process still runs."""
    psutil = _psutil()
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return bool(process.create_time() == started_at and process.status() != psutil.STATUS_ZOMBIE)
    return False


def start_supervisor(folder: ClusterFolder) -> subprocess.Popen[bytes]:
    """Start the supervisor of the cluster in *folder*, which must hold a record."""
    with open(folder.supervisor_log_path, "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", environment.SUPERVISOR_MODULE, str(folder.path)],
            cwd=folder.path,
            env={**child_environment(), **_import_path(), environment.CLUSTER_FOLDER: str(folder.path)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # Somebody must take its exit status when it ends, or it stays as a zombie of this process.
    threading.Thread(target=process.wait, name="clipper_nb supervisor", daemon=True).start()
    return process


def pids_of(folder: ClusterFolder) -> list[int]:
    """Return the ids of all processes that carry the cluster's folder in their environment."""
    return [process.pid for process in _processes_of(folder)]


def kill_processes_of(folder: ClusterFolder) -> None:
    """End every process of the cluster at once."""
    psutil = _psutil()
    lost = _processes_of(folder)
    for process in lost:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(lost, timeout=5)


def wait_for_end(pid: int, *, timeout_s: float) -> None:
    """Return when that process has ended, or does not want to."""
    psutil = _psutil()
    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).wait(timeout_s)


def read_tail(path: Path, max_lines: int) -> str:
    """Return the last lines of a log; empty when there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_SIZE_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-max_lines:])


def _processes_of(folder: ClusterFolder) -> list[Any]:
    psutil = _psutil()
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(environment.CLUSTER_FOLDER) == str(folder.path) and process.pid != os.getpid():
                found.append(process)
    return found


def _psutil() -> ModuleType:
    """Return psutil, which only those need who run a cluster."""
    try:
        import psutil
    except ImportError as exc:
        raise ClusterStartError(
            "The embedded cluster needs the package psutil: pip install 'clipper-nb[notebook]'."
        ) from exc
    return psutil


def _import_path() -> dict[str, str]:
    """Return what lets the cluster's processes import this package when it is used from a folder, not installed."""
    try:
        importlib.metadata.distribution("clipper-nb")
    except importlib.metadata.PackageNotFoundError:
        folder = str(Path(__file__).resolve().parents[2])
        return {"PYTHONPATH": os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH", "")]))}
    return {}
