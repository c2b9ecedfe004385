"""The last queries that were answered, kept as they are; what is asked about one of them is made only then.

Keeping a query costs two assignments: its answer is gone, and what it still refers to lives anyway.
"""

from __future__ import annotations

from typing import Final

from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.query_history import NUM_KEPT_QUERIES
from clipper_nb.runtime.batching.query import Query

_NUM_KEPT: Final = NUM_KEPT_QUERIES


class Journal:
    """Keeps the last queries, in the order of their answers."""

    def __init__(self) -> None:
        self._kept: list[Query | None] = [None] * _NUM_KEPT
        self._next = 0

    def record(self, query: Query, application_name: str, model_id: ModelId | None, answered_s: float) -> None:
        """Keep a query whose answer is formatted, in place of the oldest, and let go of its output."""
        query.answered_s = answered_s
        query.application_name = application_name
        query.model_id = model_id
        query.output = ""
        position = self._next
        self._kept[position] = query
        position += 1
        self._next = position if position < _NUM_KEPT else 0

    def find(self, query_id: int) -> Query | None:
        """Return the query with that id, or ``None`` if it is not kept, or not answered yet."""
        for query in self._kept:
            if query is not None and query.query_id == query_id:
                return query
        return None
