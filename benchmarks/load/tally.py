"""What became of the queries of one run, as its clients count it."""

from __future__ import annotations

import time
from collections import Counter

_MAX_EXAMPLES = 5


class Latencies:
    """Counts latencies in tenths of a millisecond, and what is longer than two seconds together."""

    _PER_S = 10_000

    def __init__(self) -> None:
        self._counts = [0] * (2 * self._PER_S + 1)
        self._num = 0
        self._max_s = 0.0
        self.max_at_s = 0.0
        """The instant at which the longest ended."""

    def add(self, latency_s: float) -> None:
        """Count one."""
        self._counts[min(int(latency_s * self._PER_S), len(self._counts) - 1)] += 1
        self._num += 1
        if latency_s > self._max_s:
            self._max_s, self.max_at_s = latency_s, time.monotonic()

    def quantile_ms(self, share: float) -> float:
        """Return what that share of the latencies did not exceed."""
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= share * self._num:
                return min((bucket + 1) * 1000 / self._PER_S, 1000 * self._max_s)
        return 0.0

    def num_above(self, limit_s: float) -> int:
        """Return how many were longer."""
        return sum(self._counts[int(limit_s * self._PER_S) :])

    def as_dict(self) -> dict[str, float]:
        """Return the usual quantiles."""
        shares = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
        return {name: self.quantile_ms(share) for name, share in shares.items()} | {"max_ms": 1000 * self._max_s}


class Tally:
    """What became of the queries of one run."""

    def __init__(self) -> None:
        self.began_s = time.monotonic()
        self.num_sent = 0
        self.num_answered = 0
        self.num_predictions = 0
        self.defaults: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.num_wrong = 0
        self.num_lost = 0
        self.num_tried_again = 0
        self.num_silent = 0
        self.latencies = Latencies()
        self.latencies_tried_again = Latencies()
        self.longest_lag_s = 0.0
        self.num_sent_late = 0
        self.examples: list[str] = []

    def note(self, what: str) -> None:
        """Keep the first few things that went wrong."""
        if len(self.examples) < _MAX_EXAMPLES:
            self.examples.append(f"{time.monotonic() - self.began_s:.3f} s: {what}")
