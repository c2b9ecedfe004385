"""The combined metrics of all query frontends of one parent, available from each of them.

Each reports to the others over a Unix socket, and writes every report to a file first: a restarted frontend continues
from the file, and the others read it while the frontend is down. So counters that were ever shown never decrease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from clipper_nb.runtime.metrics import sums as metrics_sum
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics
from clipper_nb.runtime.metrics.exposition import Family, render_families
from clipper_nb.runtime.metrics.sums import Snapshot
from clipper_nb.runtime.slices import in_slices

logger = logging.getLogger(__name__)

_ANSWER_TIMEOUT_S = 1.0
_PIECES_PER_PART = 256


class SharedMetrics:
    """One frontend's part in the common metrics.

    Parameters
    ----------
    metrics : QueryFrontendMetrics
        This frontend's own metrics.
    folder : Path
        The folder that all frontends share.
    index, num_frontends : int
        This frontend's index, and the number of frontends.
    keep_own : callable
        Keeps what models count themselves, before it is shown.
    """

    def __init__(
        self,
        metrics: QueryFrontendMetrics,
        folder: Path,
        index: int,
        num_frontends: int,
        keep_own: Callable[[], Awaitable[None]],
    ) -> None:
        self._metrics = metrics
        self._keep_own = keep_own
        self._folder = folder
        self._index = index
        self._num_frontends = num_frontends
        self._base = _read(self._path(index, "json")) or Snapshot([])
        self._reporting = asyncio.Lock()
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Start to report to the others."""
        socket_path = self._path(self._index, "sock")
        socket_path.unlink(missing_ok=True)  # of this frontend's predecessor
        self._server = await asyncio.start_unix_server(self._answer, socket_path)

    async def stop(self) -> None:
        """Write a last report to the file."""
        if self._server is not None:
            self._server.close()
        await self._report()

    async def exposition(self) -> list[bytes]:
        """Return the sum over all frontends as Prometheus text, in parts."""
        # Always in the same order: floating-point sums depend on it, and must not seem to decrease.
        reports = await asyncio.gather(*(self._ask(index) for index in range(self._num_frontends)))
        total = Snapshot([])
        while reports:
            report = reports.pop(0)
            if report is not None:
                total = await _add_up(total, report)
        return await expose(total.families)

    async def _report(self) -> tuple[Snapshot, bytes]:
        """Return this frontend's counters, including those before its restarts, also as text; and store them."""
        async with self._reporting:
            await self._keep_own()
            live = Snapshot([])
            await in_slices(self._metrics.collect(live.families))
            kept = Snapshot([])
            await in_slices(metrics_sum.only_what_counts(self._base, live, kept.families))
            self._base = kept
            report = await _add_up(live, kept)
            del live
            text = b"".join(await in_slices(metrics_sum.encode_snapshot(report)))
            await asyncio.to_thread(self._keep, text)
            return report, text

    def _keep(self, text: bytes) -> None:
        path = self._path(self._index, "json")
        try:
            path.with_suffix(".new").write_bytes(text)
            os.replace(path.with_suffix(".new"), path)
        except OSError as exc:
            logger.warning("the metrics cannot be kept in %s: %s", path, exc)

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            _, text = await self._report()
            writer.write(text)
            await writer.drain()

    async def _ask(self, other: int) -> Snapshot | None:
        if other == self._index:
            report, _ = await self._report()
            return report
        with contextlib.suppress(OSError, asyncio.TimeoutError, msgspec.DecodeError):
            text = await asyncio.wait_for(_read_all(self._path(other, "sock")), _ANSWER_TIMEOUT_S)
            # A frontend that was killed meanwhile sent an incomplete report, or none.
            return Snapshot(await in_slices(metrics_sum.decode_snapshot(text)))
        return _read(self._path(other, "json"))

    def _path(self, index: int, suffix: str) -> Path:
        return self._folder / f"{index}.{suffix}"


async def _add_up(*snapshots: Snapshot) -> Snapshot:
    total = Snapshot([])
    await in_slices(metrics_sum.add_up(snapshots, total.families))
    return total


async def _read_all(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    with contextlib.closing(writer):
        return await reader.read()


def _read(path: Path) -> Snapshot | None:
    try:
        return Snapshot(list(metrics_sum.decode_snapshot(path.read_bytes())))
    except (OSError, msgspec.DecodeError):
        return None


async def expose(families: list[Family]) -> list[bytes]:
    """Return metrics as Prometheus text, in parts; queries are answered meanwhile.

    *families* is empty afterwards: releasing tens of thousands of objects at once takes milliseconds.
    """
    parts: list[bytes] = []
    name = ""
    while families:
        family = families.pop(0)
        pieces = await in_slices(render_families([family], after=name))
        name = family.name
        parts += await in_slices(
            "".join(pieces[start : start + _PIECES_PER_PART]).encode()
            for start in range(0, len(pieces), _PIECES_PER_PART)
        )
    return parts
