"""Among random queries of which some raise and some never end, each of the others gets its own answer."""

from __future__ import annotations

import random
from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.runtime.batching.deadline_timer import DeadlineTimer
from clipper_nb.runtime.batching.dispatcher import Dispatcher
from clipper_nb.runtime.batching.query import Computation, Query
from tests.support.examples import examples
from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import MODEL_ID, FakeReplica, RecordingObserver

SLO_S = 2.0
HANG_TIMEOUT_S = 5.0
NUM_REPLICAS = 3


class WorkingReplica(FakeReplica):
    """A replica that takes random times for its batches, one after the other, and is replaced when it must end."""

    def __init__(self, replica_id, world):
        super().__init__(replica_id)
        self.max_batches_in_flight = 2
        self._world = world
        self._waiting = deque()
        self._has_ended = False

    def send_batch(self, payloads, origins=()):
        assert not self._has_ended
        self._waiting.append(list(payloads))
        if any(payload.startswith(b"endless") for payload in payloads):
            self._world.num_beside_endless += len(payloads) - 1
        if len(self._waiting) == 1:
            self._begin()
        return True

    def end(self, reason):
        self._has_ended = True
        self._world.loop.call_soon(self._world.replace, self)

    def _begin(self):
        world = self._world
        if not any(payload.startswith(b"endless") for payload in self._waiting[0]):
            world.loop.call_at(world.loop.time() + world.random.choice([0.001, 0.002, 0.03]), self._finish)

    def _finish(self):
        batch = self._waiting.popleft()
        if any(payload.startswith(b"bad") for payload in batch):
            self._world.dispatcher.batch_failed(self.replica_id, "It raised.")
        else:
            self._world.dispatcher.batch_answered(self.replica_id, [f"output of {p.decode()}" for p in batch])
        if self._waiting:
            self._begin()


class World:
    """A dispatcher, its replicas and what their clients are answered."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.loop = FakeLoop()
        self.observer = RecordingObserver()
        self.dispatcher = Dispatcher(
            MODEL_ID,
            batch_size=-1,
            observer=lambda: self.observer,
            clock=self.loop.time,
            call_soon=self.loop.call_soon,
            call_at=self.loop.call_at,
        )
        self.dispatcher.set_hang_timeout(HANG_TIMEOUT_S)
        self.replies = {}
        self.num_beside_endless = 0
        self._payloads = []  # by query id
        self._num_replicas = 0
        for _ in range(NUM_REPLICAS):
            self._add_replica()

    def replace(self, replica):
        self.dispatcher.remove_replica(replica.replica_id)
        self.loop.call_at(self.loop.time() + 1.0, self._add_replica)

    def ask(self, kind):
        payload = b"%s %d" % (kind, len(self.replies))
        now_s = self.loop.time()
        query = Query(len(self._payloads), now_s, now_s + SLO_S, self._on_answered)
        self.replies[payload] = None
        self._payloads.append(payload)
        computation = Computation(MODEL_ID, payload, query.deadline_s, SLO_S)
        computation.join(query)
        DeadlineTimer(self.loop, lambda query: query.answer_default("model_too_slow", "Late.")).add(query)
        self.dispatcher.submit(computation)

    def _on_answered(self, query):
        payload = self._payloads[query.query_id]
        assert self.replies[payload] is None, "answered twice"
        self.replies[payload] = query.reason or query.output

    def _add_replica(self):
        self._num_replicas += 1
        self.dispatcher.add_replica(WorkingReplica(self._num_replicas, self))


@given(seed=st.integers(0, 2**32), num_endless=st.integers(0, 2))
@examples(40)
def test_every_other_query_gets_its_own_answer(seed, num_endless):
    world = World(seed)
    endless_turns = world.random.sample(range(50, 300), num_endless)
    for turn in range(300):
        for _ in range(world.random.choice([0, 1, 1, 2, 8])):
            world.ask(b"bad" if world.random.random() < 0.02 else b"good")
        if turn in endless_turns:
            world.ask(b"endless")
        world.loop.advance(world.random.choice([0.0, 0.001, 0.01]))
    world.loop.advance(60.0)
    outcomes = Counter()
    for payload, reply in world.replies.items():
        assert reply is not None
        kind = payload.split()[0]
        is_own = reply == f"output of {payload.decode()}"
        assert is_own or reply in ("model_error", "model_too_slow")
        assert not (kind == b"good" and reply == "model_error")
        outcomes[kind, is_own] += 1
    assert outcomes[b"bad", True] == outcomes[b"endless", True] == 0
    assert outcomes[b"good", False] <= world.num_beside_endless, "only what was in the batch of an endless input"
    assert world.observer.num_hung >= (num_endless > 0)
    assert world.dispatcher.num_replicas == NUM_REPLICAS
