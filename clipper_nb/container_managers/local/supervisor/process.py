"""One supervised process: started, watched, restarted with growing delays, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from clipper_nb.container_managers.local.log_files import open_log
from clipper_nb.protocol.containers import REPLICA, ContainerSpec, ObservedContainer
from clipper_nb.protocol.environment import CONTAINER_NAME, READY_FILE
from clipper_nb.protocol.parent_death import end_with_parent_hook
from clipper_nb.protocol.restart_delay import RestartDelays

logger = logging.getLogger(__name__)


class SupervisedProcess:
    """Keeps one process running until it is stopped.

    Parameters
    ----------
    spec : ContainerSpec
    cluster_path : Path
        The cluster's folder; relative paths of the spec start there.
    log_path : Path
        The file that its standard output and error are appended to.
    sockets : Mapping
        The supervisor's listening sockets, as file descriptors by name.
    environment : Mapping
        Variables of every process of the cluster; the spec's own override them.
    end_descendants : callable
        Ends what the process of that name started, after the process itself has ended.
    umask : int
        For the files that it creates; -1 is the supervisor's.
    """

    def __init__(
        self,
        spec: ContainerSpec,
        *,
        cluster_path: Path,
        log_path: Path,
        sockets: Mapping[str, int],
        environment: Mapping[str, str],
        end_descendants: Callable[[str], Awaitable[None]],
        umask: int = -1,
    ) -> None:
        self.spec = spec
        self._cluster_path = cluster_path
        self._log_path = log_path
        self._ready_path = log_path.with_suffix(".ready")
        self._socket_fds = {variable: sockets[name] for variable, name in spec.sockets.items()}
        self._environment = environment
        self._end_descendants = end_descendants
        self._umask = umask
        self.is_spawning = False
        """True while a child exists whose process id is not known yet."""
        self.pid: int | None = None
        """Its process id, until everything that it started has ended too."""
        self._process: asyncio.subprocess.Process | None = None
        self._num_exits = 0
        self._exit_status: int | None = None
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
            self._num_exits += 1
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
        try:
            self._process = await self._spawn()
        except OSError as exc:
            with open_log(self._log_path) as log:
                log.write(f"{self.spec.command[0]} cannot be started: {exc}\n".encode())
            self._exit_status = 127
            return
        self.pid = self._process.pid
        logger.info("%s runs as process %d", self.spec.name, self.pid)
        if self._stopping.is_set():  # asked to stop while it was being started
            self._signal(signal.SIGTERM)
        self._exit_status = await self._process.wait()
        self._process = None
        await self._end_descendants(self.spec.name)
        self.pid = None

    async def _spawn(self) -> asyncio.subprocess.Process:
        variables = {
            **os.environ,
            **self._environment,
            **({READY_FILE: str(self._ready_path)} if self.spec.role == REPLICA else {}),
            **self.spec.environment,
            **{variable: str(fd) for variable, fd in self._socket_fds.items()},
            CONTAINER_NAME: self.spec.name,
        }
        with self._spawning(), open_log(self._log_path) as log:
            return await asyncio.create_subprocess_exec(
                *self.spec.command,
                cwd=self._cluster_path / self.spec.working_folder,
                env=variables,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=tuple(self._socket_fds.values()),
                start_new_session=True,
                umask=self._umask,
                preexec_fn=end_with_parent_hook(),
            )

    @contextlib.contextmanager
    def _spawning(self) -> Iterator[None]:
        self.is_spawning = True
        try:
            yield
        finally:
            self.is_spawning = False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
