"""Hands the queued computations of one model version to its replicas.

Idle replicas pull: a free replica immediately gets what is queued, at most its batch size. It waits for more queries
only from the clients that it just answered, and only if they come back sooner than a batch of their own would take
(``batch_delay.py``). Batches are sent at the end of the event loop's turn, so that queries that arrived together (one
``input_batch``, or many connections read in one turn) are sent together.

A busy replica that supports it gets its next batch before it has answered the first, which saves the round trip. This
happens only if at least as many queries wait as it is busy with, because smaller batches would cost more than it saves,
and only if both batches are likely to be done within the share of the SLO that one batch may take. A replica whose
batch is overdue gets none, and if there are others, what was sent ahead to it goes to them.

The batch of a replica that ended is tried again separately from all others (``suspects.py``), and a batch that the
model raised on is computed again in parts (``isolation.py``); ``second_tries.py`` sends both. A replica that hangs is
replaced (``hang_watch.py``).
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.batching.backlog import Backlog
from clipper_nb.runtime.batching.batch_delay import BatchDelay
from clipper_nb.runtime.batching.batch_observer import BatchObserver
from clipper_nb.runtime.batching.batch_size import LATENCY_SHARE, make_batch_size_policy
from clipper_nb.runtime.batching.hang_watch import HangWatch
from clipper_nb.runtime.batching.isolation import Search
from clipper_nb.runtime.batching.load_meter import LoadMeter
from clipper_nb.runtime.batching.overdue_watch import OverdueWatch
from clipper_nb.runtime.batching.query import Computation, Sending
from clipper_nb.runtime.batching.second_tries import SecondTries
from clipper_nb.runtime.batching.worker import Batch, ReplicaConnection, Worker, make_worker
from clipper_nb.runtime.short_waits import WakefulLoop

logger = logging.getLogger(__name__)

OVERLOAD_MEMORY_S = 1.0
"""How long the applications take turns after a query was given up."""


class Dispatcher:
    """The queue and the replicas of one model version.

    Parameters
    ----------
    model_id : ModelId
    batch_size : int
        Maximum size of a batch, or -1 to adapt; changes when the version is registered.
    observer : callable
        Returns the current observer of the version's batches.
    clock : callable
        Monotonic seconds.
    call_soon : callable
        Runs a function at the end of the event loop's turn.
    call_at : callable
        Runs a function at an instant of *clock*.
    wakeful_loop : WakefulLoop, optional
        Waits for the answer of a lone query.
    """

    def __init__(
        self,
        model_id: ModelId,
        *,
        batch_size: int,
        observer: Callable[[], BatchObserver],
        clock: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], Any],
        call_at: Callable[[float, Callable[[], None]], Any],
        wakeful_loop: WakefulLoop | None = None,
    ) -> None:
        self.model_id = model_id
        self._batch_size = batch_size
        self._observer = observer
        self._clock = clock
        self._call_soon = call_soon
        self._call_at = call_at
        self._wakeful_loop = wakeful_loop
        self._backlog = Backlog(model_id, clock=clock, call_at=call_at, send_later=self._send_later)
        self._queue = self._backlog.queue
        self._suspects = self._backlog.suspects
        self._isolation = self._backlog.isolation
        self.isolates_errors = True
        """Whether a batch that the model raised on is computed again in parts."""
        self._workers: dict[int, Worker] = {}
        self.load = LoadMeter(self._workers, clock=clock)
        self._hang_watch = HangWatch(self._workers, clock=clock, call_at=call_at, on_hang=self._replace)
        self._overdue_watch = OverdueWatch(self._workers, clock=clock, call_at=call_at, take_back=self._take_back)
        self._idle: deque[Worker] = deque()  # the one that has been idle longest is next
        self._second_tries = SecondTries(
            self._backlog, self._workers, self._idle, clock=clock, observer=observer, send=self._send
        )
        self._sending_is_due = False
        self._can_send_ahead = False
        # Of the only replica: with several, clients may come back to another one.
        self._batch_delay: BatchDelay | None = None
        self._is_waiting = False
        self._overloaded_until_s = -math.inf
        self.num_replicas = 0
        """Replicas that accept a batch, now or when their current one is done."""

    @property
    def queue_length(self) -> int:
        """Computations that wait for a replica."""
        return self._backlog.num_waiting

    def is_held(self, computation: Computation) -> bool:
        """Return whether *computation* waits to be tried separately, because a replica ended with its input."""
        return self._suspects.is_held(computation)

    def is_isolated(self, computation: Computation) -> bool:
        """Return whether *computation* waits to be computed again, because the model raised on its batch."""
        return self._isolation.is_waiting(computation)

    def has_replica(self, replica_id: int) -> bool:
        """Return whether that replica gets batches."""
        worker = self._workers.get(replica_id)
        return worker is not None and not worker.is_draining

    def set_batch_size(self, batch_size: int) -> None:
        """Use another batch size from now on."""
        if batch_size != self._batch_size:
            self._batch_size = batch_size
            for worker in self._workers.values():
                worker.policy = make_batch_size_policy(batch_size, worker.latency_model)

    def set_hang_timeout(self, hang_timeout_s: float | None) -> None:
        """Replace a replica after this long at one batch, and ten times its longest SLO; ``None`` is never."""
        self._hang_watch.set_timeout(hang_timeout_s)

    def submit(self, computation: Computation) -> None:
        """Queue a computation and send it as soon as a replica is idle."""
        if self._suspects.is_watching and self._backlog.hold(computation):
            return
        self._queue.put(computation)
        batch_delay = self._batch_delay
        if batch_delay is not None and batch_delay.num_missing:
            batch_delay.num_missing -= 1
            if not batch_delay.num_missing:
                batch_delay.all_have_come(now_s=self._clock())
        if not self._sending_is_due and (self._idle or self._can_send_ahead):
            self._send_later()

    def move_deadline_earlier(self, computation: Computation, *, deadline_s: float, slo_s: float) -> None:
        """Move a submitted computation to an earlier deadline."""
        self._queue.move_deadline_earlier(computation, deadline_s=deadline_s, slo_s=slo_s)

    def add_replica(self, connection: ReplicaConnection) -> None:
        """Use a ready replica, also one that was draining."""
        known = self._workers.get(connection.replica_id)
        if known is not None:
            self.num_replicas += known.is_draining
            known.is_draining = False
            known.may_finish_queue = True
            return
        worker = self._workers[connection.replica_id] = make_worker(connection, self._batch_size)
        self._count_workers()
        self._suspects.replica_joined()
        self.num_replicas += 1
        self._idle.append(worker)
        self._send_later()

    def drain_replica(self, replica_id: int, *, may_finish_queue: bool = True) -> None:
        """Send the replica no new batches; it finishes those it has, and the last replica also finishes the queue."""
        worker = self._workers.get(replica_id)
        if worker is None:
            return
        worker.may_finish_queue = may_finish_queue
        if worker.is_draining:
            return
        worker.is_draining = True
        self.num_replicas -= 1
        if not worker.batches:
            self._idle.remove(worker)
            self._finish_queue_or_forget(worker)

    def remove_replica(self, replica_id: int) -> None:
        """Forget a lost replica; its batches go to another one while their deadlines allow."""
        worker = self._workers.pop(replica_id, None)
        if worker is None:
            return
        self._count_workers()
        if not worker.is_draining:
            self.num_replicas -= 1
            self._suspects.replica_lost(now_s=self._clock())
        if worker in self._idle:
            self._idle.remove(worker)
        for position, batch in enumerate(worker.batches):
            self._observer().batch_lost(len(batch.computations))
            self._backlog.put_back(batch.computations, was_tried=position == 0)
        if worker.batches:
            worker.batches.clear()
            self._send_later()

    def batch_answered(self, replica_id: int, outputs: Sequence[str]) -> None:
        """Answer the queries of the replica's oldest batch, and send it the next."""
        worker = self._workers[replica_id]
        size = len(worker.batches[0].computations)
        if worker.batches[0].is_withdrawn:
            self._free(worker, self._clock())
            return
        if len(outputs) != size:
            self.batch_failed(
                replica_id,
                f"The model returned {len(outputs)} outputs for {size} inputs; it must return one per input, in order.",
                is_of_batch=True,
            )
            return
        now_s = self._clock()
        self._observer().batch_answered(size, now_s - worker.batches[0].sent_s)
        self._isolation.num_failures = 0
        if size == 1 and self._wakeful_loop is not None:
            self._wakeful_loop.answered(now_s)
        search = worker.batches[0].search
        if search is not None:  # a part has another size than the dispatcher would choose
            search.has_answer = True
        else:
            self._learn(worker, size, now_s)
        for computation, output in zip(self._free(worker, now_s), outputs, strict=True):
            computation.succeed(output)

    def _learn(self, worker: Worker, size: int, now_s: float) -> None:
        """Adapt to the time that the worker's oldest batch, which is answered now, has taken."""
        worker.learn(size, now_s)
        if self._batch_delay is not None:
            slo_s = min(self._queue.tightest_slo_s(), worker.batches[0].computations[0].slo_s)
            self._batch_delay.answered(size, self._queue.num_queued, worker.policy.next_size(slo_s), slo_s, now_s=now_s)

    def batch_failed(self, replica_id: int, explanation: str, *, is_of_batch: bool = False) -> None:
        """Compute the replica's oldest batch again in parts, or answer its queries with the default output.

        *is_of_batch* says that the batch failed as a whole, so that its parts would tell nothing: outputs of a wrong
        number may be those of other inputs.
        """
        worker = self._workers[replica_id]
        batch = worker.batches[0]
        failed = batch.computations
        if failed and self.isolates_errors and not is_of_batch:
            failed = self._isolation.split(batch.computations, batch.search)
        self._free(worker, self._clock())
        if failed:
            self._observer().batch_failed(len(failed))
        for computation in failed:
            computation.fail(explanation)

    def close(self) -> None:
        """Give up all queued computations, and from now on those of lost replicas: the version is gone."""
        if num_failed := self._backlog.give_up_all():
            self._observer().batch_failed(num_failed)
        for worker in self._workers.values():
            worker.make_obsolete()

    def _free(self, worker: Worker, now_s: float) -> list[Computation]:
        """Remove and return the worker's oldest batch, which is done; the worker becomes idle if it has no other."""
        self.load.batch_done(worker, now_s)
        done = worker.batches.popleft()
        worker.answered_s = now_s
        if self._suspects.is_watching:
            for computation in self._suspects.acquit(done.computations):
                self._queue.put(computation)
        if not worker.batches:
            if worker.is_draining:
                self._finish_queue_or_forget(worker)
            else:
                self._idle.append(worker)
        if self._queue.num_queued or self._suspects.is_watching or self._isolation.has_parts:
            self._send_later()
        return done.computations

    def _finish_queue_or_forget(self, worker: Worker) -> None:
        """Let a draining replica go, unless queries wait and there is no other replica."""
        if worker.may_finish_queue and self.num_replicas == 0 and self._send_something(worker):
            return
        del self._workers[worker.connection.replica_id]
        self._count_workers()

    def _send_something(self, worker: Worker) -> bool:
        """Send the only replica, which has no batch, the next; return whether anything waits."""
        if self._second_tries.send_part_to(worker, self._batch_size):
            return True
        batch = self._take_batch(worker)
        if batch:
            self._send(worker, batch)
        return bool(batch) or self._second_tries.send_suspects_to(worker)

    def _count_workers(self) -> None:
        """Update what depends on the number of workers."""
        workers = list(self._workers.values())
        self._can_send_ahead = any(worker.connection.max_batches_in_flight > 1 for worker in workers)
        self._batch_delay = workers[0].batch_delay if len(workers) == 1 else None

    def _send_later(self) -> None:
        if not self._sending_is_due:
            self._sending_is_due = True
            self._call_soon(self._send_batches)

    def _send_batches(self) -> None:
        self._sending_is_due = False
        if self._suspects.is_watching and self._suspects.has_held:
            self._second_tries.send_suspects()
        if self._isolation.has_parts:
            self._second_tries.send_parts(self._batch_size)
        if self._should_wait():
            return
        while self._idle and self._queue.num_queued:
            if batch := self._take_batch(self._idle[0]):
                self._send(self._idle.popleft(), batch)
        if self._isolation.has_parts:
            self._second_tries.send_parts(self._batch_size)
        if self._queue.num_queued and self._can_send_ahead and not self._isolation.has_parts:  # they need an idle one
            self._send_ahead()

    def _should_wait(self) -> bool:
        """Return whether to wait for queries that are about to come back; a timer ends the wait."""
        batch_delay = self._batch_delay
        if batch_delay is None or not batch_delay.target or not self._idle:
            return False
        if not batch_delay.should_wait(self._queue.num_queued, now_s=self._clock()):
            return False
        if not self._is_waiting and self._queue.num_queued:
            self._is_waiting = True
            self._call_at(batch_delay.until_s, self._stop_waiting)
        return True

    def _stop_waiting(self) -> None:
        self._is_waiting = False
        self._send_batches()

    def _take_back(self, worker: Worker) -> bool:
        """Let another replica compute what was sent ahead to *worker*, whose first batch is overdue."""
        if self.num_replicas < 2:
            return False
        batch = worker.batches[1]
        worker.batches[1] = Batch([], batch.sent_s, is_withdrawn=True)
        self._backlog.put_back(batch.computations, was_tried=False)
        self._send_later()
        return True

    def _send_ahead(self) -> None:
        """Send the next batch to replicas that are busy with their first, if that is worthwhile."""
        now_s = self._clock()
        for worker in sorted(self._workers.values(), key=lambda worker: worker.busy_s(now_s)):
            if worker.can_take_more(now_s):
                size = min(self._queue.num_queued, worker.policy.next_size(self._queue.tightest_slo_s()))
                done_s = worker.busy_s(now_s) + worker.latency_model.predict_s(size)
                num_ahead = len(worker.batches[0].computations)
                is_worth_it = size >= num_ahead and not (self._batch_delay and self._batch_delay.pays(num_ahead))
                if is_worth_it and done_s <= LATENCY_SHARE * self._queue.tightest_slo_s():
                    batch = self._take_batch(worker)
                    if batch:
                        self._send(worker, batch)

    def _take_batch(self, worker: Worker) -> list[Computation]:
        """Return the worker's next batch; computations that are too late are given up right after it is sent."""
        now_s = self._clock()
        size = worker.policy.next_size(self._queue.tightest_slo_s())
        expected_s = worker.latency_model.predict_late_s(min(size, self._queue.num_queued)) + worker.busy_s(now_s)
        in_turn = now_s < self._overloaded_until_s
        batch, too_late = self._queue.take(size, done_by_s=now_s + expected_s, in_turn=in_turn)
        if too_late:
            self.load.given_up(len(too_late))
            self._overloaded_until_s = now_s + OVERLOAD_MEMORY_S
            self._call_soon(partial(self._backlog.give_up_late, too_late, expected_s))
        return batch

    def _send(
        self, worker: Worker, batch: list[Computation], *, is_trial: bool = False, search: Search | None = None
    ) -> None:
        sent = Batch(batch, self._clock(), is_trial, search)
        is_traced = False
        sending = Sending(sent.sent_s, len(batch), worker.connection.replica_id)
        for computation in batch:
            computation.sent_s = sent.sent_s
            computation.sending = sending
            is_traced |= computation.is_traced
        origins = [computation.origins() for computation in batch] if is_traced else ()
        if worker.connection.send_batch([computation.payload for computation in batch], origins):
            worker.batches.append(sent)
            if len(worker.batches) > 1 and self.num_replicas > 1:
                self._overdue_watch.sent_ahead(worker)
            self._hang_watch.batch_sent(sent.sent_s)
            if len(batch) == 1 and self._wakeful_loop is not None:
                self._wakeful_loop.asked(sent.sent_s)
            return
        self._observer().batch_lost(len(batch))
        self.remove_replica(worker.connection.replica_id)
        self._backlog.put_back(batch, was_tried=False)
        self._send_later()

    def _replace(self, worker: Worker, reason: str) -> None:
        """End a replica that hangs; its inputs become suspects when it is reported as lost."""
        logger.warning("replica %s of %s is replaced: %s", worker.connection.replica_id, self.model_id, reason)
        self._observer().replica_hung()
        worker.connection.end(reason)
