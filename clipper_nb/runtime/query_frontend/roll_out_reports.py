"""Writes what this query frontend counts for roll-outs to the store, where it outlives this process."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.roll_out import RollOutCounts
from clipper_nb.runtime.state.store import StateStore

logger = logging.getLogger(__name__)

INTERVAL_S = 0.25
"""How often counts are written while a roll-out is under way."""
_IDLE_INTERVAL_S = 1.0


class RollOutReports:
    """Writes the counts of this process under an id of its own: written twice, they count once.

    Parameters
    ----------
    store : StateStore
    read_counts : callable
        Returns what was counted so far for each roll-out that is under way, by its id.
    """

    def __init__(self, store: StateStore, read_counts: Callable[[], Mapping[str, RollOutCounts]]) -> None:
        self._store = store
        self._read_counts = read_counts
        self._run_id = secrets.token_hex(8)
        self._written: Mapping[str, RollOutCounts] = {}

    async def write_regularly(self) -> None:
        """Write what is new, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S if self._read_counts() else _IDLE_INTERVAL_S)
            try:
                await self.write()
            except StateUnavailableError as exc:
                logger.warning("%s", exc)

    async def write(self) -> None:
        """Write what is new."""
        counts = self._read_counts()
        for roll_out_id, counted in counts.items():
            if self._written.get(roll_out_id) != counted:
                await self._store.write_roll_out_counts(roll_out_id, self._run_id, counted)
        self._written = counts
