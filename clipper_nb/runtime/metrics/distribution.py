"""How observations are spread over buckets, and for each bucket the last of them that belongs to a trace. (pure)"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from clipper_nb.runtime.metrics.exposition import Exemplar

_MAX_PENDING: Final = 512


class Distribution:
    """How many observations fell into each bucket, and their sum.

    They are kept until there are many, or somebody asks: sorted, they cost a fraction of what each costs alone.

    Parameters
    ----------
    bounds : sequence of float
        The upper bounds of the buckets, in growing order; there is one more bucket, without a bound.
    """

    __slots__ = ("_bounds", "_counts", "_exemplars", "_pending", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._pending: list[float] = []
        self._exemplars: dict[int, Exemplar] = {}

    def observe(self, value: float) -> None:
        """Count one observation."""
        pending = self._pending
        pending.append(value)
        if len(pending) >= _MAX_PENDING:
            self._count_pending()

    def observe_often(self, count: int, value: float) -> None:
        """Count *count* equal observations."""
        self._counts[bisect_left(self._bounds, value)] += count
        self._sum += count * value

    def set_exemplar(self, value: float, trace_id: str, observed_at: float) -> None:
        """Name the trace of a counted observation, in place of the one before in its bucket.

        Parameters
        ----------
        value : float
        trace_id : str
        observed_at : float
            Seconds since the epoch.
        """
        self._exemplars[bisect_left(self._bounds, value)] = Exemplar(trace_id, value, observed_at)

    def values(self, *, num_lowest: int = 0) -> list[float]:
        """Return the counts of the buckets and the sum, with *num_lowest* unrecorded observations of 0."""
        self._count_pending()
        values: list[float] = [*self._counts, self._sum]
        values[0] += num_lowest
        return values

    def exemplars(self) -> dict[int, Exemplar]:
        """Return the exemplars by the number of their bucket."""
        return self._exemplars.copy()

    def _count_pending(self) -> None:
        pending, self._pending = self._pending, []
        self._sum += sum(pending)
        pending.sort()
        num_before = 0
        for position, bound in enumerate(self._bounds):
            num_until = bisect_right(pending, bound, num_before)
            self._counts[position] += num_until - num_before
            num_before = num_until
        self._counts[-1] += len(pending) - num_before
