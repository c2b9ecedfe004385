"""The template of one model version, from when its first replica begins to load the model."""

from __future__ import annotations

import asyncio
import enum
import signal

from clipper_nb.container_managers.local.supervisor.fork_channel import ChannelClosedError, ForkChannel
from clipper_nb.container_managers.local.supervisor.launching import ForkedProcess, Launch, Spawning
from clipper_nb.container_managers.local.supervisor.nursery_process import fork
from clipper_nb.protocol.nursery import Answer


class Fate(enum.Enum):
    """What became of a template."""

    LOADING = enum.auto()
    FORKS = enum.auto()
    NEVER_FORKS = enum.auto()
    """Each replica loads the model."""
    NOT_YET = enum.auto()
    """Each that waited for it loads the model; one that is started later may leave another template."""
    ENDED = enum.auto()
    """The next replica may leave another one."""


class Template:
    """Forks replicas of one version once its first replica has left it.

    Attributes
    ----------
    channel : ForkChannel
        Its other end travels to the first replica.
    fate : Fate
    """

    def __init__(self) -> None:
        self.channel = ForkChannel()
        self.fate = Fate.LOADING
        self._process: ForkedProcess | None = None
        self._is_decided = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Its process id, while it forks."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def hear(self, *, timeout_s: float) -> Answer | None:
        """Return what the first replica reports when it has loaded the model; ``None`` if it ends or takes too long."""
        self.channel.other_end.close()
        try:
            report = await self.channel.hear(timeout_s=timeout_s)
            if report.pid is not None:
                self._process = ForkedProcess(report.pid)
        except (ChannelClosedError, OSError):
            self._decide(Fate.ENDED)
            return None
        if report.pid is not None:
            self._decide(Fate.FORKS)
        else:
            self._decide(Fate.NOT_YET if report.is_stale else Fate.NEVER_FORKS)
        return report

    async def wait_until_decided(self) -> None:
        """Return when the first replica has loaded the model, or has ended."""
        await self._is_decided.wait()

    async def fork(self, launch: Launch, spawning: Spawning) -> ForkedProcess:
        """Fork a replica; raises ``NotForkedError``."""
        return await fork(self.channel, launch, spawning)

    async def end(self) -> None:
        """End it; its replicas live on."""
        self._decide(Fate.ENDED)
        self.channel.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    def _decide(self, fate: Fate) -> None:
        self.fate = fate
        self._is_decided.set()
