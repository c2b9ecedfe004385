"""Which faults there are, and which cut comes next."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from tests.end_to_end.cuts.cutting import Cutter
from tests.end_to_end.cuts.steps import INTERRUPTED, MANAGEMENT_KILLED, NOTEBOOK_KILLED, REDIS_KILLED, REFUSED, Cut

LOCAL_FAULTS = (MANAGEMENT_KILLED, REDIS_KILLED, INTERRUPTED, NOTEBOOK_KILLED, REFUSED)


def in_good_order(cutter: Cutter, cuts: Sequence[Cut]) -> Iterator[Cut]:
    """Yield each cut when its fault may happen: a process that is killed too often comes back late."""
    waiting = list(cuts)
    while waiting:
        chosen = min(waiting, key=lambda cut: max(0.0, cutter.wait_s(cut)))
        time.sleep(max(0.0, cutter.wait_s(chosen)))
        waiting.remove(chosen)
        yield chosen
