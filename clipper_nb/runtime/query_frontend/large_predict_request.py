"""Answers predict requests with a large body or many inputs."""

from __future__ import annotations

import io
from http import HTTPStatus

from clipper_nb.protocol import predict_body, rest
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.large_body import LargeBody
from clipper_nb.protocol.large_json import LargeJsonBody
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.http.endpoint import Respond
from clipper_nb.runtime.query_frontend.large_request import LargeRequest, LargeRequests
from clipper_nb.runtime.query_frontend.predictor import ServedApplication


class LargePredictRequest(LargeRequest[LargeBody, bytes]):
    """One large request to ``/<application>/predict``."""

    def __init__(
        self,
        requests: LargeRequests,
        served: ServedApplication,
        body: bytes,
        arrived_s: float,
        respond: Respond,
        origin: RequestOrigin | None = None,
    ) -> None:
        self._respond = respond
        self._is_batch = False
        self._replying = io.BytesIO()
        input_type = served.application.input_type
        large = LargeJsonBody(body) if input_type is InputType.JSON else LargeBody(body, input_type)
        super().__init__(requests, served, large, large.steps(), arrived_s, origin)

    def _take_parsed(self, body: LargeBody) -> None:
        request = body.request
        assert request is not None
        target = self._predictor.find_target(self._served, request.version, request.key, self._origin)
        self._open(is_batch=request.is_batch)
        self._take(request.payloads, target)

    def _stop_parsing(self, body: LargeBody) -> None:
        if body.is_countable:
            self._parsing = body.count_steps()
        else:
            self._give_up_parsing(body)

    def _give_up_parsing(self, body: LargeBody) -> None:
        is_counted = body.is_countable and body.num_inputs <= MAX_BATCH_INPUTS
        if is_counted or body.is_batch is False:
            self._open(is_batch=body.is_countable)
            self._begin_reply([b""] * body.num_inputs)
        else:
            self._shed("The inputs could not all be read within the latency SLO: send fewer at a time.")

    def _open(self, *, is_batch: bool) -> None:
        self._is_batch = is_batch
        if is_batch:
            self._replying.write(b'{"batch_predictions":[')

    def _check_inputs(self, payloads: list[bytes], first: int) -> None:
        self._target.json_check.check(payloads, is_batch=self._is_batch, first=first)

    def _answer(self, query: Query) -> bytes:
        output = query.output if query.reason is None else self._served.application.default_output
        return predict_body.format_prediction(
            query.query_id, output, query.reason, query.explanation, query.reply_part or self._target.reply_part
        )

    def _default_answers(self, query_ids: list[int], reason: str, explanation: str) -> list[bytes]:
        output = self._served.application.default_output
        return predict_body.format_defaults(query_ids, output, reason, explanation, self._target.reply_part)

    def _write(self, some: list[bytes]) -> None:
        if some:
            self._replying.write((b"," if self._num_replied else b"") + b",".join(some))
            self._num_replied += len(some)
        if self._num_replied == len(self._payloads):
            self._replying.write(b"]}" if self._is_batch else b"")
            self._end()
            self._respond(HTTPStatus.OK, self._replying.getvalue())

    def _respond_error(self, status: HTTPStatus, error: str, cause: str) -> None:
        self._respond(status, rest.format_error(error, cause))
