"""A connected replica as the dispatcher sees it: the batches it has, and its latencies."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clipper_nb.protocol.request_origin import Origins
from clipper_nb.runtime.batching.batch_delay import BatchDelay
from clipper_nb.runtime.batching.batch_size import BatchSizePolicy, make_batch_size_policy
from clipper_nb.runtime.batching.isolation import Search
from clipper_nb.runtime.batching.latency_model import LatencyModel
from clipper_nb.runtime.batching.query import Computation

OVERDUE_FACTOR = 2.0
OVERDUE_SLO_SHARE = 0.25
"""Share of its SLO that a query waits behind an overdue batch, before it goes to another replica."""
HANG_SLO_FACTOR = 10.0
"""A batch hangs at the earliest after this many times the longest SLO of its queries."""


class ReplicaConnection(Protocol):
    """The interface of a connected replica for the dispatcher."""

    @property
    def replica_id(self) -> int:
        """Number of the replica within its version."""

    @property
    def max_batches_in_flight(self) -> int:
        """How many batches it accepts before it has answered the first."""

    def send_batch(self, payloads: Sequence[bytes], origins: Origins = ()) -> bool:
        """Send one batch, and the known origins of its queries; return whether the replica can still be reached."""

    def end(self, reason: str) -> None:
        """End the replica's process, if that can be done from here, and report it as lost afterwards."""


@dataclass
class Batch:
    """A batch that was sent to a replica and not yet answered."""

    computations: list[Computation]
    sent_s: float
    is_trial: bool = False
    """True if these are suspects, which may end the replica."""
    search: Search | None = None
    """Set if it is a part of a batch that the model raised on."""
    is_withdrawn: bool = False
    """True if its computations went to other replicas instead; its answer is ignored."""


@dataclass
class Worker:
    """A connected replica and its unanswered batches."""

    connection: ReplicaConnection
    policy: BatchSizePolicy
    latency_model: LatencyModel
    batch_delay: BatchDelay
    batches: deque[Batch] = field(default_factory=deque)
    """In the order of sending, which is the order of the answers."""
    answered_s: float = 0.0
    """When it answered its last batch."""
    is_draining: bool = False
    may_finish_queue: bool = True

    @property
    def is_exposed(self) -> bool:
        """True if it is busy with suspects."""
        return bool(self.batches) and self.batches[0].is_trial

    def can_take_more(self, now_s: float) -> bool:
        """Return whether it may get a batch before it has answered the one that it has."""
        accepts_it = len(self.batches) == 1 and self.connection.max_batches_in_flight > 1
        is_usual = self.latency_model.is_settled and not self.is_draining and not self.is_exposed
        return accepts_it and is_usual and not self.is_overdue(now_s)

    def learn(self, size: int, now_s: float) -> None:
        """Adapt to the time that its oldest batch, which is answered now, has taken."""
        latency_s = now_s - max(self.batches[0].sent_s, self.answered_s)  # not before the preceding batch was done
        self.latency_model.observe(size, latency_s)
        self.policy.observe(size, latency_s)

    def is_overdue(self, now_s: float) -> bool:
        """Return whether its first batch takes much longer than such batches do: it may never end."""
        batch = self.batches[0]
        late_s = self.latency_model.predict_late_s(len(batch.computations))
        return now_s - max(batch.sent_s, self.answered_s) > OVERDUE_FACTOR * late_s

    def holds_up_from_s(self) -> float:
        """Return from when on another replica should compute its second batch, if the first is overdue then."""
        if len(self.batches) < 2 or not self.batches[1].computations:
            return math.inf
        second = self.batches[1]
        return second.sent_s + OVERDUE_SLO_SHARE * second.computations[0].slo_s

    def hangs_from_s(self, hang_timeout_s: float) -> float:
        """Return from when on its first batch takes so long that it must be taken for one that never ends."""
        batch = self.batches[0]
        longest_slo_s = max((computation.longest_slo_s() for computation in batch.computations), default=0.0)
        return max(batch.sent_s, self.answered_s) + max(HANG_SLO_FACTOR * longest_slo_s, hang_timeout_s)

    def make_obsolete(self) -> None:
        """Let no other replica compute what it is busy with, if it is lost."""
        for batch in self.batches:
            for computation in batch.computations:
                computation.is_obsolete = True

    def busy_s(self, now_s: float) -> float:
        """Return how long its batches are likely to keep it busy."""
        if not self.batches:
            return 0.0
        first, *others = self.batches
        began_s = max(first.sent_s, self.answered_s)
        rest_s = max(0.0, began_s + self.latency_model.predict_s(len(first.computations)) - now_s)
        return rest_s + sum(self.latency_model.predict_s(len(batch.computations)) for batch in others)


def make_worker(connection: ReplicaConnection, batch_size: int) -> Worker:
    """Return a replica without batches, for a version with that ``batch_size``."""
    latency_model = LatencyModel()
    policy = make_batch_size_policy(batch_size, latency_model)
    return Worker(connection, policy, latency_model, BatchDelay(latency_model))
