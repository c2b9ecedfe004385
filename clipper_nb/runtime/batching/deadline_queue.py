"""The queue of one model version, earliest deadline first, and fair between applications in overload. (pure)"""

from __future__ import annotations

import heapq
import math

from clipper_nb.runtime.batching.query import Computation

_Heap = list[tuple[float, int, Computation]]


class DeadlineQueue:
    """Holds computations until a replica takes them; of two with the same deadline the older goes first.

    Each application has a heap of its own, so that applications can take turns when not all can be served.
    """

    def __init__(self) -> None:
        self._heaps: dict[str, _Heap] = {}  # of applications with something queued; whose turn it is comes first
        self._num_pushed = 0
        self._num_queued = 0

    def put(self, computation: Computation) -> None:
        """Add a computation; those at the head that nobody wants any more go, so that no backlog of them builds up."""
        heap = self._heaps.get(computation.application)
        if heap:
            self._drop_unwanted_head(heap)
        computation.is_queued = True
        self._num_queued += 1
        self._push(computation)

    def hasten(self, computation: Computation, *, deadline_s: float, slo_s: float) -> None:
        """Give a computation an earlier deadline; one that is not queued any more is left as it is."""
        computation.deadline_s, computation.slo_s = deadline_s, min(slo_s, computation.slo_s)
        if computation.is_queued:
            self._push(computation)  # its old place is passed over when its turn comes

    def take(
        self, size: int, *, done_by_s: float = -math.inf, in_turn: bool = False
    ) -> tuple[list[Computation], list[Computation]]:
        """Remove and return up to *size* computations that somebody still waits for, and those that come too late.

        *done_by_s* is when the batch is likely to be done. Computations with an earlier deadline would only take the
        places of others that can make it, so they are passed over: returned second, to be given up. Without others
        they are sent after all, the latest first, for nobody knows how long the batch takes.

        With *in_turn* the applications take turns, each with its most urgent: where not all can be served, what one
        asks too much is not taken from the others.

        Those that nobody waits for (their queries got the default output, or their clients left) are dropped here,
        before they cost a replica anything.
        """
        taken: list[Computation] = []
        too_late: list[Computation] = []
        while len(taken) < size:
            application = self._next_application(in_turn=in_turn)
            if application is None:
                break
            computation = heapq.heappop(self._heaps[application])[2]
            self._leave(computation)
            if computation.deadline_s < done_by_s:
                too_late.append(computation)
                continue
            taken.append(computation)
            if in_turn:
                self._heaps[application] = self._heaps.pop(application)  # it was its turn
        if not taken:
            taken = too_late[-size:]
            for computation in too_late[:-size]:
                self.put(computation)
            return taken, []
        return taken, too_late

    def tightest_slo_s(self) -> float:
        """Return the SLO of the computation that is most urgent; infinite when there is none."""
        application = self._next_application(in_turn=False)
        return math.inf if application is None else self._heaps[application][0][2].slo_s

    def drain(self) -> list[Computation]:
        """Remove and return everything that is wanted."""
        return self.take(self._num_queued)[0]

    def __len__(self) -> int:
        return self._num_queued

    def _push(self, computation: Computation) -> None:
        self._num_pushed += 1
        heap = self._heaps.setdefault(computation.application, [])
        heapq.heappush(heap, (computation.deadline_s, self._num_pushed, computation))

    def _leave(self, computation: Computation) -> None:
        computation.is_queued = False
        self._num_queued -= 1

    def _next_application(self, *, in_turn: bool) -> str | None:
        """Return whose computation goes next: the first in turn, or the one with the earliest deadline."""
        found: str | None = None
        earliest_s = math.inf
        for application in list(self._heaps):
            heap = self._heaps[application]
            self._drop_unwanted_head(heap)
            if not heap:
                del self._heaps[application]
            elif in_turn:
                return application
            elif found is None or heap[0][0] < earliest_s:
                found, earliest_s = application, heap[0][0]
        return found

    def _drop_unwanted_head(self, heap: _Heap) -> None:
        """Make the head one that is queued and wanted; the others there are given up, or were taken already."""
        while heap:
            computation = heap[0][2]
            if computation.is_queued and computation.is_wanted:
                return
            heapq.heappop(heap)
            if computation.is_queued:
                self._leave(computation)
                computation.abandon()
