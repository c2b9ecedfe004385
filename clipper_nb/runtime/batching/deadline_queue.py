"""The queue of one model version, earliest deadline first. (pure)"""

from __future__ import annotations

import heapq
import math

from clipper_nb.runtime.batching.query import Computation


class DeadlineQueue:
    """Holds computations until a replica takes them; of two with the same deadline the older goes first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Computation]] = []
        self._num_pushed = 0
        self._num_queued = 0

    def put(self, computation: Computation) -> None:
        """Add a computation; those at the head that nobody wants any more go, so that no backlog of them builds up."""
        self._drop_unwanted_head()
        computation.is_queued = True
        self._num_queued += 1
        self._push(computation)

    def hasten(self, computation: Computation, *, deadline_s: float, slo_s: float) -> None:
        """Give a computation an earlier deadline; one that is not queued any more is left as it is."""
        computation.deadline_s, computation.slo_s = deadline_s, min(slo_s, computation.slo_s)
        if computation.is_queued:
            self._push(computation)  # its old place is passed over when its turn comes

    def take(self, size: int, *, done_by_s: float = -math.inf) -> tuple[list[Computation], list[Computation]]:
        """Remove and return up to *size* computations that somebody still waits for, and those that come too late.

        *done_by_s* is when the batch is likely to be done. Computations with an earlier deadline would only take the
        places of others that can make it, so they are passed over: returned second, to be given up. Without others
        they are sent after all, the latest first, for nobody knows how long the batch takes.

        Those that nobody waits for (their queries got the default output, or their clients left) are dropped here,
        before they cost a replica anything.
        """
        taken: list[Computation] = []
        too_late: list[Computation] = []
        self._drop_unwanted_head()
        while self._heap and len(taken) < size:
            computation = heapq.heappop(self._heap)[2]
            self._leave(computation)
            (too_late if computation.deadline_s < done_by_s else taken).append(computation)
            self._drop_unwanted_head()
        if not taken:
            taken = too_late[-size:]
            for computation in too_late[:-size]:
                self.put(computation)
            return taken, []
        return taken, too_late

    def _push(self, computation: Computation) -> None:
        self._num_pushed += 1
        heapq.heappush(self._heap, (computation.deadline_s, self._num_pushed, computation))

    def _leave(self, computation: Computation) -> None:
        computation.is_queued = False
        self._num_queued -= 1

    def _drop_unwanted_head(self) -> None:
        """Make the head one that is queued and wanted; the others there are given up, or were taken already."""
        while self._heap:
            computation = self._heap[0][2]
            if computation.is_queued and computation.is_wanted:
                return
            heapq.heappop(self._heap)
            if computation.is_queued:
                self._leave(computation)
                computation.abandon()

    def tightest_slo_s(self) -> float:
        """Return the SLO of the computation that is most urgent; infinite when there is none."""
        self._drop_unwanted_head()
        return self._heap[0][2].slo_s if self._heap else math.inf

    def drain(self) -> list[Computation]:
        """Remove and return everything that is wanted."""
        return self.take(len(self._heap))[0]

    def __len__(self) -> int:
        return self._num_queued
