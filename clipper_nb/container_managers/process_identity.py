"""What identifies a process on Linux, however the clock is set: the boot, and the ticks from it to the start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
"""Where the kernel lists processes."""


@dataclass(frozen=True)
class ProcessStat:
    """What the kernel says of one process."""

    parent_pid: int
    session_id: int
    start_ticks: int
    is_zombie: bool
    """True if it has ended and its parent has not read its exit status."""


def read_boot_id(proc: Path = PROC) -> str:
    """Return the id of this boot of the machine; empty where it is not known."""
    try:
        return (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def read_stat(pid: int, proc: Path = PROC) -> ProcessStat | None:
    """Return the process that has that id now, or ``None``."""
    try:
        with open(f"{proc}/{pid}/stat", "rb", buffering=0) as file:
            text = file.read()
    except OSError:
        return None
    # The program's name, in parentheses, may itself contain spaces and parentheses.
    state, parent_pid, _, session_id, *others = text.rpartition(b")")[2].split()
    return ProcessStat(int(parent_pid), int(session_id), int(others[15]), state in (b"Z", b"X"))
