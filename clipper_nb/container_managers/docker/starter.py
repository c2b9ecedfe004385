"""The process that starts a cluster on Docker, as the engine notes it: another start finds out whether it was killed.

Only Linux tells it, of processes that this one could see: not of those on other machines, or in other containers.
"""

from __future__ import annotations

import os
from pathlib import Path

from clipper_nb.container_managers.process_identity import PROC, read_boot_id, read_stat


def this_starter(proc: Path = PROC) -> str:
    """Return what distinguishes this process from every other one, anywhere; empty where that is not known."""
    place, ticks = _place(proc), _start_ticks(proc, os.getpid())
    return f"{place}/{os.getpid()}/{ticks}" if place and ticks else ""


def has_ended(starter: str, proc: Path = PROC) -> bool:
    """Return whether that process, of this machine and this process's surroundings, certainly runs no more."""
    place, _, identity = starter.partition("/")
    pid, _, ticks = identity.partition("/")
    return bool(place) and place == _place(proc) and pid.isdigit() and _start_ticks(proc, int(pid)) != ticks


def _place(proc: Path) -> str:
    """Return what the boot of the machine and the surroundings have in which process ids mean something."""
    boot = read_boot_id(proc)
    try:
        return f"{boot}:{os.stat(proc / 'self/ns/pid').st_ino}" if boot else ""
    except OSError:
        return ""


def _start_ticks(proc: Path, pid: int) -> str:
    """Return when a process started, in ticks since the boot; empty for one that has ended."""
    found = read_stat(pid, proc)
    return "" if found is None or found.is_zombie else str(found.start_ticks)
