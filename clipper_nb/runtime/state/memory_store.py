"""A store in this process's memory, for tests and for frontends that run without Redis."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace

from clipper_nb.protocol.query_history import QueryHistory
from clipper_nb.protocol.records import Configuration, FrontendPresence
from clipper_nb.protocol.redis_keys import NUM_KEPT_CHANGES
from clipper_nb.runtime.state.store import ANSWER_TIMEOUT_S, Change, Question, StateStore


class MemoryStore(StateStore):
    """Keeps the state in attributes; one event loop may use it."""

    def __init__(self) -> None:
        self._configuration = Configuration()
        self._change_ids: deque[str] = deque(maxlen=NUM_KEPT_CHANGES)
        self._presence: dict[str, FrontendPresence] = {}
        self._configuration_watchers: set[asyncio.Event] = set()
        self._presence_watchers: set[asyncio.Event] = set()
        self._own_metrics: dict[str, bytes] = {}
        self._question_ids = itertools.count()
        self._asked: list[asyncio.Queue[Question]] = []
        self._answers: dict[str, asyncio.Queue[QueryHistory | None]] = {}

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
        question_id = str(next(self._question_ids))
        answers = self._answers[question_id] = asyncio.Queue[QueryHistory | None]()
        asked = list(self._asked)
        for questions in asked:
            questions.put_nowait(Question(question_id, query_id))
        found: list[QueryHistory | None] = []
        with contextlib.suppress(asyncio.TimeoutError):
            while len(found) < len(asked):
                found.append(await asyncio.wait_for(answers.get(), ANSWER_TIMEOUT_S))
        del self._answers[question_id]
        return [history for history in found if history is not None]

    async def questions(self) -> AsyncIterator[Question]:
        questions = asyncio.Queue[Question]()
        self._asked.append(questions)
        try:
            while True:
                yield await questions.get()
        finally:
            self._asked.remove(questions)

    async def answer_question(self, question_id: str, answer: QueryHistory | None) -> None:
        if question_id in self._answers:  # else it comes too late
            self._answers[question_id].put_nowait(answer)

    async def keep_own_metrics(self, frontend_id: str, counts: bytes) -> None:
        self._own_metrics[frontend_id] = counts

    async def read_own_metrics(self, frontend_id: str) -> bytes | None:
        return self._own_metrics.get(frontend_id)

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
