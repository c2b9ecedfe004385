"""Which processes this machine runs, each identified by facts that do not change when the clock is set."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

from clipper_nb.container_managers.process_identity import PROC, read_boot_id, read_stat
from clipper_nb.errors import ClusterStartError
from clipper_nb.protocol.cluster_record import ProcessIdentity

_POLL_INTERVAL_S = 0.02


@dataclass(frozen=True)
class ProcessEntry:
    """One process as the kernel lists it."""

    identity: ProcessIdentity
    parent_pid: int
    session_id: int
    """Process id of its session leader; 0 if unknown."""
    is_zombie: bool = False
    """True if it has ended and its parent has not read its exit status."""


class ProcessTable:
    """The processes of this machine, as psutil sees them on any system."""

    def pids(self) -> list[int]:
        """Return the ids of all processes."""
        pids: list[int] = psutil_module().pids()
        return pids

    def read(self, pid: int) -> ProcessEntry | None:
        """Return the process that has that id now, or ``None``."""
        psutil = psutil_module()
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            # psutil's own identity of a process. create_time() moves with the clock on kernels that store wall time, as
            # Darwin's does; this value does not.
            start = repr(process._ident[1])
            is_zombie = process.status() == psutil.STATUS_ZOMBIE
            return ProcessEntry(ProcessIdentity(pid, start), process.ppid(), 0, is_zombie)
        return None

    def this_process(self) -> ProcessIdentity:
        """Return the identity of the calling process."""
        entry = self.read(os.getpid())
        if entry is None:
            raise ClusterStartError("This process is not listed among those of the machine. Is /proc mounted?")
        return entry.identity

    def read_all(self) -> dict[int, ProcessEntry]:
        """Return all processes by their ids."""
        found = ((pid, self.read(pid)) for pid in self.pids())
        return {pid: entry for pid, entry in found if entry is not None}

    def variable(self, pid: int, name: str) -> str | None:
        """Return an environment variable that a process was started with; ``None`` if unset or not readable."""
        psutil = psutil_module()
        with contextlib.suppress(psutil.Error, OSError):
            value: str | None = psutil.Process(pid).environ().get(name)
            return value
        return None

    def outputs(self, pid: int) -> list[Path]:
        """Return the files of a process's standard output and error, if the system shows them."""
        return []

    def runs(self, identity: ProcessIdentity) -> bool:
        """Return whether exactly that process still runs."""
        entry = self.read(identity.pid)
        return entry is not None and entry.identity == identity and not entry.is_zombie

    def send_signal(self, identity: ProcessIdentity, number: signal.Signals) -> None:
        """Send a signal to exactly that process, never to another one that has its id by now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.runs(identity):
                os.kill(identity.pid, number)

    def wait_for_end(self, identity: ProcessIdentity, *, timeout_s: float) -> None:
        """Return when exactly that process has ended, or after *timeout_s*."""
        deadline_s = time.monotonic() + timeout_s
        while self.runs(identity) and time.monotonic() < deadline_s:
            time.sleep(_POLL_INTERVAL_S)


class LinuxProcessTable(ProcessTable):
    """The processes of a Linux machine, identified by the boot and the clock ticks since then.

    Parameters
    ----------
    proc : Path
        Where the kernel lists them.
    """

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc

    def pids(self) -> list[int]:
        return [int(name) for name in os.listdir(self._proc) if name.isdigit()]

    def read(self, pid: int) -> ProcessEntry | None:
        found = read_stat(pid, self._proc)
        if found is None:
            return None
        identity = ProcessIdentity(pid, f"{self._boot_id}/{found.start_ticks}")
        return ProcessEntry(identity, found.parent_pid, found.session_id, found.is_zombie)

    def variable(self, pid: int, name: str) -> str | None:
        try:
            with open(f"{self._proc}/{pid}/environ", "rb", buffering=0) as file:
                entries = file.read().split(b"\0")
        except OSError:
            return None
        start = os.fsencode(name) + b"="
        return next((os.fsdecode(entry[len(start) :]) for entry in entries if entry.startswith(start)), None)

    def outputs(self, pid: int) -> list[Path]:
        found = []
        for descriptor in ("1", "2"):
            with contextlib.suppress(OSError):
                found.append(Path(os.readlink(f"{self._proc}/{pid}/fd/{descriptor}")))
        return found

    def send_signal(self, identity: ProcessIdentity, number: signal.Signals) -> None:
        with _opened(identity.pid) as process_fd:
            if process_fd is None:
                super().send_signal(identity, number)
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                # The descriptor stays bound to the process that has the id now, even if another one gets the id later.
                if self.runs(identity):
                    signal.pidfd_send_signal(process_fd, number)

    def wait_for_end(self, identity: ProcessIdentity, *, timeout_s: float) -> None:
        with _opened(identity.pid) as process_fd:
            if process_fd is None:
                super().wait_for_end(identity, timeout_s=timeout_s)
            elif self.runs(identity):
                poller = select.poll()
                poller.register(process_fd, select.POLLIN)  # readable once the process has ended
                poller.poll(max(0.0, 1000 * timeout_s))

    @cached_property
    def _boot_id(self) -> str:
        return read_boot_id(self._proc)


@contextlib.contextmanager
def _opened(pid: int) -> Iterator[int | None]:
    """Yield a descriptor of a process; ``None`` if there is none, on a kernel before 5.3, or a Python built for one."""
    process_fd = None
    with contextlib.suppress(OSError, AttributeError):
        process_fd = os.pidfd_open(pid)
    try:
        yield process_fd
    finally:
        if process_fd is not None:
            os.close(process_fd)


def this_machine() -> ProcessTable:
    """Return the table of this machine's processes."""
    return LinuxProcessTable() if sys.platform == "linux" else ProcessTable()


def descendants(entries: Mapping[int, ProcessEntry], roots: Iterable[int]) -> set[int]:
    """Return the ids of all processes that descend from *roots*, without these."""
    children: dict[int, list[int]] = {}
    for pid, entry in entries.items():
        children.setdefault(entry.parent_pid, []).append(pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        new = [child for child in children.get(waiting.pop(), ()) if child not in found]
        found.update(new)
        waiting.extend(new)
    return found


def psutil_module() -> ModuleType:
    """Return psutil, which only an embedded cluster needs."""
    try:
        import psutil
    except ImportError as exc:
        raise ClusterStartError(
            "The embedded cluster needs the package psutil: pip install 'clipper-nb[notebook]'."
        ) from exc
    return psutil
