"""Asks an application's shadow about inputs whose replies have been sent, while no query of its clients waits."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from clipper_nb.protocol.inputs import decode_input, format_input
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Application
from clipper_nb.protocol.shadow import MAX_KEPT_SIZE_BYTES, NUM_SAMPLES, Shadow, ShadowReport, ShadowSample
from clipper_nb.runtime.batching import query as reasons
from clipper_nb.runtime.batching.deadline_timer import DeadlineTimer
from clipper_nb.runtime.batching.dispatcher import Dispatcher
from clipper_nb.runtime.batching.model_pool import ModelPool
from clipper_nb.runtime.batching.query import Computation, Query
from clipper_nb.runtime.clock import LoopClock
from clipper_nb.runtime.routing.agreement import agree
from clipper_nb.runtime.routing.shadow_queue import Mirrored, ShadowQueue

_PATIENCE = 10
"""The shadow may take this many SLOs, so that its latency is seen also when it is too slow to reply."""
_MIN_PATIENCE_S = 2.0
_LOOK_AGAIN_S = 0.005

_Kept = tuple[Mirrored, "str | None", "bool | None", float, "str | None"]
"""An input with the shadow's output, whether both agree, the shadow's latency, and why it has none."""


class ShadowQueries:
    """The queries to the shadow of one application.

    Parameters
    ----------
    application : Application
    shadow : Shadow
    loop : LoopClock
    pool : ModelPool
    """

    def __init__(self, application: Application, shadow: Shadow, loop: LoopClock, pool: ModelPool) -> None:
        self._application = application
        self._shadow = shadow
        self._model_id = shadow.model_id
        self._loop = loop
        self._pool = pool
        self._queue = ShadowQueue(shadow.share)
        self._patience_s = max(_MIN_PATIENCE_S, _PATIENCE * application.slo_micros / 1e6)
        self._timer = DeadlineTimer(loop, _give_up)
        self._retry: asyncio.TimerHandle | None = None
        self._under_way: set[Query] = set()
        self._who_replied: set[ModelId] = set()
        self._num_failed: Counter[str] = Counter()
        self._num_compared = self._num_agreed = 0
        self._sum_latency_s = self._sum_shadow_latency_s = 0.0
        self._different: deque[_Kept] = deque(maxlen=NUM_SAMPLES)
        self._others: deque[_Kept] = deque(maxlen=NUM_SAMPLES)

    def mirror(self, mirrored: Callable[[], Mirrored], model_id: ModelId | None) -> None:
        """Ask the shadow about an answered query, now or later, if it is chosen."""
        if model_id == self._model_id:
            return
        if model_id is not None:
            self._who_replied.add(model_id)
        if self._queue.wants():
            self._queue.put(mirrored())
            if self._retry is None:
                self._retry = self._loop.call_at(0.0, self._send)  # in another turn of the loop than the reply

    def close(self) -> None:
        """Ask no more, and want no answer: what its replicas have not begun is not computed."""
        for query in self._under_way:
            query.cancel()
        self._under_way.clear()
        self._queue.drop_waiting()
        self._timer.close()
        if self._retry is not None:
            self._retry.cancel()

    def samples(self) -> Iterator[ShadowSample]:
        """Yield the last answers as they are now, oldest first; each takes a while to be made readable."""
        kept = sorted((*self._different, *self._others), key=lambda each: each[0].answered_at)
        return map(self._describe, kept)

    def report(self) -> ShadowReport:
        """Return what it answered so far, without samples."""
        return ShadowReport(
            app_name=self._application.name,
            model=str(self._model_id),
            share=self._shadow.share,
            num_asked=self._queue.num_asked,
            num_dropped=self._queue.num_dropped,
            num_failed=dict(self._num_failed),
            num_compared=self._num_compared,
            num_agreed=self._num_agreed,
            sum_latency_s=self._sum_latency_s,
            sum_shadow_latency_s=self._sum_shadow_latency_s,
        )

    def _send(self) -> None:
        """Send what waits, unless a query waits for a replica of the shadow or of a version that replies."""
        self._retry = None
        dispatcher = self._pool.find(self._model_id)
        if dispatcher is None or dispatcher.num_replicas == 0:
            self._queue.drop_waiting()
            return
        if not any(map(self._has_waiting, (self._model_id, *self._who_replied))):
            self._submit_to(dispatcher)
        if len(self._queue):
            self._retry = self._loop.call_at(self._loop.time() + _LOOK_AGAIN_S, self._send)

    def _has_waiting(self, model_id: ModelId) -> bool:
        dispatcher = self._pool.find(model_id)
        return dispatcher is not None and dispatcher.queue_length > 0

    def _submit_to(self, dispatcher: Dispatcher) -> None:
        while (mirrored := self._queue.take()) is not None:
            now_s = self._loop.time()
            deadline_s = now_s + self._patience_s
            query = Query(-1, now_s, deadline_s, partial(self._answered, mirrored))
            computation = Computation(self._model_id, mirrored.payload, deadline_s, self._patience_s)
            computation.join(query)
            self._under_way.add(query)
            self._timer.add(query)
            dispatcher.submit(computation)

    def _answered(self, mirrored: Mirrored, query: Query) -> None:
        self._queue.num_in_flight -= 1
        self._under_way.discard(query)
        latency_s = self._loop.time() - query.arrived_s
        if query.reason is not None:
            self._num_failed[query.reason] += 1
            self._others.append((mirrored, None, None, latency_s, query.reason))
        elif mirrored.reason is not None:
            self._others.append((mirrored, query.output, None, latency_s, None))
        else:
            self._compare(mirrored, query.output, latency_s)

    def _compare(self, mirrored: Mirrored, output: str, latency_s: float) -> None:
        agrees = agree(mirrored.output, output)
        self._num_compared += 1
        self._num_agreed += agrees
        self._sum_latency_s += mirrored.latency_s
        self._sum_shadow_latency_s += latency_s
        (self._others if agrees else self._different).append((mirrored, output, agrees, latency_s, None))

    def _describe(self, kept: _Kept) -> ShadowSample:
        mirrored, output, agrees, shadow_latency_s, shadow_reason = kept
        return ShadowSample(
            at=mirrored.answered_at,
            input=self._readable(mirrored.payload),
            model=None if mirrored.model_id is None else str(mirrored.model_id),
            output=None if mirrored.reason is not None else mirrored.output[:MAX_KEPT_SIZE_BYTES],
            shadow_output=None if output is None else output[:MAX_KEPT_SIZE_BYTES],
            agrees=agrees,
            latency_s=mirrored.latency_s,
            shadow_latency_s=shadow_latency_s,
            reason=mirrored.reason,
            shadow_reason=shadow_reason,
        )

    def _readable(self, payload: bytes) -> Any:
        """Return an input as a predict request has it."""
        if len(payload) > MAX_KEPT_SIZE_BYTES:
            return None
        input_type = self._application.input_type
        return format_input(input_type, decode_input(input_type, payload))


def _give_up(query: Query) -> None:
    query.answer_default(reasons.MODEL_TOO_SLOW, "")
