"""The counts of query frontends in this process's memory."""

from __future__ import annotations

from collections.abc import Mapping

from clipper_nb.runtime.state.count_store import PAST, CountStore


class MemoryCounts(CountStore):
    """Keeps them in attributes; one event loop may use it."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}
        self._merged: set[str] = set()

    async def keep(self, run: str, counts: str) -> bool:
        if run in self._merged:
            return False
        self._kept[run] = counts
        return True

    async def read(self) -> Mapping[str, str]:
        return dict(self._kept)

    async def merge(self, ended: Mapping[str, str], past: str | None, merged: str) -> bool:
        if self._kept.get(PAST) != past or any(self._kept.get(run) != counts for run, counts in ended.items()):
            return False
        for run in ended:
            del self._kept[run]
        self._merged.update(ended)
        self._kept[PAST] = merged
        return True
