"""A store in this process's memory, for tests and for frontends that run without Redis."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import replace

from clipper_nb.protocol.query_history import QueryHistory
from clipper_nb.protocol.records import Configuration, FrontendPresence
from clipper_nb.protocol.redis_keys import DRIVER_LEASE_S, NUM_KEPT_CHANGES
from clipper_nb.protocol.roll_out import RollOutCounts, RollOutProgress
from clipper_nb.protocol.shadow import ShadowReport
from clipper_nb.runtime.state.count_store import CountStore
from clipper_nb.runtime.state.feedback_store import FeedbackStore
from clipper_nb.runtime.state.memory_counts import MemoryCounts
from clipper_nb.runtime.state.memory_feedback import MemoryFeedback
from clipper_nb.runtime.state.store import ANSWER_TIMEOUT_S, Answer, Change, Question, StateStore


class MemoryStore(StateStore):
    """Keeps the state in attributes; one event loop may use it."""

    def __init__(self) -> None:
        self._configuration = Configuration()
        self._change_ids: deque[str] = deque(maxlen=NUM_KEPT_CHANGES)
        self._presence: dict[str, FrontendPresence] = {}
        self._configuration_watchers: set[asyncio.Event] = set()
        self._presence_watchers: set[asyncio.Event] = set()
        self._question_ids = itertools.count()
        self._asked: list[asyncio.Queue[Question]] = []
        self._answers: dict[str, asyncio.Queue[Answer]] = {}
        self._roll_out_counts: dict[str, dict[str, RollOutCounts]] = {}
        self._progress: dict[str, RollOutProgress] = {}
        self._driver = ""
        self._driver_until_s = 0.0
        self._starts: Counter[int] = Counter()
        self._feedback = MemoryFeedback()
        self._counts = MemoryCounts()

    async def read_configuration(self) -> Configuration:
        return self._configuration

    async def update_configuration(self, change: Change, change_id: str | None = None) -> Configuration:
        if change_id in self._change_ids:
            return self._configuration
        changed = change(self._configuration)
        self._configuration = replace(changed, revision=self._configuration.revision + 1)
        if change_id is not None:
            self._change_ids.append(change_id)
        _wake(self._configuration_watchers)
        return self._configuration

    def configuration_changes(self) -> AsyncIterator[None]:
        return _changes(self._configuration_watchers)

    async def announce(self, presence: FrontendPresence) -> int:
        self._presence[presence.frontend_id] = presence
        _wake(self._presence_watchers)
        return self._configuration.revision

    async def withdraw(self, frontend_id: str) -> None:
        self._presence.pop(frontend_id, None)
        _wake(self._presence_watchers)

    async def read_presence(self) -> list[FrontendPresence]:
        return list(self._presence.values())

    def presence_changes(self) -> AsyncIterator[None]:
        return _changes(self._presence_watchers)

    async def ask_frontends(self, query_id: int) -> list[QueryHistory]:
        found = await self._ask(Question(str(next(self._question_ids)), query_id))
        return [answer for answer in found if isinstance(answer, QueryHistory)]

    async def ask_shadow(self, application_name: str) -> list[ShadowReport]:
        found = await self._ask(Question(str(next(self._question_ids)), 0, application_name))
        return [answer for answer in found if isinstance(answer, ShadowReport)]

    async def ask_metrics(self) -> list[str]:
        found = await self._ask(Question(str(next(self._question_ids)), 0, is_about_metrics=True))
        return [answer for answer in found if isinstance(answer, str)]

    async def _ask(self, question: Question) -> list[Answer]:
        answers = self._answers[question.question_id] = asyncio.Queue[Answer]()
        asked = list(self._asked)
        for questions in asked:
            questions.put_nowait(question)
        found: list[Answer] = []
        with contextlib.suppress(asyncio.TimeoutError):
            while len(found) < len(asked):
                found.append(await asyncio.wait_for(answers.get(), ANSWER_TIMEOUT_S))
        del self._answers[question.question_id]
        return found

    async def questions(self) -> AsyncIterator[Question]:
        questions = asyncio.Queue[Question]()
        self._asked.append(questions)
        try:
            while True:
                yield await questions.get()
        finally:
            self._asked.remove(questions)

    async def answer_question(self, question_id: str, answer: Answer) -> None:
        if question_id in self._answers:  # else it comes too late
            self._answers[question_id].put_nowait(answer)

    async def count_start(self, index: int) -> int:
        self._starts[index] += 1
        return self._starts[index] - 1

    @property
    def feedback(self) -> FeedbackStore:
        return self._feedback

    @property
    def counts(self) -> CountStore:
        return self._counts

    async def write_roll_out_counts(self, roll_out_id: str, run_id: str, counts: RollOutCounts) -> None:
        self._roll_out_counts.setdefault(roll_out_id, {})[run_id] = counts

    async def read_roll_out_counts(self, roll_out_id: str) -> RollOutCounts:
        total = RollOutCounts()
        for counts in self._roll_out_counts.get(roll_out_id, {}).values():
            total = total.plus(counts)
        return total

    async def write_roll_out_progress(self, roll_out_id: str, progress: RollOutProgress) -> None:
        self._progress[roll_out_id] = progress

    async def read_roll_out_progress(self, roll_out_id: str) -> RollOutProgress:
        return self._progress.get(roll_out_id, RollOutProgress())

    async def hold_driver_lease(self, holder: str) -> bool:
        now_s = time.monotonic()
        if self._driver in ("", holder) or now_s >= self._driver_until_s:
            self._driver, self._driver_until_s = holder, now_s + DRIVER_LEASE_S
        return self._driver == holder

    async def close(self) -> None:
        return


def _wake(watchers: set[asyncio.Event]) -> None:
    for event in watchers:
        event.set()


async def _changes(watchers: set[asyncio.Event]) -> AsyncIterator[None]:
    event = asyncio.Event()
    watchers.add(event)
    try:
        yield
        while True:
            await event.wait()
            event.clear()
            yield
    finally:
        watchers.discard(event)
