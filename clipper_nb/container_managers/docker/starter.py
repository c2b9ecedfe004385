"""The process that starts a cluster on Docker, as the engine notes it: another start finds out whether it was killed.

Only Linux tells it, of processes that this one could see, and of those of an earlier boot of this machine: not of those
on other machines, or in other containers.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from clipper_nb.container_managers.process_identity import read_boot_id, read_stat

_ROOT = Path("/")
_NAMESPACE_OF_MACHINE = "4026531836"
"""The number of the process namespace that is not a container's, on every Linux and after every boot."""


@dataclass(frozen=True)
class _Place:
    """Where a process id means something."""

    machine: str
    """Empty where it is not known."""
    boot: str
    namespace: str

    @classmethod
    def here(cls, root: Path) -> _Place | None:
        proc = root / "proc"
        boot = read_boot_id(proc)
        try:
            return cls(_machine(root), boot, str(os.stat(proc / "self/ns/pid").st_ino)) if boot else None
        except OSError:
            return None

    @classmethod
    def parse(cls, text: str) -> _Place | None:
        parts = text.split(":")
        return cls(*parts) if len(parts) == 3 else None

    def is_earlier_boot_of(self, here: _Place) -> bool:
        """Return whether no process of this place can run any more, because that machine is here and began anew.

        A container has the id of a machine from its image, if any: so only what ran outside of one counts.
        """
        is_same = bool(self.machine) and (self.machine, self.namespace) == (here.machine, here.namespace)
        return is_same and here.namespace == _NAMESPACE_OF_MACHINE and self.boot != here.boot

    def __str__(self) -> str:
        return f"{self.machine}:{self.boot}:{self.namespace}"


def this_starter(root: Path = _ROOT) -> str:
    """Return what distinguishes this process from every other one, anywhere; empty where that is not known."""
    place, ticks = _Place.here(root), _start_ticks(root, os.getpid())
    return f"{place}/{os.getpid()}/{ticks}" if place and ticks else ""


def has_ended(starter: str, root: Path = _ROOT) -> bool:
    """Return whether that process, of this machine and this process's surroundings, certainly runs no more."""
    there, _, identity = starter.partition("/")
    pid, _, ticks = identity.partition("/")
    place, here = _Place.parse(there), _Place.here(root)
    if place is None or here is None or not pid.isdigit():
        return False
    if place == here:
        return _start_ticks(root, int(pid)) != ticks
    return place.is_earlier_boot_of(here)


def _machine(root: Path) -> str:
    """Return what distinguishes this machine, also from a copy of its disk under another name, and says nothing else.

    Its id is not meant to leave it: https://www.freedesktop.org/software/systemd/man/latest/machine-id.html
    """
    try:
        machine_id = (root / "etc/machine-id").read_text().strip()
        name = (root / "proc/sys/kernel/hostname").read_text().strip()
    except OSError:
        return ""
    # "uninitialized" is what an image has before its first boot.
    if len(machine_id) != 32:
        return ""
    return hashlib.sha256(f"clipper_nb {name} {machine_id}".encode()).hexdigest()[:32]


def _start_ticks(root: Path, pid: int) -> str:
    """Return when a process started, in ticks since the boot; empty for one that has ended."""
    found = read_stat(pid, root / "proc")
    return "" if found is None or found.is_zombie else str(found.start_ticks)
