"""Starts processes; replicas that need neither a JVM nor R by forking, whatever else as programs.

The first replica of a version is forked from a nursery, loads the model and leaves a template; the others are forked
from that. What cannot be forked is started as a program, with the reason in the log.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Coroutine, Hashable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipper_nb.container_managers.local.supervisor.fork_channel import NotForkedError
from clipper_nb.container_managers.local.supervisor.launching import (
    Launch,
    LaunchedProcess,
    Spawning,
    can_watch_forked_processes,
    run_program,
)
from clipper_nb.container_managers.local.supervisor.nurseries import Nurseries, Surroundings
from clipper_nb.container_managers.local.supervisor.templates import Fate, Template
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.containers import REPLICA
from clipper_nb.protocol.environment import (
    CONTAINER_NAME,
    LOAD_TIMEOUT_S,
    MODEL_CONTAINER_MODULE,
    MODEL_PATH,
    READY_FILE,
    REPLICA_CREDENTIALS_FILE,
)

if TYPE_CHECKING:
    from clipper_nb.protocol.model_folder import ModelMetadata

logger = logging.getLogger(__name__)

_IDLE_AFTER_S = 0.4
"""After something was started or loaded; until then the preparation of nurseries would be in the way."""
_LONGEST_LOAD_S = 600.0
_OF_ONE_REPLICA = frozenset({CONTAINER_NAME, READY_FILE, LOAD_TIMEOUT_S, REPLICA_CREDENTIALS_FILE})


class ReplicaLauncher:
    """Starts the processes of one cluster.

    Parameters
    ----------
    variables : Mapping
        The environment that all processes of the cluster have.
    spawning : Spawning
    adopts : bool
        Whether the supervisor becomes the parent of descendants that lost theirs; without that nothing is forked.
    """

    def __init__(self, variables: Mapping[str, str], *, spawning: Spawning, adopts: bool) -> None:
        self._plain = Surroundings.of(sys.executable, variables)
        self._spawning = spawning
        self._forks = adopts and can_watch_forked_processes()
        self._nurseries = Nurseries(spawning)
        self._templates: dict[Hashable, Template] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._preparing: asyncio.Task[None] | None = None
        self._busy_s = time.monotonic()
        """When something was started or loaded last."""

    def pids(self) -> dict[int, str]:
        """Return the names of nurseries and templates by their process ids."""
        return {**self._nurseries.pids(), **{each.pid: "template" for each in self._templates.values() if each.pid}}

    async def launch(self, launch: Launch, stopping: asyncio.Event) -> LaunchedProcess | None:
        """Start a process; return ``None`` if *stopping* was set before. May raise ``OSError``."""
        self._busy_s = time.monotonic()
        if self._can_fork(launch.spec.role, launch):
            try:
                return await self._fork(launch, stopping)
            except (NotForkedError, OSError, InvalidRequestError) as exc:
                logger.info("%s is started as a program: %s", launch.spec.name, exc)
        return await run_program(launch, self._spawning)

    def look(self) -> None:
        """Prepare nurseries when nothing is being started."""
        if self._spawning:
            self._busy_s = time.monotonic()
        is_idle = time.monotonic() - self._busy_s > _IDLE_AFTER_S
        is_loading = any(template.fate is Fate.LOADING for template in self._templates.values())
        if self._forks and is_idle and not is_loading and (self._preparing is None or self._preparing.done()):
            self._preparing = self._begin(self._prepare())

    async def end_unused(self, launches: Iterable[Launch]) -> None:
        """End the templates of versions of which nothing runs any more; *launches* are of what still runs."""
        used = {_version(launch) for launch in launches}
        unused = [self._templates.pop(version) for version in list(self._templates) if version not in used]
        await asyncio.gather(*(template.end() for template in unused))

    async def end(self) -> None:
        """End nurseries and templates."""
        self._forks = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.end_unused(())
        await self._nurseries.end()

    async def _prepare(self) -> None:
        try:
            await self._nurseries.prepare(self._plain)
            await self._nurseries.renew()
        except OSError as exc:
            self._busy_s = time.monotonic()  # no more of it for now
            logger.warning("no nursery can be started: %s", exc)

    # --- forking

    def _can_fork(self, role: str, launch: Launch) -> bool:
        is_ours = launch.spec.command[1:] == ("-m", MODEL_CONTAINER_MODULE) and not launch.socket_fds
        if not (self._forks and role == REPLICA and is_ours and MODEL_PATH in launch.variables):
            return False
        return _version(launch) in self._templates or _runs_in_python_alone(Path(launch.variables[MODEL_PATH]))

    async def _fork(self, launch: Launch, stopping: asyncio.Event) -> LaunchedProcess | None:
        version = _version(launch)
        while not stopping.is_set():
            template = self._templates.get(version)
            if template is None:
                await self._wait_for_libraries(launch, stopping)
                if stopping.is_set() or version in self._templates:
                    continue
                return await self._fork_first(version, launch)
            was_loading = template.fate is Fate.LOADING
            await _first(template.wait_until_decided(), stopping.wait())
            if template.fate is Fate.NEVER_FORKS or (template.fate is Fate.NOT_YET and was_loading):
                return await self._nurseries.fork(_surroundings(launch), launch)
            if template.fate is Fate.FORKS:
                try:
                    return await template.fork(launch, self._spawning)
                except NotForkedError as exc:
                    logger.info("the template of %s forks no more: %s", launch.spec.model, exc)
            if template.fate is not Fate.LOADING:
                await self._forget(version, template)
        return None

    async def _wait_for_libraries(self, launch: Launch, stopping: asyncio.Event) -> None:
        """Return when the nursery has imported what the model needs, as far as that was learned.

        A deploy that follows another one at once would import the same again, as would the next.
        """
        if self._nurseries.lack(_surroundings(launch), _modules_of(launch)):
            preparing = self._begin(self._prepare())
            await _first(asyncio.wait({preparing}), stopping.wait())

    async def _fork_first(self, version: Hashable, launch: Launch) -> LaunchedProcess:
        template = self._templates[version] = Template()
        try:
            first = await self._nurseries.fork(_surroundings(launch), launch, template.channel, _modules_of(launch))
        except BaseException:
            await self._forget(version, template)
            raise
        self._begin(self._follow(launch, template))
        return first

    async def _follow(self, launch: Launch, template: Template) -> None:
        report = await template.hear(timeout_s=_LONGEST_LOAD_S)
        self._busy_s = time.monotonic()
        if report is None:
            return
        self._nurseries.learn(_surroundings(launch), report.modules)
        if report.refusal is not None:
            logger.info("each replica of %s loads the model itself: %s", launch.spec.model, report.refusal)

    async def _forget(self, version: Hashable, template: Template) -> None:
        if self._templates.get(version) is template:
            del self._templates[version]
        await template.end()

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _version(launch: Launch) -> Hashable:
    """Return what the replicas have in common that can be forked from one template."""
    variables = frozenset((name, value) for name, value in launch.variables.items() if name not in _OF_ONE_REPLICA)
    return launch.spec.command, launch.spec.image, launch.spec.limits, variables


def _surroundings(launch: Launch) -> Surroundings:
    return Surroundings.of(launch.spec.command[0], launch.variables)


def _runs_in_python_alone(model_folder: Path) -> bool:
    """Return whether a model needs neither a JVM nor R, which no fork survives."""
    from clipper_nb.protocol.model_folder import FrameworkMetadata, PythonMetadata  # a supervisor starts without it

    try:
        return isinstance(_read_metadata(model_folder), (PythonMetadata, FrameworkMetadata))
    except InvalidRequestError:
        return False  # the replica reports it


def _modules_of(launch: Launch) -> Iterable[str]:
    """Return modules that the model of a replica needs."""
    return _read_metadata(Path(launch.variables[MODEL_PATH])).imports


def _read_metadata(model_folder: Path) -> ModelMetadata:
    from clipper_nb.protocol.model_folder import read_metadata

    return read_metadata(model_folder)


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when one of *waits* is over; the others are cancelled."""
    tasks = [asyncio.create_task(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
