"""Answers inference requests of the Open Inference Protocol (V2) with a large body or many inputs."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.protocol.v2_body import InferRequest, V2Body
from clipper_nb.protocol.v2_outputs import DefaultMisfitError, Row, read_output
from clipper_nb.protocol.v2_reply import InferReplyBody, format_error
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.http.endpoint import InferReply
from clipper_nb.runtime.query_frontend.large_request import LargeRequest, LargeRequests
from clipper_nb.runtime.query_frontend.predictor import ServedApplication, Target
from clipper_nb.runtime.query_frontend.v2_replies import check_json, make_reply, read_row, send_misfit, send_reply


class LargeInferRequest(LargeRequest[V2Body, Row]):
    """One large inference request, the first steps of which may have been done."""

    def __init__(
        self,
        requests: LargeRequests,
        served: ServedApplication,
        target: Target,
        body: V2Body,
        steps: Iterator[bool],
        arrived_s: float,
        reply: InferReply,
        origin: RequestOrigin | None = None,
    ) -> None:
        self._reply = reply
        self._asked = target
        self._request: InferRequest | None = None
        self._rows: list[Row] = []
        self._first_query_id: int | None = None  # if the first input was not asked
        self._reply_body: InferReplyBody | None = None
        self._formatting: Iterator[bool] = iter(())
        super().__init__(requests, served, body, steps, arrived_s, origin)

    def _take_parsed(self, body: V2Body) -> None:
        request = self._request = body.request
        assert request is not None
        if request.timeout_s is not None:
            self._wait_s = min(self._wait_s, request.timeout_s)
        self._take(request.payloads, self._asked)

    def _give_up_parsing(self, body: V2Body) -> None:
        self._request = body.request
        if body.request is None or body.num_inputs is None:
            self._shed("The inputs could not all be read within the latency SLO: send fewer at a time.")
        else:
            self._begin_reply([b""] * body.num_inputs)

    def _check_inputs(self, payloads: list[bytes], first: int) -> None:
        check_json(self._target, payloads, first)

    def _answer(self, query: Query) -> Row:
        return read_row(self._served, query)

    def _default_answers(self, query_ids: list[int], reason: str, explanation: str) -> list[Row]:
        if self._first_query_id is None:
            self._first_query_id = query_ids[0]
        row = Row(read_output(self._served.application.default_output), reason, explanation)
        return [row] * len(query_ids)

    def _write(self, some: list[Row]) -> None:
        self._rows += some
        self._num_replied += len(some)
        if self._num_replied == len(self._payloads) and self._reply_body is None:
            self._timer.cancel()
            assert self._request is not None
            self._reply_body = make_reply(self._served, self._target, self._request, self._query_id(), self._rows)
            self._formatting = self._reply_body.steps()

    def _query_id(self) -> int:
        if self._query_ids:
            return self._query_ids[0]
        return self._predictor.next_query_id() if self._first_query_id is None else self._first_query_id

    def _ask_or_format(self) -> bool:
        body = self._reply_body
        if body is None:
            return super()._ask_or_format()
        try:
            if next(self._formatting, False):
                return True
        except DefaultMisfitError as exc:
            self._end()
            send_misfit(exc, self._reply)
            return False
        self._end()
        send_reply(body, self._target, self._reply)
        return False

    def _respond_error(self, status: HTTPStatus, error: str, cause: str) -> None:
        self._reply.respond(status, format_error(cause))
