"""Whether a replica that has just answered should wait for the clients that it answered. (pure)

Clients that each wait for their answer before they ask again come back in groups: while one group's batch is computed
the other group waits, and each batch pays the model's fixed cost for half of them. Together they pay it once. That is
quicker if the way back takes less than that fixed cost: with a latency of a + b n for n inputs, two groups take
2 a + b n for what one takes a + b n and the way back for. Clients that come by themselves, or seldom, take longer than
that to be as many again, so nothing waits for them.
"""

from __future__ import annotations

from clipper_nb.runtime.batching.batch_size import LATENCY_SHARE
from clipper_nb.runtime.batching.latency_model import LatencyModel


class BatchDelay:
    """Learns how long answered clients take to come back, and says until when to wait for them.

    Parameters
    ----------
    latency_model : LatencyModel
        How long the replica takes.
    """

    def __init__(self, latency_model: LatencyModel) -> None:
        self._latency_model = latency_model
        self._return_model = LatencyModel()  # of the time until as many have come as were answered
        self._num_answered = 0
        self._answered_s = 0.0
        self.num_missing = 0
        """How many fewer have come since the last answer than it answered; counted by the caller."""
        self.target = 0
        """For how many queries in the queue to wait; 0 when there is no reason to wait."""
        self.until_s = 0.0
        """How long at most."""

    def pays(self, num_answered: int) -> bool:
        """Whether clients are likely to be back within the fixed cost of a batch."""
        models_are_settled = self._return_model.is_settled and self._latency_model.is_settled
        return models_are_settled and self._return_model.predict_late_s(num_answered) < self._latency_model.predict_s(0)

    def answered(self, num_answered: int, num_queued: int, max_size: int, slo_s: float, *, now_s: float) -> None:
        """A batch was answered, and *num_queued* others wait: decide whether to wait for those who come back.

        *max_size* is the size of the largest batch, and *slo_s* the tightest SLO of those that wait and were answered.
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
        """As many queries have come as were answered."""
        self._return_model.observe(self._num_answered, now_s - self._answered_s)

    def should_wait(self, num_queued: int, *, now_s: float) -> bool:
        """Whether to wait for more."""
        return num_queued < self.target and now_s < self.until_s
