"""Counts the answers of a version that is rolled out, and those of all others. (pure)"""

from __future__ import annotations

from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.roll_out import ArmCounts, RollOut, RollOutCounts

LATE_REASONS = frozenset({"queued_too_long", "model_too_slow", "no_ready_replica"})
"""Default outputs that count as slow: no prediction came within the SLO."""


class _Arm:
    def __init__(self) -> None:
        self.num_queries = self.num_defaults = self.num_slow = 0

    def counts(self) -> ArmCounts:
        return ArmCounts(self.num_queries, self.num_defaults, self.num_slow)


class RollOutCounter:
    """What one query frontend counts of one roll-out.

    Parameters
    ----------
    roll_out : RollOut
    """

    def __init__(self, roll_out: RollOut) -> None:
        self.roll_out = roll_out
        self._model_id = roll_out.plan.model_id
        self._max_latency_s = roll_out.plan.max_latency_s
        self._candidate = _Arm()
        self._baseline = _Arm()

    def answered(self, model_id: ModelId | None, reason: str | None, latency_s: float) -> None:
        """Count an answer; *reason* is why it was the default output, or ``None``."""
        arm = self._candidate if model_id == self._model_id else self._baseline
        arm.num_queries += 1
        arm.num_defaults += reason is not None
        arm.num_slow += reason in LATE_REASONS or (reason is None and latency_s > self._max_latency_s)

    def counts(self) -> RollOutCounts:
        """Return what was counted."""
        return RollOutCounts(self._candidate.counts(), self._baseline.counts())
