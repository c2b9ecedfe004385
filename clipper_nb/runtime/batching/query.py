"""A query, and the computation that queries with the same input share."""

from __future__ import annotations

from collections.abc import Callable

from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.request_origin import RequestOrigin

NOT_LINKED = "not_linked"
NO_READY_REPLICA = "no_ready_replica"
QUEUED_TOO_LONG = "queued_too_long"
MODEL_TOO_SLOW = "model_too_slow"
MODEL_ERROR = "model_error"
NOT_CONFIDENT = "not_confident"

_LARGE_PAYLOAD_SIZE_BYTES = 64 * 1024


class Sending:
    """One batch, as the queries in it remember it."""

    __slots__ = ("batch_size", "replica_id", "sent_s")

    def __init__(self, sent_s: float, batch_size: int, replica_id: int) -> None:
        self.sent_s = sent_s
        self.batch_size = batch_size
        self.replica_id = replica_id


class Query:
    """One query of a client, answered exactly once: with a prediction, or with the default output and a reason.

    Times are instants of the monotonic clock, in seconds.
    """

    __slots__ = (
        "_on_answered", "answered_s", "application_name", "arrived_s", "computation", "deadline_s", "explanation",
        "is_answered", "model_id", "on_watched", "origin", "output", "query_id", "reason", "received_s", "reply_part",
        "sending",
    )  # fmt: skip

    def __init__(
        self, query_id: int, arrived_s: float, deadline_s: float, on_answered: Callable[[Query], None] | None
    ) -> None:
        self.query_id = query_id
        self.arrived_s = arrived_s
        self.received_s = arrived_s
        """When its request was received; an input of a large one arrives when its turn comes."""
        self.deadline_s = deadline_s
        self._on_answered = on_answered
        self.computation: Computation | None = None
        self.is_answered = False
        self.output = ""
        self.reason: str | None = None
        self.explanation: str | None = None
        self.origin: RequestOrigin | None = None
        """Where it comes from, if its client said so."""
        self.sending: Sending | None = None
        """The batch that it was sent with last, once it is answered; ``None`` if it was never sent."""
        self.reply_part = b""
        """What its reply says of who answered, in place of what its target says."""
        self.answered_s = 0.0
        self.application_name = ""
        self.model_id: ModelId | None = None
        """The version that was asked, once the answer is formatted."""
        self.on_watched: Callable[[Query, str], None] | None = None
        """Called with the output after the answer was handed over, if its application's traffic is watched."""

    def answer_default(self, reason: str, explanation: str) -> None:
        """Answer with the application's default output; do nothing if the query has been answered."""
        if not self.is_answered:
            self.reason, self.explanation = reason, explanation
            self.answer("")

    def answer(self, output: str) -> None:
        """Answer with the model's output; do nothing if the query has been answered or was cancelled."""
        if self.is_answered:
            return
        self.is_answered = True
        self.output = output
        # Without this and `_on_answered` the query is in no reference cycle and is freed at once: at thousands a
        # second, cycles would make the garbage collector pause the event loop.
        computation = self.computation
        if computation is not None:
            self.sending = computation.sending
            self.computation = None
        self.deliver()
        if self.on_watched is not None:
            on_watched, self.on_watched = self.on_watched, None
            on_watched(self, output)

    def deliver(self) -> None:
        """Hand over the answer; called once."""
        on_answered = self._on_answered
        self._on_answered = None
        if on_answered is not None:
            on_answered(self)

    def cancel(self) -> None:
        """Record that the client no longer waits for the answer."""
        self.is_answered = True
        self.computation = self._on_answered = self.on_watched = None


class Computation:
    """One input for a model version to predict, for one or more queries."""

    __slots__ = (
        "application",
        "attempts",
        "cache_key",
        "deadline_s",
        "is_forgotten",
        "is_obsolete",
        "is_queued",
        "is_traced",
        "model_id",
        "on_output",
        "payload",
        "queries",
        "sending",
        "sent_s",
        "slo_s",
    )

    def __init__(
        self,
        model_id: ModelId,
        payload: bytes,
        deadline_s: float,
        slo_s: float,
        application: str = "",
        on_output: Callable[[Computation, str | None], None] | None = None,
    ) -> None:
        self.model_id = model_id
        self.application = application
        """The application of its first query; queries of others may have joined."""
        self.payload = payload
        self.deadline_s = deadline_s
        self.slo_s = slo_s
        self.queries: list[Query] = []
        self.attempts = 0
        self.is_queued = False
        self.is_traced = False
        """True if the origin of one of its queries is known."""
        self.is_forgotten = False
        """True if its payload has been released."""
        self.is_obsolete = False
        """True if its version is gone, so that it must not be sent again."""
        self.sent_s: float | None = None
        """When it was sent to its current replica; ``None`` while it is queued."""
        self.sending: Sending | None = None
        """The batch that it was sent with last."""
        self.on_output = on_output
        """Called once with the output, or with ``None`` if there is none; used by the cache."""
        self.cache_key = b""

    def join(self, query: Query) -> None:
        """Answer *query* with this computation's output too."""
        query.computation = self
        self.queries.append(query)
        if query.origin is not None:
            self.is_traced = True

    @property
    def is_wanted(self) -> bool:
        """True if a query still waits for it."""
        for query in self.queries:  # noqa: SIM110 - a generator costs more than the loop
            if not query.is_answered:
                return True
        return False

    def origins(self) -> list[RequestOrigin]:
        """Return the origins of its queries, as far as they are known."""
        return [query.origin for query in self.queries if query.origin is not None]

    def longest_slo_s(self) -> float:
        """Return the longest SLO of its queries."""
        return max(self.slo_s, *(query.deadline_s - query.arrived_s for query in self.queries), 0.0)

    def succeed(self, output: str) -> None:
        """Answer every query with *output*, except late ones, which already have an answer."""
        if self.on_output is not None:
            self.on_output(self, output)
        for query in self.queries:
            query.answer(output)

    def fail(self, explanation: str) -> None:
        """Answer every query with its default output because the model failed."""
        self.give_up(MODEL_ERROR, explanation)

    def give_up(self, reason: str, explanation: str) -> None:
        """Answer every query with its default output."""
        self.abandon()
        for query in self.queries:
            query.answer_default(reason, explanation)

    def forget_if_abandoned(self) -> None:
        """Release a large input that no query waits for; a small one is kept, because its output may still come."""
        if len(self.payload) > _LARGE_PAYLOAD_SIZE_BYTES and not self.is_wanted:
            self.abandon()
            self.on_output = None
            self.payload = b""
            self.is_forgotten = True

    def abandon(self) -> None:
        """Record that there will be no output."""
        if self.on_output is not None:
            self.on_output(self, None)
