"""Answers what other frontends ask about queries, shadows and metrics: each query frontend knows its own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.query_history import QueryHistory
from clipper_nb.protocol.shadow import ShadowReport
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.query_frontend.journal import Journal
from clipper_nb.runtime.state.store import Answer, StateStore

logger = logging.getLogger(__name__)


class QueryHistories:
    """Answers questions of other frontends.

    Parameters
    ----------
    store : StateStore
        Through which questions come and answers go.
    journal : Journal
    frontend_id : str
    clock : callable
        Returns monotonic seconds, as the queries' instants.
    wall_clock : callable
        Returns seconds since the epoch.
    find_shadow_report : callable
        Returns what an application's shadow answered here, if it has one.
    read_metrics : callable
        Returns what was counted here, as ``ask_metrics`` of the store returns it.
    flush : callable, optional
        Writes what of the answers is not in the store yet, where the caller of a question may look next.
    """

    def __init__(
        self,
        store: StateStore,
        journal: Journal,
        frontend_id: str,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        find_shadow_report: Callable[[str], Awaitable[ShadowReport | None]],
        read_metrics: Callable[[], Awaitable[str]],
        flush: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._frontend_id = frontend_id
        self._clock = clock
        self._wall_clock = wall_clock
        self._flush = flush
        self._find_shadow_report = find_shadow_report
        self._read_metrics = read_metrics

    async def answer_questions(self) -> None:
        """Answer questions until cancelled."""
        async for question in self._store.questions():
            answer: Answer
            if question.shadow_of:
                answer = await self._find_shadow_report(question.shadow_of)
            elif question.is_about_metrics:
                answer = await self._read_metrics()
            else:
                query = self._journal.find(question.query_id)
                answer = None if query is None else self._describe(query)
            try:
                if self._flush is not None:
                    await self._flush()
                await self._store.answer_question(question.question_id, answer)
            except StateUnavailableError as exc:
                logger.warning("%s", exc)

    def _describe(self, query: Query) -> QueryHistory:
        origin, sending = query.origin, query.sending
        return QueryHistory(
            query_id=query.query_id,
            application=query.application_name,
            model=None if query.model_id is None else str(query.model_id),
            frontend_id=self._frontend_id,
            received_at=self._wall_clock() - (self._clock() - query.received_s),
            queued_after_s=query.arrived_s - query.received_s,
            sent_after_s=None if sending is None else sending.sent_s - query.received_s,
            batch_size=None if sending is None else sending.batch_size,
            replica_id=None if sending is None else sending.replica_id,
            answered_after_s=query.answered_s - query.received_s,
            reason=query.reason,
            explanation=query.explanation,
            request_id="" if origin is None else origin.request_id,
            traceparent="" if origin is None else origin.traceparent,
        )
