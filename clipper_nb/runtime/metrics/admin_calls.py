"""Every metric of the management frontend: admin calls by path and status."""

from __future__ import annotations

import time
from collections.abc import Callable

from clipper_nb.protocol import metric_names
from clipper_nb.runtime.metrics.exposition import Family, format_families, format_labels


class AdminCalls:
    """How many admin calls were answered, by path and status.

    Parameters
    ----------
    clock : callable
        Seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._begun_at: dict[str, float] = {}

    def count(self, path: str, status: int) -> None:
        """Count a call."""
        labels = format_labels({"path": path, "status": str(status)})
        if labels not in self._counts:
            self._counts[labels] = 0
            self._begun_at[labels] = self._clock()
        self._counts[labels] += 1

    def families(self) -> list[Family]:
        """Return the counter, and the time when each of its series began."""
        documentation = "Admin calls by path and status"
        return [
            Family(metric_names.ADMIN_REQUESTS, documentation, "counter", _series(self._counts)),
            Family(metric_names.ADMIN_REQUESTS_CREATED, documentation, "gauge", _series(self._begun_at)),
        ]

    async def exposition(self) -> list[bytes]:
        """Return the metrics as Prometheus text, in one part: there are few."""
        return [format_families(self.families())]


def _series(values: dict[str, int] | dict[str, float]) -> list[tuple[str, list[float]]]:
    return [(labels, [value]) for labels, value in values.items()]
