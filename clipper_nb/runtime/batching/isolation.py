"""Computes a batch that the model raised on again in parts, until what fails is alone. (pure)

Each part that fails is halved, so one bad input among n costs the others of its batch at most 2·log2(n) further
batches with fewer than 2·n inputs together: 12 with 126 inputs, if n is 64. Parts with an earlier deadline than the
queue's are sent first. Queries that no client waits for any more leave their part.

A model that fails on everything is not computed for nothing: when it has answered nothing yet, or has failed 15 times
in a row (on a batch, its halves, quarters and eighths, or on several batches), a batch of which both halves fail is
given up. A good model may raise on an input in each half.

Until a first batch has failed there is nothing to look up, and the dispatcher only checks ``has_parts``.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from clipper_nb.runtime.batching.query import Computation

MAX_FAILURES_IN_A_ROW = 1 + 2 + 4 + 8
_NUM_HALVES = 2


@dataclass(eq=False)
class Search:
    """The search for what fails in one batch."""

    num_failed_parts: int = 0
    has_answer: bool = False
    """True if the model has answered a part."""


@dataclass
class Part:
    """Computations of a failed batch that are computed again together."""

    computations: list[Computation]
    search: Search


class Isolation:
    """The parts of failed batches of one model version that wait to be computed again."""

    def __init__(self) -> None:
        self._parts: deque[Part] = deque()
        self.has_parts = False
        self.num_failures = MAX_FAILURES_IN_A_ROW
        """How often the model has failed since it last answered; a new one has to answer first."""

    @property
    def deadline_s(self) -> float:
        """The earliest deadline of the next part; infinite if there is none."""
        if not self._parts:
            return math.inf
        return min(computation.deadline_s for computation in self._parts[0].computations)

    def count_waiting(self) -> int:
        """Return how many computations wait to be computed again."""
        return sum(len(part.computations) for part in self._parts)

    def is_waiting(self, computation: Computation) -> bool:
        """Return whether *computation* waits to be computed again."""
        return any(computation in part.computations for part in self._parts)

    def split(self, computations: list[Computation], search: Search | None) -> list[Computation]:
        """Make parts of a batch that the model raised on; return the computations that fail for good.

        *search* is that of a batch that was a part.
        """
        self.num_failures += 1
        if search is None:
            search = Search()
        else:
            search.num_failed_parts += 1
            if self._is_hopeless(search):
                return [*computations, *self._remove_parts(search)]
        if len(computations) == 1:
            return computations
        again = [computation for computation in computations if _may_try_again(computation)]
        for computation in again:
            computation.sent_s = None
        middle = len(again) // 2
        for half in (again[:middle], again[middle:]):
            if half:
                self._parts.append(Part(half, search))
        self.has_parts = bool(self._parts)
        return [computation for computation in computations if not _may_try_again(computation)]

    def take(self, max_size: int) -> tuple[Part | None, list[Computation]]:
        """Remove and return the next part, of at most *max_size*, and computations that no client waits for any more.

        There is no part if no client waits for any of it.
        """
        part = self._parts.popleft()
        wanted = [computation for computation in part.computations if computation.is_wanted]
        unwanted = [computation for computation in part.computations if not computation.is_wanted]
        if len(wanted) > max_size:  # the version's batch size has changed
            self._parts.appendleft(Part(wanted[max_size:], part.search))
            del wanted[max_size:]
        self.has_parts = bool(self._parts)
        return (Part(wanted, part.search) if wanted else None), unwanted

    def clear(self) -> list[Computation]:
        """Forget all parts; return their computations."""
        waiting = [computation for part in self._parts for computation in part.computations]
        self._parts.clear()
        self.has_parts = False
        return waiting

    def _is_hopeless(self, search: Search) -> bool:
        has_failed_enough = search.num_failed_parts >= _NUM_HALVES and self.num_failures >= MAX_FAILURES_IN_A_ROW
        return has_failed_enough and not search.has_answer

    def _remove_parts(self, search: Search) -> list[Computation]:
        removed = [c for part in self._parts if part.search is search for c in part.computations]
        self._parts = deque(part for part in self._parts if part.search is not search)
        self.has_parts = bool(self._parts)
        return removed


def _may_try_again(computation: Computation) -> bool:
    return computation.is_wanted and not computation.is_obsolete
