"""The interface of what counts the batches of one model version; implemented by the metrics."""

from __future__ import annotations

from typing import Protocol


class BatchObserver(Protocol):
    """Receives every batch that ends."""

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
