"""The queue of one model version, earliest deadline first, and fair between applications in overload. (pure)"""

from __future__ import annotations

import math
from bisect import insort_right
from collections import deque
from operator import itemgetter
from typing import Final

from clipper_nb.runtime.batching.query import Computation

_Line = deque[tuple[float, Computation]]
_deadline_of = itemgetter(0)
_MAX_FRESH: Final = 256


class DeadlineQueue:
    """Holds computations until a replica takes them; of two with the same deadline the older goes first.

    Each application has its own line, so that applications can take turns when not all queries can be served. Its
    queries have the same SLO, so nearly all arrive in deadline order and are appended, which is cheaper than a heap.
    Those that arrived since the last batch wait before the lines: mostly all of them leave together in the next one.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}  # of applications with queued computations; the next in turn comes first
        self._fresh: list[Computation] = []  # not in a line yet
        self._is_in_order = True  # of deadlines
        self.num_queued = 0
        """Computations that wait."""

    def put(self, computation: Computation) -> None:
        """Add a computation, and drop unwanted ones at the head, so that no backlog of them builds up."""
        fresh = self._fresh
        if self.num_queued == 0:
            self._lines.clear()
        elif fresh and (len(fresh) >= _MAX_FRESH or not fresh[0].is_wanted):
            self._stand_in_lines()
            fresh = self._fresh
        if fresh and computation.deadline_s < fresh[-1].deadline_s:
            self._is_in_order = False
        computation.is_queued = True
        self.num_queued += 1
        fresh.append(computation)

    def move_deadline_earlier(self, computation: Computation, *, deadline_s: float, slo_s: float) -> None:
        """Move a computation to an earlier deadline; one that is no longer queued keeps its place."""
        self._stand_in_lines()
        computation.deadline_s, computation.slo_s = deadline_s, min(slo_s, computation.slo_s)
        if computation.is_queued:
            # Its old place is skipped when it reaches the head.
            _stand_in_line(self._lines[computation.application], computation)

    def take(
        self, size: int, *, done_by_s: float = -math.inf, in_turn: bool = False
    ) -> tuple[list[Computation], list[Computation]]:
        """Remove and return up to *size* computations that clients still wait for, and those that are too late.

        *done_by_s* is when the batch is likely to be done. Computations with an earlier deadline would only take the
        places of others that can make it, so they are skipped and returned second, for the caller to give up. If there
        are no others they are sent after all, latest deadline first, because the time of a batch is only an estimate.

        With *in_turn* the applications take turns, each with its most urgent computation: in overload, the excess of
        one application does not reduce the share of the others.

        Computations without a waiting client (their queries got the default output, or their clients left) are dropped
        here, before they cost a replica anything.
        """
        taken: list[Computation] = []
        too_late: list[Computation] = []
        if not self._lines and self._is_in_order and self.num_queued <= size:
            self._take_fresh(done_by_s, taken, too_late)
        else:
            self._take_from_lines(size, done_by_s, in_turn, taken, too_late)
        if not taken:
            taken = too_late[-size:]
            for computation in too_late[:-size]:
                self.put(computation)
            return taken, []
        return taken, too_late

    def _take_fresh(self, done_by_s: float, taken: list[Computation], too_late: list[Computation]) -> None:
        """Take everything, if nothing stands in a line."""
        fresh, self._fresh = self._fresh, []
        self.num_queued = 0
        for computation in fresh:
            computation.is_queued = False
            if not computation.is_wanted:
                computation.abandon()
            elif computation.deadline_s < done_by_s:
                too_late.append(computation)
            else:
                taken.append(computation)

    def _take_from_lines(
        self, size: int, done_by_s: float, in_turn: bool, taken: list[Computation], too_late: list[Computation]
    ) -> None:
        """Take up to *size*, the most urgent first, or from each application in its turn."""
        self._stand_in_lines()
        while len(taken) < size:
            application, until_s = self._next_application(in_turn=in_turn)
            if application is None:
                break
            line = self._lines[application]
            while line and line[0][0] <= until_s and len(taken) < size:
                computation = line.popleft()[1]
                if not computation.is_queued:
                    continue
                self._leave(computation)
                if not computation.is_wanted:
                    computation.abandon()
                elif computation.deadline_s < done_by_s:
                    too_late.append(computation)
                else:
                    taken.append(computation)
                    if in_turn:
                        self._lines[application] = self._lines.pop(application)  # it was its turn
                        break

    def tightest_slo_s(self) -> float:
        """Return the SLO of the most urgent computation; infinite if there is none."""
        if not self._lines and self._fresh and self._is_in_order and self._fresh[0].is_wanted:
            return self._fresh[0].slo_s
        application = self._next_application(in_turn=False)[0]
        return math.inf if application is None else self._lines[application][0][1].slo_s

    def earliest_deadline_s(self) -> float:
        """Return the deadline of the most urgent computation; infinite if there is none."""
        application = self._next_application(in_turn=False)[0]
        return math.inf if application is None else self._lines[application][0][0]

    def drain(self) -> list[Computation]:
        """Remove and return all computations that clients still wait for."""
        return self.take(self.num_queued)[0]

    def __len__(self) -> int:
        return self.num_queued

    def _stand_in_lines(self) -> None:
        """Let each fresh computation stand in its application's line, and drop unwanted ones at the heads."""
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, []
        self._is_in_order = True
        for computation in fresh:
            line = self._lines.get(computation.application)
            if line is None:
                line = self._lines[computation.application] = deque()
            _stand_in_line(line, computation)
        for line in self._lines.values():
            self._drop_unwanted_head(line)

    def _leave(self, computation: Computation) -> None:
        computation.is_queued = False
        self.num_queued -= 1

    def _next_application(self, *, in_turn: bool) -> tuple[str | None, float]:
        """Return the next application, and the deadline up to which its computations precede all others.

        It is the first in turn, or the one with the earliest deadline.
        """
        self._stand_in_lines()
        if self.num_queued == 0:
            self._lines.clear()
            return None, math.inf
        found: str | None = None
        earliest_s = next_s = math.inf
        for application in list(self._lines):
            line = self._lines[application]
            self._drop_unwanted_head(line)
            if not line:
                del self._lines[application]
                continue
            if in_turn:
                return application, math.inf
            deadline_s = line[0][0]
            if found is None or deadline_s < earliest_s:
                found, earliest_s, next_s = application, deadline_s, earliest_s
            elif deadline_s < next_s:
                next_s = deadline_s
        return found, next_s

    def _drop_unwanted_head(self, line: _Line) -> None:
        """Drop computations from the head until one is queued and wanted; give up the unwanted ones."""
        while line:
            computation = line[0][1]
            if computation.is_queued and computation.is_wanted:
                return
            line.popleft()
            if computation.is_queued:
                self._leave(computation)
                computation.abandon()


def _stand_in_line(line: _Line, computation: Computation) -> None:
    deadline_s = computation.deadline_s
    if not line or deadline_s >= line[-1][0]:
        line.append((deadline_s, computation))
    else:
        insort_right(line, (deadline_s, computation), key=_deadline_of)
