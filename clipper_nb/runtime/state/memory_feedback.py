"""Answers and scores in this process's memory, with the promises of the Redis store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from clipper_nb.protocol.feedback import Answered
from clipper_nb.protocol.score_counts import NO_COUNTS, ArmCounts, DatedCounts
from clipper_nb.runtime.state.feedback_store import ANSWERS_KEPT_S, MAX_GROUPS, MAX_KEPT_ANSWERS, FeedbackStore, Scored


@dataclass
class _Book:
    answers: OrderedDict[int, Answered | None] = field(default_factory=OrderedDict)
    """By id; ``None`` for one that was only counted."""
    kept_at: dict[int, float] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    """The last query of a digest."""
    counted: set[int] = field(default_factory=set)
    groups: OrderedDict[str, dict[str, DatedCounts]] = field(default_factory=OrderedDict)
    """Counts by group, the oldest first; that of the whole book is not among them."""
    counts: dict[str, DatedCounts] = field(default_factory=dict)


class MemoryFeedback(FeedbackStore):
    """Keeps answers and scores in attributes; one event loop may use it."""

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}

    async def keep(self, book: str, answers: Sequence[Answered], now_s: float) -> None:
        found = self._book(book)
        for answered in answers:
            found.answers[answered.query_id] = answered
            found.kept_at[answered.query_id] = now_s
            for digest in (f"k{answered.k}", f"i{answered.i}"):
                if len(digest) > 1:
                    found.last[digest] = answered.query_id
        while found.answers:
            oldest = next(iter(found.answers))
            if len(found.answers) <= MAX_KEPT_ANSWERS and found.kept_at[oldest] >= now_s - ANSWERS_KEPT_S:
                break
            _forget(found, oldest)

    async def find(
        self, book: str, *, query_id: int | None = None, key: str = "", payload: str = ""
    ) -> Answered | None:
        found = self._book(book)
        if query_id is None:
            query_id = found.last.get(f"i{payload}" if payload else f"k{key}")
        return None if query_id is None else found.answers.get(query_id)

    async def count(self, book: str, scored: Scored, now_s: float) -> bool:
        found = self._book(book)
        if scored.query_id in found.counted:
            return False
        found.counted.add(scored.query_id)
        found.answers.setdefault(scored.query_id, None)
        found.kept_at.setdefault(scored.query_id, now_s)
        _add(found.counts, scored, now_s)
        if scored.group:
            _add(found.groups.setdefault(scored.group, {}), scored, now_s)
            found.groups.move_to_end(scored.group)
            if len(found.groups) > MAX_GROUPS:
                found.groups.popitem(last=False)
        return True

    async def read(self, book: str, groups: Sequence[str] = ()) -> list[ArmCounts]:
        found = self._book(book)
        return [dict(found.counts), *(dict(found.groups.get(group, {})) for group in groups)]

    def _book(self, book: str) -> _Book:
        return self._books.setdefault(book, _Book())


def _forget(book: _Book, query_id: int) -> None:
    answered = book.answers.pop(query_id)
    del book.kept_at[query_id]
    book.counted.discard(query_id)
    if answered is not None:
        for digest in (f"k{answered.k}", f"i{answered.i}"):
            if book.last.get(digest) == query_id:
                del book.last[digest]


def _add(counts: dict[str, DatedCounts], scored: Scored, now_s: float) -> None:
    for arm, added in scored.counts.items():
        before = counts.get(arm, DatedCounts(NO_COUNTS, now_s))
        counts[arm] = before.plus(added, now_s, scored.half_life_s)
