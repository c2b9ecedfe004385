"""Drives autoscaling: looks at what query frontends announce, and sets how many replicas should run.

It starts and stops none: what follows the wanted numbers does, beside the cluster (``container_managers/reaper.py``).
What it has decided is in the store. What it has observed is not: after a restart it observes anew before it decides.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clipper_nb.protocol.autoscaling import Autoscaling, announce_interval_s
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Configuration, FrontendPresence
from clipper_nb.runtime.management_frontend.arrival import replicas_known_to_all
from clipper_nb.runtime.management_frontend.autoscaling import Step, can_shrink, grow, shrink
from clipper_nb.runtime.management_frontend.driving import IDLE_INTERVAL_S, keep_looking
from clipper_nb.runtime.management_frontend.load_history import Load, LoadHistory
from clipper_nb.runtime.management_frontend.scaling_rules import SupersededError, take_step
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.state.store import StateStore

logger = logging.getLogger(__name__)


@dataclass
class _Watch:
    """What was observed of a version since its replicas were as many as now."""

    scaling: Autoscaling
    current: int
    num_connected: int
    history: LoadHistory
    enough_since_s: float | None = None
    """Since when one replica less would have done."""


class Autoscaler:
    """Sets how many replicas of the autoscaled versions should run.

    Parameters
    ----------
    service : ManagementService
    store : StateStore
    clock, wall_clock : callable
        Monotonic seconds, and seconds since the epoch.
    """

    def __init__(
        self,
        service: ManagementService,
        store: StateStore,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._store = store
        self._clock = clock
        self._wall_clock = wall_clock
        self._watches: dict[ModelId, _Watch] = {}

    async def drive(self) -> None:
        """Drive until cancelled."""
        await keep_looking(self.look_at_all, self._service, "autoscaling")

    async def look_at_all(self) -> float:
        """Look at each autoscaled version once; return after how long to look again, in seconds."""
        configuration = await self._store.read_configuration()
        scaled = configuration.autoscaling
        self._watches = {model_id: watch for model_id, watch in self._watches.items() if model_id in scaled}
        if not scaled:
            return IDLE_INTERVAL_S
        frontends = await self._service.read_query_frontends()
        for model_id, scaling in scaled.items():
            watch = self._observe(configuration, model_id, scaling, frontends)
            step = None if model_id in configuration.claims else self._decide(watch)
            if step is not None:
                await self._take(model_id, watch, step)
        return min(map(announce_interval_s, scaled.values()))

    def _observe(
        self,
        configuration: Configuration,
        model_id: ModelId,
        scaling: Autoscaling,
        frontends: Sequence[FrontendPresence],
    ) -> _Watch:
        """Return what was observed of a version; it begins anew with another number of replicas."""
        num_connected = Counter(each.model_id for each in replicas_known_to_all(frontends))[model_id]
        current = configuration.num_replicas.get(model_id, 0)
        watch = self._watches.get(model_id)
        if watch is None or (watch.scaling, watch.current, watch.num_connected) != (scaling, current, num_connected):
            history = LoadHistory(model_id, scaling.period_s)
            watch = self._watches[model_id] = _Watch(scaling, current, num_connected, history)
        watch.history.add(frontends)
        return watch

    def _decide(self, watch: _Watch) -> Step | None:
        load = watch.history.load()
        if load is None:
            return None
        if watch.num_connected >= watch.current:  # else those that are loading have not helped yet
            step = grow(watch.scaling, watch.current, load)
            if step is not None:
                return step
        return self._shrink_after_a_while(watch, load)

    def _shrink_after_a_while(self, watch: _Watch, load: Load) -> Step | None:
        if not can_shrink(watch.scaling, watch.current, load):
            watch.enough_since_s = None
            return None
        now_s = self._clock()
        if watch.enough_since_s is None:
            watch.enough_since_s = now_s
        is_due = now_s - watch.enough_since_s >= watch.scaling.stable_s
        return shrink(watch.scaling, watch.current, load) if is_due else None

    async def _take(self, model_id: ModelId, watch: _Watch, step: Step) -> None:
        seen, current, at = watch.scaling, watch.current, self._wall_clock()
        try:
            await self._service.change(lambda before: take_step(before, model_id, seen, current, step, at=at))
        except SupersededError as exc:
            logger.info("%s", exc)
        else:
            logger.info("%s: %s: %d -> %d replicas", model_id, step.reason, current, step.num_replicas)
