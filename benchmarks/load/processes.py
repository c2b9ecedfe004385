"""The processes of an embedded cluster, as the kernel sees them: memory and time on a core. Linux only."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from types import TracebackType

import psutil

from clipper_nb.protocol import environment

SUPERVISOR, REDIS, MANAGEMENT, QUERY, REPLICA = (
    "supervisor",
    "redis",
    "management frontend",
    "query frontend",
    "replica",
)
_ROLES = {
    environment.SUPERVISOR_MODULE: SUPERVISOR,
    environment.MANAGEMENT_FRONTEND_MODULE: MANAGEMENT,
    environment.QUERY_FRONTEND_MODULE: QUERY,
    environment.MODEL_CONTAINER_MODULE: REPLICA,
}
_SAMPLE_INTERVAL_S = 0.5

Sample = tuple[float, int]
"""Seconds since sampling began, and bytes."""


def cluster_processes(cluster_name: str) -> dict[str, list[psutil.Process]]:
    """Return the running processes of a cluster by their role, oldest first; workers have the role of their parent."""
    found = defaultdict(list)
    supervisor = _find_supervisor(cluster_name)
    for process in (supervisor, *supervisor.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                found[_role_of(process)].append(process)
    return {role: sorted(processes, key=lambda one: one.create_time()) for role, processes in found.items()}


def _find_supervisor(cluster_name: str) -> psutil.Process:
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if environment.SUPERVISOR_MODULE in command and command[-1].rpartition("/")[2] == cluster_name:
                return process
    raise LookupError(f"No cluster {cluster_name} was started by this process.")


def _role_of(process: psutil.Process) -> str:
    for word in process.cmdline():
        if word in _ROLES:
            return _ROLES[word]
    if "redis" in process.name():
        return REDIS
    parent = process.parent()
    return _role_of(parent) if parent is not None else "unknown"


def cpu_s(process: psutil.Process) -> float:
    """Return the time that a process has been on a core, to the nanosecond; ``psutil`` counts in hundredths."""
    return time.clock_gettime((~process.pid << 3) | 2)  # CPUCLOCK_SCHED of a process, see clock_getcpuclockid(3)


def pss_bytes(process: psutil.Process) -> int:
    """Return a process's proportional set size: memory that n processes share counts one nth for each."""
    return int(process.memory_full_info().pss)


class OthersWatch:
    """Measures the cores that processes other than the cluster's, this one and its clients use while a block runs: on a
    machine that is shared, timings are theirs too."""

    def __init__(self) -> None:
        self.cores = 0.0

    def __enter__(self) -> OthersWatch:
        self._began_s = time.monotonic()
        self._before = self._busy_s()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        busy_s, own_s = self._busy_s()
        others_s = (busy_s - self._before[0]) - sum(used - self._before[1].get(pid, 0.0) for pid, used in own_s.items())
        self.cores = max(0.0, others_s / (time.monotonic() - self._began_s))

    def _busy_s(self) -> tuple[float, dict[int, float]]:
        """Return the time that all cores have been busy, and what our processes had of it."""
        times = psutil.cpu_times()
        busy_s = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
        own_s = {}
        this = psutil.Process()
        for process in (this, *this.children(recursive=True)):
            with contextlib.suppress(psutil.Error, OSError):
                own_s[process.pid] = cpu_s(process)
        return busy_s, own_s


class MemoryWatch:
    """Samples the resident memory of a cluster's processes while a block runs, by role: the mean of the processes that
    have the role then, so that a restart is no step.

    Parameters
    ----------
    cluster_name : str
    interval_s : float
        Between two samples.
    settled_after_s : float
        Younger processes are left out: they still load.
    """

    def __init__(
        self, cluster_name: str, *, interval_s: float = _SAMPLE_INTERVAL_S, settled_after_s: float = 0.0
    ) -> None:
        self.samples: dict[str, list[Sample]] = defaultdict(list)
        self._cluster_name = cluster_name
        self._interval_s = interval_s
        self._settled_after_s = settled_after_s
        self._began_s = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def largest_bytes(self, role: str, *, from_s: float = 0.0) -> int:
        """Return the most that was seen from then on."""
        return max(size for at_s, size in self.samples[role] if at_s >= from_s)

    def growth_bytes_per_s(self, role: str, *, from_s: float = 0.0) -> float:
        """Return the slope of the line through the samples from then on, by least squares."""
        points = [point for point in self.samples[role] if point[0] >= from_s]
        mean_s = sum(at_s for at_s, _ in points) / len(points)
        mean_bytes = sum(size for _, size in points) / len(points)
        variance = sum((at_s - mean_s) ** 2 for at_s, _ in points)
        return sum((at_s - mean_s) * (size - mean_bytes) for at_s, size in points) / variance if variance else 0.0

    def _run(self) -> None:
        while not self._ending.wait(self._interval_s):
            at_s = time.monotonic() - self._began_s
            for role, processes in cluster_processes(self._cluster_name).items():
                sizes = []
                for process in processes:
                    with contextlib.suppress(psutil.Error):
                        if time.time() - process.create_time() >= self._settled_after_s:
                            sizes.append(process.memory_info().rss)
                if sizes:
                    self.samples[role].append((at_s, sum(sizes) // len(sizes)))
