"""Sends idle replicas what is tried separately: inputs that may end a replica, and parts of failed batches."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from clipper_nb.runtime.batching.backlog import Backlog
from clipper_nb.runtime.batching.batch_observer import BatchObserver
from clipper_nb.runtime.batching.isolation import Search
from clipper_nb.runtime.batching.query import Computation
from clipper_nb.runtime.batching.suspects import Allowed
from clipper_nb.runtime.batching.worker import Worker


class Send(Protocol):
    """Sends a replica one batch."""

    def __call__(
        self, worker: Worker, batch: list[Computation], *, is_trial: bool = False, search: Search | None = None
    ) -> None: ...


class SecondTries:
    """Chooses which of them a replica gets now.

    Parameters
    ----------
    backlog : Backlog
    workers : mapping
        The replicas of the version.
    idle : deque
        Those of them that have no batch.
    clock : callable
        Monotonic seconds.
    observer : callable
        Returns the current observer of the version's batches.
    send : Send
    """

    def __init__(
        self,
        backlog: Backlog,
        workers: Mapping[int, Worker],
        idle: deque[Worker],
        *,
        clock: Callable[[], float],
        observer: Callable[[], BatchObserver],
        send: Send,
    ) -> None:
        self._backlog = backlog
        self._workers = workers
        self._idle = idle
        self._clock = clock
        self._observer = observer
        self._send = send

    def send_suspects(self) -> None:
        """Try suspects at idle replicas, as long as one replica is kept for all other inputs."""
        workers = list(self._workers.values())
        num_exposed = sum(worker.is_exposed for worker in workers)
        num_spared = sum(not worker.is_draining and not worker.is_exposed for worker in workers)
        for worker in list(self._idle):
            allowed = self._backlog.suspects.allowed(num_spared, num_exposed, now_s=self._clock())
            batch = self._take_suspects(worker, allowed)
            if not batch:
                return
            self._idle.remove(worker)
            self._send(worker, batch, is_trial=True)
            num_exposed += 1
            num_spared -= 1

    def send_suspects_to(self, worker: Worker) -> bool:
        """Try suspects at a replica that no other input needs; return whether there are any."""
        batch = self._take_suspects(worker, Allowed.ALL)
        if batch:
            self._send(worker, batch, is_trial=True)
        return bool(batch)

    def send_parts(self, batch_size: int) -> None:
        """Send idle replicas the parts of failed batches, except those that are less urgent than the queue."""
        queue, isolation = self._backlog.queue, self._backlog.isolation
        while self._idle and isolation.has_parts:
            if queue.num_queued and queue.earliest_deadline_s() < isolation.deadline_s:
                return
            worker = self._idle.popleft()
            if not self.send_part_to(worker, batch_size):
                self._idle.appendleft(worker)

    def send_part_to(self, worker: Worker, batch_size: int) -> bool:
        """Send a replica the next part that clients wait for; return whether there is one."""
        isolation = self._backlog.isolation
        while isolation.has_parts:
            part, unwanted = isolation.take(batch_size if batch_size > 0 else sys.maxsize)
            if unwanted:
                self._observer().batch_failed(len(unwanted))
            for computation in unwanted:
                computation.fail("No client waits for it.")
            if part is not None:
                self._observer().part_sent(len(part.computations))
                self._send(worker, part.computations, search=part.search)
                return True
        return False

    def _take_suspects(self, worker: Worker, allowed: Allowed) -> list[Computation]:
        alone_s = worker.latency_model.predict_late_s(1)
        max_size = worker.policy.next_size(self._backlog.queue.tightest_slo_s())
        return self._backlog.suspects.take(allowed, alone_s=alone_s, max_size=max_size, now_s=self._clock())
