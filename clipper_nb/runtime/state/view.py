"""The query frontend's own copy of the configuration, always current, and its announcements to the store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.autoscaling import VersionLoad
from clipper_nb.protocol.records import Configuration, FrontendPresence, Replica
from clipper_nb.protocol.redis_keys import PRESENCE_INTERVAL_S
from clipper_nb.runtime.state.lease import Lease
from clipper_nb.runtime.state.store import StateStore
from clipper_nb.runtime.tasks import end_tasks
from clipper_nb.version import __version__

logger = logging.getLogger(__name__)

_RETRY_INTERVAL_S = 0.1
_LOOK_TIMEOUT_S = 1.0
"""A store that does not answer for this long counts as unreachable. The lease is longer than this plus the interval."""


def _no_loads() -> tuple[tuple[VersionLoad, ...], float]:
    return (), PRESENCE_INTERVAL_S


class ConfigurationView:
    """Follows the store's configuration.

    While the store is unreachable the last configuration stays in force, because it cannot change. A frontend that was
    suspended does not know that: it checks first.

    Parameters
    ----------
    store : StateStore
    frontend_id : str
    apply : callable
        Acts on a configuration; when it returns, queries see it.
    replicas : callable
        Returns the replicas that are connected now.
    loads : callable
        Returns the load of the versions that are autoscaled, and every how many seconds it should be announced.
    lease : Lease
        Renewed by each announcement: until it runs out, a change waits for this frontend.
    run_id : str
        Distinguishes its announcements from those of before the cluster was resumed.
    """

    def __init__(
        self,
        store: StateStore,
        frontend_id: str,
        *,
        apply: Callable[[Configuration], None],
        replicas: Callable[[], list[Replica]],
        loads: Callable[[], tuple[tuple[VersionLoad, ...], float]] = _no_loads,
        lease: Lease,
        run_id: str = "",
    ) -> None:
        self._store = store
        self._frontend_id = frontend_id
        self._run_id = run_id
        self._apply = apply
        self._replicas = replicas
        self._loads = loads
        self._interval_s = PRESENCE_INTERVAL_S
        self._lease = lease
        self._has_missed_changes = False  # changes that were confirmed without this frontend
        self._refreshing = asyncio.Lock()  # so that the last read configuration is applied last
        self._applied_revision = -1
        self._announcement_is_due = asyncio.Event()
        self._is_current = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def applied_revision(self) -> int:
        """The revision that queries see; -1 before the first."""
        return self._applied_revision

    def start(self) -> None:
        """Follow the store, on the running event loop."""
        self._tasks = [
            asyncio.create_task(self._follow(), name="follow the configuration"),
            asyncio.create_task(self._announce(), name="announce presence"),
        ]

    async def wait_until_current(self) -> None:
        """Return when the configuration is applied and announced: every later change waits for this frontend."""
        await self._is_current.wait()

    def announce_soon(self) -> None:
        """Announce the connected replicas soon, and check that the configuration is current."""
        self._announcement_is_due.set()

    async def stop(self) -> None:
        """Stop following, and withdraw this frontend from the store."""
        await end_tasks(self._tasks)
        with contextlib.suppress(StateUnavailableError):
            await self._store.withdraw(self._frontend_id)

    async def _follow(self) -> None:
        async for _ in self._store.configuration_changes():
            await self._refresh()

    async def _refresh(self) -> None:
        async with self._refreshing:
            try:
                configuration = await self._store.read_configuration()
            except StateUnavailableError as exc:
                logger.warning("%s", exc)
                return
            if configuration.revision != self._applied_revision:
                try:
                    self._apply(configuration)
                except Exception:  # the next announcement tries again, and until then the change is not confirmed
                    logger.exception("cannot act on revision %d of the configuration", configuration.revision)
                    return
                self._applied_revision = configuration.revision
                logger.info("acts on revision %d of the configuration", configuration.revision)
            self._has_missed_changes = False
            self._announcement_is_due.set()

    async def _announce(self) -> None:
        interval_s = _RETRY_INTERVAL_S
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._announcement_is_due.wait(), interval_s)
            self._announcement_is_due.clear()
            if self._applied_revision < 0:
                continue
            is_well = await self._look()
            interval_s = self._interval_s if is_well else _RETRY_INTERVAL_S

    async def _look(self) -> bool:
        """Announce, so that later changes wait for this frontend, then apply earlier ones, then renew the lease.

        Returns whether the store has answered and nothing is left to do. ``announced_at`` is monotonic: with a wall
        clock, which may stand still, two announcements could look the same.
        """
        looked_s = self._lease.clock()
        replicas = tuple(self._replicas())
        loads, self._interval_s = self._loads()
        presence = FrontendPresence(
            self._frontend_id, self._applied_revision, time.monotonic(), replicas, __version__, self._run_id, loads
        )
        has_answered = False
        with contextlib.suppress(StateUnavailableError, asyncio.TimeoutError):
            revision = await asyncio.wait_for(self._store.announce(presence), _LOOK_TIMEOUT_S)
            has_answered = True
            if revision == self._applied_revision:
                self._is_current.set()
            else:
                self._has_missed_changes |= self._lease.has_run_out
                await self._refresh()
        if self._has_missed_changes:
            return False
        self._lease.renew(looked_s)
        if self._lease.has_run_out:  # this process was suspended during the check
            self._announcement_is_due.set()
        return has_answered and self._is_current.is_set()
