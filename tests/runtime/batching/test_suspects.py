"""An input that may have ended a replica is tried again apart, and costs nobody else the last replica."""

from __future__ import annotations

import random

import pytest

from clipper_nb.runtime.batching.suspects import MAX_INPUTS, MEMORY_S, Allowed, Suspects
from tests.support.dispatcher_bench import Bench, experienced, outcome
from tests.support.fake_replica import MODEL_ID
from tests.support.queries import make_computation, make_query


def lose(bench, replica):
    """A replica ends with what it has."""
    bench.dispatcher.remove_replica(replica.replica_id)
    bench.loop.end_turn()


def submit(bench, *payloads, slo_s=1.0):
    computations = bench.submit(*payloads, deadline_s=bench.loop.time() + slo_s, slo_s=slo_s)
    bench.loop.end_turn()
    return computations


# --- at which replica, and beside what


def test_the_last_replica_is_spared_until_another_is_back():
    bench = Bench()
    lost, last = bench.add_replica(), bench.add_replica()
    [suspect] = submit(bench, b"a")
    lose(bench, lost)
    assert (last.batches, bench.dispatcher.queue_length) == ([], 1)
    assert bench.dispatcher.is_held(suspect)
    submit(bench, b"b")
    bench.answer(last, "B")
    assert last.batches == [[b"b"]]
    back = bench.add_replica()
    [tried] = [replica for replica in (last, back) if [b"a"] in replica.batches]
    bench.answer(tried, "A")
    assert outcome(suspect) == ["A"]


def test_the_only_replica_has_to_do_when_it_is_back():
    bench = Bench()
    lost = bench.add_replica()
    [suspect] = submit(bench, b"a")
    lose(bench, lost)
    assert bench.add_replica().batches == [[b"a"]]
    assert outcome(suspect) == [None]


def test_patient_suspect_is_tried_at_the_last_replica_in_the_end():
    bench = Bench()
    lost, last = bench.add_replica(), bench.add_replica()
    [patient] = submit(bench, b"a", slo_s=2.0)
    [other] = submit(bench, b"b", slo_s=0.1)
    lose(bench, lost)
    bench.answer(last, "B")
    bench.loop.advance(0.99)
    assert last.batches == [[b"b"]]
    bench.loop.advance(0.01)
    assert last.batches == [[b"b"], [b"a"]]
    bench.answer(last, "A")
    assert (outcome(patient), outcome(other)) == (["A"], ["B"])


def test_a_query_without_time_never_costs_the_last_replica():
    bench = Bench()
    lost, last = bench.add_replica(), bench.add_replica()
    submit(bench, b"a", slo_s=0.9)
    lose(bench, lost)
    bench.loop.advance(0.9)
    assert last.batches == []


def test_no_suspect_reaches_the_last_replica_after_a_killer():
    bench = Bench()
    submit(bench, b"killer")
    lose(bench, bench.add_replica())
    lose(bench, bench.add_replica())
    lost, last = bench.add_replica(), bench.add_replica()
    [suspect] = submit(bench, b"a", slo_s=20.0)
    lose(bench, lost)
    bench.loop.advance(19.0)
    assert (last.batches, outcome(suspect)) == ([], [None])


def test_other_replica_is_spared_while_one_tries_a_suspect():
    bench = Bench()
    lost, tried, spared = (bench.add_replica() for _ in range(3))
    submit(bench, b"a", b"b", slo_s=2.0)
    lose(bench, lost)
    bench.loop.advance(1.9)
    assert (tried.batches, spared.batches) == ([[b"a"]], [])


def test_suspects_of_one_batch_are_tried_alone_one_at_a_time():
    bench = Bench()
    lost, tried, spared = (bench.add_replica() for _ in range(3))
    submit(bench, b"a", b"b", b"c")
    lose(bench, lost)
    assert tried.batches == [[b"a"]]
    submit(bench, b"d", b"e")
    assert (tried.batches, spared.batches) == ([[b"a"]], [[b"d", b"e"]])
    bench.answer(tried, "A")
    assert tried.batches[1:] == [[b"b"]]


def test_a_replica_that_tries_a_suspect_gets_nothing_beside_it():
    bench = Bench(batch_size=1)
    replica = experienced(bench)  # so that it may have two batches
    lost = bench.add_replica()
    submit(bench, b"other", b"a")
    bench.answer(replica, "O")
    lose(bench, lost)
    spared = bench.add_replica()
    submit(bench, b"b", b"c", b"d")
    assert (replica.batches, spared.batches) == ([[b"other"], [b"a"]], [[b"b"]])
    assert bench.dispatcher.queue_length == 2


def test_suspects_are_tried_in_groups_when_time_is_short():
    suspects = Suspects(MODEL_ID)
    batch = [make_computation(b"%d" % number, 1000.1) for number in range(30)]
    suspects.accuse(batch, now_s=1000.0)
    assert all(suspects.hold(computation, now_s=1000.0) for computation in batch)
    group = suspects.take(Allowed.ALL, alone_s=0.01, max_size=100, now_s=1000.0)
    assert len(group) == 6, "five trials of 10 ms in half of 100 ms"
    assert len(suspects.take(Allowed.ALL, alone_s=0.0, max_size=100, now_s=1000.0)) == 1, (
        "not known yet how long one takes"
    )
    assert len(suspects.take(Allowed.ALL, alone_s=0.01, max_size=3, now_s=1000.0)) == 3


def test_suspect_that_was_alone_is_never_in_a_group():
    suspects = Suspects(MODEL_ID)
    alone, *others = [make_computation(b"%d" % number, 1000.1) for number in range(30)]
    suspects.accuse([alone], now_s=1000.0)
    suspects.accuse(others, now_s=1000.0)
    for computation in (*others[:5], alone, *others[5:]):
        assert suspects.hold(computation, now_s=1000.0)
    groups = []
    while group := suspects.take(Allowed.ALL, alone_s=0.01, max_size=100, now_s=1000.0):
        groups.append(group)
    assert [alone] in groups
    assert sum(map(len, groups)) == 30


# --- verdicts


def test_input_that_killed_a_replica_alone_then_fails_at_once():
    bench = Bench()
    replicas = [bench.add_replica() for _ in range(3)]
    killer, innocent = submit(bench, b"killer", b"a")
    lose(bench, replicas[0])
    assert replicas[1].batches == [[b"killer"]]
    lose(bench, replicas[1])
    assert outcome(killer) == ["model_error"]
    assert outcome(innocent) == [None]
    bench.add_replica()
    [again] = submit(bench, b"killer")
    assert outcome(again) == ["model_error"]
    assert "ended when they computed this input before (2 times)" in again.queries[0].explanation
    assert all([b"killer"] not in replica.batches for replica in replicas[2:])


def test_input_that_was_never_tried_alone_is_not_convicted():
    suspects = Suspects(MODEL_ID)
    first, second = make_computation(b"a"), make_computation(b"b")
    assert [suspects.accuse([first, second], now_s=1000.0) for _ in range(3)] == [False] * 3
    assert suspects.hold(first, now_s=1000.0)
    assert outcome(first) == [None]
    assert suspects.take(Allowed.ALL, alone_s=10.0, max_size=100, now_s=1000.0) == [first], "alone from now on"


def test_input_of_a_late_query_is_a_suspect_when_asked_again():
    bench = Bench()
    lost, other = bench.add_replica(), bench.add_replica()
    [late] = submit(bench, b"killer", slo_s=0.1)
    lose(bench, lost)
    late.queries[0].answer_default("model_error", "Late.")
    [again] = submit(bench, b"killer", slo_s=0.1)
    assert (other.batches, outcome(again)) == ([], [None])
    bench.add_replica()
    lose(bench, other)
    assert outcome(again) == ["model_error"]


def test_a_replica_that_survives_an_input_acquits_it():
    bench = Bench()
    lost, tried, spared = (bench.add_replica() for _ in range(3))
    submit(bench, b"a")
    lose(bench, lost)
    bench.answer(tried, "A")
    submit(bench, b"a", b"b")
    assert (tried.batches, spared.batches) == ([[b"a"]], [[b"a", b"b"]])


def test_an_error_acquits_too():
    bench = Bench()
    lost, tried, _ = (bench.add_replica() for _ in range(3))
    [suspect] = submit(bench, b"a")
    lose(bench, lost)
    bench.dispatcher.batch_failed(tried.replica_id, "It raised.")
    assert outcome(suspect) == ["model_error"]
    assert not bench.dispatcher._suspects.is_watching


def test_suspect_answered_by_another_replica_need_not_wait():
    """All clients ask the same, and one replica is killed: the others show that the input is harmless."""
    bench = Bench(batch_size=1)
    lost, other = bench.add_replica(), bench.add_replica()
    first, second = submit(bench, b"same", b"same")
    lose(bench, lost)
    third = submit(bench, b"same")[0]
    bench.answer(other, "S")
    assert outcome(second) == ["S"]
    bench.answer(other, "S")
    assert (outcome(first), outcome(third)) == (["S", "S"], ["S"]), "those that waited share one computation"


def test_copies_that_wait_in_the_queue_are_held_too():
    bench = Bench(batch_size=1)
    lost, other = bench.add_replica(), bench.add_replica()
    submit(bench, b"killer", b"b", b"killer", b"c")
    lose(bench, lost)
    bench.answer(other, "B")
    bench.answer(other, "C")
    assert other.batches == [[b"b"], [b"c"]]


def test_queries_for_one_suspected_input_share_its_fate():
    bench = Bench()
    lost, tried, _ = (bench.add_replica() for _ in range(3))
    [first] = submit(bench, b"killer")
    lose(bench, lost)
    assert tried.batches == [[b"killer"]]
    [second] = submit(bench, b"killer")
    assert bench.dispatcher.queue_length == 0
    lose(bench, tried)
    assert (outcome(first), outcome(second)) == (["model_error", "model_error"], ["model_error"])


def test_queries_behind_a_running_batch_are_not_suspected():
    suspects = Suspects(MODEL_ID)
    suspects.accuse([make_computation(b"a")], now_s=1000.0)
    assert not suspects.hold(make_computation(b"b"), now_s=1000.0)


# --- memory


@pytest.mark.parametrize(("passed_s", "is_held"), [(MEMORY_S - 1, True), (MEMORY_S, False)])
def test_suspected_input_is_forgotten_after_its_time(passed_s, is_held):
    suspects = Suspects(MODEL_ID)
    suspects.accuse([make_computation(b"a")], now_s=1000.0)
    assert suspects.hold(make_computation(b"a"), now_s=1000.0 + passed_s) is is_held
    assert suspects.is_watching is is_held


def test_a_removed_version_is_forgotten_with_its_suspects():
    bench = Bench()
    lost, other = bench.add_replica(), bench.add_replica()
    [suspect] = submit(bench, b"a")
    lose(bench, lost)
    bench.dispatcher.close()
    assert outcome(suspect) == ["no_ready_replica"]
    submit(bench, b"a")
    assert other.batches == [[b"a"]]


@pytest.mark.slow
def test_only_so_many_inputs_are_remembered():
    suspects = Suspects(MODEL_ID)
    for number in range(MAX_INPUTS + 10):
        suspects.accuse([make_computation(b"%d" % number)], now_s=1000.0)
    held = [suspects.hold(make_computation(b"%d" % number), now_s=1000.0) for number in range(MAX_INPUTS + 10)]
    assert held == [False] * 10 + [True] * MAX_INPUTS


def test_unwanted_suspect_is_dropped():
    suspects = Suspects(MODEL_ID)
    told = []
    computation = make_computation(b"a", on_output=lambda computation, output: told.append(output))
    suspects.accuse([computation], now_s=1000.0)
    suspects.hold(computation, now_s=1000.0)
    assert suspects.count_held() == 1
    computation.queries[0].cancel()
    assert (suspects.count_held(), told) == (0, [None])
    assert suspects.take(Allowed.ALL, alone_s=0.0, max_size=1, now_s=1000.0) == []


def test_queries_that_come_for_a_held_input_do_not_pile_up():
    suspects = Suspects(MODEL_ID)
    first = make_computation(b"a")
    suspects.accuse([first], now_s=1000.0)
    suspects.hold(first, now_s=1000.0)
    for _ in range(100):
        later = make_computation(b"a", num_queries=0)
        later.join(make_query())
        suspects.hold(later, now_s=1000.0)
        for query in first.queries[:-1]:
            query.cancel()
    assert len(first.queries) <= 2


def test_the_last_replica_finishes_suspects_too_before_it_goes():
    bench = Bench()
    lost = bench.add_replica()
    last = bench.add_replica()
    submit(bench, b"a", b"b")
    lose(bench, lost)
    bench.dispatcher.drain_replica(last.replica_id)
    bench.loop.end_turn()
    bench.answer(last, "A")
    assert last.batches == [[b"a"], [b"b"]]


# --- whatever happens


@pytest.mark.parametrize("num_replicas", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_killers_cost_two_replicas_each_and_the_innocent_nothing(seed, num_replicas):
    """Replicas end with some inputs and are back after a while; all are asked again and again."""
    chance = random.Random(seed)
    bench = Bench(batch_size=4)
    replicas = [bench.add_replica() for _ in range(num_replicas)]
    killers = [b"killer %d" % number for number in range(3)]
    num_deaths = dict.fromkeys(killers, 0)
    back_s: list[float] = []
    innocent = []
    for step in range(600):
        bench.loop.advance(0.01)
        while back_s and back_s[0] <= bench.loop.time():
            back_s.pop(0)
            replicas.append(bench.add_replica())
        # One that is not known yet may go to any replica, so each begins when the one before it has been found out.
        payload = killers[step // 200] if step % 20 == 0 else b"%d" % step
        [computation] = submit(bench, payload, slo_s=60.0)
        innocent += [computation] if payload not in killers else []
        for replica in list(replicas):
            if len(replica.batches) and chance.random() < 0.9:
                batch = replica.batches.pop(0)
                fatal = [payload for payload in batch if payload in killers]
                if fatal:
                    assert not num_deaths[fatal[0]] or len(batch) == 1, "tried beside others"
                    num_deaths[fatal[0]] += 1
                    replicas.remove(replica)
                    back_s.append(bench.loop.time() + 0.15)
                    lose(bench, replica)
                else:
                    bench.answer(replica, *(payload.decode() for payload in batch))
        assert replicas, "one is there for the others at all times"
    for _ in range(200):
        for replica in replicas:
            if replica.batches:
                bench.answer(replica, *(payload.decode() for payload in replica.batches.pop(0)))
    assert set(num_deaths.values()) == {2}
    assert all(outcome(c) == [c.payload.decode()] for c in innocent)


def test_released_input_accuses_no_other():
    """A large input whose client has left has no payload any more: an empty input is another one."""
    suspects = Suspects(MODEL_ID)
    forgotten, beside = make_computation(b"x" * 100_000, num_queries=0), make_computation(b"beside")
    forgotten.forget_if_abandoned()
    assert forgotten.is_forgotten
    for _ in range(2):
        assert not suspects.accuse([forgotten, beside], now_s=0.0)
    assert not suspects.hold(make_computation(b""), now_s=0.0)
    assert suspects.accuse([make_computation(b"beside")], now_s=0.0)
