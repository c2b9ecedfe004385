"""More queries than a model can answer: as many predictions as without, not fewer. Simulated, on a clock of its own."""

from __future__ import annotations

import random
from collections import Counter

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

    def send_batch(self, payloads, origins=()):
        latency_s = (self._fixed_s + self._each_s * len(payloads)) * (1 + self._noise * self._simulation.rng.random())
        self._simulation.after(
            latency_s, lambda: self._simulation.dispatcher.batch_answered(self.replica_id, ["1"] * len(payloads))
        )
        return True


class Simulation:
    """Clients that send *rate* queries a second, whatever the answers, and a dispatcher with one replica.

    *rate* may be a dict: the rate of each application.
    """

    def __init__(
        self, *, fixed_s: float, each_s: float, noise: float, slo_s: float, rate: float | dict[str, float]
    ) -> None:
        self.rng = random.Random(0)
        self.loop = FakeLoop(0.0)
        self.num_predictions: Counter[str] = Counter()
        self.num_queries: Counter[str] = Counter()
        self._rates = rate if isinstance(rate, dict) else {"app": rate}
        self._slo_s = slo_s
        self.dispatcher = Dispatcher(
            MODEL_ID,
            batch_size=-1,
            observer=RecordingObserver,
            clock=self.loop.time,
            call_soon=self.loop.call_soon,
            call_at=self.loop.call_at,
        )
        self.dispatcher.add_replica(SimulatedModel(self, fixed_s, each_s, noise))
        for application in self._rates:
            self._next_query(application)
        self.loop.advance(END_S)

    def after(self, seconds, action):
        self.loop.call_at(self.loop.time() + seconds, action)

    @property
    def goodput(self) -> float:
        """Predictions per second, once the batch size has settled."""
        return self.num_predictions.total() / (END_S - SETTLED_S)

    def share(self, application: str) -> float:
        """Share of an application's queries that got a prediction."""
        return self.num_predictions[application] / self.num_queries[application]

    def _next_query(self, application: str) -> None:
        deadline_s = self.loop.time() + self._slo_s
        query = Query(0, self.loop.time(), deadline_s, lambda query: self._count(application, query))
        computation = Computation(MODEL_ID, b"", deadline_s=deadline_s, slo_s=self._slo_s, application=application)
        computation.join(query)
        self.dispatcher.submit(computation)
        self.after(self._slo_s, lambda: query.answer_default(MODEL_TOO_SLOW, "too late"))
        self.after(self.rng.expovariate(self._rates[application]), lambda: self._next_query(application))

    def _count(self, application, query):
        if self.loop.time() > SETTLED_S:
            self.num_queries[application] += 1
            self.num_predictions[application] += query.reason is None


@pytest.mark.slow
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
def test_triple_overload_costs_no_predictions(model, slo_s):
    def goodput(rate):
        return Simulation(**model, slo_s=slo_s, rate=rate).goodput

    rates = [500, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000]
    peak, at_rate = max((goodput(rate), rate) for rate in rates if rate * model["each_s"] < 1.2)
    assert peak > 0.5 * at_rate
    assert goodput(3 * at_rate) > 0.85 * peak


def test_without_overload_every_query_is_answered():
    simulation = Simulation(fixed_s=0.004, each_s=0.0001, noise=0.2, slo_s=0.02, rate=500)
    assert simulation.num_predictions.total() == simulation.num_queries.total() > 400


@pytest.mark.slow
@pytest.mark.parametrize("slo_s", [0.02, 0.1])
def test_greedy_application_takes_nothing_from_another(slo_s):
    model = {"fixed_s": 0.001, "each_s": 0.0004, "noise": 0.1}  # about 2000 a second
    simulation = Simulation(**model, slo_s=slo_s, rate={"greedy": 6000, "modest": 200})
    assert simulation.share("modest") > 0.95
    assert simulation.goodput > 0.85 * Simulation(**model, slo_s=slo_s, rate=2000).goodput


@pytest.mark.slow
def test_applications_that_all_ask_too_much_get_equal_shares():
    rates = {"a": 2000, "b": 4000, "c": 6000}
    simulation = Simulation(fixed_s=0.001, each_s=0.0004, noise=0.1, slo_s=0.05, rate=rates)
    counts = simulation.num_predictions
    assert max(counts.values()) < 1.2 * min(counts[name] for name in rates)
