"""How a forked process looks from outside: ``ps`` and the supervisor read what the kernel keeps of a program's start.

That is memory of the process itself, which a fork copies. So a forked process writes there what its own start would
have written: its command, and its name, by which the supervisor finds the owner of a replica's children.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from clipper_nb.protocol.environment import CONTAINER_NAME
from clipper_nb.protocol.nursery import padded_name

_FIRST_FIELD = 45
"""Where ``/proc/self/stat`` has the four addresses, counted after the program's name."""


def look_like(module: str, name: str) -> None:
    """Show the command ``python -m module name``, and that name as the container's."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_FIRST_FIELD:]
    command_start, command_end, environment_start, environment_end = map(int, fields[:4])
    command = "\0".join((sys.executable, "-m", module, name)).encode()
    num_bytes = command_end - command_start - 1  # a zero ends it
    _write(command_start, command[:num_bytes].ljust(num_bytes))
    mark = f"\0{CONTAINER_NAME}=".encode()
    entries = ctypes.string_at(environment_start - 1, environment_end - environment_start)
    place = entries.find(mark)
    if place >= 0:
        _write(environment_start - 1 + place, mark + padded_name(name).encode())


def _write(address: int, data: bytes) -> None:
    ctypes.memmove(address, data, len(data))
