"""More queries than a model can answer: as many predictions as without, not fewer. Simulated, on a clock of its own."""

from __future__ import annotations

import random

import pytest

from clipper_nb.runtime.batching.dispatcher import Dispatcher
from clipper_nb.runtime.batching.query import MODEL_TOO_SLOW, Computation, Query
from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import MODEL_ID, FakeReplica, RecordingObserver

SETTLED_S = 1.0
END_S = 2.0


class SimulatedModel(FakeReplica):
    """Takes *fixed_s* for a batch and *each_s* for each query in it, and up to *noise* times more."""

    def __init__(self, simulation: Simulation, fixed_s: float, each_s: float, noise: float) -> None:
        super().__init__()
        self._simulation = simulation
        self._fixed_s, self._each_s, self._noise = fixed_s, each_s, noise

    def send_batch(self, payloads):
        latency_s = (self._fixed_s + self._each_s * len(payloads)) * (1 + self._noise * self._simulation.rng.random())
        self._simulation.after(
            latency_s, lambda: self._simulation.dispatcher.batch_answered(self.replica_id, ["1"] * len(payloads))
        )
        return True


class Simulation:
    """Clients that send *rate* queries a second, whatever the answers, and a dispatcher with one replica."""

    def __init__(self, *, fixed_s: float, each_s: float, noise: float, slo_s: float, rate: float) -> None:
        self.rng = random.Random(0)
        self.loop = FakeLoop(0.0)
        self.num_predictions = 0
        self.num_queries = 0
        self._rate, self._slo_s = rate, slo_s
        self.dispatcher = Dispatcher(
            MODEL_ID,
            batch_size=-1,
            observer=RecordingObserver,
            clock=self.loop.time,
            call_soon=self.loop.call_soon,
            call_at=self.loop.call_at,
        )
        self.dispatcher.add_replica(SimulatedModel(self, fixed_s, each_s, noise))
        self._next_query()
        self.loop.advance(END_S)

    def after(self, seconds, action):
        self.loop.call_at(self.loop.time() + seconds, action)

    @property
    def goodput(self) -> float:
        """Predictions per second, once the batch size has settled."""
        return self.num_predictions / (END_S - SETTLED_S)

    def _next_query(self) -> None:
        deadline_s = self.loop.time() + self._slo_s
        query = Query(0, arrived_s=self.loop.time(), deadline_s=deadline_s, on_answered=self._count)
        computation = Computation(MODEL_ID, b"", deadline_s=deadline_s, slo_s=self._slo_s)
        computation.join(query)
        self.dispatcher.submit(computation)
        self.after(self._slo_s, lambda: query.answer_default(MODEL_TOO_SLOW, "too late"))
        self.after(self.rng.expovariate(self._rate), self._next_query)

    def _count(self, query):
        if self.loop.time() > SETTLED_S:
            self.num_queries += 1
            self.num_predictions += query.reason is None


@pytest.mark.parametrize("slo_s", [0.02, 0.1])
@pytest.mark.parametrize(
    "model",
    [
        {"fixed_s": 0.0005, "each_s": 0.0004, "noise": 0.1},
        {"fixed_s": 0.001, "each_s": 0.0004, "noise": 0.5},
        {"fixed_s": 0.004, "each_s": 0.0001, "noise": 0.2},
    ],
    ids=["each query costs", "noisy", "mostly the batch costs"],
)
def test_three_times_what_a_model_can_answer_costs_no_predictions(model, slo_s):
    def goodput(rate):
        return Simulation(**model, slo_s=slo_s, rate=rate).goodput

    rates = [500, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000]
    peak, at_rate = max((goodput(rate), rate) for rate in rates if rate * model["each_s"] < 1.2)
    assert peak > 0.5 * at_rate
    assert goodput(3 * at_rate) > 0.85 * peak


def test_without_overload_every_query_is_answered():
    simulation = Simulation(fixed_s=0.004, each_s=0.0001, noise=0.2, slo_s=0.02, rate=500)
    assert simulation.num_predictions == simulation.num_queries > 400
