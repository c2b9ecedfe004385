"""What the query frontends of one machine have counted, kept before it is shown: here those of which there is one."""

from __future__ import annotations

from collections.abc import Collection

from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics
from clipper_nb.runtime.metrics.exposition import Family
from clipper_nb.runtime.slices import in_slices
from clipper_nb.runtime.state.count_keeping import CountKeeper


class KeptSource:
    """The counts of a cluster's only query frontend.

    Parameters
    ----------
    metrics : QueryFrontendMetrics
    keeper : CountKeeper
    """

    def __init__(self, metrics: QueryFrontendMetrics, keeper: CountKeeper) -> None:
        self.keeper = keeper
        self._metrics = metrics
        self._is_started = False

    async def start(self) -> None:
        """Start to keep: until then less is known than was kept."""
        self._is_started = True

    async def stop(self) -> None:
        """Keep what was counted, unless it was not started."""
        if self._is_started:
            await self.keeper.keep(self._count, has_ended=True)

    async def runs(self) -> Collection[str]:
        """Return the runs of earlier processes that go on."""
        return ()

    async def collect(self) -> list[Family]:
        """Return what was counted; it was kept."""
        return await self.keeper.keep(self._count)

    async def _count(self) -> list[Family]:
        """Return what this frontend has counted."""
        families: list[Family] = []
        await in_slices(self._metrics.collect(families))
        return families
