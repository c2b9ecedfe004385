"""Ends replicas that use more memory than their limit, as the kernel does in a container."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from clipper_nb.container_managers.local.supervisor.memory_use import MemoryUse
from clipper_nb.container_managers.local.supervisor.process import SupervisedProcess

CHECK_INTERVAL_S = 0.1
_LARGEST_SHARE = 0.05
"""Of the supervisor's time for exact measurements of a replica that does not grow."""


@dataclass(frozen=True)
class _Measured:
    """The last exact measurement of a replica."""

    next_s: float
    """When the next one may take place, unless the replica has grown to its limit meanwhile."""
    shared_bytes: int
    """By how much a cheap look says too much."""


_NEVER = _Measured(0.0, 0)


class MemoryWatch:
    """Looks at replicas that have a limit.

    Parameters
    ----------
    processes : callable
        Returns the supervised processes.
    owned : callable
        Returns the ids of processes that a supervised process is known to have started, also those without a parent.
    use : MemoryUse
    clock : callable
        Returns monotonic seconds.
    """

    def __init__(
        self,
        processes: Callable[[], Iterable[SupervisedProcess]],
        owned: Callable[[str], Iterable[int]],
        *,
        use: MemoryUse | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._processes = processes
        self._owned = owned
        self._use = use or MemoryUse()
        self._clock = clock
        self._measured: Mapping[str, _Measured] = {}

    def look(self) -> None:
        """End each replica that is above its limit."""
        limited = [
            process for process in self._processes() if process.spec.limits.memory_bytes and process.pid is not None
        ]
        self._measured = {process.spec.name: self._check(process) for process in limited}

    def _check(self, process: SupervisedProcess) -> _Measured:
        """End a replica that is above its limit; return what is known of it for the next look."""
        name, pid, limit_bytes = process.spec.name, process.pid, process.spec.limits.memory_bytes
        assert pid is not None
        assert limit_bytes is not None
        known = self._measured.get(name, _NEVER)
        pids = self._use.family(pid).union(self._owned(name))
        resident_bytes, started_s = self._use.resident_bytes(pids), self._clock()
        has_grown = resident_bytes - known.shared_bytes > limit_bytes
        if resident_bytes <= limit_bytes or not (has_grown or started_s >= known.next_s):
            return known
        used_bytes = self._use.proportional_bytes(pids)
        if used_bytes > limit_bytes:
            process.end_at_memory_limit(used_bytes, limit_bytes)
            return _NEVER
        ended_s = self._clock()
        return _Measured(ended_s + (ended_s - started_s) / _LARGEST_SHARE, resident_bytes - used_bytes)
