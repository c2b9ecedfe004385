"""Queries and computations with everything filled in that a test does not care about."""

from __future__ import annotations

from collections.abc import Callable

from clipper_nb.runtime.batching.query import Computation, Query
from tests.support.fake_replica import MODEL_ID


def make_query(
    deadline_s: float = 1001.0,
    *,
    on_answered: Callable[[Query], None] = lambda query: None,
    query_id: int = 0,
) -> Query:
    """Return a query that arrived at 1000 s."""
    return Query(query_id, arrived_s=1000.0, deadline_s=deadline_s, on_answered=on_answered)


def make_computation(
    payload: bytes = b"input",
    deadline_s: float = 1001.0,
    *,
    slo_s: float = 1.0,
    num_queries: int = 1,
    on_output: Callable[[Computation, str | None], None] | None = None,
) -> Computation:
    """Return a computation that some queries wait for."""
    computation = Computation(MODEL_ID, payload, deadline_s=deadline_s, slo_s=slo_s, on_output=on_output)
    for _ in range(num_queries):
        computation.join(make_query(deadline_s))
    return computation
