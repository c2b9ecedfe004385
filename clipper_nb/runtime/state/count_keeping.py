"""Keeps what a query frontend counts, so that no sum falls when it ends.

Counts are stored before they are shown, and at the end. Those of runs that have ended become one sum, when a frontend
starts; a run is one process, or several that go on from one file.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Container, Iterator, Mapping

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.records import Configuration
from clipper_nb.runtime.metrics.exposition import Family
from clipper_nb.runtime.metrics.kept_counts import (
    KeptCounts,
    KeptHead,
    Registrations,
    encode_counts,
    only_counts,
    pack,
    registrations,
    still_counted,
    unpack,
)
from clipper_nb.runtime.metrics.sums import Snapshot, add_up, decode_snapshot
from clipper_nb.runtime.slices import in_slices
from clipper_nb.runtime.state.count_store import PAST, CountStore

logger = logging.getLogger(__name__)

Collect = Callable[[], Awaitable[list[Family]]]
FindEnded = Callable[[Mapping[str, KeptHead]], Awaitable[Container[str]]]
"""Returns which runs, of those with these heads, have ended for sure."""
KeepHere = Callable[[str], Awaitable[bool]]
"""Keeps a text on this machine, before the store has it; returns whether it could."""
_TIMEOUT_S = 1.0
_MAX_MERGES = 5


class CountKeeper:
    """Keeps the counts of this run of a query frontend, and merges those of runs that have ended.

    Parameters
    ----------
    store : CountStore
    frontend_id : str
    read_configuration : callable
        Returns the configuration that the frontend acts on.
    keep_here : callable, optional
        Keeps what the store gets on this machine, before; if it cannot, the store does not get it.
    seen_by_all : container of str
        Families of which each frontend counts the same.
    wall_clock : callable
        Returns seconds since the epoch.
    """

    def __init__(
        self,
        store: CountStore,
        frontend_id: str,
        read_configuration: Callable[[], Configuration],
        *,
        keep_here: KeepHere | None = None,
        seen_by_all: Container[str] = (),
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.run = secrets.token_hex(8)
        self.size_bytes = 0
        """Of the text that was stored last."""
        self._store = store
        self._frontend_id = frontend_id
        self._read_configuration = read_configuration
        self._keep_here = keep_here
        self._seen_by_all = seen_by_all
        self._wall_clock = wall_clock
        self._kept: tuple[bytes, Registrations] | None = None
        self._was_merged = False
        self._keeping = asyncio.Lock()

    async def keep(self, collect: Collect, *, has_ended: bool = False) -> list[Family]:
        """Store the counters and histograms that *collect* returns, if they have changed; return what may be shown.

        That is all of it, also if the store is away. It is nothing if other frontends believed that this run had ended,
        and its counts are in their sum.
        """
        async with self._keeping:
            families, counts = await collect(), list[Family]()
            await in_slices(only_counts(families, counts))
            if (counts or self._kept) and not self._was_merged:
                lines, now = b"".join(await in_slices(encode_counts(counts))), self.registrations()
                if has_ended or self._kept != (lines, now):
                    await self._write(lines, now, has_ended=has_ended)
            return [] if self._was_merged else families

    async def _write(self, lines: bytes, now: Registrations, *, has_ended: bool) -> None:
        head = KeptHead(self._frontend_id, now, self._wall_clock(), has_ended, self.run)
        text = await asyncio.to_thread(pack, head, lines)
        if self._keep_here is not None and not await self._keep_here(text):
            return
        try:
            is_kept = await asyncio.wait_for(self._store.keep(self.run, text), _TIMEOUT_S)
        except (StateUnavailableError, asyncio.TimeoutError) as exc:
            logger.warning("what was counted is not kept now: %s", exc)
            return
        self._kept, self.size_bytes = (lines, now), len(text)
        if not is_kept:
            self._was_merged = True
            logger.error(
                "other query frontends counted this one as ended, for it was away for long: the sums leave out what it "
                "counts from now on. Restart it; on Kubernetes, delete its pod."
            )

    async def merge(self, find_ended: FindEnded) -> None:
        """Put the counts of runs that have ended into one sum.

        Raises
        ------
        StateUnavailableError
        """
        for _ in range(_MAX_MERGES):  # another frontend may start at this moment
            kept = await self._store.read()
            heads = {run: await _read_head(text) for run, text in kept.items() if run not in (PAST, self.run)}
            found = await find_ended({run: head for run, head in heads.items() if head is not None})
            ended = {run: text for run, text in kept.items() if run in found}
            if not ended:
                return
            past = kept.get(PAST)
            summands = [await _read(text) for text in ([] if past is None else [past]) + list(ended.values())]
            known = [each for each in summands if each is not None]
            if len(known) < len(summands) or await self._store.merge(ended, past, await self._sum(known)):
                return

    async def read(self, *, but: Container[str] = ()) -> dict[str, KeptCounts]:
        """Return the counts of all runs *but* some, and the sum over those that have ended; in order.

        Raises
        ------
        StateUnavailableError
        """
        texts = sorted((await self._store.read()).items())
        found = {run: await _read(text) for run, text in texts if run not in but}
        return {run: kept for run, kept in found.items() if kept is not None}

    def counted(self, kept: KeptCounts, shown: Container[str] | None = None) -> Iterator[Family]:
        """Yield what is registered as it was when it was kept; of targets and shadows what is *shown*."""
        yield from still_counted(kept, self.registrations(), shown)

    async def still_counted(self, kept: KeptCounts, shown: Container[str] | None = None) -> Snapshot:
        """Return what :meth:`counted` yields; queries are answered meanwhile."""
        return Snapshot(await in_slices(self.counted(kept, shown)))

    def registrations(self) -> Registrations:
        """Return what is registered now."""
        return registrations(self._read_configuration())

    async def _sum(self, summands: list[KeptCounts]) -> str:
        total: list[Family] = []
        counted = [await self.still_counted(each) for each in summands]
        await in_slices(add_up(counted, total, seen_by_all=self._seen_by_all))
        lines = b"".join(await in_slices(encode_counts(total)))
        head = KeptHead("", self.registrations(), self._wall_clock())
        return await asyncio.to_thread(pack, head, lines)


async def read_counts(text: str) -> tuple[KeptHead, KeptCounts] | None:
    """Return what a text says; ``None`` for one of a release with another form."""
    try:
        head, lines = await asyncio.to_thread(unpack, text)
        return head, KeptCounts(head.registered, await in_slices(decode_snapshot(lines)))
    except ValueError as exc:
        logger.warning("what a query frontend has counted cannot be read: %s", exc)
        return None


async def _read(text: str) -> KeptCounts | None:
    found = await read_counts(text)
    return None if found is None else found[1]


async def _read_head(text: str) -> KeptHead | None:
    try:
        return (await asyncio.to_thread(unpack, text))[0]
    except ValueError:
        return None
