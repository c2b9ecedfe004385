"""The load of one version over the last seconds, from what the query frontends announce. (pure)"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from clipper_nb.protocol.autoscaling import VersionLoad
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import FrontendPresence


@dataclass(frozen=True)
class Load:
    """What a version's replicas had to do, on average over some seconds."""

    waiting: float
    """The share of its SLO that a query waited for a replica; 0 without queries."""
    work: float
    """How many replicas' time was used; with several query frontends, at most."""


@dataclass(frozen=True)
class _Sample:
    at_s: float
    num_queries: int
    waited: float
    busy_s: float


class LoadHistory:
    """The announcements of each query frontend that are needed to know the last *period_s*.

    Times are those of the frontends' own clocks, so it does not matter when an announcement was read.

    Parameters
    ----------
    model_id : ModelId
    period_s : float
    """

    def __init__(self, model_id: ModelId, period_s: float) -> None:
        self._model_id = model_id
        self._period_s = period_s
        self._samples: dict[str, deque[_Sample]] = {}

    def add(self, frontends: Iterable[FrontendPresence]) -> None:
        """Add what the living query frontends announced last, and forget the others."""
        before, self._samples = self._samples, {}
        for frontend in frontends:
            samples = self._samples[frontend.frontend_id] = before.get(frontend.frontend_id) or deque()
            found = [each for each in frontend.loads if (each.model_name, each.model_version) == self._model_id]
            if found:
                self._add(samples, _sample(frontend.announced_at, found[0]))

    def load(self) -> Load | None:
        """Return the load over the period, or ``None`` while a frontend has not announced for that long."""
        num_queries, waited, work = 0, 0.0, 0.0
        for samples in self._samples.values():
            if not samples or samples[-1].at_s - samples[0].at_s < self._period_s:
                return None
            first, last = samples[0], samples[-1]
            num_queries += last.num_queries - first.num_queries
            waited += last.waited - first.waited
            work += (last.busy_s - first.busy_s) / (last.at_s - first.at_s)
        if not self._samples:
            return None
        return Load(waited / num_queries if num_queries else 0.0, max(0.0, work))

    def _add(self, samples: deque[_Sample], new: _Sample) -> None:
        if samples and (new.at_s < samples[-1].at_s or new.num_queries < samples[-1].num_queries):
            samples.clear()  # it was started again
        if not samples or new.at_s > samples[-1].at_s:
            samples.append(new)
        while len(samples) > 2 and new.at_s - samples[1].at_s >= self._period_s:
            samples.popleft()


def _sample(at_s: float, load: VersionLoad) -> _Sample:
    return _Sample(at_s, load.num_queries, load.waited, load.busy_s)
