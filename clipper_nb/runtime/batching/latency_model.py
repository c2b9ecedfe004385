"""Predicts how long a batch of a given size takes at one replica. (pure)"""

from __future__ import annotations

_MEMORY = 0.95
"""Weight of the past when a batch is added: about the last twenty batches count."""
_SETTLED_WEIGHT = 8.0


class LatencyModel:
    """A line through the latencies of recent batches over their sizes, by least squares with fading weights."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._mean_size = 0.0
        self._mean_latency_s = 0.0
        self._size_variance = 0.0  # sums of weighted products of deviations, as in Welford's algorithm
        self._covariance = 0.0
        self._slope_s = 0.0
        self._mean_error_s = 0.0

    @property
    def is_settled(self) -> bool:
        """True if it has seen more than a few batches."""
        return self._weight > _SETTLED_WEIGHT

    def observe(self, size: int, latency_s: float) -> None:
        """Record that a batch of *size* took *latency_s*."""
        error_s = abs(latency_s - self.predict_s(size)) if self._weight else 0.0
        self._weight = weight = _MEMORY * self._weight + 1.0
        self._mean_error_s += (error_s - self._mean_error_s) / weight
        size_deviation = size - self._mean_size
        self._mean_size = mean_size = self._mean_size + size_deviation / weight
        self._mean_latency_s += (latency_s - self._mean_latency_s) / weight
        self._size_variance = variance = _MEMORY * self._size_variance + size_deviation * (size - mean_size)
        self._covariance = _MEMORY * self._covariance + size_deviation * (latency_s - self._mean_latency_s)
        # Nearly equal sizes say nothing about the slope, so it stays as it is.
        if variance > 0.01 * weight * mean_size * mean_size:
            self._slope_s = max(0.0, self._covariance / variance)  # a larger batch is never faster

    def predict_late_s(self, size: int) -> float:
        """Return how long a slow batch of *size* takes: the expected time plus three typical errors."""
        return self.predict_s(size) + 3.0 * self._mean_error_s

    def predict_s(self, size: int) -> float:
        """Return how long a batch of *size* is likely to take; 0 before the first batch."""
        latency_s = self._mean_latency_s + self._slope_s * (size - self._mean_size)
        return latency_s if latency_s > 0.0 else 0.0
