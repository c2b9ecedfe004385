"""Answers every query of one application with its default output at its deadline.

All queries of an application have the same SLO, so their deadlines are in the order of their arrival: a plain
first-in-first-out list and one timer for its head do the work of a timer per query.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.clock import LoopClock

TOLERANCE_S = 0.0005
"""How early a timer may fire; waiting for less than its own resolution would only spin."""
_MIN_CLEAN: Final = 64


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
        self._waiting: list[Query] = []
        self._clean_at = _MIN_CLEAN
        self._handle: asyncio.TimerHandle | None = None

    def add(self, query: Query) -> None:
        """Watch *query*, whose deadline must not precede that of any query added earlier."""
        waiting = self._waiting
        if len(waiting) >= self._clean_at:
            self._drop_answered()
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
        self._drop_answered()
        num_due = 0
        while num_due < len(waiting) and waiting[num_due].deadline_s <= due_s:
            num_due += 1
        due = waiting[:num_due]
        del waiting[:num_due]
        for query in due:
            if not query.is_answered:
                self._on_deadline(query)
        if waiting and self._handle is None:
            self._handle = self._loop.call_at(waiting[0].deadline_s, self._on_timer)

    def _drop_answered(self) -> None:
        """Drop all answered queries at once, which costs less for each than dropping them one by one."""
        waiting = self._waiting
        waiting[:] = [query for query in waiting if not query.is_answered]
        self._clean_at = max(_MIN_CLEAN, 2 * len(waiting))
