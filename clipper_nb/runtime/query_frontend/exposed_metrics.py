"""What ``/metrics`` shows: what the query frontends of one machine have counted, also in earlier runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.metric_names import OWN_PREFIX
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics
from clipper_nb.runtime.metrics.exposition import Family, OpenMetricsText, PrometheusText
from clipper_nb.runtime.metrics.kept_counts import KeptCounts, KeptHead, labels_of_targets
from clipper_nb.runtime.metrics.sums import Snapshot, add_up
from clipper_nb.runtime.slices import in_slices
from clipper_nb.runtime.state.kept_source import KeptSource

logger = logging.getLogger(__name__)

_PIECES_PER_PART = 256
_RETRY_INTERVAL_S = 0.05


class OwnMetrics:
    """The metrics of one process as text.

    Parameters
    ----------
    metrics : QueryFrontendMetrics
    """

    def __init__(self, metrics: QueryFrontendMetrics) -> None:
        self._metrics = metrics

    async def exposition(self, *, as_open_metrics: bool = False) -> list[bytes]:
        """Return what this process has counted, as Prometheus text or as OpenMetrics, in parts."""
        return await expose(await self.collect(), as_open_metrics=as_open_metrics)

    async def collect(self) -> list[Family]:
        """Return what this process has counted."""
        families: list[Family] = []
        await in_slices(self._metrics.collect(families))
        return families


class ContinuedMetrics:
    """The metrics of a cluster whose query frontends are on one machine: they go on where earlier ones ended.

    Parameters
    ----------
    source : KeptSource
    metrics : QueryFrontendMetrics
        This frontend's own.
    """

    def __init__(self, source: KeptSource, metrics: QueryFrontendMetrics) -> None:
        self._source = source
        self._keeper = source.keeper
        self._past: list[KeptCounts] = []
        metrics.own.go_on_from(self._past_own)

    async def start(self) -> None:
        """Merge what earlier frontends have counted, and go on with it; wait for a store that is away.

        To go on without would be to show less than before.
        """
        while True:
            try:
                await self._keeper.merge(self._find_ended)
                past = await self._keeper.read()
            except StateUnavailableError as exc:
                logger.warning("what was counted before is not known yet: %s", exc)
                await asyncio.sleep(_RETRY_INTERVAL_S)
            else:
                break
        runs = await self._source.runs()  # after what was read: one that is in the store by then has its file
        self._past = [kept for run, kept in past.items() if run not in runs]
        await self._source.start()

    async def stop(self) -> None:
        """Keep what was counted."""
        await self._source.stop()

    async def exposition(self, *, as_open_metrics: bool = False) -> list[bytes]:
        """Return what was counted, as Prometheus text or as OpenMetrics, in parts."""
        families = await self._source.collect()
        shown = labels_of_targets(families)
        past = [await self._keeper.still_counted(kept, shown) for kept in self._past]
        total: list[Family] = []
        await in_slices(add_up([Snapshot(families), *past], total))
        return await expose(total, as_open_metrics=as_open_metrics)

    def _past_own(self) -> Iterator[Family]:
        """Yield what models had counted themselves."""
        for kept in self._past:
            own = [family for family in kept.families if family.name.startswith(OWN_PREFIX)]
            yield from self._keeper.counted(kept._replace(families=own))

    async def _find_ended(self, heads: Mapping[str, KeptHead]) -> Collection[str]:
        """Return all runs but those that go on: the cluster has no other frontends."""
        return heads.keys() - await self._source.runs()


async def expose(families: list[Family], *, as_open_metrics: bool = False) -> list[bytes]:
    """Return metrics as Prometheus text or as OpenMetrics, in parts; queries are answered meanwhile.

    *families* is empty afterwards: releasing tens of thousands of objects at once takes milliseconds.
    """
    parts: list[bytes] = []
    text = OpenMetricsText() if as_open_metrics else PrometheusText()
    while families:
        pieces = await in_slices(text.render(families.pop(0)))
        parts += await in_slices(
            "".join(pieces[start : start + _PIECES_PER_PART]).encode()
            for start in range(0, len(pieces), _PIECES_PER_PART)
        )
    parts.append(text.end.encode())
    return parts
