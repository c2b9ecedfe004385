"""How much memory the processes of one replica use, as Linux counts it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_KIB = 1024
_RESIDENT = (b"RssAnon", b"RssShmem", b"VmSwap")
_PROPORTIONAL = (b"Pss_Anon", b"Pss_Shmem", b"SwapPss")
_BEFORE_LINUX_5_3 = (b"Pss", b"SwapPss")
"""With the files that are mapped, which cannot be told apart."""


class MemoryUse:
    """Reads the memory of processes; files that are only mapped do not count, since the kernel may drop them.

    Parameters
    ----------
    proc : Path
        Where the kernel lists processes.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def family(self, pid: int) -> set[int]:
        """Return the id of a process and of those that it started, directly or not."""
        found: set[int] = set()
        waiting = [pid]
        while waiting:
            parent = waiting.pop()
            if parent not in found:
                found.add(parent)
                waiting += self._children(parent)
        return found

    def resident_bytes(self, pids: Iterable[int]) -> int:
        """Return at least what they use, in microseconds: pages that several of them share count several times."""
        return sum(_total(self._fields(pid, "status"), _RESIDENT) for pid in pids)

    def proportional_bytes(self, pids: Iterable[int]) -> int:
        """Return what they use; of a page that others share, a template for example, only their part counts.

        Takes milliseconds for each gigabyte.
        """
        found = [self._fields(pid, "smaps_rollup") for pid in pids]
        return sum(_total(fields, _PROPORTIONAL if b"Pss_Anon" in fields else _BEFORE_LINUX_5_3) for fields in found)

    def _children(self, pid: int) -> Iterator[int]:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"{self._proc}/{pid}/task"):
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    yield from map(int, _read(f"{self._proc}/{pid}/task/{task}/children").split())

    def _fields(self, pid: int, name: str) -> Mapping[bytes, bytes]:
        try:
            lines = _read(f"{self._proc}/{pid}/{name}").splitlines()
        except OSError:  # it has ended
            return {}
        return {key: value for key, _, value in (line.partition(b":") for line in lines)}


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def _total(fields: Mapping[bytes, bytes], names: Iterable[bytes]) -> int:
    return sum(int(fields[name].split()[0]) * _KIB for name in names if name in fields)
