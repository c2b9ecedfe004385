"""A model that makes one answer of others' outputs: it is asked as any version is, in what is left of the SLO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.route import RouteTarget
from clipper_nb.runtime.batching import query as reasons
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.clock import LoopClock
from clipper_nb.runtime.query_frontend.policy_target import Ask, AskedVersion

TIME_SHARE = 0.25
"""Of the time until the deadline, that is kept for the combiner."""

Find = Callable[[RouteTarget], AskedVersion | None]
"""Returns the version that a target means now."""
ExplainFor = Callable[[Any, Query], tuple[str, str]]
"""Returns why a query to a version of an application is late: a reason and an explanation."""


class Combiner:
    """Asks the model that combines outputs.

    Parameters
    ----------
    loop : LoopClock
    ask, find, explain : callable
    target : RouteTarget
        The model, or one version of it.
    """

    def __init__(self, loop: LoopClock, ask: Ask, find: Find, explain: ExplainFor, target: RouteTarget) -> None:
        self._target = target
        self._loop = loop
        self._ask = ask
        self._find = find
        self._explain = explain

    def call_in_time(self, query: Query, callback: Callable[[], None]) -> Any:
        """Call *callback* when the outputs that have come must be combined; return what cancels it."""
        return self._loop.call_at(query.deadline_s - TIME_SHARE * (query.deadline_s - query.arrived_s), callback)

    def ask(self, served: object, body: bytes, query: Query) -> None:
        """Answer *query* by its deadline."""
        version = self._find(self._target)
        if version is None:
            query.answer_default(
                reasons.NO_READY_REPLICA,
                f"No connected models found for query: '{self._target}', which combines the outputs, is not deployed.",
            )
            return
        try:
            version.json_check.check([body], is_batch=False)
        except InvalidInputError as exc:
            query.answer_default(reasons.MODEL_ERROR, f"{version.model_id} cannot combine the outputs: {exc}")
            return
        # The application's own timer expects deadlines in order, and this one is that of an earlier query.
        self._loop.call_at(query.deadline_s, lambda: self._end(served, query))
        self._ask(served, version, body, query)

    def _end(self, served: object, query: Query) -> None:
        if not query.is_answered:
            query.answer_default(*self._explain(served, query))
