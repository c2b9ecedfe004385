"""Starts both frontends of a new cluster from one process; a frontend that ended is started again as a program."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from dataclasses import replace

from clipper_nb.container_managers.local.supervisor.fork_channel import ForkChannel, NotForkedError
from clipper_nb.container_managers.local.supervisor.launching import Launch, LaunchedProcess, Spawning, run_program
from clipper_nb.container_managers.local.supervisor.nursery_process import fork
from clipper_nb.container_managers.local.supervisor.process import StartProcess
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND
from clipper_nb.protocol.environment import BOTH_FRONTENDS_MODULE, CONTAINER_NAME, NUM_FRONTENDS
from clipper_nb.protocol.nursery import padded_name

logger = logging.getLogger(__name__)


class FrontendPair:
    """The first start of both frontends.

    Parameters
    ----------
    query_frontend, management_frontend : Launch
    spawning : Spawning
    otherwise : callable
        Starts a frontend as a program.
    """

    def __init__(
        self, query_frontend: Launch, management_frontend: Launch, *, spawning: Spawning, otherwise: StartProcess
    ) -> None:
        self._first = {query_frontend.spec.name: self._start_both, management_frontend.spec.name: self._fork}
        self._management_frontend = management_frontend
        self._spawning = spawning
        self._otherwise = otherwise
        self._channel: asyncio.Future[ForkChannel] = asyncio.get_running_loop().create_future()

    async def start(self, launch: Launch, stopping: asyncio.Event) -> LaunchedProcess | None:
        """Start a process; each of the two frontends, the first time, as one of the pair."""
        first = self._first.pop(launch.spec.name, self._otherwise)
        return await first(launch, stopping)

    async def _start_both(self, launch: Launch, stopping: asyncio.Event) -> LaunchedProcess | None:
        channel = ForkChannel()
        try:
            process = await run_program(_as_both(launch, self._management_frontend, channel), self._spawning)
        except BaseException:
            channel.close()
            self._channel.set_exception(NotForkedError("the query frontend cannot be started"))
            raise
        channel.other_end.close()
        self._channel.set_result(channel)
        return process

    async def _fork(self, launch: Launch, stopping: asyncio.Event) -> LaunchedProcess | None:
        forking = asyncio.create_task(self._fork_from_channel(launch))
        ending = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait((forking, ending), return_when=asyncio.FIRST_COMPLETED)
            return await forking if forking.done() else None
        except (NotForkedError, OSError) as exc:
            logger.info("%s is started as a program: %s", launch.spec.name, exc)
        finally:
            forking.cancel()
            ending.cancel()
        return await self._otherwise(launch, stopping)

    async def _fork_from_channel(self, launch: Launch) -> LaunchedProcess:
        channel = await self._channel
        try:
            return await fork(channel, launch, self._spawning)
        finally:
            channel.close()


def pair_frontends(launches: Iterable[Launch], *, spawning: Spawning, otherwise: StartProcess) -> StartProcess:
    """Return what starts *launches*: a pair, if both frontends are among them and the query frontend is one process."""
    by_role = {launch.spec.role: launch for launch in launches}
    query_frontend, management_frontend = by_role.get(QUERY_FRONTEND), by_role.get(MANAGEMENT_FRONTEND)
    if query_frontend is None or management_frontend is None or query_frontend.variables[NUM_FRONTENDS] != "1":
        return otherwise
    return FrontendPair(query_frontend, management_frontend, spawning=spawning, otherwise=otherwise).start


def _as_both(query_frontend: Launch, management_frontend: Launch, channel: ForkChannel) -> Launch:
    fd = channel.other_end.fileno()
    command = (query_frontend.spec.command[0], "-m", BOTH_FRONTENDS_MODULE, str(fd), padded_name(str(os.getpid())))
    return replace(
        query_frontend,
        spec=replace(query_frontend.spec, command=command),
        variables={**query_frontend.variables, CONTAINER_NAME: padded_name(query_frontend.spec.name)},
        socket_fds=(*query_frontend.socket_fds, *management_frontend.socket_fds, fd),
    )
