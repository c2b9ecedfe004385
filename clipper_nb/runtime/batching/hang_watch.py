"""Finds the replicas of one model version whose batch never ends; one timer does for all of them.

It is set when a batch is sent and none is set, so a batch that is answered in time costs no timer of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from clipper_nb.protocol.environment import DEFAULT_HANG_TIMEOUT_S
from clipper_nb.runtime.batching.worker import HANG_SLO_FACTOR, Worker


class HangWatch:
    """Calls *on_hang* with each replica that is busy with one batch for too long, and what to say about it.

    Parameters
    ----------
    workers : mapping
        The replicas of the version.
    clock : callable
        Monotonic seconds.
    call_at : callable
        Runs a function at an instant of *clock*.
    on_hang : callable
        Must make the replica end.
    """

    def __init__(
        self,
        workers: Mapping[int, Worker],
        *,
        clock: Callable[[], float],
        call_at: Callable[[float, Callable[[], None]], Any],
        on_hang: Callable[[Worker, str], None],
    ) -> None:
        self._workers = workers
        self._clock = clock
        self._call_at = call_at
        self._on_hang = on_hang
        self._timeout_s: float | None = DEFAULT_HANG_TIMEOUT_S
        self._due_s = math.inf

    def set_timeout(self, timeout_s: float | None) -> None:
        """Look for replicas that take this long for one batch, and ten times its longest SLO; ``None`` is never."""
        if timeout_s != self._timeout_s:
            self._timeout_s = timeout_s
            self._due_s = math.inf
            self._look(math.inf)

    def batch_sent(self, sent_s: float) -> None:
        """Watch a batch that was just sent."""
        if self._due_s == math.inf and self._timeout_s is not None:
            self._look_at(sent_s + self._timeout_s)

    def _look_at(self, when_s: float) -> None:
        self._due_s = when_s
        self._call_at(when_s, partial(self._look, when_s))

    def _look(self, due_s: float) -> None:
        """Report the replicas that hang, and look again when the next one may."""
        timeout_s = self._timeout_s
        if timeout_s is None or due_s != self._due_s:  # the timeout has changed
            return
        now_s = self._clock()
        look_again_s = math.inf
        for worker in list(self._workers.values()):
            if worker.batches:
                hangs_from_s = worker.hangs_from_s(timeout_s)
                if hangs_from_s <= now_s:
                    self._on_hang(worker, _describe(worker, now_s))
                else:
                    look_again_s = min(look_again_s, hangs_from_s)
        self._due_s = math.inf
        if look_again_s < math.inf:
            self._look_at(look_again_s)


def _describe(worker: Worker, now_s: float) -> str:
    batch = worker.batches[0]
    return (
        f"it has been busy with one batch of {len(batch.computations)} for {now_s - batch.sent_s:.1f} s, which is "
        f"longer than hang_timeout_s and than {HANG_SLO_FACTOR:g} times the longest SLO of its queries."
    )
