"""One supervised process: started, watched, started again with growing waits, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from clipper_nb.container_managers.specs import ContainerSpec, ObservedContainer

logger = logging.getLogger(__name__)

FIRST_RESTART_DELAY_S = 0.05
LONGEST_RESTART_DELAY_S = 10.0
STEADY_AFTER_S = 10.0
"""A process that lived this long is not crashing in a loop."""

_PR_SET_PDEATHSIG = 1


def restart_delay_s(num_quick_exits: int) -> float:
    """Return how long to wait before the next start, after so many quick ends in a row."""
    doublings = min(max(0, num_quick_exits - 1), 30)
    return min(FIRST_RESTART_DELAY_S * 2.0**doublings, LONGEST_RESTART_DELAY_S)


class SupervisedProcess:
    """Keeps one process running until it is stopped.

    Parameters
    ----------
    spec : ContainerSpec
    cluster_path : Path
        The cluster's folder, which relative paths of the spec begin in.
    log_path : Path
        Where its standard output and error go; appended to.
    sockets : Mapping
        The supervisor's listening sockets, as file descriptors by name.
    environment : Mapping
        What every process of the cluster is told, below the spec's own variables.
    """

    def __init__(
        self,
        spec: ContainerSpec,
        *,
        cluster_path: Path,
        log_path: Path,
        sockets: Mapping[str, int],
        environment: Mapping[str, str],
    ) -> None:
        self.spec = spec
        self._cluster_path = cluster_path
        self._log_path = log_path
        self._socket_fds = {variable: sockets[name] for variable, name in spec.sockets.items()}
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._num_exits = 0
        self._num_quick_exits = 0
        self._exit_status: int | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep it running."""
        self._task = asyncio.create_task(self._keep_running(), name=self.spec.name)

    def observe(self) -> ObservedContainer:
        """Return how it is now."""
        process = self._process
        return ObservedContainer(
            name=self.spec.name,
            role=self.spec.role,
            model=self.spec.model,
            image=self.spec.image,
            is_running=process is not None,
            num_exits=self._num_exits,
            exit_status=self._exit_status,
            pid=None if process is None else process.pid,
        )

    async def stop(self, *, graceful: bool = True) -> None:
        """Stop it: SIGTERM, and SIGKILL when that takes longer than the spec allows."""
        self._stopping.set()
        if self._task is None:
            return
        if graceful:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._task), self.spec.stop_timeout_s)
        while not self._task.done():
            self._signal_group(signal.SIGKILL)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._task), 1.0)

    async def _keep_running(self) -> None:
        while not self._stopping.is_set():
            started_s = time.monotonic()
            await self._run_once()
            if self._stopping.is_set():
                return
            self._num_exits += 1
            is_steady = time.monotonic() - started_s >= STEADY_AFTER_S
            self._num_quick_exits = 1 if is_steady else self._num_quick_exits + 1
            delay_s = restart_delay_s(self._num_quick_exits)
            logger.warning(
                "%s ended with status %s; starting it again in %.2f s", self.spec.name, self._exit_status, delay_s
            )
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)

    async def _run_once(self) -> None:
        try:
            self._process = await self._spawn()
        except OSError as exc:
            with open(self._log_path, "a") as log:
                log.write(f"{self.spec.command[0]} cannot be started: {exc}\n")
            self._exit_status = 127
            return
        logger.info("%s runs as process %d", self.spec.name, self._process.pid)
        if self._stopping.is_set():  # asked to stop while it was being started
            self._signal(signal.SIGTERM)
        pid = self._process.pid
        self._exit_status = await self._process.wait()
        self._process = None
        # What it started itself shares its process group and must not outlive it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)

    async def _spawn(self) -> asyncio.subprocess.Process:
        variables = {
            **os.environ,
            **self._environment,
            **self.spec.environment,
            **{variable: str(fd) for variable, fd in self._socket_fds.items()},
        }
        with open(self._log_path, "ab") as log:
            return await asyncio.create_subprocess_exec(
                *self.spec.command,
                cwd=self._cluster_path / self.spec.working_folder,
                env=variables,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=tuple(self._socket_fds.values()),
                start_new_session=True,
                preexec_fn=_end_with_parent(),
            )

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def _end_with_parent() -> Callable[[], None] | None:
    """Return what makes a child end when the supervisor is killed; only Linux can."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
