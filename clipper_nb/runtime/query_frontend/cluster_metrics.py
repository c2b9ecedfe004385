"""The sums over all query frontends where each is in a pod of its own, also over those that have ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping

import msgspec

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.metric_names import MODEL_LOST_REPLICAS
from clipper_nb.runtime.metrics.exposition import Family
from clipper_nb.runtime.metrics.kept_counts import KeptCounts, KeptHead, labels_of_targets
from clipper_nb.runtime.metrics.sums import Snapshot, add_up, decode_snapshot, encode_snapshot
from clipper_nb.runtime.query_frontend.exposed_metrics import OwnMetrics, expose
from clipper_nb.runtime.slices import in_slices
from clipper_nb.runtime.state.count_keeping import CountKeeper
from clipper_nb.runtime.state.store import StateStore

logger = logging.getLogger(__name__)

SEEN_BY_ALL = frozenset({MODEL_LOST_REPLICAS})
"""Every replica serves all frontends, and each counts its loss."""
KILLED_AFTER_S = 600.0
"""After how long a run that said nothing of its end, and whose frontend is not there, has ended for sure."""
_KEEP_INTERVAL_S = 5.0
_MAX_BYTES_PER_S = 50_000
"""Redis writes them to a file: a frontend that counts for hundreds of models stores them less often, unless asked."""
_SHARE_OF_TIME = 0.02
"""How much of the time may be spent on keeping counts."""


class ClusterMetrics:
    """The sum over all query frontends.

    Parameters
    ----------
    store : StateStore
        Carries the question for what the others have counted.
    frontend_id : str
    own : OwnMetrics
        This frontend's own.
    keeper : CountKeeper
        Keeps them.
    wall_clock : callable
        Returns seconds since the epoch.
    """

    def __init__(
        self,
        store: StateStore,
        frontend_id: str,
        own: OwnMetrics,
        keeper: CountKeeper,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._frontend_id = frontend_id
        self._own = own
        self._keeper = keeper
        self._wall_clock = wall_clock
        self._lost_before: KeptCounts | None = None

    async def start(self) -> None:
        """Merge what ended frontends have counted, and go on with what every frontend counts."""
        try:
            await self._keeper.merge(self._find_ended)
            self._lost_before = await self._read_lost()
        except StateUnavailableError as exc:
            logger.warning("what was counted before is not known: %s", exc)

    async def keep_regularly(self) -> None:
        """Keep what is counted here, until cancelled; it outlives a frontend that is killed."""
        interval_s = _KEEP_INTERVAL_S
        while True:
            await asyncio.sleep(interval_s)
            began_s = time.monotonic()
            await self._keeper.keep(self._collect)
            took_s = time.monotonic() - began_s
            interval_s = max(_KEEP_INTERVAL_S, took_s / _SHARE_OF_TIME, self._keeper.size_bytes / _MAX_BYTES_PER_S)

    async def stop(self) -> None:
        """Keep what was counted here; nothing is counted afterwards."""
        await self._keeper.keep(self._collect, has_ended=True)

    async def exposition(self, *, as_open_metrics: bool = False) -> list[bytes]:
        """Return the sums as Prometheus text or as OpenMetrics, in parts.

        A frontend that does not answer within three seconds has what it stored last.

        Raises
        ------
        StateUnavailableError
            The others cannot be asked.
        """
        reports = dict([await _decode(text) for text in await self._store.ask_metrics()])
        shown = labels_of_targets(part for report in reports.values() for part in report.families)
        for run, kept in (await self._keeper.read(but=reports.keys())).items():
            reports[run] = await self._keeper.still_counted(kept, shown)
        total: list[Family] = []
        in_order = [report for _, report in sorted(reports.items())]  # sums of fractions depend on it
        await in_slices(add_up(in_order, total, seen_by_all=SEEN_BY_ALL))
        return await expose(total, as_open_metrics=as_open_metrics)

    async def report(self) -> str:
        """Return what this frontend has counted, for another one that adds it up; it was stored before."""
        lines = await in_slices(encode_snapshot(Snapshot(await self._keeper.keep(self._collect))))
        return self._keeper.run + "\n" + b"".join(lines).decode()

    async def _collect(self) -> list[Family]:
        """Return what this frontend has counted, with what the cluster had lost before it began to count that."""
        families = await self._own.collect()
        if self._lost_before is None:
            return families
        total: list[Family] = []
        before = await self._keeper.still_counted(self._lost_before)
        await in_slices(add_up([Snapshot(families), before], total))
        return total

    async def _read_lost(self) -> KeptCounts:
        lost = []
        for kept in (await self._keeper.read()).values():
            parts = [part for part in kept.families if part.name in SEEN_BY_ALL]
            lost.append(await self._keeper.still_counted(kept._replace(families=parts)))
        total: list[Family] = []
        await in_slices(add_up(lost, total, seen_by_all=SEEN_BY_ALL))
        return KeptCounts(self._keeper.registrations(), total)

    async def _find_ended(self, heads: Mapping[str, KeptHead]) -> Collection[str]:
        """Return those of runs that have ended: they said so, this process follows them, or they are long gone."""
        present = {each.frontend_id for each in await self._store.read_presence()} - {self._frontend_id}
        return {run for run, head in heads.items() if self._has_ended(head, present)}

    def _has_ended(self, head: KeptHead, present: Collection[str]) -> bool:
        is_gone = head.frontend_id not in present and head.kept_at < self._wall_clock() - KILLED_AFTER_S
        return head.has_ended or head.frontend_id == self._frontend_id or is_gone


async def _decode(text: str) -> tuple[str, Snapshot]:
    """Return the id of a frontend's run, and what it has counted."""
    run, _, lines = text.partition("\n")
    try:
        return run, Snapshot(await in_slices(decode_snapshot(lines.encode())))
    except msgspec.DecodeError as exc:  # of a frontend of another release
        logger.warning("a query frontend's metrics cannot be read: %s", exc)
        return run, Snapshot([])
