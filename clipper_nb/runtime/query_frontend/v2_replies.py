"""Replies to inference requests of the Open Inference Protocol (V2): rows of answers, statuses of failures."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.json_inputs import MAX_CHECKED_SIZE_BYTES
from clipper_nb.protocol.predict_body import expectation
from clipper_nb.protocol.v2_body import InferRequest
from clipper_nb.protocol.v2_outputs import DefaultMisfitError, Row, read_output
from clipper_nb.protocol.v2_reply import InferReplyBody, format_error
from clipper_nb.runtime.batching import query as reasons
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.http.endpoint import InferReply
from clipper_nb.runtime.query_frontend.predictor import ServedApplication, ServedVersion, Target

_STATUSES: Final = {
    reasons.NOT_LINKED: HTTPStatus.SERVICE_UNAVAILABLE,
    reasons.NO_READY_REPLICA: HTTPStatus.SERVICE_UNAVAILABLE,
    reasons.QUEUED_TOO_LONG: HTTPStatus.GATEWAY_TIMEOUT,
    reasons.MODEL_TOO_SLOW: HTTPStatus.GATEWAY_TIMEOUT,
    reasons.MODEL_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
    reasons.NOT_CONFIDENT: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Statuses of default outputs that the reply's tensor cannot hold."""


def read_row(served: ServedApplication, query: Query) -> Row:
    """Return what the reply has of an answered query."""
    if query.reason is None:
        return Row(read_output(query.output))
    return Row(read_output(served.application.default_output), query.reason, query.explanation)


def check_json(target: Target, payloads: Sequence[bytes], first: int = 0) -> None:
    """Check inputs of type ``json``, as for predict.

    Raises
    ------
    InvalidInputError
        One is no JSON, does not fit, or is too large to be read at once.
    """
    for position, payload in enumerate(payloads, first):
        if len(payload) > MAX_CHECKED_SIZE_BYTES:
            raise InvalidInputError(
                f"Element {position} has {len(payload)} bytes of JSON, and here it may have {MAX_CHECKED_SIZE_BYTES}: "
                "send it to predict."
            )
    try:
        target.json_check.check(payloads, is_batch=True, first=first)
    except InvalidInputError as exc:
        text = str(exc).removesuffix(f" {expectation(InputType.JSON)}").replace("$.input_batch[", "data[", 1)
        raise InvalidInputError(text) from exc


def make_reply(
    served: ServedApplication, target: Target, request: InferRequest, first_query_id: int, rows: list[Row]
) -> InferReplyBody:
    """Return the reply to a request all of whose inputs are answered."""
    version = None if target.model_id is None else target.model_id.version
    request_id = str(first_query_id) if request.request_id is None else request.request_id
    return InferReplyBody(served.application.name, version, request_id, request, rows)


def send_reply(body: InferReplyBody, target: Target, reply: InferReply) -> None:
    """Send a formatted reply, and remember what the model's output looks like."""
    if isinstance(target, ServedVersion) and body.output_form is not None:
        target.output_form = body.output_form
    if body.json_size_bytes is None:
        reply.respond(HTTPStatus.OK, body.body)
    else:
        reply.respond_with_tensors(body.json_size_bytes, body.body)


def send_misfit(exc: DefaultMisfitError, reply: InferReply) -> None:
    """Send an error in place of default outputs that the reply's tensor cannot hold."""
    reply.respond(_STATUSES[exc.reason], format_error(str(exc)))
