"""Decides how many queries to send a replica in one batch. (pure)

Sources: additive increase, multiplicative decrease as in Crankshaw et al., "Clipper: A Low-Latency Online Prediction
Serving System", NSDI 2017, section 4.3, after Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for
Congestion Avoidance in Computer Networks", 1989.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from clipper_nb.protocol.number_rules import ADAPTIVE_BATCH_SIZE
from clipper_nb.runtime.batching.latency_model import LatencyModel

LATENCY_SHARE = 0.45
"""Share of the SLO that one batch may take: a query can wait for the batch before its own, and both must fit."""
LARGEST_LATENCY_SHARE = 0.9
SINGLE_QUERY_FACTOR = 1.25
"""A batch may also take this much longer than a single query: a smaller one would hardly be faster."""


class BatchSizePolicy(ABC):
    """Decides the size of a replica's next batch; one policy per replica."""

    @abstractmethod
    def next_size(self, budget_s: float) -> int:
        """Return the maximum number of queries to send now, at least 1, if their tightest SLO is *budget_s*."""

    @abstractmethod
    def observe(self, size: int, latency_s: float) -> None:
        """Record that a batch, whose maximum ``next_size`` returned, had *size* queries and took *latency_s*."""


class FixedBatchSize(BatchSizePolicy):
    """A fixed maximum."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size

    def next_size(self, budget_s: float) -> int:
        return self._max_size

    def observe(self, size: int, latency_s: float) -> None:
        return


class AdaptiveBatchSize(BatchSizePolicy):
    """Grows by a fixed step while full batches fit the SLO, shrinks by a tenth when one does not."""

    INCREASE: ClassVar[int] = 2
    DECREASE_FACTOR: ClassVar[float] = 0.9
    LARGEST: ClassVar[int] = 4096

    def __init__(self, latency_model: LatencyModel) -> None:
        self._latency_model = latency_model
        self._max_size = 1.0
        self._budget_s = 0.0

    @property
    def max_size(self) -> int:
        """The current maximum."""
        return max(1, int(self._max_size))

    def next_size(self, budget_s: float) -> int:
        self._budget_s = budget_s
        return self.max_size

    def observe(self, size: int, latency_s: float) -> None:
        if latency_s > self._limit_s():
            # From the size that was sent: if a small batch is slow, a larger one would be too.
            self._max_size = max(1.0, min(self._max_size, size) * self.DECREASE_FACTOR)
        elif size >= self.max_size:
            self._max_size = min(float(self.LARGEST), self._max_size + self.INCREASE)

    def _limit_s(self) -> float:
        alone_s = SINGLE_QUERY_FACTOR * self._latency_model.predict_s(1)
        return max(LATENCY_SHARE * self._budget_s, min(alone_s, LARGEST_LATENCY_SHARE * self._budget_s))


def make_batch_size_policy(batch_size: int, latency_model: LatencyModel) -> BatchSizePolicy:
    """Return the policy for a version's ``batch_size``: -1 adapts, n > 0 is a maximum."""
    return AdaptiveBatchSize(latency_model) if batch_size == ADAPTIVE_BATCH_SIZE else FixedBatchSize(batch_size)
