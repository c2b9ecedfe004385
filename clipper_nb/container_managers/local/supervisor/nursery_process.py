"""A nursery as the supervisor sees it: a child that forks replicas on request."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from clipper_nb.container_managers.local.log_files import open_log
from clipper_nb.container_managers.local.supervisor.fork_channel import ForkChannel, NotForkedError
from clipper_nb.container_managers.local.supervisor.launching import ForkedProcess, Launch, Spawning
from clipper_nb.protocol.environment import CLUSTER_FOLDER, CONTAINER_NAME, MODEL_PATH, NURSERY_MODULE
from clipper_nb.protocol.nursery import Fork, Import, padded_name
from clipper_nb.protocol.parent_death import end_with_parent_hook

_FORK_TIMEOUT_S = 30.0
_IMPORT_TIMEOUT_S = 120.0
_MODULES_PER_REQUEST = 500
_OURS = "CLIPPER_"


class NurseryProcess:
    """A running nursery.

    Parameters
    ----------
    process : asyncio.subprocess.Process or ForkedProcess
    channel : ForkChannel
        Its other end is the process's.
    """

    def __init__(self, process: asyncio.subprocess.Process | ForkedProcess, channel: ForkChannel) -> None:
        self._process = process
        self.channel = channel
        self.pid = process.pid

    @property
    def is_running(self) -> bool:
        """False if its exit status was read."""
        return self._process.returncode is None

    @classmethod
    async def start(cls, python: str, variables: Mapping[str, str], spawning: Spawning) -> NurseryProcess:
        """Start one; raises ``OSError`` if that is impossible."""
        channel = ForkChannel()
        fd = channel.other_end.fileno()
        try:
            with spawning.one():
                process = await asyncio.create_subprocess_exec(
                    python, "-m", NURSERY_MODULE, str(fd), padded_name(str(os.getpid())),
                    env={**variables, CONTAINER_NAME: padded_name("nursery")},
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(fd,),
                    start_new_session=True,
                    preexec_fn=end_with_parent_hook(),
                )  # fmt: skip
        except BaseException:
            channel.close()
            raise
        channel.other_end.close()
        return cls(process, channel)

    async def import_all(self, modules: Sequence[str]) -> None:
        """Have it import modules; raises ``NotForkedError`` if it cannot fork any more then."""
        for start in range(0, len(modules), _MODULES_PER_REQUEST):
            request = Import(tuple(modules[start : start + _MODULES_PER_REQUEST]))
            answer = await self.channel.ask(request, timeout_s=_IMPORT_TIMEOUT_S)
            if answer.refusal is not None:
                raise NotForkedError(answer.refusal)

    async def end(self) -> None:
        """End it; what it has forked lives on."""
        self.channel.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


@dataclass(frozen=True)
class Remains:
    """What the first replica of a version leaves on its way to a prediction."""

    template: ForkChannel
    """The channel of the template, when it has loaded its model."""
    heir: ForkChannel | None = None
    """The channel of the nursery's heir, when it has imported what its model needs."""
    imports: tuple[str, ...] = ()
    """Modules that the heir has, and the nursery has not."""

    def fds(self) -> list[int]:
        """Return the descriptors of the processes' ends."""
        return [each.other_end.fileno() for each in (self.template, self.heir) if each is not None]


async def fork(
    channel: ForkChannel, launch: Launch, spawning: Spawning, remains: Remains | None = None
) -> ForkedProcess:
    """Have the process at the other end fork a replica, which leaves *remains*; raises ``NotForkedError``."""
    with spawning.one(), open_log(launch.log_path) as log, _pipe() as (permit_reader, permit_writer):
        descriptors = [log.fileno(), permit_reader, *(remains.fds() if remains else ())]
        request = _fork_request(launch, () if remains is None else remains.imports)
        answer = await channel.ask(request, descriptors, timeout_s=_FORK_TIMEOUT_S)
        if answer.pid is None:
            raise NotForkedError(answer.refusal or "it answered nothing", is_stale=answer.is_stale)
        process = ForkedProcess(answer.pid)
        if launch.cores is not None:
            os.sched_setaffinity(process.pid, launch.cores)
        os.write(permit_writer, b"1")
        return process


def own_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that differ between replicas of one environment: those of this package."""
    return {name: value for name, value in variables.items() if name.startswith(_OURS) and name != CLUSTER_FOLDER}


def _fork_request(launch: Launch, imports: tuple[str, ...]) -> Fork:
    return Fork(
        environment=own_variables(launch.variables),
        working_folder=str(launch.working_folder),
        umask=launch.umask,
        model_folder=launch.variables.get(MODEL_PATH, ""),
        imports=imports,
    )


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)
