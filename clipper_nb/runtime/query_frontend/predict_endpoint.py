"""Answers predict requests directly from the wire: parse, ask the predictor, format."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final

from clipper_nb.errors import ApplicationNotFoundError, InvalidInputError
from clipper_nb.protocol import predict_body, rest
from clipper_nb.protocol.application_tokens import KEY_SEPARATOR
from clipper_nb.protocol.predict_body import SMALL_BODY_SIZE_BYTES
from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.http.endpoint import Cancel, Respond
from clipper_nb.runtime.http.errors import describe_failure
from clipper_nb.runtime.query_frontend.journal import Journal
from clipper_nb.runtime.query_frontend.large_predict_request import LargePredictRequest
from clipper_nb.runtime.query_frontend.large_request import LargeRequests
from clipper_nb.runtime.query_frontend.predictor import Predictor, ServedApplication, Target
from clipper_nb.runtime.routing.asked_version import UnknownVersionError

_BAD_TOKEN: Final = (
    "This token is not good for this path: it was revoked, has expired, or is another one's. In a notebook that is "
    "connected, conn.get_tokens() lists those of an application, conn.create_token() makes one."
)
"""The same whether or not there is such an application, so that names cannot be tried."""


class PredictEndpoint:
    """``POST /<application>/predict``: parse, ask the predictor, format.

    Parameters
    ----------
    predictor : Predictor
    clock : callable
        Monotonic seconds.
    large_requests : LargeRequests
        What requests share that would block all others.
    journal : Journal
        Keeps the answered queries.
    """

    def __init__(
        self, predictor: Predictor, clock: Callable[[], float], large_requests: LargeRequests, journal: Journal
    ) -> None:
        self._predictor = predictor
        self._clock = clock
        self._large_requests = large_requests
        self._journal = journal

    def answer(
        self,
        application_name: str,
        body: bytes,
        arrived_s: float,
        respond: Respond,
        origin: RequestOrigin | None = None,
    ) -> Cancel | None:
        """Answer one request through *respond*, now or later; return a callback for when the client no longer waits."""
        served = self._predictor.find_application(application_name)
        if served is None:
            status, cause = describe_unknown(application_name)
            respond(status, rest.format_error(status.phrase.capitalize(), cause))
            return None
        if len(body) > SMALL_BODY_SIZE_BYTES and predict_body.is_large(body, served.application.input_type):
            return LargePredictRequest(self._large_requests, served, body, arrived_s, respond, origin).cancel
        if served.takes_doubles and served.split is None:
            payload = predict_body.parse_one_list_of_doubles(body)
            if payload is not None:
                return self._predict_one(served, served.default_target, payload, arrived_s, respond, origin)
        try:
            payloads, is_batch, version, key = predict_body.parse_predict(body, served.application.input_type)
            target = self._predictor.find_target(served, version, key, origin)
            if served.takes_json:
                target.json_check.check(payloads, is_batch=is_batch)
        except InvalidInputError as exc:
            served.metrics.num_bad_requests += 1
            respond(*describe_failure(exc))
            return None
        except UnknownVersionError as exc:
            served.metrics.num_bad_requests += 1
            respond(HTTPStatus.BAD_REQUEST, rest.format_error("Query processing error", str(exc)))
            return None
        if not is_batch:
            return self._predict_one(served, target, payloads[0], arrived_s, respond, origin)
        predict = self._predictor.predict
        reply = _BatchReply(self, served, target, len(payloads), respond)
        queries = [
            predict(served, target, payload, arrived_s=arrived_s, on_answered=reply.add, origin=origin)
            for payload in payloads
        ]
        reply.start(queries)
        return partial(_cancel, queries)

    def _predict_one(
        self,
        served: ServedApplication,
        target: Target,
        payload: bytes,
        arrived_s: float,
        respond: Respond,
        origin: RequestOrigin | None,
    ) -> Cancel:
        query = _SingleQuery(self, self._predictor.next_query_id(), served, target, arrived_s, respond)
        query.origin = origin
        self._predictor.ask(served, target, payload, query)
        return query.cancel

    def format(self, served: ServedApplication, target: Target, query: Query) -> bytes:
        """Return the JSON of an answered query, and count the query."""
        answered_s = self._clock()
        served.metrics.query_answered(answered_s - query.arrived_s, query.reason, target.model_id, query.origin)
        output = query.output if query.reason is None else served.application.default_output
        self._journal.record(query, served.name, target.model_id, answered_s)
        return predict_body.format_prediction(
            query.query_id, output, query.reason, query.explanation, query.reply_part or target.reply_part
        )


class _SingleQuery(Query):
    """The query of a request with one input, whose answer is the reply."""

    __slots__ = ("_endpoint", "_respond", "_served", "_target")

    def __init__(
        self,
        endpoint: PredictEndpoint,
        query_id: int,
        served: ServedApplication,
        target: Target,
        arrived_s: float,
        respond: Respond,
    ) -> None:
        super().__init__(query_id, arrived_s, arrived_s + served.wait_s, None)
        self._endpoint = endpoint
        self._served = served
        self._target = target
        self._respond: Respond | None = respond

    def deliver(self) -> None:
        respond = self._respond
        self._respond = None  # the query is kept, and its connection is not
        if respond is not None:
            respond(200, self._endpoint.format(self._served, self._target, self))

    def cancel(self) -> None:
        super().cancel()
        self._respond = None


class _BatchReply:
    """Collects the answers of one ``input_batch`` and responds when all have come, in the order of the inputs."""

    def __init__(
        self, endpoint: PredictEndpoint, served: ServedApplication, target: Target, size: int, respond: Respond
    ) -> None:
        self._endpoint = endpoint
        self._served = served
        self._target = target
        self._missing = size
        self._respond = respond
        self._answers: dict[int, bytes] = {}
        self._queries: list[Query] | None = None

    def start(self, queries: list[Query]) -> None:
        """Set the queries, some of which may be answered already."""
        self._queries = queries
        self._respond_when_complete()

    def add(self, query: Query) -> None:
        """Add one answer."""
        self._answers[query.query_id] = self._endpoint.format(self._served, self._target, query)
        self._missing -= 1
        self._respond_when_complete()

    def _respond_when_complete(self) -> None:
        if self._missing == 0 and self._queries is not None:
            answers = [self._answers[query.query_id] for query in self._queries]
            self._respond(HTTPStatus.OK, predict_body.format_predictions(answers))


def describe_unknown(application_name: str) -> tuple[HTTPStatus, str]:
    """Return the status and the cause for a name, or the key of a token, that no application has."""
    if KEY_SEPARATOR not in application_name:
        return HTTPStatus.NOT_FOUND, str(ApplicationNotFoundError(application_name))
    return HTTPStatus.UNAUTHORIZED, _BAD_TOKEN


def _cancel(queries: list[Query]) -> None:
    for query in queries:
        query.cancel()
