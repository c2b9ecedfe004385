"""Answers inference requests of the Open Inference Protocol (V2) from the wire: parse, ask the predictor, format."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from typing import Final

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.json_inputs import MAX_CHECKED_SIZE_BYTES
from clipper_nb.protocol.predict_body import MAX_INPUTS_AT_ONCE
from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.protocol.v2_body import InferRequest, V2Body, parse_known
from clipper_nb.protocol.v2_outputs import DefaultMisfitError
from clipper_nb.protocol.v2_reply import ONE_NUMBER, format_error, format_names, format_one_number
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.clock import LoopClock
from clipper_nb.runtime.http.endpoint import Cancel, InferHead, InferReply
from clipper_nb.runtime.query_frontend.large_infer_request import LargeInferRequest
from clipper_nb.runtime.query_frontend.large_request import LargeRequests
from clipper_nb.runtime.query_frontend.policy_target import answer_late
from clipper_nb.runtime.query_frontend.predict_endpoint import describe_unknown
from clipper_nb.runtime.query_frontend.predictor import (
    Predictor,
    ServedApplication,
    ServedVersion,
    Target,
)
from clipper_nb.runtime.query_frontend.v2_replies import check_json, make_reply, read_row, send_misfit, send_reply
from clipper_nb.runtime.routing.asked_version import UnknownVersionError

_MAX_STEPS_AT_ONCE: Final = 8
"""A request that needs more steps to be parsed is large; each takes less than half a millisecond."""


class V2Endpoint:
    """``POST /v2/models/<application>[/versions/<version>]/infer``: parse, ask the predictor, format.

    Parameters
    ----------
    predictor : Predictor
    loop : LoopClock
    large_requests : LargeRequests
        What requests share that would block all others.
    """

    def __init__(self, predictor: Predictor, loop: LoopClock, large_requests: LargeRequests) -> None:
        self._predictor = predictor
        self._loop = loop
        self._large_requests = large_requests

    def answer(
        self, head: InferHead, body: bytes, arrived_s: float, reply: InferReply, target: Target | None = None
    ) -> Cancel | None:
        """Answer one request through *reply*, now or later; return a callback for when the client no longer waits.

        *target* is asked in place of the version that the head means.
        """
        served = self._predictor.find_application(head.application_name)
        if served is None:
            status, text = describe_unknown(head.application_name)
            reply.respond(status, format_error(text))
            return None
        try:
            _check_encoding(head.content_encoding)
            if target is None:
                target = self._predictor.find_target(served, head.version, origin=head.origin)
            known = parse_known(body, head.json_size, served.known_requests)
            if known is not None:
                return self._ask(served, target, known[1], [known[0]], arrived_s, reply, head.origin)
            parsing = V2Body(body, head.json_size, served.application.input_type)
            steps = parsing.steps()
            for _ in range(_MAX_STEPS_AT_ONCE):
                if not next(steps, False):
                    break
                if parsing.num_inputs is not None and parsing.num_inputs > MAX_INPUTS_AT_ONCE:
                    return self._answer_later(head, served, target, parsing, steps, arrived_s, reply)
            else:
                return self._answer_later(head, served, target, parsing, steps, arrived_s, reply)
            if served.takes_json and parsing.request is not None:
                if parsing.payloads_size_bytes > MAX_CHECKED_SIZE_BYTES:
                    return self._answer_later(head, served, target, parsing, steps, arrived_s, reply)
                check_json(target, parsing.request.payloads)
        except InvalidInputError as exc:
            _refuse(served, reply, HTTPStatus.BAD_REQUEST, exc)
            return None
        except UnknownVersionError as exc:
            _refuse(served, reply, HTTPStatus.NOT_FOUND, exc)
            return None
        request = parsing.request
        assert request is not None
        return self._ask(served, target, request, request.payloads, arrived_s, reply, head.origin)

    def _answer_later(
        self,
        head: InferHead,
        served: ServedApplication,
        target: Target,
        parsing: V2Body,
        steps: Iterator[bool],
        arrived_s: float,
        reply: InferReply,
    ) -> Cancel:
        """Answer a large request in steps, the first of which were done."""
        shared = self._large_requests
        return LargeInferRequest(shared, served, target, parsing, steps, arrived_s, reply, head.origin).cancel

    def _ask(
        self,
        served: ServedApplication,
        target: Target,
        request: InferRequest,
        payloads: list[bytes],
        arrived_s: float,
        reply: InferReply,
        origin: RequestOrigin | None,
    ) -> Cancel | None:
        """Ask for the outputs of *payloads*, whatever those of the *request* are."""
        predictor = self._predictor
        if len(payloads) == 1 and request.timeout_s is None and not request.outputs:  # the usual case
            one = _OneAnswer(self, served, target, request, reply)
            query = Query(predictor.next_query_id(), arrived_s, arrived_s + served.wait_s, one.add)
            query.origin = origin
            predictor.ask(served, target, payloads[0], query)
            return query.cancel
        answers = _Answers(self, served, target, request, reply, len(payloads))
        wait_s = served.wait_s
        is_hurried = request.timeout_s is not None and request.timeout_s < wait_s
        if is_hurried:
            assert request.timeout_s is not None
            wait_s = request.timeout_s
        queries = []
        for payload in payloads:
            query = Query(predictor.next_query_id(), arrived_s, arrived_s + wait_s, answers.add)
            query.origin = origin
            predictor.ask(served, target, payload, query)
            queries.append(query)
        timer = (
            self._loop.call_at(arrived_s + wait_s, partial(self._give_up, served, target, queries))
            if is_hurried
            else None
        )
        answers.start(queries, predictor.next_query_id() if not queries else queries[0].query_id, timer)
        return partial(_cancel, queries, timer)

    def _give_up(self, served: ServedApplication, target: Target, queries: list[Query]) -> None:
        """Answer what is not answered at the request's own deadline, which is before the application's."""

        def explain(asked: Query) -> tuple[str, str]:
            waited_ms = (asked.deadline_s - asked.arrived_s) * 1000
            reason, _ = self._predictor.explain_lateness(served, asked)
            return reason, f"The request's own timeout of {waited_ms:g} ms has passed."

        for query in queries:
            if query.computation is not None and not query.is_answered:
                answer_late(target, query, explain)

    def count(self, served: ServedApplication, target: Target, query: Query) -> float:
        """Count an answered query; return the present instant."""
        now_s = self._loop.time()
        served.metrics.query_answered(now_s - query.arrived_s, query.reason, target.model_id, query.origin)
        return now_s

    def send(
        self,
        served: ServedApplication,
        target: Target,
        request: InferRequest,
        first_query_id: int,
        queries: list[Query],
        reply: InferReply,
    ) -> None:
        """Format and send the reply to answered queries."""
        body = make_reply(served, target, request, first_query_id, [read_row(served, query) for query in queries])
        now_s = self._loop.time()
        for query in queries:
            self.record(served, target, query, now_s)
        try:
            for _ in body.steps():
                pass
        except DefaultMisfitError as exc:
            send_misfit(exc, reply)
            return
        send_reply(body, target, reply)

    def record(self, served: ServedApplication, target: Target, query: Query, now_s: float) -> None:
        """Keep a query whose output was read."""
        self._large_requests.journal.record(query, served.name, target.model_id, now_s)


class _Asked:
    """A request whose inputs were asked."""

    def __init__(
        self, endpoint: V2Endpoint, served: ServedApplication, target: Target, request: InferRequest, reply: InferReply
    ) -> None:
        self._endpoint = endpoint
        self._served = served
        self._target = target
        self._request = request
        self._reply = reply


class _OneAnswer(_Asked):
    """Replies with the answer to the one input of a request."""

    def add(self, query: Query) -> None:
        """Reply with the answer."""
        served, target, reply, request = self._served, self._target, self._reply, self._request
        now_s = self._endpoint.count(served, target, query)
        if query.reason is None and isinstance(target, ServedVersion):
            request_id = str(query.query_id) if request.request_id is None else request.request_id
            names = target.infer_names.get(served.name)
            if names is None:
                names = target.infer_names[served.name] = format_names(served.name, target.model_id.version)
            formatted = format_one_number(names, request_id, query.output, request.is_binary)
            if formatted is not None:
                target.output_form = ONE_NUMBER
                self._endpoint.record(served, target, query, now_s)
                json_size_bytes, body = formatted
                if json_size_bytes is None:
                    reply.respond(HTTPStatus.OK, body)
                else:
                    reply.respond_with_tensors(json_size_bytes, body)
                return
        self._endpoint.send(served, target, request, query.query_id, [query], reply)


class _Answers(_Asked):
    """Collects the answers of one request and replies when all have come, in the order of the inputs."""

    def __init__(
        self,
        endpoint: V2Endpoint,
        served: ServedApplication,
        target: Target,
        request: InferRequest,
        reply: InferReply,
        num_payloads: int,
    ) -> None:
        super().__init__(endpoint, served, target, request, reply)
        self._missing = num_payloads
        self._queries: list[Query] | None = None
        self._first_query_id = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, queries: list[Query], first_query_id: int, timer: asyncio.TimerHandle | None) -> None:
        """Set the queries, some of which may be answered already."""
        self._queries, self._first_query_id, self._timer = queries, first_query_id, timer
        self._reply_when_complete()

    def add(self, query: Query) -> None:
        """Add one answer."""
        self._endpoint.count(self._served, self._target, query)
        self._missing -= 1
        self._reply_when_complete()

    def _reply_when_complete(self) -> None:
        queries = self._queries
        if self._missing or queries is None:
            return
        self._queries = None  # they refer to this
        if self._timer is not None:
            self._timer.cancel()
        self._endpoint.send(self._served, self._target, self._request, self._first_query_id, queries, self._reply)


def _check_encoding(content_encoding: bytes | None) -> None:
    if content_encoding is not None and content_encoding.strip().lower() not in (b"", b"identity"):
        raise InvalidInputError(f"The body is compressed ({content_encoding[:60].decode('latin-1')}), and must not be.")


def _refuse(served: ServedApplication, reply: InferReply, status: HTTPStatus, exc: Exception) -> None:
    served.metrics.num_bad_requests += 1
    reply.respond(status, format_error(str(exc)))


def _cancel(queries: list[Query], timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
    for query in queries:
        query.cancel()
