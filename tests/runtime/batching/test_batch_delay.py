"""Waiting for the clients that were just answered: where it pays, and where nobody waits. Simulated."""

from __future__ import annotations

import itertools

import pytest

from clipper_nb.runtime.batching.batch_delay import BatchDelay
from clipper_nb.runtime.batching.latency_model import LatencyModel
from clipper_nb.runtime.batching.query import Computation, Query
from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import MODEL_ID, FakeReplica, RecordingObserver, make_dispatcher

HANDLING_S = 30e-6  # what one query costs the frontend
WAY_S = 150e-6  # between frontend and replica


class SimulatedReplica(FakeReplica):
    """Computes one batch after the other, each for *fixed_s* and *each_s* per query."""

    def __init__(self, simulation: Simulation, fixed_s: float, each_s: float) -> None:
        super().__init__()
        self.max_batches_in_flight = 2
        self._simulation = simulation
        self._fixed_s, self._each_s = fixed_s, each_s
        self._free_s = 0.0

    def send_batch(self, payloads, origins=()):
        size = len(payloads)
        began_s = max(self._free_s, self._simulation.loop.time() + WAY_S)
        self._free_s = began_s + self._fixed_s + self._each_s * size
        answer = lambda: self._simulation.dispatcher.batch_answered(self.replica_id, ["1"] * size)  # noqa: E731
        self._simulation.loop.call_at(self._free_s + WAY_S, answer)
        return True


class Simulation:
    """Clients that ask again *think_s* after each answer, a frontend that handles one query at a time, a replica."""

    def __init__(self, num_clients: int, *, fixed_s: float, each_s: float = 0.0, think_s=0.0, slo_s=1.0) -> None:
        self.loop = FakeLoop(0.0)
        self._think_s, self._slo_s = think_s, slo_s
        self._handled_s = 0.0
        self.latencies_s: list[float] = []
        self.dispatcher = make_dispatcher(self.loop, RecordingObserver, batch_size=-1)
        self.dispatcher.add_replica(SimulatedReplica(self, fixed_s, each_s))
        for _ in range(num_clients):
            self._come_back()

    def run(self, seconds: float) -> float:
        """Return the answers per second, once everything has been learned."""
        self.loop.advance(3.0)
        self.latencies_s.clear()
        self.loop.advance(seconds)
        return len(self.latencies_s) / seconds

    def _come_back(self, _query: Query | None = None) -> None:
        if _query is not None:
            self.latencies_s.append(self.loop.time() - _query.arrived_s)
        self._handled_s = max(self._handled_s, self.loop.time() + self._think_s) + HANDLING_S
        self.loop.call_at(self._handled_s, self._ask)

    def _ask(self) -> None:
        now_s = self.loop.time()
        computation = Computation(MODEL_ID, b"", deadline_s=now_s + self._slo_s, slo_s=self._slo_s)
        computation.join(Query(0, now_s, now_s + self._slo_s, self._come_back))
        self.dispatcher.submit(computation)


def _gain(num_clients: int, **model) -> float:
    """Return the throughput as a multiple of that without waiting."""
    without_waiting = Simulation(num_clients, **model)
    without_waiting.dispatcher._batch_delay = None  # as with several replicas
    return Simulation(num_clients, **model).run(1.5) / without_waiting.run(1.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_clients", "model", "least"),
    [
        (2, {"fixed_s": 0.004}, 1.7),
        (16, {"fixed_s": 0.004}, 1.5),
        (64, {"fixed_s": 0.004}, 1.2),
        (64, {"fixed_s": 0.01, "each_s": 0.0001}, 1.2),
        (64, {"fixed_s": 0.02, "think_s": 0.005}, 1.3),
    ],
)
def test_clients_that_are_soon_back_are_served_together(num_clients, model, least):
    assert _gain(num_clients, **model) > least


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_clients", "model"),
    [
        (64, {"fixed_s": 0.001}),  # back later than a batch takes
        (256, {"fixed_s": 0.004}),
        (64, {"fixed_s": 0.0, "each_s": 0.0002}),  # nothing is shared
        (16, {"fixed_s": 0.0005, "each_s": 0.0005}),
        (8, {"fixed_s": 0.004, "think_s": 0.02}),
        (64, {"fixed_s": 0.004, "slo_s": 0.01}),  # there is no time to wait
    ],
)
def test_delay_costs_nothing_where_waiting_does_not_pay(num_clients, model):
    assert _gain(num_clients, **model) > 0.97


@pytest.mark.parametrize("think_s", [0.0, 0.0005, 0.01])
def test_a_lone_client_never_waits(think_s):
    simulation = Simulation(1, fixed_s=0.004, think_s=think_s)
    simulation.run(1.0)
    assert max(simulation.latencies_s) == pytest.approx(0.004 + 2 * WAY_S)


def test_queries_that_come_by_themselves_never_wait():
    simulation = Simulation(0, fixed_s=0.004)
    latencies_s: list[float] = []

    def ask(number: int) -> None:
        now_s = simulation.loop.time()
        computation = Computation(MODEL_ID, b"", deadline_s=now_s + 1.0, slo_s=1.0)
        computation.join(
            Query(number, now_s, now_s + 1.0, lambda query: latencies_s.append(simulation.loop.time() - now_s))
        )
        simulation.dispatcher.submit(computation)

    for number in range(400):
        simulation.loop.call_at(0.009 * number, lambda number=number: ask(number))
    simulation.loop.advance(5.0)
    assert len(latencies_s) == 400
    assert max(latencies_s) == pytest.approx(0.004 + 2 * WAY_S)


# --- the decision itself


def _settled(*, fixed_s: float, return_s: float, size: int = 8) -> BatchDelay:
    latency_model = LatencyModel()
    batch_delay = BatchDelay(latency_model)
    for number in itertools.count():
        latency_model.observe(size, fixed_s)
        batch_delay.answered(size, 0, 100, 1.0, now_s=float(number))
        batch_delay.all_have_come(now_s=number + return_s)
        batch_delay.num_missing = 0
        if number > 20:
            return batch_delay
    raise AssertionError


def test_delay_target_counts_answered_and_waiting_queries():
    batch_delay = _settled(fixed_s=0.01, return_s=0.002)
    batch_delay.answered(8, 5, 100, 1.0, now_s=100.0)
    assert batch_delay.target == 13
    assert batch_delay.until_s == pytest.approx(100.002)
    assert batch_delay.should_wait(12, now_s=100.001)
    assert not batch_delay.should_wait(13, now_s=100.001)
    assert not batch_delay.should_wait(12, now_s=100.003)


def test_delay_never_waits_for_more_than_one_batch():
    batch_delay = _settled(fixed_s=0.01, return_s=0.002)
    batch_delay.answered(8, 5, 10, 1.0, now_s=100.0)
    assert batch_delay.target == 10
    batch_delay.answered(8, 10, 10, 1.0, now_s=101.0)
    assert batch_delay.target == 0


def test_the_wait_is_paid_from_the_slo():
    batch_delay = _settled(fixed_s=0.01, return_s=0.002)
    batch_delay.answered(8, 5, 100, 0.02, now_s=100.0)
    assert batch_delay.target == 0


def test_delay_is_zero_before_anything_is_known():
    batch_delay = BatchDelay(LatencyModel())
    batch_delay.answered(8, 5, 100, 1.0, now_s=0.0)
    assert batch_delay.target == 0


def test_delay_ends_for_clients_that_do_not_return():
    batch_delay = _settled(fixed_s=0.01, return_s=0.002)
    for number in range(1, 30):
        batch_delay.answered(8, 5, 100, 1.0, now_s=100.0 + number)
    assert batch_delay.target == 0
