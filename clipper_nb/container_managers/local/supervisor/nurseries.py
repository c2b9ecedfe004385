"""The nurseries of a cluster: one for each Python and set of environment variables that replicas have."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clipper_nb.container_managers.local.supervisor.fork_channel import ForkChannel, NotForkedError
from clipper_nb.container_managers.local.supervisor.launching import ForkedProcess, Launch, Spawning
from clipper_nb.container_managers.local.supervisor.libraries import Libraries
from clipper_nb.container_managers.local.supervisor.nursery_process import NurseryProcess, fork, own_variables

logger = logging.getLogger(__name__)

_MAX_NURSERIES = 4


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

    def pids(self) -> dict[int, str]:
        """Return the names of the processes by their ids."""
        return {nursery.pid: "nursery" for nursery in self._processes if nursery.is_running}

    async def fork(self, surroundings: Surroundings, launch: Launch, template: ForkChannel | None) -> ForkedProcess:
        """Fork a replica from the nursery, or from a new one if that has ended or is stale.

        Raises
        ------
        NotForkedError
            The replica must be started in another way.
        OSError
            No nursery can be started.
        """
        try:
            return await self._fork(surroundings, launch, template)
        except NotForkedError as exc:
            if not exc.is_stale:
                raise
            logger.info("a new nursery is started: %s", exc)
            return await self._fork(surroundings, launch, template)

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
                if libraries.is_due:
                    await self._renew(surroundings, libraries)

    async def end(self) -> None:
        """End all; what they have forked lives on."""
        self._running.clear()
        self._libraries.clear()
        await asyncio.gather(*map(self._end, list(self._processes)))

    async def _fork(self, surroundings: Surroundings, launch: Launch, template: ForkChannel | None) -> ForkedProcess:
        nursery = await self._find(surroundings)
        try:
            return await fork(nursery.channel, launch, self._spawning, template)
        except NotForkedError as exc:
            if exc.is_stale and self._running.get(surroundings) is nursery:
                del self._running[surroundings]
                await self._end(nursery)
            raise

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
        modules = libraries.modules
        successor = await self._start(surroundings)
        try:
            await successor.import_all(modules)
        except NotForkedError as exc:
            refused = libraries.are_refused(modules)
            logger.warning("each replica imports %s itself: a nursery that has them cannot fork: %s", refused, exc)
        else:
            logger.info("a nursery has imported %s", libraries.are_imported(modules))
            if surroundings in self._running:
                self._running[surroundings], successor = successor, self._running[surroundings]
        await self._end(successor)

    async def _start(self, surroundings: Surroundings) -> NurseryProcess:
        nursery = await NurseryProcess.start(surroundings.python, dict(surroundings.variables), self._spawning)
        self._processes.add(nursery)
        return nursery

    async def _end(self, nursery: NurseryProcess) -> None:
        await nursery.end()
        self._processes.discard(nursery)
