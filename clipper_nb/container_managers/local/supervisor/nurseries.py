"""The nurseries of a cluster: one for each Python and set of environment variables that replicas have."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clipper_nb.container_managers.local.supervisor.fork_channel import (
    ChannelClosedError,
    ForkChannel,
    NotForkedError,
)
from clipper_nb.container_managers.local.supervisor.launching import ForkedProcess, Launch, Spawning
from clipper_nb.container_managers.local.supervisor.libraries import Libraries
from clipper_nb.container_managers.local.supervisor.nursery_process import (
    NurseryProcess,
    Remains,
    fork,
    own_variables,
)

logger = logging.getLogger(__name__)

_MAX_NURSERIES = 4
_LONGEST_IMPORT_S = 600.0


@dataclass(frozen=True)
class Surroundings:
    """What the replicas of one nursery have in common before anything is imported."""

    python: str
    variables: frozenset[tuple[str, str]] = field(repr=False)

    @classmethod
    def of(cls, python: str, variables: Mapping[str, str]) -> Surroundings:
        """Return those of a process with that environment."""
        own = own_variables(variables)
        return cls(python, frozenset((name, value) for name, value in variables.items() if name not in own))


class Nurseries:
    """Starts nurseries when they are needed, teaches them libraries, and ends those that were used least recently.

    Parameters
    ----------
    spawning : Spawning
    """

    def __init__(self, spawning: Spawning) -> None:
        self._spawning = spawning
        self._running: dict[Surroundings, NurseryProcess] = {}
        """Those used most recently are last."""
        self._libraries: dict[Surroundings, Libraries] = {}
        self._processes: set[NurseryProcess] = set()
        """All of them, also those that start or end."""
        self._turn = asyncio.Lock()
        self._renewal = asyncio.Lock()
        self._awaiting_heirs: set[asyncio.Task[None]] = set()

    def pids(self) -> dict[int, str]:
        """Return the names of the processes by their ids."""
        return {nursery.pid: "nursery" for nursery in self._processes if nursery.is_running}

    async def fork(
        self,
        surroundings: Surroundings,
        launch: Launch,
        template: ForkChannel | None = None,
        modules: Iterable[str] = (),
    ) -> ForkedProcess:
        """Fork a replica from the nursery, or from a new one if that has ended or is stale.

        Parameters
        ----------
        surroundings : Surroundings
        launch : Launch
        template : ForkChannel, optional
            The channel of the template that it leaves, as the first replica of a version.
        modules : iterable of str
            What its model needs. If the nursery has not imported all of them, a first replica leaves an heir of it.

        Raises
        ------
        NotForkedError
            The replica must be started in another way.
        OSError
            No nursery can be started.
        """
        try:
            return await self._fork(surroundings, launch, template, modules)
        except NotForkedError as exc:
            if not exc.is_stale:
                raise
            logger.info("a new nursery is started: %s", exc)
            return await self._fork(surroundings, launch, template, modules)

    async def prepare(self, surroundings: Surroundings) -> None:
        """Start a nursery, if there is none yet."""
        await self._find(surroundings)

    def learn(self, surroundings: Surroundings, modules: tuple[str, ...]) -> None:
        """Remember what a model imported, for the next nursery."""
        if surroundings in self._libraries:
            self._libraries[surroundings].learn(modules)

    def lack(self, surroundings: Surroundings, modules: Iterable[str]) -> bool:
        """Return whether a renewed nursery would have imported more of *modules*."""
        return surroundings in self._libraries and self._libraries[surroundings].lack(modules)

    async def renew(self) -> None:
        """Replace a nursery by one that has imported what models need now, if there is something new."""
        async with self._renewal:
            for surroundings, libraries in list(self._libraries.items()):
                if libraries.is_due and surroundings in self._running:
                    await self._renew(surroundings, libraries)

    async def end(self) -> None:
        """End all; what they have forked lives on."""
        for task in self._awaiting_heirs:
            task.cancel()
        await asyncio.gather(*self._awaiting_heirs, return_exceptions=True)
        self._running.clear()
        self._libraries.clear()
        await asyncio.gather(*map(self._end, list(self._processes)))

    async def _fork(
        self, surroundings: Surroundings, launch: Launch, template: ForkChannel | None, modules: Iterable[str]
    ) -> ForkedProcess:
        nursery = await self._find(surroundings)
        remains = None if template is None else self._remains(surroundings, launch, template, modules)
        heir = None if remains is None else remains.heir
        try:
            process = await fork(nursery.channel, launch, self._spawning, remains)
        except BaseException as exc:
            if heir is not None:
                heir.close()
            is_stale = isinstance(exc, NotForkedError) and exc.is_stale
            if is_stale and self._running.get(surroundings) is nursery:
                del self._running[surroundings]
                await self._end(nursery)
            raise
        if remains is not None and heir is not None:
            task = asyncio.create_task(self._await_heir(surroundings, nursery, heir, remains.imports))
            self._awaiting_heirs.add(task)
            task.add_done_callback(self._awaiting_heirs.discard)
        return process

    def _remains(
        self, surroundings: Surroundings, launch: Launch, template: ForkChannel, modules: Iterable[str]
    ) -> Remains:
        imports = self._libraries[surroundings].missing(modules)
        # An heir would be limited to the cores of the replica that left it.
        has_heir = imports and launch.cores is None
        return Remains(template, ForkChannel(), imports) if has_heir else Remains(template)

    async def _await_heir(
        self, surroundings: Surroundings, nursery: NurseryProcess, channel: ForkChannel, imports: tuple[str, ...]
    ) -> None:
        """Let the heir take the nursery's place, if that has not been replaced meanwhile."""
        channel.other_end.close()
        try:
            report = await channel.hear(timeout_s=_LONGEST_IMPORT_S)
            heir = None if report.pid is None else NurseryProcess(ForkedProcess(report.pid), channel)
        except (ChannelClosedError, OSError):
            channel.close()
            return  # the replica ended while it imported, which its own supervision reports
        libraries, modules = self._libraries.get(surroundings), (*report.modules, *imports)
        if heir is None:
            channel.close()
            if libraries is not None and report.refusal is not None:
                _log_refusal(libraries.are_refused(modules), report.refusal)
            elif libraries is not None:  # the nursery has them, or nothing can
                libraries.are_inherited(modules)
            return
        self._processes.add(heir)
        if libraries is not None and self._running.get(surroundings) is nursery:
            logger.info("a nursery has imported %s", libraries.are_inherited(modules))
            self._running[surroundings], heir = heir, nursery
        elif libraries is not None:
            libraries.learn(modules)
        await self._end(heir)

    async def _find(self, surroundings: Surroundings) -> NurseryProcess:
        """Return the running nursery, or a new one, and end the one that was used least recently."""
        async with self._turn:
            nursery = self._running.pop(surroundings, None)
            if nursery is None:
                nursery = await self._start(surroundings)
                self._libraries.setdefault(surroundings, Libraries()).are_imported(())
            self._running[surroundings] = nursery
            for oldest in list(self._running)[:-_MAX_NURSERIES]:
                self._libraries.pop(oldest, None)
                await self._end(self._running.pop(oldest))
            return nursery

    async def _renew(self, surroundings: Surroundings, libraries: Libraries) -> None:
        modules, predecessor = libraries.modules, self._running[surroundings]
        successor = await self._start(surroundings)
        try:
            await successor.import_all(modules)
        except NotForkedError as exc:
            _log_refusal(libraries.are_refused(modules), str(exc))
        else:
            # An heir may have taken the place meanwhile, which has what this one lacks; then another one is due.
            if self._running.get(surroundings) is predecessor:
                logger.info("a nursery has imported %s", libraries.are_imported(modules))
                self._running[surroundings], successor = successor, predecessor
        await self._end(successor)

    async def _start(self, surroundings: Surroundings) -> NurseryProcess:
        nursery = await NurseryProcess.start(surroundings.python, dict(surroundings.variables), self._spawning)
        self._processes.add(nursery)
        return nursery

    async def _end(self, nursery: NurseryProcess) -> None:
        await nursery.end()
        self._processes.discard(nursery)


def _log_refusal(libraries: list[str], reason: str | None) -> None:
    logger.warning("each replica imports %s itself: a nursery that has them cannot fork: %s", libraries, reason)
