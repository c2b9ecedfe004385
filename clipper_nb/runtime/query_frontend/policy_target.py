"""The targets of one request to an application with a policy: how they are asked, and what is kept of their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from clipper_nb.protocol.feedback import Answered, Outcome, digest_of_input, digest_of_key, keepable
from clipper_nb.protocol.json_check import JsonCheck
from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.batching import query as reasons
from clipper_nb.runtime.batching.query import Query


class AskedVersion(Protocol):
    """What is known here of a version that this frontend serves."""

    model_id: ModelId
    reply_part: bytes
    json_check: JsonCheck


Ask = Callable[[Any, Any, bytes, Query], None]
"""Called with an application, a version, both as this frontend serves them, and an input: answers the query in time."""
Keep = Callable[[Answered], None]
Explain = Callable[[Query], tuple[str, str]]
"""Returns the reason and explanation of a query to a version that is late."""
OnFault = Callable[[str, int], None]
"""Called with the name under which a version's scores are kept, and the id of a query that it did not answer."""
_FAULTS = frozenset({reasons.MODEL_TOO_SLOW, reasons.MODEL_ERROR, reasons.QUEUED_TOO_LONG})
"""Why a version did not answer that had replicas; one that has none is passed over without being learnt."""


class PolicyTarget:
    """What one request asks, in place of a version.

    Parameters
    ----------
    ask : callable
    keep : callable
        Keeps an answer for its feedback.
    on_fault : callable or None
        Counts a default output for the version whose fault it was.
    key : bytes or None
        The request's key.
    """

    reply_part = b""
    model_id: ModelId | None = None

    def __init__(self, ask: Ask, keep: Keep, on_fault: OnFault | None, key: bytes | None) -> None:
        self._ask = ask
        self._keep = keep
        self._on_fault = on_fault
        self._key = digest_of_key(key)
        self._under_way: dict[int, list[Query]] = {}
        """What versions are asked on behalf of queries that are not answered, by the queries' ids."""
        self.json_check: Any = self
        """Has ``check``, as that of a version."""

    def ask(self, served: object, payload: bytes, query: Query) -> None:
        """Answer *query* now or later, never after its SLO."""
        raise NotImplementedError

    def asked_for(self, query: Query) -> list[Query]:
        """Return what is asked on behalf of *query*; what combines the outputs is added when these are answered."""
        return self._under_way.get(query.query_id, [])

    def _count_fault(self, arm: str, query_id: int, reason: str | None) -> None:
        if self._on_fault is not None and reason in _FAULTS:
            self._on_fault(arm, query_id)

    def _keep_answer(self, query: Query, payload: bytes, outcomes: Sequence[Outcome]) -> None:
        self._keep(Answered(query_id=query.query_id, outcomes=tuple(outcomes), k=self._key, i=digest_of_input(payload)))


class ChosenVersion(PolicyTarget):
    """One version that a policy chose, with the probability with which it did.

    Parameters
    ----------
    version : AskedVersion
    arm : str
        Under which its scores are kept.
    propensity : float or None
    """

    def __init__(
        self,
        ask: Ask,
        keep: Keep,
        on_fault: OnFault | None,
        key: bytes | None,
        version: AskedVersion,
        arm: str,
        propensity: float | None,
    ) -> None:
        super().__init__(ask, keep, on_fault, key)
        self._version = version
        self._arm = arm
        self._propensity = propensity
        self.reply_part = version.reply_part
        self.model_id = version.model_id
        self.json_check = version.json_check

    def ask(self, served: object, payload: bytes, query: Query) -> None:
        """Ask the version, and keep its answer."""
        inner = query_for(query, partial(self._on_answered, query, payload))
        self._under_way[query.query_id] = [inner]
        self._ask(served, self._version, payload, inner)
        if not query.is_answered:
            query.computation = inner.computation  # says why it is late

    def _on_answered(self, query: Query, payload: bytes, inner: Query) -> None:
        del self._under_way[query.query_id]
        if not query.is_answered:
            output = keepable(inner.output) if inner.reason is None else None
            is_kept = inner.reason is not None or output is not None
            outcome = Outcome(self._arm, output, self._propensity)
            self._count_fault(self._arm, inner.query_id, inner.reason)
            self._keep(
                Answered(
                    query_id=query.query_id,
                    outcomes=(outcome,),
                    k=self._key,
                    i=digest_of_input(payload),
                    is_kept=is_kept,
                )
            )
        answer_as(query, inner)


def answer_late(target: object, query: Query, explain: Explain) -> None:
    """Answer *query* to *target* with what has come, before its versions' own deadline."""
    for asked in target.asked_for(query) if isinstance(target, PolicyTarget) else [query]:
        computation = asked.computation
        if not asked.is_answered:
            asked.answer_default(*explain(asked))
            if computation is not None:
                computation.forget_if_abandoned()


def query_for(query: Query, on_answered: Callable[[Query], None]) -> Query:
    """Return a query to one version on behalf of *query*."""
    inner = Query(query.query_id, query.arrived_s, query.deadline_s, on_answered)
    inner.received_s = query.received_s
    inner.origin = query.origin
    return inner


def answer_as(query: Query, inner: Query) -> None:
    """Answer a query as the one on its behalf was answered."""
    if query.is_answered:
        return
    query.sending = inner.sending
    if inner.reason is None:
        query.answer(inner.output)
    else:
        query.answer_default(inner.reason, inner.explanation or "")
