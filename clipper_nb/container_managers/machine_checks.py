"""Checks what every cluster needs of a machine: disk space and ports."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from clipper_nb.display.diagnosis import Finding

_LITTLE_SPACE_BYTES = 5 * 10**9
_NO_SPACE_BYTES = 5 * 10**8


def check_disk(path: Path, what_lies_there: str, how_to_free: str) -> Finding:
    """Check the free space on the disk of *path*, or of the nearest existing folder above it."""
    while not path.exists():
        path = path.parent
    try:
        free_bytes = shutil.disk_usage(path).free
    except OSError as exc:
        return Finding("Disk", "warning", f"{path}, where {what_lies_there} lie, cannot be looked at: {exc.strerror}.")
    found = f"{free_bytes / 1e9:,.1f} GB free in {path}, where {what_lies_there} lie."
    if free_bytes < _NO_SPACE_BYTES:
        return Finding("Disk", "problem", found, how_to_free)
    if free_bytes < _LITTLE_SPACE_BYTES:
        return Finding("Disk", "warning", found, how_to_free)
    return Finding("Disk", "ok", found)


def check_ports(ports: Mapping[str, int], address: str) -> Finding:
    """Check whether the ports that a cluster will request are free; 0 is any free one."""
    busy = [f"{name} {port}" for name, port in ports.items() if port and not _is_free(address, port)]
    if busy:
        return Finding(
            "Ports", "warning", f"Taken by others at {address}: {', '.join(busy)}.",
            "start_clipper() takes free ones in their place; get_query_addr() says which.",
        )  # fmt: skip
    wanted = ", ".join(f"{name} {port or 'any'}" for name, port in ports.items())
    return Finding("Ports", "ok", f"Free at {address}: {wanted}.")


def _is_free(address: str, port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True
