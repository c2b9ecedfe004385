"""Kills a cluster's processes, though no faster than its supervisor brings them back soon."""

from __future__ import annotations

import time

from clipper_nb import ClipperConnection
from clipper_nb.protocol.restart_delay import STEADY_AFTER_S, restart_delay_s
from tests.end_to_end.cuts.steps import MANAGEMENT_KILLED, REDIS_KILLED
from tests.support.clusters import kill

_ROLES = {MANAGEMENT_KILLED: "management_frontend", REDIS_KILLED: "redis"}
_LONGEST_DELAY_S = 0.4
_START_S = 1.0
"""What a frontend takes to come up, at most, when the machine has other things to do."""


class Killer:
    """Kills by role, and knows when a kill would be taken for a loop of crashes.

    Parameters
    ----------
    conn : ClipperConnection
        To the cluster that is to suffer.
    """

    def __init__(self, conn: ClipperConnection) -> None:
        self._conn = conn
        self._last_s: dict[str, float] = {}
        self._quick_ends: dict[str, int] = {}

    def kill(self, fault: str) -> None:
        """Kill the fault's process; when this returns it is gone."""
        role = _ROLES[fault]
        self._quick_ends[role] = self._next_number(role)
        kill(self._conn, role)
        self._last_s[role] = time.monotonic()

    def wait_s(self, fault: str) -> float:
        """Return how long to do other things before this fault."""
        role = _ROLES.get(fault)
        if role is None or restart_delay_s(self._next_number(role)) <= _LONGEST_DELAY_S:
            return 0.0
        return self._last_s[role] + STEADY_AFTER_S + _START_S - time.monotonic()

    def _next_number(self, role: str) -> int:
        lived_s = time.monotonic() - self._last_s.get(role, float("-inf"))
        return 1 if lived_s >= STEADY_AFTER_S + _START_S else self._quick_ends[role] + 1
