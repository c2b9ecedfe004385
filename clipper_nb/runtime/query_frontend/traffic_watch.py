"""Watches the queries of applications that have a shadow or a roll-out, after each was answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import structs

from clipper_nb.protocol.differences import Difference
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Configuration
from clipper_nb.protocol.roll_out import RollOut, RollOutCounts
from clipper_nb.protocol.shadow import Shadow, ShadowReport
from clipper_nb.runtime.batching.model_pool import ModelPool
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.clock import LoopClock
from clipper_nb.runtime.metrics.exposition import Family
from clipper_nb.runtime.metrics.shadows import make_shadow_families
from clipper_nb.runtime.query_frontend.shadow_queries import ShadowQueries
from clipper_nb.runtime.routing.roll_out_counter import RollOutCounter
from clipper_nb.runtime.routing.shadow_queue import Mirrored
from clipper_nb.runtime.slices import in_slices


class TrafficWatch:
    """Watches the queries of one application.

    Parameters
    ----------
    clock, wall_clock : callable
        Monotonic seconds, and seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self.shadow: ShadowQueries | None = None
        self.counter: RollOutCounter | None = None

    def asked(self, model_id: ModelId | None, payload: bytes, query: Query) -> None:
        """Watch a query that a version is about to be asked; called before it can be answered."""
        query.on_watched = partial(self._answered, model_id, payload)

    def _answered(self, model_id: ModelId | None, payload: bytes, query: Query, output: str) -> None:
        latency_s = self._clock() - query.arrived_s
        if self.counter is not None:
            self.counter.answered(model_id, query.reason, latency_s)
        if self.shadow is not None:
            make = partial(Mirrored, payload, model_id, output, query.reason, self._wall_clock(), latency_s)
            self.shadow.mirror(make, model_id)


class TrafficWatches:
    """The watches of all applications, by name.

    Parameters
    ----------
    loop : LoopClock
    pool : ModelPool
    wall_clock : callable
        Seconds since the epoch.
    """

    def __init__(self, loop: LoopClock, pool: ModelPool, wall_clock: Callable[[], float]) -> None:
        self._loop = loop
        self._pool = pool
        self._wall_clock = wall_clock
        self._watches: dict[str, TrafficWatch] = {}
        self._shadows: dict[str, Shadow] = {}

    def find(self, application_name: str) -> TrafficWatch | None:
        """Return the watch of an application, if it has a shadow or a roll-out that is under way."""
        return self._watches.get(application_name)

    def apply(self, difference: Difference, configuration: Configuration) -> set[str]:
        """Watch what *configuration* says; return the names of the applications whose watch may be another."""
        names = {*difference.applications, *difference.shadows, *difference.roll_outs}
        for name in names:
            self._update(name, configuration, is_other=name in difference.applications)
        return names

    async def report(self, application_name: str) -> ShadowReport | None:
        """Return what an application's shadow answered here; ``None`` if it has none."""
        watch = self._watches.get(application_name)
        if watch is None or watch.shadow is None:
            return None
        report = watch.shadow.report()
        return structs.replace(report, samples=await in_slices(watch.shadow.samples()))

    def families(self) -> list[Family]:
        """Return the metrics of all shadows."""
        shadows = (watch.shadow for watch in self._watches.values())
        return make_shadow_families([shadow.report() for shadow in shadows if shadow is not None])

    def counts(self) -> dict[str, RollOutCounts]:
        """Return what was counted here for each roll-out that is under way, by its id."""
        counters = [watch.counter for watch in self._watches.values() if watch.counter is not None]
        return {counter.roll_out.roll_out_id: counter.counts() for counter in counters}

    def _update(self, name: str, configuration: Configuration, *, is_other: bool) -> None:
        application = configuration.applications.get(name)
        shadow = None if application is None else configuration.shadows.get(name)
        roll_out = configuration.roll_outs.get(name)
        is_rolling = application is not None and roll_out is not None and roll_out.is_under_way
        watch = self._watches.pop(name, None)
        if watch is not None and watch.shadow is not None and (is_other or self._shadows.get(name) != shadow):
            watch.shadow.close()
            watch.shadow = None
        if shadow is None and not is_rolling:
            return
        watch = self._watches[name] = watch or TrafficWatch(self._loop.time, self._wall_clock)
        if shadow is not None and application is not None and watch.shadow is None:
            self._shadows[name] = shadow
            watch.shadow = ShadowQueries(application, shadow, self._loop, self._pool)
        watch.counter = _counter_of(watch.counter, roll_out if is_rolling else None)


def _counter_of(counter: RollOutCounter | None, roll_out: RollOut | None) -> RollOutCounter | None:
    """Return the counter of a roll-out: the same one until another begins."""
    if roll_out is None:
        return None
    if counter is not None and counter.roll_out.roll_out_id == roll_out.roll_out_id:
        return counter
    return RollOutCounter(roll_out)
