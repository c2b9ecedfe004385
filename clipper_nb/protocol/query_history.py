"""What happened to one query at its query frontend: the answer of ``conn.why()``."""

from __future__ import annotations

from datetime import datetime, timezone

from msgspec import Struct

NUM_KEPT_QUERIES = 4096
"""How many answered queries each query frontend keeps."""


class QueryHistory(Struct, frozen=True, kw_only=True):
    """What happened to one query. Spans are in seconds, counted from when it was received."""

    query_id: int
    application: str
    model: str | None
    """The version that was asked, as ``"name:version"``; ``None`` if there was none to ask."""
    frontend_id: str
    """The query frontend that answered it."""
    received_at: float
    """Seconds since the epoch, by the clock of the query frontend's machine."""
    queued_after_s: float = 0.0
    """When it could be queued for the model: later for an input of a large request, whose turn has to come."""
    sent_after_s: float | None
    """When it was sent; ``None`` if it never was. Below ``queued_after_s`` if an equal query had been sent already."""
    batch_size: int | None
    """How many inputs were sent together, this one included."""
    replica_id: int | None
    """Number of the replica that it was sent to, as this query frontend counts; the last one, if it was sent again."""
    answered_after_s: float
    reason: str | None
    """Why the answer was the default output; ``None`` for the model's output."""
    explanation: str | None
    request_id: str = ""
    """``X-Request-Id`` of its request."""
    traceparent: str = ""
    """W3C's ``traceparent`` of its request."""

    @property
    def is_from_cache(self) -> bool:
        """Whether its output was known already."""
        return self.reason is None and self.sent_after_s is None

    def __str__(self) -> str:
        received = datetime.fromtimestamp(self.received_at, timezone.utc).isoformat(" ", "milliseconds")
        named = ", ".join(filter(None, (self.request_id and f"request {self.request_id}", self.traceparent)))
        lines = [
            f"Query {self.query_id} of application '{self.application}', {self.model or 'no model'}"
            f"{f' ({named})' if named else ''}:",
            f"{_at(0.0)}  received {received} by {self.frontend_id}",
        ]
        if self.queued_after_s > 0:
            lines.append(f"{_at(self.queued_after_s)}  queued, when its turn in a large request came")
        if self.sent_after_s is not None:
            joined = ", for an equal query that it joined" if self.sent_after_s < self.queued_after_s else ""
            others = "alone" if self.batch_size == 1 else f"in a batch of {self.batch_size}"
            lines.append(f"{_at(self.sent_after_s)}  sent to replica {self.replica_id}, {others}{joined}")
        how = "from the cache" if self.is_from_cache else "with the model's output"
        if self.reason is not None:
            how = f"with the default output ({self.reason}): {self.explanation}"
        return "\n".join([*lines, f"{_at(self.answered_after_s)}  answered {how}"])


def _at(after_s: float) -> str:
    return f"{after_s * 1000:10.2f} ms"
