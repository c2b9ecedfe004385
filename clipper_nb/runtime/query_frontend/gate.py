"""Holds back predict requests while the configuration may be outdated."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol import predict_body
from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.runtime.batching import query as reasons
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.clock import LoopClock
from clipper_nb.runtime.http.endpoint import Cancel, InferHead, InferReply, Respond
from clipper_nb.runtime.http.errors import describe_failure
from clipper_nb.runtime.query_frontend.predict_endpoint import PredictEndpoint
from clipper_nb.runtime.query_frontend.predictor import NoTarget, Predictor, ServedApplication
from clipper_nb.runtime.query_frontend.v2_endpoint import V2Endpoint
from clipper_nb.runtime.state.lease import Lease

logger = logging.getLogger(__name__)

_EXPLANATION = "The query frontend was paused, and could not confirm in time that its configuration is current."


class Gate:
    """Passes requests to the endpoints while the lease is valid; others wait for its renewal, or for their SLO.

    Parameters
    ----------
    endpoint : PredictEndpoint
    v2_endpoint : V2Endpoint
    predictor : Predictor
    lease : Lease
    look_soon : callable
        Makes the frontend check its configuration, which renews the lease.
    loop : LoopClock
    """

    def __init__(
        self,
        endpoint: PredictEndpoint,
        v2_endpoint: V2Endpoint,
        predictor: Predictor,
        lease: Lease,
        look_soon: Callable[[], None],
        loop: LoopClock,
    ) -> None:
        self._endpoint = endpoint
        self._v2_endpoint = v2_endpoint
        self._predictor = predictor
        self._lease = lease
        self._now_s = lease.clock
        self._look_soon = look_soon
        self._loop = loop
        self._held: dict[_HeldRequest, None] = {}
        self._waits_for_renewal = False

    def __call__(
        self,
        application_name: str,
        body: bytes,
        arrived_s: float,
        respond: Respond,
        origin: RequestOrigin | None = None,
        /,
    ) -> Cancel | None:
        """Answer one predict request through *respond*, as the endpoint does."""
        if self._now_s() <= self._lease.until_s:
            return self._endpoint.answer(application_name, body, arrived_s, respond, origin)
        return self._hold_predict(application_name, body, arrived_s, respond, origin)

    def infer(self, head: InferHead, body: bytes, arrived_s: float, reply: InferReply) -> Cancel | None:
        """Answer one infer request through *reply*, as its endpoint does."""
        if self._now_s() <= self._lease.until_s:
            return self._v2_endpoint.answer(head, body, arrived_s, reply)
        return self._hold_infer(head, body, arrived_s, reply)

    def _hold_predict(
        self, application_name: str, body: bytes, arrived_s: float, respond: Respond, origin: RequestOrigin | None
    ) -> Cancel:
        endpoint = self._endpoint
        held = _HeldRequest(
            self._held,
            f"predict {application_name!r}",
            lambda: endpoint.answer(application_name, body, arrived_s, respond, origin),
            respond,
        )
        served = self._predictor.find_application(application_name)
        return self._hold(held, served, arrived_s, lambda found: self._answer_default(found, body, arrived_s, respond))

    def _hold_infer(self, head: InferHead, body: bytes, arrived_s: float, reply: InferReply) -> Cancel:
        endpoint = self._v2_endpoint
        held = _HeldRequest(
            self._held,
            f"infer {head.application_name!r}",
            lambda: endpoint.answer(head, body, arrived_s, reply),
            reply.respond,
        )
        late = NoTarget(reasons.QUEUED_TOO_LONG, _EXPLANATION)
        served = self._predictor.find_application(head.application_name)
        return self._hold(held, served, arrived_s, lambda _: endpoint.answer(head, body, arrived_s, reply, late))

    def _hold(
        self,
        held: _HeldRequest,
        served: ServedApplication | None,
        arrived_s: float,
        answer_default: Callable[[ServedApplication], object],
    ) -> Cancel:
        if served is not None:  # an unknown application may turn out to be known
            found = served
            late_at_s = arrived_s + found.wait_s
            held.timer = self._loop.call_at(late_at_s, lambda: held.answer(lambda: answer_default(found)))
        if not self._waits_for_renewal:
            self._waits_for_renewal = True
            self._lease.when_renewed(self._let_all_through)
        self._look_soon()
        return held.cancel

    def _let_all_through(self) -> None:
        self._waits_for_renewal = False
        for held in list(self._held):
            held.let_through()

    def _answer_default(self, served: ServedApplication, body: bytes, arrived_s: float, respond: Respond) -> None:
        try:
            payloads, is_batch, _, _ = predict_body.parse_predict(body, served.application.input_type)
        except InvalidInputError as exc:
            served.metrics.num_bad_requests += 1
            respond(*describe_failure(exc))
            return
        answers: list[bytes] = []
        target = NoTarget(reasons.QUEUED_TOO_LONG, _EXPLANATION)

        def add(query: Query) -> None:
            answers.append(self._endpoint.format(served, target, query))

        for payload in payloads:
            self._predictor.predict(served, target, payload, arrived_s=arrived_s, on_answered=add)
        respond(200, predict_body.format_predictions(answers) if is_batch else answers[0])


class _HeldRequest:
    """One waiting request, answered once: by the endpoint, or at its deadline."""

    def __init__(
        self,
        all_held: dict[_HeldRequest, None],
        what: str,
        ask: Callable[[], Cancel | None],
        respond: Respond,
    ) -> None:
        self._all_held = all_held
        self._what = what
        self._ask_endpoint = ask
        self._respond = respond
        self.timer: asyncio.TimerHandle | None = None
        self._cancel_answer: Cancel | None = None
        all_held[self] = None

    def let_through(self) -> None:
        """Pass the request to the endpoint, with the current configuration."""
        self.answer(self._ask)

    def answer(self, answer: Callable[[], object]) -> None:
        """Call *answer*, unless the request has been answered."""
        if self in self._all_held:
            del self._all_held[self]
            if self.timer is not None:
                self.timer.cancel()
            answer()

    def cancel(self) -> None:
        """Record that the client no longer waits."""
        if self._cancel_answer is not None:
            self._cancel_answer()
        self.answer(_nothing)

    def _ask(self) -> None:
        try:
            self._cancel_answer = self._ask_endpoint()
        except Exception as exc:  # must not fail the code that renewed the lease
            logger.exception("%s", self._what)
            self._respond(*describe_failure(exc))


def _nothing() -> None:
    return
