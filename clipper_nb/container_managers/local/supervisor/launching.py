"""How the supervisor starts a process: by running a program, or by having a copy of a prepared process forked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clipper_nb.container_managers.local.log_files import open_log
from clipper_nb.protocol.containers import ContainerSpec
from clipper_nb.protocol.parent_death import end_with_parent_hook

UNKNOWN_STATUS = 255
"""Of a process that another one than the supervisor has reaped."""


@dataclass(frozen=True)
class Launch:
    """Everything that a new process gets."""

    spec: ContainerSpec
    variables: Mapping[str, str]
    """Its whole environment."""
    working_folder: Path
    log_path: Path
    socket_fds: tuple[int, ...] = ()
    umask: int = -1
    cores: frozenset[int] | None = None
    """The only cores that it may use."""


class LaunchedProcess(Protocol):
    """A child of the supervisor."""

    @property
    def pid(self) -> int:
        """Its process id."""

    async def wait(self) -> int:
        """Return its exit status when it has ended; a negative number is the signal that ended it."""

    def send_signal(self, number: int) -> None:
        """Send a signal; may raise ``ProcessLookupError`` if it has ended."""


class Spawning:
    """Counts children whose process ids are not known yet; meanwhile nobody may read the status of an unknown child."""

    def __init__(self) -> None:
        self._num = 0

    def __bool__(self) -> bool:
        return self._num > 0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Within the block, a child is being started."""
        self._num += 1
        try:
            yield
        finally:
            self._num -= 1


async def run_program(launch: Launch, spawning: Spawning) -> LaunchedProcess:
    """Start the spec's command; raises ``OSError`` if that is impossible."""
    with spawning.one(), open_log(launch.log_path) as log:
        return await asyncio.create_subprocess_exec(
            *launch.spec.command,
            cwd=launch.working_folder,
            env=launch.variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=launch.socket_fds,
            start_new_session=True,
            umask=launch.umask,
            preexec_fn=_before_program(launch),
        )


def _before_program(launch: Launch) -> Callable[[], None] | None:
    """Return what the child calls before it runs the program; it imports nothing."""
    # A supervisor that is started again adopts its processes.
    end_with_parent = None if can_watch_forked_processes() else end_with_parent_hook()
    cores = launch.cores
    if cores is None:
        return end_with_parent

    def prepare() -> None:
        if end_with_parent is not None:
            end_with_parent()
        os.sched_setaffinity(0, cores)

    return prepare


class ForkedProcess:
    """A child that another process forked: watched by a descriptor, which never means another process.

    Parameters
    ----------
    pid : int
        A child of this process whose status nobody has read yet.

    Raises
    ------
    OSError
        It is not a child of this process, or not any more.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)
        try:
            os.waitid(os.P_PIDFD, self._fd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            os.close(self._fd)
            raise
        self._loop = asyncio.get_running_loop()
        self._status: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(self._fd, self._read_status)

    @property
    def returncode(self) -> int | None:
        """Its exit status once that was read; a negative number is the signal that ended it."""
        return self._status.result() if self._status.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._status)

    def send_signal(self, number: int) -> None:
        if not self._status.done():
            signal.pidfd_send_signal(self._fd, number)

    def _read_status(self) -> None:
        self._loop.remove_reader(self._fd)
        status = UNKNOWN_STATUS
        with contextlib.suppress(ChildProcessError):
            ended = os.waitid(os.P_PIDFD, self._fd, os.WEXITED)
            if ended is not None:
                status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        os.close(self._fd)
        self._status.set_result(status)


def can_watch_forked_processes() -> bool:
    """Return whether the system has descriptors of processes: Linux since 5.4."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return hasattr(os, "P_PIDFD")
