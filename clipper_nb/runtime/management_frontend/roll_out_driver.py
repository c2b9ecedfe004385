"""Drives the roll-outs: looks at what was counted, and changes the configuration as the policy says.

All that it knows is in the store, so another management frontend, or this one after a restart, goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable

from clipper_nb.errors import ClipperException
from clipper_nb.protocol.records import Configuration
from clipper_nb.protocol.roll_out import NO_PROGRESS, RollOut, RollOutCounts, RollOutProgress
from clipper_nb.runtime.management_frontend import roll_out_rules
from clipper_nb.runtime.management_frontend.driving import IDLE_INTERVAL_S, RETRY_INTERVAL_S, keep_looking
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.routing.roll_out_policy import Move, decide, look
from clipper_nb.runtime.state.store import StateStore

logger = logging.getLogger(__name__)

ReadScores = Callable[[RollOut], Awaitable[RollOutCounts]]
"""Returns all feedback so far, as sums that only grow: ``num_scored`` and ``num_bad_scores`` of both, all else 0."""

LOOK_INTERVAL_S = 0.5
_SHORTEST_INTERVAL_S = 0.1


async def no_scores(roll_out: RollOut) -> RollOutCounts:
    """Return that nobody has given feedback."""
    return RollOutCounts()


class _SupersededError(ClipperException):
    """The roll-out is not as it was looked at: a user ended it meanwhile."""


class RollOutDriver:
    """Drives the roll-outs of a cluster while it holds the lease to do so.

    Parameters
    ----------
    service : ManagementService
    store : StateStore
    read_scores : callable
    wall_clock : callable
        Seconds since the epoch.
    """

    def __init__(
        self,
        service: ManagementService,
        store: StateStore,
        *,
        read_scores: ReadScores = no_scores,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._store = store
        self._read_scores = read_scores
        self._wall_clock = wall_clock
        self._holder = secrets.token_hex(8)

    async def drive(self) -> None:
        """Drive until cancelled."""
        await keep_looking(self.look_at_all, self._service, "roll-outs")

    async def look_at_all(self) -> float:
        """Look at each roll-out that is under way once; return after how long to look again, in seconds."""
        configuration = await self._store.read_configuration()
        under_way = [each for each in configuration.roll_outs.values() if each.is_under_way]
        if not under_way:
            return IDLE_INTERVAL_S
        if not await self._store.hold_driver_lease(self._holder):
            return RETRY_INTERVAL_S
        for roll_out in under_way:
            try:
                await self._look_at(configuration, roll_out)
            except _SupersededError:
                logger.info("the roll-out of %s was changed meanwhile", roll_out.plan.model_id)
        shortest_s = min(roll_out.plan.step_s for roll_out in under_way) / 4
        return max(_SHORTEST_INTERVAL_S, min(LOOK_INTERVAL_S, shortest_s))

    async def _look_at(self, configuration: Configuration, roll_out: RollOut) -> None:
        broken = roll_out_rules.why_broken(configuration, roll_out)
        if broken is not None:
            await self._change(roll_out, lambda before, at: roll_out_rules.end(before, roll_out, broken, at=at))
            return
        counts, scores, before = await asyncio.gather(
            self._store.read_roll_out_counts(roll_out.roll_out_id),
            self._read_scores(roll_out),
            self._store.read_roll_out_progress(roll_out.roll_out_id),
        )
        if before == NO_PROGRESS:
            before = RollOutProgress(scores)  # feedback from before the roll-out is no evidence
        progress = look(roll_out, before, counts.plus(scores))
        await self._store.write_roll_out_progress(roll_out.roll_out_id, progress)
        move = decide(roll_out, progress, now=self._wall_clock())
        if move.kind != "wait":
            await self._change(roll_out, lambda before, at: _moved(before, roll_out, move, at))

    async def _change(self, seen: RollOut, change: Callable[[Configuration, float], Configuration]) -> None:
        at = self._wall_clock()

        def change_if_same(configuration: Configuration) -> Configuration:
            if configuration.roll_outs.get(seen.plan.app_name) != seen:
                raise _SupersededError("The roll-out was changed meanwhile.")
            return change(configuration, at)

        await self._service.change(change_if_same)
        changed = (await self._store.read_configuration()).roll_outs.get(seen.plan.app_name)
        if changed is not None:
            logger.info("roll-out for application %s: %s", seen.plan.app_name, changed.events[-1].text)


def _moved(configuration: Configuration, roll_out: RollOut, move: Move, at: float) -> Configuration:
    """Return the configuration after a move; the roll-out may have become broken since it was looked at."""
    broken = roll_out_rules.why_broken(configuration, roll_out)
    if broken is not None:
        return roll_out_rules.end(configuration, roll_out, broken, at=at)
    if move.kind == "next":
        return roll_out_rules.next_step(configuration, roll_out, at=at)
    if move.kind == "pause":
        return roll_out_rules.pause(configuration, roll_out, move.reason, at=at)
    return roll_out_rules.roll_back(configuration, roll_out, "rolled_back", move.reason, at=at)
