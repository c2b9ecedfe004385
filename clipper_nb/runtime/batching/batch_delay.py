"""Decides whether a replica should wait for the next queries of the clients that it just answered. (pure)

Clients that wait for each answer before they send the next query come back in groups: while one group's batch is
computed the other group waits, and each batch pays the model's fixed cost for half of the clients. In one batch they
pay it once. That is faster if the way back takes less than the fixed cost: with a latency of a + b n for n inputs, two
groups take 2 a + b n, while one takes a + b n plus the way back. Independent or infrequent clients take longer to
become as many again, so no replica waits for them.
"""

from __future__ import annotations

from clipper_nb.runtime.batching.batch_size import LATENCY_SHARE
from clipper_nb.runtime.batching.latency_model import LatencyModel


class BatchDelay:
    """Learns how long answered clients take to come back, and decides how long to wait for them.

    Parameters
    ----------
    latency_model : LatencyModel
        How long the replica takes.
    """

    def __init__(self, latency_model: LatencyModel) -> None:
        self._latency_model = latency_model
        self._return_model = LatencyModel()  # of the time until as many queries have come as were answered
        self._num_answered = 0
        self._answered_s = 0.0
        self.num_missing = 0
        """How many queries are still missing until as many have come as were last answered; counted by the caller."""
        self.target = 0
        """How many queued queries to wait for; 0 if there is no reason to wait."""
        self.until_s = 0.0
        """When to stop waiting."""

    def pays(self, num_answered: int) -> bool:
        """Return whether clients are likely to be back within the fixed cost of a batch."""
        models_are_settled = self._return_model.is_settled and self._latency_model.is_settled
        return models_are_settled and self._return_model.predict_late_s(num_answered) < self._latency_model.predict_s(0)

    def answered(self, num_answered: int, num_queued: int, max_size: int, slo_s: float, *, now_s: float) -> None:
        """Decide after an answered batch, while *num_queued* others wait, whether to wait for clients to come back.

        *max_size* is the size of the largest batch, and *slo_s* the tightest SLO of the queued and the answered.
        """
        if self.num_missing:  # they were slower than the model
            self._return_model.observe(self._num_answered, now_s - self._answered_s)
        self._num_answered = self.num_missing = num_answered
        self._answered_s = now_s
        self.target = 0
        size = min(max_size, num_queued + num_answered)
        if size > max(1, num_queued) and self.pays(num_answered):
            wait_s = self._return_model.predict_late_s(num_answered)
            if wait_s + self._latency_model.predict_late_s(size) <= LATENCY_SHARE * slo_s:
                self.target, self.until_s = size, now_s + wait_s

    def all_have_come(self, *, now_s: float) -> None:
        """Record that as many queries have come as were answered."""
        self._return_model.observe(self._num_answered, now_s - self._answered_s)

    def should_wait(self, num_queued: int, *, now_s: float) -> bool:
        """Return whether to wait for more queries."""
        return num_queued < self.target and now_s < self.until_s
