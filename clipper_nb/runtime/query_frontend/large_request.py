"""Answers requests with a large body or many inputs, in small steps that do not block other requests.

The inputs go to the model one window at a time, like the queries of a client that sends its next query after each
answer. So queries that arrive meanwhile wait at most for one window, not for thousands of inputs with earlier
deadlines.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from typing import Generic, Protocol, TypeVar

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.json_inputs import MAX_CHECKED_SIZE_BYTES
from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.runtime.batching.query import QUEUED_TOO_LONG, Query
from clipper_nb.runtime.clock import LoopClock
from clipper_nb.runtime.http.errors import INTERNAL_CAUSE
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes
from clipper_nb.runtime.query_frontend.journal import Journal
from clipper_nb.runtime.query_frontend.policy_target import answer_late
from clipper_nb.runtime.query_frontend.predictor import (
    NoTarget,
    Predictor,
    ServedApplication,
    Target,
)
from clipper_nb.runtime.routing.asked_version import UnknownVersionError
from clipper_nb.runtime.turns import Turns

logger = logging.getLogger(__name__)

_BodyT = TypeVar("_BodyT", bound="Parsing")
_AnswerT = TypeVar("_AnswerT")

_FIRST_WINDOW = 64
_SMALLEST_WINDOW = 8
_LARGEST_WINDOW = 512
"""For all large requests together: answers that come back together are processed in one turn of the event loop."""
_QUICK_SHARE = 0.1
_SLOW_SHARE = 0.2
"""Shares of the SLO: if an input takes less than the first, more are sent at a time; if more than the second, fewer."""
_INPUTS_A_STEP = 32
_DEFAULTS_A_STEP = 512
_LAST_STEPS_S = 1e-6
_LAST_STEPS_SHARE = 0.2
"""Time for default outputs at the deadline: this long for each input, at most this share of the SLO."""


class LargeRequests:
    """What all large requests share, and how many there are.

    Parameters
    ----------
    predictor : Predictor
    loop : LoopClock
    turns : Turns
    waiting : WaitingBytes
        Counts the payloads, which may be several times as large as their body.
    journal : Journal
        Keeps the answered queries.
    """

    def __init__(
        self, predictor: Predictor, loop: LoopClock, turns: Turns, waiting: WaitingBytes, journal: Journal
    ) -> None:
        self.predictor = predictor
        self.loop = loop
        self.turns = turns
        self.waiting = waiting
        self.journal = journal
        self.num_open = 0

    @property
    def largest_window(self) -> int:
        """How many inputs each request may have in progress."""
        return max(_SMALLEST_WINDOW, _LARGEST_WINDOW // max(1, self.num_open))


class Parsing(Protocol):
    """A body that is parsed in steps."""

    @property
    def payloads_size_bytes(self) -> int:
        """Size of the payloads parsed so far."""

    def steps(self) -> Iterator[bool]:
        """Yield ``True`` after each step until all is parsed."""


class LargeRequest(ABC, Generic[_BodyT, _AnswerT]):
    """One large request; subclasses say what its body and its reply look like.

    Parameters
    ----------
    requests : LargeRequests
    served : ServedApplication
    body : Parsing
    steps : iterator
        Those of *body*, some of which may have been done.
    arrived_s : float
    origin : RequestOrigin, optional
        Where the request comes from, if the client said so.
    """

    def __init__(
        self,
        requests: LargeRequests,
        served: ServedApplication,
        body: _BodyT,
        steps: Iterator[bool],
        arrived_s: float,
        origin: RequestOrigin | None = None,
    ) -> None:
        self._requests = requests
        self._predictor = requests.predictor
        self._served = served
        self._arrived_s = arrived_s
        self._origin = origin
        self._wait_s = served.wait_s
        self._body: _BodyT | None = body
        self._parsing = steps
        self._target: Target = NoTarget(QUEUED_TOO_LONG, "")
        self._payloads: list[bytes] = []
        self._num_checked = 0
        self._num_asked = 0
        self._query_ids: list[int] = []
        self._under_way: dict[int, Query] = {}
        self._answered: list[Query] = []  # and not formatted yet
        self._answers: dict[int, _AnswerT] = {}  # formatted, and not yet next in the reply
        self._num_replied = 0
        self._window = float(_FIRST_WINDOW)
        self._counted_size_bytes = 0
        self._has_turns = True
        self._is_late = False
        self._is_over = False
        requests.num_open += 1
        self._timer = requests.loop.call_at(arrived_s + self._wait_s, self._on_deadline)
        requests.turns.add(self)

    # --- what a kind of request decides

    @abstractmethod
    def _take_parsed(self, body: _BodyT) -> None:
        """Begin the reply to the parsed body."""

    @abstractmethod
    def _give_up_parsing(self, body: _BodyT) -> None:
        """Answer a body that is not parsed at its deadline with default outputs, or reject it."""

    @abstractmethod
    def _check_inputs(self, payloads: list[bytes], first: int) -> None:
        """Check inputs of type ``json``; *first* is the position of the first of them."""

    @abstractmethod
    def _answer(self, query: Query) -> _AnswerT:
        """Return what the reply has of an answered query."""

    @abstractmethod
    def _default_answers(self, query_ids: list[int], reason: str, explanation: str) -> list[_AnswerT]:
        """Return what the reply has of queries that were not asked."""

    @abstractmethod
    def _write(self, some: list[_AnswerT]) -> None:
        """Write the next answers; reply after the last one."""

    @abstractmethod
    def _respond_error(self, status: HTTPStatus, error: str, cause: str) -> None:
        """Send an error as the reply."""

    def step(self) -> bool:
        """Do one short step; return whether more can be done now."""
        try:
            self._has_turns = not self._is_over and self._do_next()
        except InvalidInputError as exc:
            self._refuse(HTTPStatus.BAD_REQUEST, "Json error", str(exc))
        except UnknownVersionError as exc:
            self._refuse(HTTPStatus.BAD_REQUEST, "Query processing error", str(exc))
        except Exception:
            logger.exception("predict %r", self._served.application.name)
            self._end_with(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error", INTERNAL_CAUSE)
        return self._has_turns

    def _do_next(self) -> bool:
        if self._body is not None:
            return self._parse()
        return self._check() if self._num_checked < len(self._payloads) else self._ask_or_format()

    def cancel(self) -> None:
        """Record that the client no longer waits for the answer."""
        if self._is_over:
            return
        under_way = list(self._under_way.values())
        self._end()
        for query in under_way:
            computation = query.computation
            query.cancel()
            if computation is not None:
                computation.forget_if_abandoned()

    # --- parse

    def _parse(self) -> bool:
        body = self._body
        assert body is not None
        is_parsed = not next(self._parsing, False)
        self._count(body.payloads_size_bytes)
        if is_parsed and self._is_late:
            self._give_up_parsing(body)
        elif is_parsed:
            self._take_parsed(body)
        elif self._requests.waiting.is_over and self._requests.num_open > 1:
            self._shed("Too much waits for an answer already.")
        return not self._is_over

    def _count(self, size_bytes: int) -> None:
        self._requests.waiting.add(size_bytes - self._counted_size_bytes)
        self._counted_size_bytes = size_bytes

    def _take(self, payloads: list[bytes], target: Target) -> None:
        """Start to send the parsed inputs to the model."""
        self._target = target
        self._begin_reply(payloads)
        if not self._payloads:
            self._write([])
        else:
            last_steps_s = min(_LAST_STEPS_S * len(self._payloads), _LAST_STEPS_SHARE * self._served.slo_s)
            self._timer.cancel()
            deadline_s = self._arrived_s + self._wait_s - last_steps_s
            self._timer = self._requests.loop.call_at(deadline_s, self._on_deadline)

    def _begin_reply(self, payloads: list[bytes]) -> None:
        self._payloads = payloads
        self._num_checked = 0 if self._served.takes_json and not self._is_late else len(payloads)
        self._let_go_of_body()

    def _let_go_of_body(self) -> None:
        self._body = None
        self._parsing = iter(())

    # --- check

    def _check(self) -> bool:
        """Check some inputs of type ``json``: none is sent to the model before all of them are good."""
        if self._is_late:
            self._num_checked = len(self._payloads)
            return True
        start = self._num_checked
        stop, size_bytes = start, 0
        while stop < len(self._payloads) and size_bytes < MAX_CHECKED_SIZE_BYTES:
            size_bytes += len(self._payloads[stop])
            stop += 1
        self._check_inputs(self._payloads[start:stop], start)
        self._num_checked = stop
        return True

    # --- ask and format

    def _ask_or_format(self) -> bool:
        may_ask = self._num_asked < len(self._payloads) and not self._is_late
        if may_ask and len(self._under_way) < self._window:
            self._ask()
        elif self._answered:
            self._format()
        elif self._is_late:
            self._give_defaults()
        else:
            return False
        return not self._is_over

    def _ask(self) -> None:
        """Send some inputs to the model. Each counts as having arrived now, to be fair to earlier queries."""
        now_s = self._requests.loop.time()
        start = self._num_asked
        stop = min(start + _INPUTS_A_STEP, len(self._payloads), start + int(self._window) - len(self._under_way))
        for number in range(start, max(stop, start + 1)):
            self._num_asked += 1
            payload, self._payloads[number] = self._payloads[number], b""
            query = self._predictor.predict(
                self._served,
                self._target,
                payload,
                arrived_s=now_s,
                on_answered=self._on_answered,
                origin=self._origin,
            )
            query.received_s = self._arrived_s
            self._query_ids.append(query.query_id)
            if not query.is_answered:
                self._under_way[query.query_id] = query

    def _on_answered(self, query: Query) -> None:
        self._answered.append(query)
        if self._under_way.pop(query.query_id, None) is not None and query.reason is None:
            self._adapt_window(self._requests.loop.time() - query.arrived_s)
        self._go_on()

    def _go_on(self) -> None:
        """Take turns again, after there was nothing to do."""
        if not self._has_turns:
            self._has_turns = True
            self._requests.turns.add(self)

    def _adapt_window(self, latency_s: float) -> None:
        """Keep as many inputs in progress as the model answers in one to two tenths of the SLO."""
        slo_s = self._served.slo_s
        if latency_s < _QUICK_SHARE * slo_s:
            self._window = min(self._window + 1.0, float(self._requests.largest_window))
        elif latency_s > _SLOW_SHARE * slo_s:
            self._window = max(self._window - 1.0, float(_SMALLEST_WINDOW))

    def _format(self) -> None:
        served = self._served
        now_s = self._requests.loop.time()
        latency_s, model_id = now_s - self._arrived_s, self._target.model_id
        some, self._answered = self._answered[:_INPUTS_A_STEP], self._answered[_INPUTS_A_STEP:]
        for query in some:
            served.metrics.query_answered(latency_s, query.reason, model_id, self._origin)
            self._answers[query.query_id] = self._answer(query)
            self._requests.journal.record(query, served.name, self._target.model_id, now_s)
        self._write_answers()

    # --- too late

    def _on_deadline(self) -> None:
        """Answer the remaining inputs with default outputs."""
        self._is_late = True
        if self._body is not None:
            self._stop_parsing(self._body)
        for query in list(self._under_way.values()):
            answer_late(self._target, query, partial(self._predictor.explain_lateness, self._served))
        self._go_on()

    def _stop_parsing(self, body: _BodyT) -> None:
        """Act on a deadline before all is parsed."""
        self._give_up_parsing(body)

    def _give_defaults(self) -> None:
        """Answer some inputs that were never sent to the model; all others have been answered."""
        served, now_s = self._served, self._requests.loop.time()
        count = min(_DEFAULTS_A_STEP, len(self._payloads) - self._num_asked)
        self._num_asked += count
        explanation = (
            f"Failed to retrieve a prediction response within the specified latency SLO of {1000 * served.slo_s:g} ms: "
            "the request is large, and this input's turn had not come. Fewer inputs at a time would help."
        )
        ids = self._predictor.take_query_ids(count)
        served.metrics.queries_answered(count, now_s - self._arrived_s, QUEUED_TOO_LONG, self._target.model_id)
        for query_id in ids:
            query = Query(query_id, now_s, now_s, None)
            query.received_s = self._arrived_s
            query.origin = self._origin
            query.answer_default(QUEUED_TOO_LONG, explanation)
            self._requests.journal.record(query, served.name, self._target.model_id, now_s)
        self._write(self._default_answers(ids, QUEUED_TOO_LONG, explanation))

    # --- the end

    def _shed(self, cause: str) -> None:
        self._end_with(HTTPStatus.SERVICE_UNAVAILABLE, "Overloaded", cause)

    def _refuse(self, status: HTTPStatus, error: str, cause: str) -> None:
        self._served.metrics.num_bad_requests += 1
        self._end_with(status, error, cause)

    def _end_with(self, status: HTTPStatus, error: str, cause: str) -> None:
        self._end()
        self._respond_error(status, error, cause)

    def _write_answers(self) -> None:
        """Write the answers that are next in order."""
        answers = self._answers
        some: list[_AnswerT] = []
        for number in range(self._num_replied, len(self._query_ids)):
            answer = answers.pop(self._query_ids[number], None)
            if answer is None:
                break
            some.append(answer)
        self._write(some)

    def _end(self) -> None:
        """Release everything."""
        self._is_over = True
        self._has_turns = False
        self._timer.cancel()
        self._count(0)
        self._requests.num_open -= 1
        self._let_go_of_body()
        self._payloads = []
        self._under_way = {}
        self._answered = []
        self._answers = {}
