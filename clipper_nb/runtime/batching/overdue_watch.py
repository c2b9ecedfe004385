"""Finds batches that were sent ahead to a replica whose first batch is overdue, and may never end.

One timer does for all replicas of a version, and it is set only while a batch was sent ahead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from clipper_nb.runtime.batching.worker import Worker


class OverdueWatch:
    """Calls *take_back* with each replica whose second batch should be computed by another one.

    Parameters
    ----------
    workers : mapping
        The replicas of the version.
    clock : callable
        Monotonic seconds.
    call_at : callable
        Runs a function at an instant of *clock*.
    take_back : callable
        Returns whether there is another replica, which gets the batch.
    """

    def __init__(
        self,
        workers: Mapping[int, Worker],
        *,
        clock: Callable[[], float],
        call_at: Callable[[float, Callable[[], None]], Any],
        take_back: Callable[[Worker], bool],
    ) -> None:
        self._workers = workers
        self._clock = clock
        self._call_at = call_at
        self._take_back = take_back
        self._is_looking = False

    def sent_ahead(self, worker: Worker) -> None:
        """Watch a batch that was just sent ahead."""
        if not self._is_looking:
            self._is_looking = True
            self._call_at(worker.holds_up_from_s(), self._look)

    def _look(self) -> None:
        now_s = self._clock()
        look_again_s = math.inf
        for worker in self._workers.values():
            from_s = worker.holds_up_from_s()
            if from_s <= now_s and worker.is_overdue(now_s) and self._take_back(worker):
                continue
            if from_s < math.inf:
                look_again_s = min(look_again_s, from_s if from_s > now_s else 2 * now_s - worker.batches[1].sent_s)
        self._is_looking = look_again_s < math.inf
        if self._is_looking:
            self._call_at(look_again_s, self._look)
