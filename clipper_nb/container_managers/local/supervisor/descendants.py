"""Ends what the supervised processes started, once the supervised process itself has ended.

A model's child may have its own session, environment and outputs. On Linux the supervisor becomes the parent of each
descendant whose own parent has ended, so none leaves its tree; elsewhere they are found by their environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.process_table import ProcessEntry, ProcessTable
from clipper_nb.container_managers.local.supervisor.launching import Spawning
from clipper_nb.errors import ClusterFolderError
from clipper_nb.protocol import environment
from clipper_nb.protocol.cluster_record import ProcessIdentity

logger = logging.getLogger(__name__)

UNKNOWN = ""
"""Stands for the name when the supervised process that started it is unknown."""

_END_TIMEOUT_S = 5.0
_POLL_INTERVAL_S = 0.02
_PR_SET_CHILD_SUBREAPER = 36
_INIT_PID = 1


class Descendants:
    """Ends what supervised processes started, and reaps the zombies that the supervisor adopted.

    Parameters
    ----------
    known_pids : callable
        Returns the names of the processes that the supervisor started or had forked, by their ids.
    table : ProcessTable
    folder : ClusterFolder
        Where they are recorded, for cleaning up after a supervisor that was killed.
    spawning : Spawning
    adopts : bool
        Whether the supervisor becomes the parent of descendants that lost theirs.
    guardian_pid : int, optional
        Becomes the parent of what a killed supervisor leaves, and what later loses its parent among that.
    """

    def __init__(
        self,
        known_pids: Callable[[], Mapping[int, str]],
        *,
        table: ProcessTable,
        folder: ClusterFolder,
        spawning: Spawning,
        adopts: bool,
        guardian_pid: int | None = None,
    ) -> None:
        self._guardian_pid = guardian_pid
        self._known_pids = known_pids
        self._spawning = spawning
        self._table = table
        self._folder = folder
        self._logs_path = folder.logs_path.resolve()
        self._adopts = adopts
        self._owners: dict[ProcessIdentity, str] = {}

    def look(self) -> None:
        """Record which supervised process started each running process, and reap those that have ended.

        A process without marks can be attributed only while its parent runs, so this is called often.
        """
        mains = self._known_pids()
        entries = self._table.read_all()
        owners = attribute(
            entries,
            supervisor_pid=os.getpid(),
            mains=mains,
            known=self._owners,
            read_mark=self._read_mark,
            orphans_are_adopted=self._adopts,
            guardian_pid=self._guardian_pid if os.getppid() == self._guardian_pid else None,
        )
        if owners.keys() != self._owners.keys():
            self._write_down(owners)
        self._owners = owners
        # Whoever started a child must read its status, also before its id is known here.
        if not self._spawning:
            for pid in adopted_zombies(entries, supervisor_pid=os.getpid(), mains=mains):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def started_by(self, name: str) -> set[int]:
        """Return the ids of the processes that the supervised process *name* was last seen to have started."""
        return {process.pid for process, owner in self._owners.items() if owner == name}

    async def end(self, name: str) -> None:
        """End everything that the supervised process *name* started."""
        await self._end_while(lambda owner: owner == name)

    async def end_all(self) -> None:
        """End everything that any supervised process started, including what cannot be attributed to one."""
        await self._end_while(lambda _: True)

    async def _end_while(self, is_meant: Callable[[str], bool]) -> None:
        deadline_s = time.monotonic() + _END_TIMEOUT_S
        while True:
            self.look()
            left = [process for process, owner in self._owners.items() if is_meant(owner)]
            if not left:
                return
            if time.monotonic() > deadline_s:
                logger.warning("these processes do not end: %s", [process.pid for process in left])
                return
            for process in left:
                self._table.send_signal(process, signal.SIGKILL)
            await asyncio.sleep(_POLL_INTERVAL_S)

    def _write_down(self, processes: Iterable[ProcessIdentity]) -> None:
        try:
            self._folder.write_descendants(processes)
        except (OSError, ClusterFolderError) as exc:
            logger.warning("the list of processes that models started cannot be saved: %s", exc)

    def _read_mark(self, pid: int) -> str:
        """Return the name in a process's environment, or else that of the log it writes to."""
        if self._table.variable(pid, environment.CLUSTER_FOLDER) == str(self._folder.path):
            name = self._table.variable(pid, environment.CONTAINER_NAME)
            if name is not None:
                return name.strip()  # as a forked process shows it
        return next((path.stem for path in self._table.outputs(pid) if path.parent == self._logs_path), UNKNOWN)


def attribute(
    entries: Mapping[int, ProcessEntry],
    *,
    supervisor_pid: int,
    mains: Mapping[int, str],
    known: Mapping[ProcessIdentity, str],
    read_mark: Callable[[int], str],
    orphans_are_adopted: bool = True,
    guardian_pid: int | None = None,
) -> dict[ProcessIdentity, str]:
    """Return the supervised process that started each process below the supervisor. (pure)

    Parameters
    ----------
    mains : Mapping
        Names of the supervised processes by process id, including those that have just ended.
    known : Mapping
        The previous result.
    read_mark : callable
        Returns the name that a process itself shows, or ``UNKNOWN``.
    """
    children: dict[int, list[ProcessEntry]] = {}
    for entry in entries.values():
        children.setdefault(entry.parent_pid, []).append(entry)

    def owner_of(entry: ProcessEntry, parents_owner: str) -> str:
        return (
            parents_owner
            or known.get(entry.identity, UNKNOWN)
            or mains.get(entry.session_id, UNKNOWN)
            or read_mark(entry.identity.pid)
        )

    found: dict[ProcessIdentity, str] = {}
    waiting = [(entry, UNKNOWN) for entry in children.get(supervisor_pid, ())]
    elsewhere = [] if guardian_pid is None else children.get(guardian_pid, [])
    elsewhere = [*elsewhere, *(entries[pid] for pid in mains if pid in entries)]
    waiting += [(entry, UNKNOWN) for entry in elsewhere if entry.identity.pid != supervisor_pid]
    if not orphans_are_adopted:
        orphans = [entry for entry in children.get(_INIT_PID, ()) if entry.identity.pid != supervisor_pid]
        waiting += [(entry, name) for entry in orphans if (name := owner_of(entry, UNKNOWN)) != UNKNOWN]
    while waiting:
        entry, parents_owner = waiting.pop()
        pid = entry.identity.pid
        owner = mains[pid] if pid in mains else owner_of(entry, parents_owner)
        if pid not in mains and not entry.is_zombie:
            found[entry.identity] = owner
        waiting += [(child, owner) for child in children.get(pid, ())]
    return found


def adopted_zombies(entries: Mapping[int, ProcessEntry], *, supervisor_pid: int, mains: Mapping[int, str]) -> list[int]:
    """Return the ended children that the supervisor did not start itself. (pure)"""
    return [
        pid
        for pid, entry in entries.items()
        if entry.parent_pid == supervisor_pid and entry.is_zombie and pid not in mains
    ]


def adopt_orphans() -> bool:
    """Make this process the parent of descendants that lose theirs; return whether the system supports it."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
