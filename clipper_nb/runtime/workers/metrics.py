"""The combined metrics of all query frontends of one parent, available from each of them.

Each reports to the others over a Unix socket, and what it has counted is in a file before: a restarted frontend goes on
from its file, and the others read that while it is down. So their sum does not fall while the store is away, either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics
from clipper_nb.runtime.metrics.exposition import Family
from clipper_nb.runtime.metrics.kept_counts import KeptCounts, KeptHead, labels_of_targets
from clipper_nb.runtime.metrics.sums import Snapshot, add_up, decode_snapshot, encode_snapshot
from clipper_nb.runtime.slices import in_slices
from clipper_nb.runtime.state.count_keeping import CountKeeper, KeepHere, read_counts
from clipper_nb.runtime.state.kept_source import KeptSource

logger = logging.getLogger(__name__)

_ANSWER_TIMEOUT_S = 3.0


class SharedMetrics(KeptSource):
    """One frontend's part in the common metrics.

    Parameters
    ----------
    metrics : QueryFrontendMetrics
        This frontend's own metrics.
    folder : Path
        The folder that all frontends share.
    index, num_frontends : int
        This frontend's index, and the number of frontends.
    make_keeper : callable
        Returns what keeps this frontend's counts, after the file that a callable writes.
    """

    def __init__(
        self,
        metrics: QueryFrontendMetrics,
        folder: Path,
        index: int,
        num_frontends: int,
        make_keeper: Callable[[KeepHere], CountKeeper],
    ) -> None:
        super().__init__(metrics, make_keeper(self._write))
        self._folder = folder
        self._index = index
        self._num_frontends = num_frontends
        self._base: KeptCounts | None = None
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Go on from this frontend's file, and start to report to the others."""
        kept = await self._read(self._index)
        if kept is not None:
            head, self._base = kept
            self.keeper.run = head.run
        socket_path = self._path(self._index, "sock")
        socket_path.unlink(missing_ok=True)  # of this frontend's predecessor
        self._server = await asyncio.start_unix_server(self._answer, socket_path)
        await super().start()

    async def stop(self) -> None:
        """Keep what was counted, unless it was not started: then what its predecessor wrote stands."""
        if self._server is not None:
            self._server.close()
        await super().stop()

    async def runs(self) -> Collection[str]:
        """Return the runs that have files here."""
        files = [await self._read(index) for index in range(self._num_frontends)]
        return {each[0].run for each in files if each is not None}

    async def collect(self) -> list[Family]:
        """Return the sum over all frontends."""
        indexes = range(self._num_frontends)
        reports = dict(zip(indexes, await asyncio.gather(*map(self._ask, indexes)), strict=True))
        shown = {labels for each in reports.values() if each for labels in labels_of_targets(each.families)}
        total = Snapshot([])
        for index in indexes:  # always in the same order: sums of fractions depend on it, and must not seem to fall
            report = reports.pop(index) or await self._read_counted(index, shown)
            total = await _add_up(total, report)
        return total.families

    async def _count(self) -> list[Family]:
        """Return what this frontend has counted, also before its restarts."""
        live = await super()._count()
        if self._base is None:
            return live
        base = await self.keeper.still_counted(self._base, labels_of_targets(live))
        return (await _add_up(Snapshot(live), base)).families

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            report = Snapshot(await super().collect())
            writer.write(b"".join(await in_slices(encode_snapshot(report))))
            await writer.drain()

    async def _ask(self, other: int) -> Snapshot | None:
        """Return what a frontend has counted, if it answers."""
        if other == self._index:
            return Snapshot(await super().collect())
        with contextlib.suppress(OSError, asyncio.TimeoutError, msgspec.DecodeError):
            text = await asyncio.wait_for(_read_all(self._path(other, "sock")), _ANSWER_TIMEOUT_S)
            # A frontend that was killed meanwhile sent an incomplete report, or none.
            return Snapshot(await in_slices(decode_snapshot(text)))
        return None

    async def _read_counted(self, index: int, shown: Collection[str]) -> Snapshot:
        kept = await self._read(index)
        return Snapshot([]) if kept is None else await self.keeper.still_counted(kept[1], shown)

    async def _read(self, index: int) -> tuple[KeptHead, KeptCounts] | None:
        with contextlib.suppress(OSError):
            return await read_counts(await asyncio.to_thread(self._path(index, "counts").read_text))
        return None

    async def _write(self, text: str) -> bool:
        path = self._path(self._index, "counts")
        try:
            await asyncio.to_thread(path.with_suffix(".new").write_text, text)
            os.replace(path.with_suffix(".new"), path)
        except OSError as exc:
            logger.warning("the metrics cannot be kept in %s: %s", path, exc)
            return False
        return True

    def _path(self, index: int, suffix: str) -> Path:
        return self._folder / f"{index}.{suffix}"


async def _add_up(*snapshots: Snapshot) -> Snapshot:
    total = Snapshot([])
    await in_slices(add_up(snapshots, total.families))
    return total


async def _read_all(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    with contextlib.closing(writer):
        return await reader.read()
