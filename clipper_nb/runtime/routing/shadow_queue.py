"""The inputs that wait for an application's shadow: few, small together, and the first to be dropped. (pure)"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from clipper_nb.protocol.names import ModelId

MAX_WAITING = 256
MAX_WAITING_SIZE_BYTES = 16 * 1024 * 1024
MAX_IN_FLIGHT = 16
"""A shadow that hangs holds no more than these."""


@dataclass(frozen=True)
class Mirrored:
    """An input whose query has been answered, with that answer."""

    payload: bytes
    model_id: ModelId | None
    output: str
    reason: str | None
    answered_at: float
    """Seconds since the epoch."""
    latency_s: float


class ShadowQueue:
    """Chooses queries for a shadow and keeps them until it can be asked.

    Parameters
    ----------
    share : float
        Of the queries, from 0 to 1.
    draw : callable
        Returns a random number from 0 to 1.
    """

    def __init__(self, share: float, draw: Callable[[], float] = random.random) -> None:
        self._share = share
        self._draw = draw
        self._waiting: deque[Mirrored] = deque()
        self._waiting_size_bytes = 0
        self.num_asked = 0
        self.num_dropped = 0
        self.num_in_flight = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def wants(self) -> bool:
        """Return whether the shadow should be asked about a query."""
        return self._share >= 1 or self._draw() < self._share

    def put(self, mirrored: Mirrored) -> None:
        """Keep an input, or drop it if there are too many."""
        self.num_asked += 1
        size_bytes = self._waiting_size_bytes + len(mirrored.payload)
        if len(self._waiting) >= MAX_WAITING or size_bytes > MAX_WAITING_SIZE_BYTES:
            self.num_dropped += 1
            return
        self._waiting.append(mirrored)
        self._waiting_size_bytes = size_bytes

    def take(self) -> Mirrored | None:
        """Return the next input to ask about, if there is one and not too many are under way."""
        if not self._waiting or self.num_in_flight >= MAX_IN_FLIGHT:
            return None
        self.num_in_flight += 1
        mirrored = self._waiting.popleft()
        self._waiting_size_bytes -= len(mirrored.payload)
        return mirrored

    def drop_waiting(self) -> None:
        """Drop all that waits, because the shadow cannot be asked."""
        self.num_dropped += len(self._waiting)
        self._waiting.clear()
        self._waiting_size_bytes = 0
