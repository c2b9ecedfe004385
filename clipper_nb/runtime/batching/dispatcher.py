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
model raised on is computed again in parts (``isolation.py``).
"""

from __future__ import annotations

import logging
import math
import sys
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import DEFAULT_HANG_TIMEOUT_S
from clipper_nb.runtime.batching.batch_delay import BatchDelay
from clipper_nb.runtime.batching.batch_size import LATENCY_SHARE, make_batch_size_policy
from clipper_nb.runtime.batching.deadline_queue import DeadlineQueue
from clipper_nb.runtime.batching.isolation import Isolation, Search
from clipper_nb.runtime.batching.latency_model import LatencyModel
from clipper_nb.runtime.batching.query import NO_READY_REPLICA, QUEUED_TOO_LONG, Computation
from clipper_nb.runtime.batching.suspects import Allowed, Suspects, patience_ends_s
from clipper_nb.runtime.batching.worker import HANG_SLO_FACTOR, Batch, ReplicaConnection, Worker

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 2
"""How often a computation is sent: once more if its replica is lost."""
OVERLOAD_MEMORY_S = 1.0
"""How long the applications take turns after a query was given up."""


class BatchObserver(Protocol):
    """Receives every batch that ends; implemented by the metrics."""

    def batch_answered(self, size: int, latency_s: float) -> None:
        """A replica answered *size* queries *latency_s* after they were sent."""

    def batch_failed(self, size: int) -> None:
        """A model failed on *size* queries."""

    def part_sent(self, size: int) -> None:
        """*size* queries are computed again, because the model failed on their batch."""

    def batch_lost(self, size: int) -> None:
        """A replica was lost with a batch."""

    def replica_hung(self) -> None:
        """A replica is replaced, because it was busy with one batch for too long."""


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
    ) -> None:
        self.model_id = model_id
        self._batch_size = batch_size
        self._observer = observer
        self._clock = clock
        self._call_soon = call_soon
        self._call_at = call_at
        self._queue = DeadlineQueue()
        self._suspects = Suspects(model_id)
        self._isolation = Isolation()
        self.isolates_errors = True
        """Whether a batch that the model raised on is computed again in parts."""
        self._hang_timeout_s: float | None = DEFAULT_HANG_TIMEOUT_S
        self._look_for_hangs_s = math.inf  # when that is due; one timer does for all replicas
        self._takes_back = False  # whether a timer looks for what was sent ahead to replicas that are overdue
        self._workers: dict[int, Worker] = {}
        self._idle: deque[Worker] = deque()  # the one that has been idle longest is next
        self._sending_is_due = False
        self._can_send_ahead = False
        self._batch_delay: BatchDelay | None = (
            None  # of the only replica: with several, clients may come back to another one
        )
        self._is_waiting = False
        self._overloaded_until_s = -math.inf
        self.num_replicas = 0
        """Replicas that accept a batch, now or when their current one is done."""

    @property
    def queue_length(self) -> int:
        """Computations that wait for a replica."""
        return self._queue.num_queued + self._suspects.count_held() + self._isolation.count_waiting()

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
        if hang_timeout_s != self._hang_timeout_s:
            self._hang_timeout_s = hang_timeout_s
            self._look_for_hangs_s = math.inf
            self._look_for_hangs(math.inf)

    def submit(self, computation: Computation) -> None:
        """Queue a computation and send it as soon as a replica is idle."""
        if self._suspects.is_watching and self._hold(computation):
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
        latency_model = LatencyModel()
        policy = make_batch_size_policy(self._batch_size, latency_model)
        worker = Worker(connection, policy, latency_model, BatchDelay(latency_model))
        self._workers[connection.replica_id] = worker
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
            self._put_back(batch, was_tried=position == 0)
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
        self._isolation.is_trusted = True
        search = worker.batches[0].search
        if search is not None:  # a part has another size than the dispatcher would choose
            search.has_answer = True
        else:
            self._learn(worker, size, now_s)
        for computation, output in zip(self._free(worker, now_s), outputs, strict=True):
            computation.succeed(output)

    def _learn(self, worker: Worker, size: int, now_s: float) -> None:
        """Adapt to the time that the worker's oldest batch, which is answered now, has taken."""
        began_s = max(worker.batches[0].sent_s, worker.answered_s)  # not before the preceding batch was done
        worker.latency_model.observe(size, now_s - began_s)
        worker.policy.observe(size, now_s - began_s)
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
        self._fail(failed, explanation)

    def _fail(self, computations: list[Computation], explanation: str) -> None:
        if computations:
            self._observer().batch_failed(len(computations))
        for computation in computations:
            computation.fail(explanation)

    def close(self) -> None:
        """Give up all queued computations, and from now on those of lost replicas: the version is gone."""
        isolated = self._isolation.clear()
        if isolated:
            self._observer().batch_failed(len(isolated))
        for computation in (*self._queue.drain(), *self._suspects.clear(), *isolated):
            self._give_up_removed(computation)
        for worker in self._workers.values():
            for batch in worker.batches:
                for computation in batch.computations:
                    computation.is_obsolete = True

    def _free(self, worker: Worker, now_s: float) -> list[Computation]:
        """Remove and return the worker's oldest batch, which is done; the worker becomes idle if it has no other."""
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
        is_needed = worker.may_finish_queue and self.num_replicas == 0
        if is_needed and self._send_part(worker):
            return
        batch = self._take_batch(worker) if is_needed else []
        suspects = self._take_suspects(worker, Allowed.ALL) if is_needed and not batch else []
        if batch or suspects:
            self._send(worker, batch or suspects, is_trial=not batch)
        else:
            del self._workers[worker.connection.replica_id]
            self._count_workers()

    def _count_workers(self) -> None:
        """Update what depends on the number of workers."""
        workers = list(self._workers.values())
        self._can_send_ahead = any(worker.connection.max_batches_in_flight > 1 for worker in workers)
        self._batch_delay = workers[0].batch_delay if len(workers) == 1 else None

    def _put_back(self, batch: Batch, *, was_tried: bool) -> None:
        """Queue a lost replica's batch again; a batch that it had not begun does not count as an attempt."""
        if was_tried:
            accused = [computation for computation in batch.computations if not computation.is_obsolete]
            if self._suspects.accuse(accused, now_s=self._clock()):
                logger.warning("an input ends replicas of %s: it gets an error from now on", self.model_id)
            self._put([*self._queue.drain()])
        for computation in batch.computations:
            computation.attempts += was_tried
            computation.sent_s = None
            if computation.is_obsolete:
                self._give_up_removed(computation)
            elif computation.attempts < MAX_ATTEMPTS:
                self._put([computation])
            else:
                computation.fail(
                    f"Two replicas of {self.model_id} were lost while they computed this prediction; the input may be "
                    "what ends them."
                )

    def _put(self, computations: list[Computation]) -> None:
        """Queue computations, separately if their inputs are suspected."""
        for computation in computations:
            if not self._hold(computation):
                self._queue.put(computation)

    def _hold(self, computation: Computation) -> bool:
        """Hold back a computation of a suspected input until it can be tried separately."""
        if not self._suspects.hold(computation, now_s=self._clock()):
            return False
        look_again_s = patience_ends_s(computation)
        if look_again_s < math.inf:
            self._call_at(look_again_s, self._send_later)
        self._send_later()
        return True

    def _give_up_removed(self, computation: Computation) -> None:
        computation.give_up(
            NO_READY_REPLICA,
            f"No connected models found for query: version '{self.model_id.version}' of model "
            f"'{self.model_id.name}' was removed while the query waited.",
        )

    def _send_later(self) -> None:
        if not self._sending_is_due:
            self._sending_is_due = True
            self._call_soon(self._send_batches)

    def _send_batches(self) -> None:
        self._sending_is_due = False
        if self._suspects.is_watching and self._suspects.has_held:
            self._send_suspects()
        if self._isolation.has_parts:
            self._send_parts()
        if self._should_wait():
            return
        while self._idle and self._queue.num_queued:
            batch = self._take_batch(self._idle[0])
            if batch:
                self._send(self._idle.popleft(), batch)
        if self._isolation.has_parts:
            self._send_parts()
        if self._queue.num_queued and self._can_send_ahead:
            self._send_ahead()

    def _send_parts(self) -> None:
        """Send idle replicas the parts of failed batches, except those that are less urgent than the queue."""
        while self._idle and self._isolation.has_parts:
            if self._queue.num_queued and self._queue.earliest_deadline_s() < self._isolation.deadline_s:
                return
            worker = self._idle.popleft()
            if not self._send_part(worker):
                self._idle.appendleft(worker)

    def _send_part(self, worker: Worker) -> bool:
        """Send a replica the next part that clients wait for; return whether there is one."""
        max_size = self._batch_size if self._batch_size > 0 else sys.maxsize
        while self._isolation.has_parts:
            part, unwanted = self._isolation.take(max_size)
            self._fail(unwanted, "No client waits for it.")
            if part is not None:
                self._observer().part_sent(len(part.computations))
                self._send(worker, part.computations, search=part.search)
                return True
        return False

    def _send_suspects(self) -> None:
        """Try suspects at idle replicas, as long as one replica is kept for all other inputs."""
        workers = list(self._workers.values())
        num_exposed = sum(worker.is_exposed for worker in workers)
        num_spared = sum(not worker.is_draining and not worker.is_exposed for worker in workers)
        for worker in list(self._idle):
            allowed = self._suspects.allowed(num_spared, num_exposed, now_s=self._clock())
            batch = self._take_suspects(worker, allowed)
            if not batch:
                return
            self._idle.remove(worker)
            self._send(worker, batch, is_trial=True)
            num_exposed += 1
            num_spared -= 1

    def _take_suspects(self, worker: Worker, allowed: Allowed) -> list[Computation]:
        alone_s = worker.latency_model.predict_late_s(1)
        max_size = worker.policy.next_size(self._queue.tightest_slo_s())
        return self._suspects.take(allowed, alone_s=alone_s, max_size=max_size, now_s=self._clock())

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

    def _take_back(self) -> None:
        """Queue again what was sent ahead to replicas whose first batch is overdue, because that may never end."""
        now_s = self._clock()
        look_again_s = math.inf
        for worker in self._workers.values():
            from_s = worker.holds_up_from_s()
            if from_s <= now_s and self.num_replicas > 1 and worker.is_overdue(now_s):
                batch = worker.batches[1]
                worker.batches[1] = Batch([], batch.sent_s, is_withdrawn=True)
                self._put_back(batch, was_tried=False)
                self._send_later()
            elif from_s < math.inf:
                look_again_s = min(look_again_s, from_s if from_s > now_s else 2 * now_s - worker.batches[1].sent_s)
        self._takes_back = look_again_s < math.inf
        if self._takes_back:
            self._call_at(look_again_s, self._take_back)

    def _send_ahead(self) -> None:
        """Send the next batch to replicas that are busy with their first, if that is worthwhile."""
        now_s = self._clock()
        for worker in sorted(self._workers.values(), key=lambda worker: worker.busy_s(now_s)):
            can_take_it = len(worker.batches) == 1 and worker.connection.max_batches_in_flight > 1
            may_take_it = worker.latency_model.is_settled and not worker.is_draining and not worker.is_exposed
            if can_take_it and may_take_it and not worker.is_overdue(now_s):
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
            self._overloaded_until_s = now_s + OVERLOAD_MEMORY_S
            self._call_soon(partial(self._give_up_late, too_late, expected_s))
        return batch

    def _give_up_late(self, too_late: list[Computation], expected_s: float) -> None:
        for computation in too_late:
            computation.give_up(
                QUEUED_TOO_LONG,
                "Failed to retrieve a prediction response within the specified latency SLO of "
                f"{1000 * computation.slo_s:g} ms: the queue of {self.model_id} is too long, and a batch takes about "
                f"{1000 * expected_s:.1f} ms. A faster model, more replicas or a longer SLO would help.",
            )

    def _send(
        self, worker: Worker, batch: list[Computation], *, is_trial: bool = False, search: Search | None = None
    ) -> None:
        sent = Batch(batch, self._clock(), is_trial, search)
        for computation in batch:
            computation.sent_s = sent.sent_s
        if worker.connection.send_batch([computation.payload for computation in batch]):
            worker.batches.append(sent)
            if len(worker.batches) > 1 and not self._takes_back and self.num_replicas > 1:
                self._takes_back = True
                self._call_at(worker.holds_up_from_s(), self._take_back)
            if self._look_for_hangs_s == math.inf and self._hang_timeout_s is not None:
                self._look_for_hangs_at(sent.sent_s + self._hang_timeout_s)
            return
        self._observer().batch_lost(len(batch))
        self.remove_replica(worker.connection.replica_id)
        self._put_back(sent, was_tried=False)
        self._send_later()

    def _look_for_hangs_at(self, when_s: float) -> None:
        self._look_for_hangs_s = when_s
        self._call_at(when_s, partial(self._look_for_hangs, when_s))

    def _look_for_hangs(self, due_s: float) -> None:
        """Replace the replicas whose batch never ends, and look again when the next one may be such."""
        hang_timeout_s = self._hang_timeout_s
        if hang_timeout_s is None or due_s != self._look_for_hangs_s:  # the timeout has changed
            return
        now_s = self._clock()
        look_again_s = math.inf
        for worker in list(self._workers.values()):
            if worker.batches:
                hangs_from_s = worker.hangs_from_s(hang_timeout_s)
                if hangs_from_s <= now_s:
                    self._replace(worker, now_s)
                else:
                    look_again_s = min(look_again_s, hangs_from_s)
        self._look_for_hangs_s = math.inf
        if look_again_s < math.inf:
            self._look_for_hangs_at(look_again_s)

    def _replace(self, worker: Worker, now_s: float) -> None:
        """End a replica that hangs; its inputs become suspects when it is reported as lost."""
        batch = worker.batches[0]
        reason = (
            f"it has been busy with one batch of {len(batch.computations)} for {now_s - batch.sent_s:.1f} s, which is "
            f"longer than hang_timeout_s and than {HANG_SLO_FACTOR:g} times the longest SLO of its queries."
        )
        logger.warning("replica %s of %s is replaced: %s", worker.connection.replica_id, self.model_id, reason)
        self._observer().replica_hung()
        worker.connection.end(reason)
