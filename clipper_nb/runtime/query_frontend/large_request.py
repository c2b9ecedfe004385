"""Answers predict requests with a large body or many inputs, in small steps that do not block other requests.

The inputs go to the model one window at a time, like the queries of a client that sends its next query after each
answer. So queries that arrive meanwhile wait at most for one window, not for thousands of inputs with earlier
deadlines.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from http import HTTPStatus

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol import predict_body, rest
from clipper_nb.protocol.large_body import LargeBody
from clipper_nb.runtime.batching.query import QUEUED_TOO_LONG, Query
from clipper_nb.runtime.clock import LoopClock
from clipper_nb.runtime.http.endpoint import Respond
from clipper_nb.runtime.http.errors import describe_failure
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes
from clipper_nb.runtime.query_frontend.predictor import (
    NoTarget,
    Predictor,
    ServedApplication,
    Target,
    UnknownVersionError,
)
from clipper_nb.runtime.turns import Turns

logger = logging.getLogger(__name__)

_FIRST_WINDOW = 64
_SMALLEST_WINDOW = 8
_LARGEST_WINDOW = 512
"""For all large requests together: answers that come back together are processed in one turn of the event loop."""
_QUICK_SHARE = 0.1
_SLOW_SHARE = 0.2
"""Shares of the SLO: if an input takes less than the first, more are sent at a time; if more than the second, fewer."""
_INPUTS_A_STEP = 32
_DEFAULTS_A_STEP = 1024
_LAST_STEPS_S = 1e-6
_LAST_STEPS_SHARE = 0.2
"""Time for default outputs at the deadline: this long for each input, at most this share of the SLO."""


class LargeRequests:
    """Answers large requests, and counts them.

    Parameters
    ----------
    predictor : Predictor
    loop : LoopClock
    turns : Turns
    waiting : WaitingBytes
        Counts the payloads, which may be several times as large as their body.
    """

    def __init__(self, predictor: Predictor, loop: LoopClock, turns: Turns, waiting: WaitingBytes) -> None:
        self.predictor = predictor
        self.loop = loop
        self.turns = turns
        self.waiting = waiting
        self.num_open = 0

    def answer(self, served: ServedApplication, body: bytes, arrived_s: float, respond: Respond) -> Callable[[], None]:
        """Answer one request through *respond*, later; return a callback for when the client no longer waits."""
        return LargeRequest(self, served, body, arrived_s, respond).cancel

    @property
    def largest_window(self) -> int:
        """How many inputs each request may have in progress."""
        return max(_SMALLEST_WINDOW, _LARGEST_WINDOW // max(1, self.num_open))


class LargeRequest:
    """One large request."""

    def __init__(
        self, requests: LargeRequests, served: ServedApplication, body: bytes, arrived_s: float, respond: Respond
    ) -> None:
        self._requests = requests
        self._predictor = requests.predictor
        self._served = served
        self._arrived_s = arrived_s
        self._respond = respond
        self._body: LargeBody | None = LargeBody(body, served.application.input_type)
        self._parsing = self._body.steps()
        self._is_batch = False
        self._target: Target = NoTarget(QUEUED_TOO_LONG, "")
        self._payloads: list[bytes] = []
        self._num_asked = 0
        self._query_ids: list[int] = []
        self._under_way: dict[int, Query] = {}
        self._answered: list[Query] = []  # and not formatted yet
        self._answers: dict[int, bytes] = {}  # formatted, and not yet next in the reply
        self._replying = io.BytesIO()
        self._num_replied = 0
        self._window = float(_FIRST_WINDOW)
        self._counted_size_bytes = 0
        self._has_turns = True
        self._is_late = False
        self._is_over = False
        requests.num_open += 1
        self._timer = requests.loop.call_at(arrived_s + served.wait_s, self._on_deadline)
        requests.turns.add(self)

    def step(self) -> bool:
        """Do one short step; return whether more can be done now."""
        try:
            self._has_turns = not self._is_over and (self._parse() if self._body is not None else self._ask_or_format())
        except InvalidInputError as exc:
            self._refuse(*describe_failure(exc))
        except UnknownVersionError as exc:
            self._refuse(HTTPStatus.BAD_REQUEST, rest.format_error("Query processing error", str(exc)))
        except Exception as exc:
            logger.exception("predict %r", self._served.application.name)
            self._reply(*describe_failure(exc))
        return self._has_turns

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
            assert body.request is not None
            self._take(body.request)
        elif self._requests.waiting.is_over and self._requests.num_open > 1:
            self._shed("Too much waits for an answer already.")
        return not self._is_over

    def _count(self, size_bytes: int) -> None:
        self._requests.waiting.add(size_bytes - self._counted_size_bytes)
        self._counted_size_bytes = size_bytes

    def _take(self, request: predict_body.PredictRequest) -> None:
        """Start to send the parsed inputs to the model."""
        self._target = self._predictor.find_target(self._served, request.version)
        self._begin_reply(request.payloads, is_batch=request.is_batch)
        if not self._payloads:
            self._write([])
        else:
            last_steps_s = min(_LAST_STEPS_S * len(self._payloads), _LAST_STEPS_SHARE * self._served.slo_s)
            self._timer.cancel()
            deadline_s = self._arrived_s + self._served.wait_s - last_steps_s
            self._timer = self._requests.loop.call_at(deadline_s, self._on_deadline)

    def _begin_reply(self, payloads: list[bytes], *, is_batch: bool) -> None:
        self._payloads, self._is_batch = payloads, is_batch
        self._let_go_of_body()
        if is_batch:
            self._replying.write(b'{"batch_predictions":[')

    def _let_go_of_body(self) -> None:
        self._body = None
        self._parsing = iter(())

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
                self._served, self._target, payload, arrived_s=now_s, on_answered=self._on_answered
            )
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
        metrics = served.metrics
        latency_s = self._requests.loop.time() - self._arrived_s
        some, self._answered = self._answered[:_INPUTS_A_STEP], self._answered[_INPUTS_A_STEP:]
        for query in some:
            metrics.query_answered(latency_s, query.reason)
            output = query.output if query.reason is None else served.application.default_output
            self._answers[query.query_id] = predict_body.format_prediction(
                query.query_id, output, query.reason, query.explanation, self._target.reply_part
            )
        self._write_answers()

    # --- too late

    def _on_deadline(self) -> None:
        """Answer the remaining inputs with default outputs."""
        self._is_late = True
        if self._body is not None:
            if self._body.is_countable:
                self._parsing = self._body.count_steps()
            else:
                self._give_up_parsing(self._body)
        for query in list(self._under_way.values()):
            computation = query.computation
            query.answer_default(*self._predictor.explain_lateness(self._served, query))
            if computation is not None:
                computation.forget_if_abandoned()
        self._go_on()

    def _give_up_parsing(self, body: LargeBody) -> None:
        is_counted = body.is_countable and body.num_inputs <= predict_body.MAX_BATCH_INPUTS
        if is_counted or body.is_batch is False:
            self._begin_reply([b""] * body.num_inputs, is_batch=body.is_countable)
        else:
            self._shed("The inputs could not all be read within the latency SLO: send fewer at a time.")

    def _give_defaults(self) -> None:
        """Answer some inputs that were never sent to the model; all others have been answered."""
        slo_ms = 1000 * self._served.slo_s
        count = min(_DEFAULTS_A_STEP, len(self._payloads) - self._num_asked)
        self._num_asked += count
        ids = self._predictor.take_query_ids(count)
        self._served.metrics.queries_answered(count, self._requests.loop.time() - self._arrived_s, QUEUED_TOO_LONG)
        self._write(
            predict_body.format_defaults(
                ids, self._served.application.default_output, QUEUED_TOO_LONG,
                f"Failed to retrieve a prediction response within the specified latency SLO of {slo_ms:g} ms: the "
                "request is large, and this input's turn had not come. Fewer inputs at a time would help.",
                self._target.reply_part,
            )
        )  # fmt: skip

    # --- the end

    def _shed(self, cause: str) -> None:
        self._reply(HTTPStatus.SERVICE_UNAVAILABLE, rest.format_error("Overloaded", cause))

    def _refuse(self, status: HTTPStatus, body: bytes) -> None:
        self._served.metrics.num_bad_requests += 1
        self._reply(status, body)

    def _write_answers(self) -> None:
        """Write the answers that are next in order."""
        answers = self._answers
        some = []
        for number in range(self._num_replied, len(self._query_ids)):
            answer = answers.pop(self._query_ids[number], None)
            if answer is None:
                break
            some.append(answer)
        self._write(some)

    def _write(self, some: list[bytes]) -> None:
        """Write the next answers; reply with the last one."""
        if some:
            self._replying.write((b"," if self._num_replied else b"") + b",".join(some))
            self._num_replied += len(some)
        if self._num_replied == len(self._payloads):
            self._replying.write(b"]}" if self._is_batch else b"")
            self._reply(HTTPStatus.OK, self._replying.getvalue())

    def _reply(self, status: int, body: bytes) -> None:
        respond = self._respond
        self._end()
        respond(status, body)

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
