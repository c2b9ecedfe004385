"""A connected replica as the dispatcher sees it: what it is busy with, and how it has been doing."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clipper_nb.runtime.batching.batch_delay import BatchDelay
from clipper_nb.runtime.batching.batch_size import BatchSizePolicy
from clipper_nb.runtime.batching.latency_model import LatencyModel
from clipper_nb.runtime.batching.query import Computation


class ReplicaConnection(Protocol):
    """What the dispatcher needs of a connected replica."""

    @property
    def replica_id(self) -> int:
        """Number of the replica among its version's."""

    @property
    def max_batches_in_flight(self) -> int:
        """How many batches it takes before it has answered the first."""

    def send_batch(self, payloads: Sequence[bytes]) -> bool:
        """Send one batch; return whether the replica can still be reached."""


@dataclass
class Batch:
    """What a replica was sent and has not answered."""

    computations: list[Computation]
    sent_s: float
    is_trial: bool = False
    """Whether these are suspects, which the replica may not survive."""


@dataclass
class Worker:
    """A connected replica and what it is busy with."""

    connection: ReplicaConnection
    policy: BatchSizePolicy
    latency_model: LatencyModel
    batch_delay: BatchDelay
    batches: deque[Batch] = field(default_factory=deque)
    """In the order in which they were sent, which is the order of their answers."""
    answered_s: float = 0.0
    """When it answered its last batch."""
    is_draining: bool = False
    may_finish_queue: bool = True

    @property
    def is_exposed(self) -> bool:
        """Whether it is busy with suspects."""
        return bool(self.batches) and self.batches[0].is_trial

    def busy_s(self, now_s: float) -> float:
        """Return for how long it is likely to be busy with what it has."""
        if not self.batches:
            return 0.0
        first, *others = self.batches
        began_s = max(first.sent_s, self.answered_s)
        rest_s = max(0.0, began_s + self.latency_model.predict_s(len(first.computations)) - now_s)
        return rest_s + sum(self.latency_model.predict_s(len(batch.computations)) for batch in others)
