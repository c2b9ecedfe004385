"""What this frontend knows of its applications' feedback: answers to keep, written behind, and scores, read again.

Answers reach the store within ``FLUSH_INTERVAL_S``; scores that another frontend counted reach this one as fast. What
this frontend counts it knows at once. Nothing is read while there are no queries.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.feedback import Answered
from clipper_nb.protocol.score_counts import NO_COUNTS, ArmCounts, Counts, DatedCounts
from clipper_nb.runtime.routing.policy_state import PolicyState, state_at
from clipper_nb.runtime.state.feedback_store import FeedbackStore, Scored

logger = logging.getLogger(__name__)

FLUSH_INTERVAL_S = 0.5
_MAX_PENDING = 20_000
"""Answers of one book that wait for the store; while it is away, the oldest are let go of."""
_MAX_GROUPS_HERE = 2_000
"""Keys whose scores this frontend remembers per book."""
_MAX_GROUPS_READ = 100
"""Keys whose scores are read at once; more take their turns."""
_MAX_GROUPS_WAITING = 1_000
"""Keys whose default outputs wait for the store; while it is away, more count for all keys together alone."""
MIN_GROUP_SCORES = 10.0
"""A key with less feedback is treated as all others."""


class Book:
    """The answers and scores of one application under one policy.

    Parameters
    ----------
    name : str
        ``book_of`` the application and its policy.
    half_life_s : float or None
    wall_clock : callable
        Returns seconds since the epoch.
    """

    def __init__(self, name: str, half_life_s: float | None, wall_clock: Callable[[], float]) -> None:
        self.name = name
        self.half_life_s = half_life_s
        self._wall_clock = wall_clock
        self.pending: list[Answered] = []
        self.num_dropped = 0
        self.is_used = True
        """True if something has asked for scores since they were read."""
        self._counts: ArmCounts = {}
        self._groups: OrderedDict[str, ArmCounts] = OrderedDict()
        self._asked_groups: set[str] = set()
        """Groups that queries or feedback came from since scores were read."""
        self._defaults: dict[str, Scored] = {}
        """Default outputs that count by themselves, added up by group."""
        self._unsent: list[Scored] = []
        """Sums that do not change any more, since the store may have the first of them."""

    def keep(self, answered: Answered) -> None:
        """Keep an answer until it is in the store."""
        self.pending.append(answered)
        if len(self.pending) > _MAX_PENDING:
            self.num_dropped += len(self.pending) // 2
            del self.pending[: len(self.pending) // 2]

    def count_default(self, group: str, weight: float, arm: str, query_id: int) -> None:
        """Count a default output as a score of 0 of that weight, as soon as the store is written to."""
        if group not in self._defaults and len(self._defaults) >= _MAX_GROUPS_WAITING:
            group = ""
        waiting = self._defaults.get(group)
        if waiting is None:
            # The first query of a sum gives it its id, so that the store adds a sum once. The query's own id is free
            # for its feedback.
            waiting = self._defaults[group] = Scored(-1 - query_id, {}, group, self.half_life_s)
        counts = {**waiting.counts, arm: waiting.counts.get(arm, NO_COUNTS).plus(Counts(weight))}
        self._defaults[group] = replace(waiting, counts=counts)

    def next_default(self) -> Scored | None:
        """Return default outputs to add to the store: the same ones until ``default_added`` is called."""
        if not self._unsent:
            self._unsent, self._defaults = list(self._defaults.values()), {}
        return self._unsent[0] if self._unsent else None

    def default_added(self) -> None:
        """Let go of those that ``next_default`` returned."""
        del self._unsent[0]

    def state(self, weights: Mapping[str, float], group: str = "") -> PolicyState:
        """Return what is known now of targets with these weights: by a group, if it has feedback enough, or by all."""
        self.is_used = True
        now_s = self._wall_clock()
        if group:
            counts = self._groups.get(group)
            self._asked_groups.add(group)
            if counts is not None:
                self._groups.move_to_end(group)
                of_group = state_at(weights, counts, now_s, self.half_life_s)
                if of_group.num >= MIN_GROUP_SCORES:
                    return of_group
        return state_at(weights, self._counts, now_s, self.half_life_s)

    @property
    def has_groups_to_read(self) -> bool:
        """Whether more groups wait to be read than are read at once."""
        return len(self._asked_groups) > _MAX_GROUPS_READ

    def groups_to_read(self) -> list[str]:
        """Return the groups whose scores are read next: some of those that queries came from."""
        found = list(itertools.islice(self._asked_groups, _MAX_GROUPS_READ))
        self._asked_groups.difference_update(found)
        return found

    def learn(self, groups: list[str], found: list[ArmCounts]) -> None:
        """Take over what the store has, for all queries and for groups."""
        self._counts = found[0]
        for group, counts in zip(groups, found[1:], strict=True):
            self._groups[group] = counts
        while len(self._groups) > _MAX_GROUPS_HERE:
            self._groups.popitem(last=False)

    def add(self, scored: Scored, now_s: float) -> None:
        """Add what this frontend has counted."""
        self._counts = _plus(self._counts, scored, now_s)
        if scored.group in self._groups:
            self._groups[scored.group] = _plus(self._groups[scored.group], scored, now_s)


class Learner:
    """Keeps the books of this frontend's applications, and brings them and the store together.

    Parameters
    ----------
    store : FeedbackStore
    wall_clock : callable
        Returns seconds since the epoch.
    """

    def __init__(self, store: FeedbackStore, wall_clock: Callable[[], float]) -> None:
        self._store = store
        self._wall_clock = wall_clock
        self._books: dict[str, Book] = {}
        self._flushing = asyncio.Lock()

    def book(self, application_name: str, name: str, half_life_s: float | None) -> Book:
        """Return an application's book; that of an earlier registration or policy is let go of."""
        book = self._books.get(application_name)
        if book is None or book.name != name:
            book = self._books[application_name] = Book(name, half_life_s, self._wall_clock)
        book.half_life_s = half_life_s
        return book

    def forget(self, application_name: str) -> None:
        """Let go of the book of an application that has no policy any more."""
        self._books.pop(application_name, None)

    async def run(self) -> None:
        """Write and read until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_S)
            with contextlib.suppress(StateUnavailableError):  # the next time
                await self.flush()
                await self._read()

    async def flush(self) -> None:
        """Write all that is pending; raises ``StateUnavailableError``, and then it is pending still."""
        async with self._flushing:
            for book in list(self._books.values()):
                if book.num_dropped:
                    logger.warning("%d answers of %s could not be kept for feedback", book.num_dropped, book.name)
                    book.num_dropped = 0
                pending, book.pending = book.pending, []
                try:
                    if pending:
                        await self._store.keep(book.name, pending, self._wall_clock())
                except BaseException:
                    book.pending = [*pending, *book.pending]
                    raise
                while (scored := book.next_default()) is not None:
                    await self._count(book.name, book, scored)
                    book.default_added()

    async def count(self, book_name: str, application_name: str, scored: Scored) -> bool:
        """Add the counts of a query's feedback to the store, once; return whether they were added."""
        book = self._books.get(application_name)
        return await self._count(book_name, book if book is not None and book.name == book_name else None, scored)

    async def _count(self, book_name: str, book: Book | None, scored: Scored) -> bool:
        now_s = self._wall_clock()
        is_counted = await self._store.count(book_name, scored, now_s)
        if is_counted and book is not None:
            book.add(scored, now_s)
        return is_counted

    async def _read(self) -> None:
        for book in list(self._books.values()):
            if book.is_used:
                book.is_used = book.has_groups_to_read
                groups = book.groups_to_read()
                book.learn(groups, await self._store.read(book.name, groups))


def _plus(counts: ArmCounts, scored: Scored, now_s: float) -> ArmCounts:
    changed = {
        arm: counts.get(arm, DatedCounts(NO_COUNTS, now_s)).plus(added, now_s, scored.half_life_s)
        for arm, added in scored.counts.items()
    }
    return {**counts, **changed}
