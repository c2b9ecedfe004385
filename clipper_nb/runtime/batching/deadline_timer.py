"""Answers every query of one application with its default output at its deadline.

All queries of an application have the same SLO, so their deadlines are in the order of their arrival: a plain
first-in-first-out list and one timer for its head do the work of a timer per query.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.clock import LoopClock

TOLERANCE_S = 0.0005
"""How early a timer may fire; waiting for less than its own resolution would only spin."""


class DeadlineTimer:
    """Calls *on_deadline* with each query that is not answered by its deadline.

    Parameters
    ----------
    loop : LoopClock
        The deadlines are instants of its clock.
    on_deadline : callable
        Must answer the query.
    """

    def __init__(self, loop: LoopClock, on_deadline: Callable[[Query], None]) -> None:
        self._loop = loop
        self._on_deadline = on_deadline
        self._waiting: deque[Query] = deque()
        self._handle: asyncio.TimerHandle | None = None

    def add(self, query: Query) -> None:
        """Watch *query*, whose deadline must not precede that of any query added earlier."""
        waiting = self._waiting
        while waiting and waiting[0].is_answered:
            waiting.popleft()
        waiting.append(query)
        if self._handle is None:
            self._handle = self._loop.call_at(waiting[0].deadline_s, self._on_timer)

    def close(self) -> None:
        """Stop watching."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._waiting.clear()

    def _on_timer(self) -> None:
        self._handle = None
        waiting = self._waiting
        due_s = self._loop.time() + TOLERANCE_S
        while waiting and (waiting[0].is_answered or waiting[0].deadline_s <= due_s):
            query = waiting.popleft()
            if not query.is_answered:
                self._on_deadline(query)
        if waiting and self._handle is None:
            self._handle = self._loop.call_at(waiting[0].deadline_s, self._on_timer)
