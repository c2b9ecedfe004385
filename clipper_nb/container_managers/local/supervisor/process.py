"""One supervised process: started, watched, restarted with growing delays, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from clipper_nb.container_managers.local.log_files import open_log
from clipper_nb.container_managers.local.supervisor.adoption import AdoptedProcess
from clipper_nb.container_managers.local.supervisor.launching import Launch, LaunchedProcess
from clipper_nb.protocol.cluster_record import ProcessIdentity
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.restart_delay import RestartDelays

logger = logging.getLogger(__name__)

_MIB = 1 << 20

StartProcess = Callable[[Launch, asyncio.Event], Awaitable["LaunchedProcess | None"]]


class SupervisedProcess:
    """Keeps one process running until it is stopped.

    Parameters
    ----------
    launch : Launch
        What it is started with, each time.
    start : callable
        Starts a process; returns ``None`` if the event was set before.
    end_descendants : callable
        Ends what the process of that name started, after the process itself has ended.
    identify : callable
        Returns the identity of the process that has an id now.
    on_change : callable
        Is called when it runs, and when it has ended.
    adopted : AdoptedProcess, optional
        The process that runs already.
    num_exits : int
        How often it has ended already.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        start: StartProcess,
        end_descendants: Callable[[str], Awaitable[None]],
        identify: Callable[[int], ProcessIdentity | None],
        on_change: Callable[[], None],
        adopted: AdoptedProcess | None = None,
        num_exits: int = 0,
    ) -> None:
        self.launch = launch
        self.spec = launch.spec
        self._start_process = start
        self._end_descendants = end_descendants
        self._ready_path = ready_path(launch.log_path)
        self.pid: int | None = None if adopted is None else adopted.pid
        """Its process id, until everything that it started has ended too."""
        self.identity: ProcessIdentity | None = None if adopted is None else adopted.identity
        """What distinguishes it from a later process with that id."""
        self._process: LaunchedProcess | None = adopted
        self._identify = identify
        self._on_change = on_change
        self.num_exits = num_exits
        self._exit_status: int | None = None
        self._is_over_memory = False
        self._was_out_of_memory = False
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start it, and keep it running."""
        self._task = asyncio.create_task(self._keep_running(), name=self.spec.name)

    def observe(self) -> ObservedContainer:
        """Return its current state."""
        process = self._process
        return ObservedContainer(
            name=self.spec.name,
            role=self.spec.role,
            model=self.spec.model,
            image=self.spec.image,
            is_running=process is not None,
            num_exits=self.num_exits,
            exit_status=self._exit_status,
            pid=None if process is None else process.pid,
            was_out_of_memory=self._was_out_of_memory,
        )

    def end_at_memory_limit(self, used_bytes: int, limit_bytes: int) -> None:
        """End it, as one that uses more memory than it may; it is started again."""
        if self._process is None or self._is_over_memory:
            return
        self._is_over_memory = True
        used, limit = f"{used_bytes / _MIB:,.0f} MiB", f"{limit_bytes / _MIB:,.0f} MiB"
        text = f"{self.spec.name} uses {used} of memory, and its limit is {limit}"
        logger.warning("%s; it is ended", text)
        with open_log(self.launch.log_path) as log:
            log.write(f"The cluster ends this process: {text}.\n".encode())
        self._signal(signal.SIGKILL)

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
            self._signal(signal.SIGKILL)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._task), 1.0)
        self._take_ready_mark()

    async def _keep_running(self) -> None:
        delays = RestartDelays()
        while not self._stopping.is_set():
            started_s = time.monotonic()
            await self._run_once()
            if self._stopping.is_set():
                return
            self.num_exits += 1
            self._on_change()
            delay_s = delays.after_end(lived_s=time.monotonic() - started_s, was_ready=self._take_ready_mark())
            logger.warning(
                "%s ended with status %s; starting it again in %.2f s", self.spec.name, self._exit_status, delay_s
            )
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)

    def _take_ready_mark(self) -> bool:
        """Return whether the process that ended was ready; the next one begins without its mark."""
        with contextlib.suppress(OSError):
            self._ready_path.unlink()
            return True
        return False

    async def _run_once(self) -> None:
        if self._process is None:
            await self._start_once()
        if self._process is None:
            return
        if self._stopping.is_set():  # asked to stop while it was being started
            self._signal(signal.SIGTERM)
        self._exit_status = await self._process.wait()
        self._process = None
        self._was_out_of_memory, self._is_over_memory = self._is_over_memory, False
        await self._end_descendants(self.spec.name)
        self.pid = self.identity = None

    async def _start_once(self) -> None:
        try:
            self._process = await self._start_process(self.launch, self._stopping)
        except OSError as exc:
            with open_log(self.launch.log_path) as log:
                log.write(f"{self.spec.command[0]} cannot be started: {exc}\n".encode())
            self._exit_status = 127
        if self._process is not None:
            self.pid = self._process.pid
            self.identity = self._identify(self.pid)
            self._on_change()
            logger.info("%s runs as process %d", self.spec.name, self.pid)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def ready_path(log_path: Path) -> Path:
    """Return the file that exists while the process with that log is ready."""
    return log_path.with_suffix(".ready")
