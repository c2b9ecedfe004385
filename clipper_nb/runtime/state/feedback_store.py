"""The interface of what keeps answers for their feedback, and the scores that feedback adds up to.

A *book* holds those of one application under one policy (``protocol/feedback.py``). It keeps the last answers, at most
``MAX_KEPT_ANSWERS`` and none older than ``ANSWERS_KEPT_S``; scores stay.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clipper_nb.protocol.feedback import Answered
from clipper_nb.protocol.score_counts import ArmCounts, Counts

MAX_KEPT_ANSWERS = 100_000
"""Per book."""
ANSWERS_KEPT_S = 86_400.0
MAX_GROUPS = 10_000
"""Per book: of more keys that learn for themselves, those with the oldest feedback are forgotten."""
GROUP_KEPT_S = 7 * 86_400
"""Since its last feedback."""
SCORES_KEPT_S = 365 * 86_400
"""Since the last feedback of the book."""


@dataclass(frozen=True)
class Scored:
    """The feedback of one query, as counts to be added."""

    query_id: int
    counts: Mapping[str, Counts] = field(default_factory=dict)
    """By target."""
    group: str = ""
    """The key, as a digest, whose own counts are added to too; empty for none."""
    half_life_s: float | None = None
    """By which the counts fade to which these are added."""


class FeedbackStore(ABC):
    """Keeps answers and scores; every method raises ``StateUnavailableError`` if the store does not answer."""

    @abstractmethod
    async def keep(self, book: str, answers: Sequence[Answered], now_s: float) -> None:
        """Keep answers, of an instant in seconds since the epoch, and forget those that are too old or too many."""

    @abstractmethod
    async def find(
        self, book: str, *, query_id: int | None = None, key: str = "", payload: str = ""
    ) -> Answered | None:
        """Return the answer with an id, or the last one with the digest of a key or an input; ``None`` if not kept."""

    @abstractmethod
    async def count(self, book: str, scored: Scored, now_s: float) -> bool:
        """Add the counts of a query's feedback, in one step; return False and add nothing if it has been counted."""

    @abstractmethod
    async def read(self, book: str, groups: Sequence[str] = ()) -> list[ArmCounts]:
        """Return the counts of the book, then those of each group, which may be empty."""
