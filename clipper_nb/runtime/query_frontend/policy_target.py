"""The targets of one request to an application with a policy: how they are asked, and what is kept of their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.feedback import Answered, Outcome, digest_of_input, digest_of_key, keepable
from clipper_nb.protocol.json_check import JsonCheck
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.predict_body import format_confidence
from clipper_nb.protocol.score_books import model_of
from clipper_nb.runtime.batching import query as reasons
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.routing.policy_state import PolicyState
from clipper_nb.runtime.routing.selection import SelectionPolicy


class AskedVersion(Protocol):
    """What is known here of a version that this frontend serves."""

    model_id: ModelId
    reply_part: bytes
    json_check: JsonCheck


Ask = Callable[[Any, Any, bytes, Query], None]
"""Called with an application, a version, both as this frontend serves them, and an input: answers the query in time."""
Keep = Callable[[Answered], None]


class PolicyTarget:
    """What one request asks, in place of a version.

    Parameters
    ----------
    ask : callable
    keep : callable
        Keeps an answer for its feedback.
    key : bytes or None
        The request's key.
    """

    reply_part = b""
    model_id: ModelId | None = None

    def __init__(self, ask: Ask, keep: Keep, key: bytes | None) -> None:
        self._ask = ask
        self._keep = keep
        self._key = digest_of_key(key)
        self.json_check: Any = self
        """Has ``check``, as that of a version."""

    def ask(self, served: object, payload: bytes, query: Query) -> None:
        """Answer *query* now or later, never after its SLO."""
        raise NotImplementedError

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
        self, ask: Ask, keep: Keep, key: bytes | None, version: AskedVersion, arm: str, propensity: float | None
    ) -> None:
        super().__init__(ask, keep, key)
        self._version = version
        self._arm = arm
        self._propensity = propensity
        self.reply_part = version.reply_part
        self.model_id = version.model_id
        self.json_check = version.json_check

    def ask(self, served: object, payload: bytes, query: Query) -> None:
        """Ask the version, and keep its answer."""
        inner = _inner(query, partial(self._on_answered, query, payload))
        self._ask(served, self._version, payload, inner)
        if not query.is_answered:
            query.computation = inner.computation  # says why it is late

    def _on_answered(self, query: Query, payload: bytes, inner: Query) -> None:
        if not query.is_answered:
            output = keepable(inner.output) if inner.reason is None else None
            is_kept = inner.reason is not None or output is not None
            outcome = Outcome(self._arm, output, self._propensity)
            self._keep(
                Answered(
                    query_id=query.query_id,
                    outcomes=(outcome,),
                    k=self._key,
                    i=digest_of_input(payload),
                    is_kept=is_kept,
                )
            )
        _answer_as(query, inner)


class EnsembleTarget(PolicyTarget):
    """Several versions that are all asked; the answer is made of what has come by the SLO.

    Parameters
    ----------
    policy : Policy
    selection : SelectionPolicy
    state : PolicyState
        Of the versions that are asked.
    versions : sequence of tuple
        Each version with its name among the state's targets.
    """

    def __init__(
        self,
        ask: Ask,
        keep: Keep,
        key: bytes | None,
        policy: Policy,
        selection: SelectionPolicy,
        state: PolicyState,
        versions: Sequence[tuple[str, AskedVersion]],
    ) -> None:
        super().__init__(ask, keep, key)
        self.policy = policy
        self.selection = selection
        self.state = state
        self._versions = versions

    def check(self, payloads: Any, *, is_batch: bool, first: int = 0) -> None:
        """Check inputs of type ``json`` as each version does."""
        for _, version in self._versions:
            version.json_check.check(payloads, is_batch=is_batch, first=first)

    def ask(self, served: object, payload: bytes, query: Query) -> None:
        """Ask all versions; those that are late or fail are left out of the answer."""
        together = _AskedTogether(self, query, payload, len(self._versions))
        for arm, version in self._versions:
            inner = _inner(query, partial(together.add, arm))
            self._ask(served, version, payload, inner)
            if not query.is_answered and inner.computation is not None:
                query.computation = inner.computation

    def keep(self, query: Query, payload: bytes, outputs: dict[str, str]) -> None:
        """Keep the outputs of an answered query."""
        outcomes = [Outcome(arm, keepable(output)) for arm, output in outputs.items()]
        self._keep_answer(query, payload, outcomes)


class _AskedTogether:
    """One query that several versions were asked; answers it when all have answered, the last at the deadline."""

    def __init__(self, target: EnsembleTarget, query: Query, payload: bytes, num_asked: int) -> None:
        self._target = target
        self._query = query
        self._payload = payload
        self._missing = num_asked
        self._outputs: dict[str, str] = {}
        self._failures: list[tuple[str, str]] = []

    def add(self, arm: str, inner: Query) -> None:
        """Add one version's answer."""
        if inner.reason is None:
            self._outputs[arm] = inner.output
        else:
            self._failures.append((inner.reason, inner.explanation or ""))
        self._missing -= 1
        if self._missing == 0 and not self._query.is_answered:
            self._query.sending = inner.sending
            self._target.keep(self._query, self._payload, self._outputs)
            self._answer()

    def _answer(self) -> None:
        query, target = self._query, self._target
        if not self._outputs:
            query.reply_part = format_confidence(0.0, [])
            query.answer_default(*self._failures[0])
            return
        models = [model_of(arm) for arm in target.state.arms if arm in self._outputs]
        try:
            combined = target.selection.combine(target.state, self._outputs)
        except InvalidInputError as exc:
            query.reply_part = format_confidence(0.0, models)
            query.answer_default(reasons.MODEL_ERROR, str(exc))
            return
        query.reply_part = format_confidence(combined.confidence, models)
        least = target.policy.min_confidence
        # A sum of shares may be off by a rounding.
        if least is not None and combined.confidence < least - 1e-9:
            late = f"; {len(self._failures)} of {len(target.state.arms)} did not answer" if self._failures else ""
            query.answer_default(
                reasons.NOT_CONFIDENT,
                f"The models agree with a confidence of {combined.confidence:.3g}; min_confidence is {least:g}{late}.",
            )
        else:
            query.answer(combined.output)


def _inner(query: Query, on_answered: Callable[[Query], None]) -> Query:
    """Return a query to one version on behalf of *query*."""
    inner = Query(query.query_id, query.arrived_s, query.deadline_s, on_answered)
    inner.received_s = query.received_s
    inner.origin = query.origin
    return inner


def _answer_as(query: Query, inner: Query) -> None:
    """Answer a query as the one on its behalf was answered."""
    if query.is_answered:
        return
    query.sending = inner.sending
    if inner.reason is None:
        query.answer(inner.output)
    else:
        query.answer_default(inner.reason, inner.explanation or "")
