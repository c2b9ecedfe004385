"""What one request asks of an application whose policy asks all versions: one answer is made of those that come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.feedback import Outcome, keepable
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.predict_body import format_confidence
from clipper_nb.protocol.score_books import model_of
from clipper_nb.runtime.batching import query as reasons
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.query_frontend.combiner import Combiner
from clipper_nb.runtime.query_frontend.policy_target import (
    Ask,
    AskedVersion,
    Keep,
    OnFault,
    PolicyTarget,
    answer_as,
    query_for,
)
from clipper_nb.runtime.routing.ensembles import Ensemble
from clipper_nb.runtime.routing.policy_state import PolicyState


class EnsembleTarget(PolicyTarget):
    """Several versions that are all asked; the answer is made of what has come by the SLO.

    Parameters
    ----------
    policy : Policy
    selection : Ensemble
    state : PolicyState
        Of the versions that are asked.
    versions : sequence of tuple
        Each version with its name among the state's targets.
    combiner : Combiner or None
        The model that makes one answer of the outputs, if it is not done here.
    """

    def __init__(
        self,
        ask: Ask,
        keep: Keep,
        on_fault: OnFault | None,
        key: bytes | None,
        policy: Policy,
        selection: Ensemble,
        state: PolicyState,
        versions: Sequence[tuple[str, AskedVersion]],
        combiner: Combiner | None,
    ) -> None:
        super().__init__(ask, keep, on_fault, key)
        self.policy = policy
        self.selection = selection
        self.state = state
        self.combiner = combiner
        self._versions = versions

    def check(self, payloads: Any, *, is_batch: bool, first: int = 0) -> None:
        """Check inputs of type ``json`` as each version does."""
        for _, version in self._versions:
            version.json_check.check(payloads, is_batch=is_batch, first=first)

    def ask(self, served: object, payload: bytes, query: Query) -> None:
        """Ask all versions; those that are late or fail are left out of the answer."""
        together = _AskedTogether(self, served, query, payload)
        under_way = self._under_way[query.query_id] = []
        for arm, version in self._versions:
            inner = query_for(query, partial(together.add, arm))
            under_way.append(inner)
            self._ask(served, version, payload, inner)
            if not query.is_answered and inner.computation is not None:
                query.computation = inner.computation
        if self.combiner is not None:
            together.end_at(self.combiner)

    def ask_combiner(self, combiner: Combiner, served: object, query: Query, body: bytes) -> None:
        """Answer *query* with what a combiner makes of *body*."""
        inner = query_for(query, partial(self._on_combined, query))
        self._under_way[query.query_id].append(inner)
        combiner.ask(served, body, inner)

    def _on_combined(self, query: Query, inner: Query) -> None:
        self.forget(query)
        answer_as(query, inner)

    def forget(self, query: Query) -> None:
        """Record that nothing is under way any more for a query."""
        self._under_way.pop(query.query_id, None)

    def keep(self, query: Query, payload: bytes, outputs: dict[str, str], failures: Mapping[str, str]) -> None:
        """Keep the outputs of an answered query, and count who did not answer it, by the reason."""
        for arm, reason in failures.items():
            self._count_fault(arm, query.query_id, reason)
        outcomes = [Outcome(arm, keepable(output)) for arm, output in outputs.items()]
        self._keep_answer(query, payload, outcomes)


class _AskedTogether:
    """One query that several versions were asked; answers it when all have answered, the last at the deadline."""

    def __init__(self, target: EnsembleTarget, served: object, query: Query, payload: bytes) -> None:
        self._target = target
        self._served = served
        self._query = query
        self._payload = payload
        self._outputs: dict[str, str] = {}
        self._failures: dict[str, tuple[str, str]] = {}
        self._is_over = False
        self._timer: Any = None

    def end_at(self, combiner: Combiner) -> None:
        """Wait no longer than the combiner can."""
        if not self._is_over:
            self._timer = combiner.call_in_time(self._query, self._end)

    def add(self, arm: str, inner: Query) -> None:
        """Add one version's answer."""
        if self._is_over:
            return
        if inner.reason is None:
            self._outputs[arm] = inner.output
        else:
            self._failures[arm] = (inner.reason, inner.explanation or "")
        if len(self._outputs) + len(self._failures) == len(self._target.state.arms):
            self._query.sending = inner.sending
            self._end()

    def _end(self) -> None:
        """Make the answer of what has come."""
        self._is_over = True
        query, target = self._query, self._target
        if self._timer is not None:
            self._timer.cancel()
        for arm in target.state.arms:
            if arm not in self._outputs and arm not in self._failures:
                late = f"{model_of(arm)} did not answer before the outputs had to be combined."
                self._failures[arm] = (reasons.MODEL_TOO_SLOW, late)
        if not query.is_answered:
            target.keep(query, self._payload, self._outputs, {arm: why for arm, (why, _) in self._failures.items()})
            self._answer()
        if query.is_answered:
            target.forget(query)

    def _answer(self) -> None:
        query, target = self._query, self._target
        if not self._outputs:
            query.reply_part = format_confidence(0.0, [])
            query.answer_default(*next(iter(self._failures.values())))
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
            query.answer_default(reasons.NOT_CONFIDENT, self._explain_unsure(combined.confidence, least))
        elif target.combiner is None:
            query.answer(combined.output)
        else:
            target.ask_combiner(target.combiner, self._served, query, combined.output.encode())

    def _explain_unsure(self, confidence: float, least: float) -> str:
        how = "agree" if self._target.combiner is None else "answered"
        late = f"; {len(self._failures)} of {len(self._target.state.arms)} did not answer" if self._failures else ""
        return f"The models {how} with a confidence of {confidence:.3g}; min_confidence is {least:g}{late}."
