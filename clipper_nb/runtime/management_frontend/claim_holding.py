"""Which claims have a live holder, judged by the requests that hold them. (pure)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

LAPSE_AFTER_S = 2.0
"""A claim that no request has held for this long has lapsed: its holder was killed."""
LOOK_INTERVAL_S = 0.25


class ClaimHolding:
    """Counts the open requests that hold each claim.

    A kernel closes the connections of a process that ends, so a killed holder is noticed at once. Only time in
    which this process ran counts: after it was suspended it does not take holders for dead.
    """

    def __init__(self) -> None:
        self._num_open: Counter[str] = Counter()
        self._unheld_s: dict[str, float] = {}
        self._last_look_s: float | None = None

    def opened(self, claim_id: str) -> None:
        """Record that a request holds the claim."""
        self._num_open[claim_id] += 1
        self._unheld_s.pop(claim_id, None)

    def closed(self, claim_id: str) -> None:
        """Record that such a request has ended."""
        self._num_open[claim_id] -= 1
        if not self._num_open[claim_id]:
            del self._num_open[claim_id]

    def lapsed(self, claim_ids: Iterable[str], *, now_s: float) -> list[str]:
        """Return which of *claim_ids* have lapsed by *now_s*; forget all other claims."""
        step_s = 0.0 if self._last_look_s is None else min(now_s - self._last_look_s, 2 * LOOK_INTERVAL_S)
        self._last_look_s = now_s
        unheld = [claim_id for claim_id in claim_ids if claim_id not in self._num_open]
        self._unheld_s = {
            claim_id: self._unheld_s[claim_id] + step_s if claim_id in self._unheld_s else 0.0 for claim_id in unheld
        }
        return [claim_id for claim_id, unheld_s in self._unheld_s.items() if unheld_s > LAPSE_AFTER_S]
