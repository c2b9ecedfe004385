"""Which faults there are, which cut comes next, and all cuts on several clusters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from tests.end_to_end.cuts.cutting import CutResult
from tests.end_to_end.cuts.steps import INTERRUPTED, MANAGEMENT_KILLED, NOTEBOOK_KILLED, REDIS_KILLED, REFUSED, Cut

FAULTS = (MANAGEMENT_KILLED, REDIS_KILLED, INTERRUPTED, NOTEBOOK_KILLED, REFUSED)
NUM_CLUSTERS = {"local": 4, "docker": 2}
"""Most of a cut is a wait for processes to come up, and each cluster's may be killed only so often."""


class CutsCalls(Protocol):
    """What makes cuts on a cluster: a ``Cutter``, or a ``LifecycleCutter``."""

    def wait_s(self, cut: Cut) -> float:
        """Return how long the cut should wait while others are made."""

    def cut(self, cut: Cut) -> CutResult:
        """Make it, and return what does not hold afterwards."""


_CutterT = TypeVar("_CutterT", bound=CutsCalls)
_WorkT = TypeVar("_WorkT")


def in_good_order(cutter: CutsCalls, cuts: Sequence[Cut]) -> Iterator[Cut]:
    """Yield each cut when its fault may happen: a process that is killed too often comes back late."""
    waiting = list(cuts)
    while waiting:
        chosen = min(waiting, key=lambda cut: max(0.0, cutter.wait_s(cut)))
        time.sleep(max(0.0, cutter.wait_s(chosen)))
        waiting.remove(chosen)
        yield chosen


def cut_all(
    cuts: Sequence[Cut],
    open_cutter: Callable[[], AbstractContextManager[_CutterT]],
    tell: Callable[[CutResult], None] = lambda result: None,
    *,
    num_clusters: int,
) -> list[CutResult]:
    """Make the cuts on clusters side by side; each result is told as soon as it is there."""
    return side_by_side(cuts, open_cutter, in_good_order, tell, num_clusters=num_clusters)


def side_by_side(
    work: Sequence[_WorkT],
    open_cutter: Callable[[], AbstractContextManager[_CutterT]],
    choose: Callable[[_CutterT, Sequence[_WorkT]], Iterator[Cut]],
    tell: Callable[[CutResult], None] = lambda result: None,
    *,
    num_clusters: int,
) -> list[CutResult]:
    """Divide the work among clusters; *choose* yields the cuts that each of them makes of its part."""
    is_over = threading.Event()

    def cut_part(part: Sequence[_WorkT]) -> list[CutResult]:
        results: list[CutResult] = []
        try:
            with open_cutter() as cutter:
                for cut in choose(cutter, part):
                    if is_over.is_set():
                        break
                    results.append(cutter.cut(cut))
                    tell(results[-1])
        except BaseException:
            is_over.set()
            raise
        return results

    parts = [work[start::num_clusters] for start in range(num_clusters)]
    with ThreadPoolExecutor(num_clusters) as pool:
        try:
            return [result for results in pool.map(cut_part, parts) for result in results]
        finally:
            is_over.set()  # also for those who go on when this one is interrupted
