"""What an application with a policy asks for one request, how the answers become one, and what is kept of them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from clipper_nb.protocol.feedback import Outcome
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.route import make_route
from clipper_nb.protocol.rpc import ErrorResponse
from clipper_nb.protocol.score_counts import Counts
from clipper_nb.runtime.query_frontend.learner import Learner
from clipper_nb.runtime.query_frontend.policy_chooser import PolicyChoosers
from clipper_nb.runtime.state.feedback_store import Scored
from clipper_nb.runtime.state.memory_store import MemoryStore
from tests.runtime.query_frontend.test_predictor import Bench
from tests.support.records import make_application, make_configuration, make_version

IDS = [ModelId("m", str(number)) for number in (1, 2, 3)]
BASE = make_configuration(
    *(make_version("m", model_id.version, batch_size=1) for model_id in IDS), applications=(make_application(),)
)


def arm(number: int) -> str:
    return f"m:{number}@1.000000"


class PolicyBench(Bench):
    """A query frontend with one application, its policy and three versions."""

    def __init__(self, name: Any, weights: dict[str, float] | None = None, **options: Any) -> None:
        self.learner = Learner(MemoryStore().feedback, lambda: 1000.0)
        weights = weights or {"m:1": 1.0, "m:2": 1.0, "m:3": 1.0}
        routes = {"digits": make_route(weights, Policy(name=name, **options))}
        super().__init__(replace(BASE, routes=routes), choosers=PolicyChoosers(self.learner, Random(1)))
        self.replicas = {model_id: self.join(model_id) for model_id in IDS}

    @property
    def book(self) -> Any:
        return self.learner._books["digits"]

    def ask_with_key(self, key: bytes | None) -> Any:
        served = self.predictor.find_application("digits")
        return self.predictor.find_target(served, None, key)

    def batches(self) -> list[int]:
        return [len(self.replicas[model_id].batches) for model_id in IDS]


def confidence(query: Any) -> Any:
    return json.loads(b"{" + query.reply_part[1:] + b"}")


# --- one target


def test_answer_of_the_chosen_version_is_kept() -> None:
    bench = PolicyBench("weights", {"m:2": 1.0, "m:3": 1e-9})
    [query] = bench.ask(b"a")
    bench.answer(bench.replicas[IDS[1]], "7")
    assert (query.output, query.reason, query.reply_part) == ("7", None, b"")
    [kept] = bench.book.pending
    assert (kept.query_id, kept.outcomes, kept.is_kept) == (query.query_id, (Outcome(arm(2), "7"),), True)


def test_late_answer_is_kept_as_none_and_explained() -> None:
    bench = PolicyBench("weights", {"m:2": 1.0, "m:3": 1e-9})
    [query] = bench.ask(b"a")
    bench.loop.advance(0.2)
    assert query.reason == "model_too_slow"
    assert "a replica of m:2" in query.explanation
    assert bench.book.pending[0].outcomes == (Outcome(arm(2), None),)


def test_long_output_is_answered_and_not_kept() -> None:
    bench = PolicyBench("weights", {"m:2": 1.0, "m:3": 1e-9})
    [query] = bench.ask(b"a")
    bench.answer(bench.replicas[IDS[1]], "7" * 3000)
    assert query.output == "7" * 3000
    assert not bench.book.pending[0].is_kept


def test_exp3_keeps_the_probability_it_asked_with() -> None:
    bench = PolicyBench("exp3")
    bench.book.add(Scored(1, {arm(1): Counts(1.0, 1.0, 100.0)}), 1000.0)
    targets = [bench.ask_with_key(None) for _ in range(40)]
    shares = {target._arm: target._propensity for target in targets}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares[arm(1)] > 0.85


def test_version_without_a_replica_is_passed_over() -> None:
    bench = PolicyBench("thompson")
    bench.pool.replica_lost(bench.replicas[IDS[0]].replica)
    bench.loop.end_turn()
    asked = Counter(bench.ask_with_key(None).model_id for _ in range(60))
    assert set(asked) == set(IDS[1:])


def test_named_version_wins_over_the_policy() -> None:
    bench = PolicyBench("ensemble")
    [query] = bench.ask(b"a", version="3")
    assert bench.batches() == [0, 0, 1]
    bench.answer(bench.replicas[IDS[2]], "C")
    assert (query.output, bench.book.pending) == ("C", [])


def test_cancelled_query_is_not_kept() -> None:
    bench = PolicyBench("weights", {"m:2": 1.0, "m:3": 1e-9})
    [query] = bench.ask(b"a")
    query.cancel()
    bench.answer(bench.replicas[IDS[1]], "7")
    assert (bench.answers, bench.book.pending) == ([], [])


def test_key_learns_for_itself_after_some_feedback() -> None:
    bench = PolicyBench("epsilon-greedy", by_key=True, explore=0.0)
    better = Counts(20.0, 20.0, 20.0)
    worse = Counts(20.0, 5.0, 5.0)
    bench.book.add(Scored(1, {arm(1): better, arm(2): worse, arm(3): worse}), 1000.0)
    bench.ask_with_key(b"ann")  # its scores are read soon
    [group] = bench.book.groups_to_read()
    everyone = bench.book._counts
    bench.book.learn([group], [everyone, {}])
    assert bench.ask_with_key(b"ann").model_id == IDS[0]
    bench.book.add(Scored(2, {arm(1): worse, arm(2): worse, arm(3): better}, group), 1000.0)
    bench.book._counts = everyone
    assert bench.ask_with_key(b"ann").model_id == IDS[2]
    assert bench.ask_with_key(b"bob").model_id == bench.ask_with_key(None).model_id == IDS[0]


def test_policy_that_is_taken_back_leaves_a_split() -> None:
    bench = PolicyBench("ensemble")
    bench.predictor.apply(replace(BASE, revision=2, routes={"digits": make_route({"m:1": 1.0})}))
    [query] = bench.ask(b"a")
    bench.answer(bench.replicas[IDS[0]], "A")
    assert (query.output, bench.learner._books) == ("A", {})


# --- all targets


def test_ensemble_answers_when_all_have_answered() -> None:
    bench = PolicyBench("ensemble")
    [query] = bench.ask(b"a")
    assert bench.batches() == [1, 1, 1]
    for model_id, output in zip(IDS, ("7", "8", "7.0"), strict=True):
        assert not query.is_answered
        bench.answer(bench.replicas[model_id], output)
    assert (query.output, query.reason) == ("7", None)
    assert confidence(query) == {"confidence": 0.666667, "models_used": ["m:1", "m:2", "m:3"]}
    assert bench.book.pending[0].outcomes == (Outcome(arm(1), "7"), Outcome(arm(2), "8"), Outcome(arm(3), "7.0"))


def test_straggler_is_left_out_at_the_slo() -> None:
    bench = PolicyBench("ensemble")
    [query] = bench.ask(b"a")
    bench.answer(bench.replicas[IDS[0]], "7")
    bench.answer(bench.replicas[IDS[2]], "7")
    bench.loop.advance(0.09)
    assert not query.is_answered
    bench.loop.advance(0.01)
    assert (query.output, query.reason) == ("7", None)
    assert confidence(query) == {"confidence": 0.666667, "models_used": ["m:1", "m:3"]}
    assert bench.answers[0][1] <= 1000.1
    bench.answer(bench.replicas[IDS[1]], "late")
    assert len(bench.answers) == len(bench.book.pending) == 1


def test_ensemble_without_an_answer_says_why() -> None:
    bench = PolicyBench("ensemble")
    [query] = bench.ask(b"a")
    bench.loop.advance(0.2)
    assert query.reason == "model_too_slow"
    assert confidence(query) == {"confidence": 0.0, "models_used": []}


def test_version_that_raises_is_left_out() -> None:
    bench = PolicyBench("ensemble")
    [query] = bench.ask(b"a")
    bench.pool.batch_failed(bench.replicas[IDS[0]].replica, ErrorResponse(0, "ValueError", "bad", ""))
    bench.loop.end_turn()
    for model_id in IDS[1:]:
        bench.answer(bench.replicas[model_id], "7")
    assert (query.output, confidence(query)["models_used"]) == ("7", ["m:2", "m:3"])


def test_unsure_answer_is_the_default_output() -> None:
    bench = PolicyBench("ensemble", min_confidence=0.7)
    [query] = bench.ask(b"a")
    for model_id, output in zip(IDS, ("7", "8", "7"), strict=True):
        bench.answer(bench.replicas[model_id], output)
    assert query.reason == "not_confident"
    assert query.explanation == "The models agree with a confidence of 0.667; min_confidence is 0.7."
    assert confidence(query) == {"confidence": 0.666667, "models_used": ["m:1", "m:2", "m:3"]}


def test_confidence_that_is_asked_for_exactly_is_enough() -> None:
    bench = PolicyBench("ensemble", {"m:1": 0.1, "m:2": 0.1, "m:3": 0.1}, min_confidence=2 / 3)
    [query] = bench.ask(b"a")
    for model_id, output in zip(IDS, ("7", "7", "8"), strict=True):
        bench.answer(bench.replicas[model_id], output)
    assert query.output == "7"


def test_outputs_without_a_mean_are_a_model_error() -> None:
    bench = PolicyBench("ensemble", combine="mean")
    [query] = bench.ask(b"a")
    for model_id, output in zip(IDS, ("7", "cat", "7"), strict=True):
        bench.answer(bench.replicas[model_id], output)
    assert query.reason == "model_error"
    assert query.explanation.startswith("The output of m:2, cat, is no number")


def test_ensemble_asks_its_weights_after_feedback() -> None:
    bench = PolicyBench("exp4")
    right, wrong = Counts(50.0, 50.0, 50.0), Counts(50.0, 5.0, 5.0)
    bench.book.add(Scored(1, {arm(1): wrong, arm(2): right, arm(3): wrong}), 1000.0)
    [query] = bench.ask(b"a")
    for model_id, output in zip(IDS, ("7", "8", "7"), strict=True):
        bench.answer(bench.replicas[model_id], output)
    assert query.output == "8"


def test_two_targets_of_one_version_are_one() -> None:
    """``"m"`` may have become the version that is named beside it."""
    bench = PolicyBench("ensemble", {"m": 1.0, "m:3": 1.0, "m:1": 1.0})
    [query] = bench.ask(b"a")
    assert bench.batches() == [1, 0, 1]
    bench.answer(bench.replicas[IDS[0]], "7")
    bench.answer(bench.replicas[IDS[2]], "8")
    assert (query.output, confidence(query)["confidence"]) == ("8", 0.666667)
