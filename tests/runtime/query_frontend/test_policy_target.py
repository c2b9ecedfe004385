"""What an application with a policy asks for one request, how the answers become one, and what is kept of them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.feedback import Outcome
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.route import make_route
from clipper_nb.protocol.rpc import ErrorResponse
from clipper_nb.protocol.score_counts import Counts
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes
from clipper_nb.runtime.query_frontend.journal import Journal
from clipper_nb.runtime.query_frontend.large_request import LargeRequests
from clipper_nb.runtime.query_frontend.learner import Learner
from clipper_nb.runtime.query_frontend.policy_chooser import PolicyChoosers
from clipper_nb.runtime.query_frontend.predict_endpoint import PredictEndpoint
from clipper_nb.runtime.state.feedback_store import Scored
from clipper_nb.runtime.state.memory_feedback import MemoryFeedback
from clipper_nb.runtime.state.memory_store import MemoryStore
from clipper_nb.runtime.turns import Turns
from tests.support.predictor_bench import Bench
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


# --- default outputs that count by themselves


def test_default_output_counts_once_for_who_is_at_fault() -> None:
    bench = PolicyBench("thompson", {"m:2": 1.0, "m:3": 1.0}, default_weight=0.25)
    bench.ask(b"a", b"b")
    bench.loop.advance(0.2)
    asyncio.run(bench.learner.flush())
    asyncio.run(bench.learner.flush())
    counted = {arm: found.counts for arm, found in bench.book._counts.items()}
    assert sum(counts.num for counts in counted.values()) == 0.5
    assert {counts.total for counts in counted.values()} == {0.0}


def test_version_that_the_ensemble_missed_counts() -> None:
    bench = PolicyBench("exp4", default_weight=1.0)
    bench.ask(b"a")
    for model_id in IDS[:2]:
        bench.answer(bench.replicas[model_id], "7")
    bench.loop.advance(0.2)
    asyncio.run(bench.learner.flush())
    assert {arm: found.counts for arm, found in bench.book._counts.items()} == {arm(3): Counts(1.0)}


def test_missing_replica_is_nobodys_bad_answer() -> None:
    bench = PolicyBench("thompson", default_weight=1.0)
    for model_id in IDS:
        bench.pool.replica_lost(bench.replicas[model_id].replica)
    bench.loop.end_turn()
    [query] = bench.ask(b"a")
    asyncio.run(bench.learner.flush())
    assert (query.reason, bench.book._counts) == ("no_ready_replica", {})


def test_sum_of_defaults_is_added_once_though_the_reply_is_lost() -> None:
    class LosingReplies(MemoryFeedback):
        num_lost = 0

        async def count(self, book: str, scored: Scored, now_s: float) -> bool:
            is_counted = await super().count(book, scored, now_s)
            if self.num_lost == 0:
                self.num_lost += 1
                raise StateUnavailableError("lost")
            return is_counted

    async def main() -> None:
        store = LosingReplies()
        learner = Learner(store, lambda: 1000.0)
        book = learner.book("digits", "book", None)
        book.count_default("", 1.0, arm(1), 5)
        with pytest.raises(StateUnavailableError):
            await learner.flush()
        book.count_default("", 1.0, arm(1), 6)
        await learner.flush()
        assert (await store.read("book"))[0][arm(1)].counts == Counts(2.0)

    asyncio.run(main())


# --- what is shown of the scores


def test_scores_are_metrics_while_there_is_a_policy() -> None:
    bench = PolicyBench("thompson")
    bench.metrics.show_gauges(bench.predictor._choosers.families)
    bench.book.add(Scored(1, {arm(1): Counts(4.0, 3.0, 3.0)}), 1000.0)
    first, second = ({"app": "digits", "model": "m", "version": version} for version in ("1", "2"))
    assert bench.value("clipper_target_score", **first) == 0.75
    assert bench.value("clipper_target_scores", **first) == 4.0
    assert bench.value("clipper_target_score", **second) is None
    bench.predictor.apply(replace(BASE, revision=2, applications={}))
    assert bench.value("clipper_target_scores", **first) is None


# --- many inputs in one request


class LargePolicyBench(PolicyBench):
    """One that answers large requests."""

    def __init__(self, name: Any, weights: dict[str, float] | None = None, **options: Any) -> None:
        super().__init__(name, weights, **options)
        self.turns: list[Any] = []
        self.replies: list[Any] = []
        requests = LargeRequests(
            self.predictor, self.loop, Turns(self.turns.append, self.loop.time), WaitingBytes(10**9), Journal()
        )
        self.endpoint = PredictEndpoint(self.predictor, self.loop.time, requests, Journal())

    def post(self, num_inputs: int) -> None:
        body = json.dumps({"input_batch": [str(number) for number in range(num_inputs)]}).encode()
        self.endpoint.answer(
            "digits", body, self.loop.time(), lambda status, body: self.replies.append(json.loads(body))
        )
        self.settle()

    def settle(self) -> None:
        while self.turns:
            due, self.turns[:] = list(self.turns), []
            for callback in due:
                callback()
            self.loop.end_turn()

    def answer_all(self, model_id: ModelId, output: str) -> None:
        replica, num_answered = self.replicas[model_id], 0
        while len(replica.batches) > num_answered:
            num_answered += 1
            self.answer(replica, output)
            self.settle()


def test_large_request_is_answered_without_stragglers() -> None:
    """Inputs that were asked have the others' answer; those that the straggler kept from their turn have none."""
    bench = LargePolicyBench("ensemble")
    bench.post(300)
    for model_id in (IDS[0], IDS[2]):
        bench.answer_all(model_id, "7")
    assert bench.replies == []
    bench.loop.advance(0.11)
    bench.settle()
    [reply] = bench.replies
    answers = [each for each in reply["batch_predictions"] if not each["default"]]
    assert len(answers) >= 64
    assert {(each["output"], each["confidence"], tuple(each["models_used"])) for each in answers} == {
        (7, 0.666667, ("m:1", "m:3"))
    }
    reasons = [each.get("default_reason") for each in reply["batch_predictions"]]
    assert reasons == [None] * len(answers) + ["queued_too_long"] * (300 - len(answers))
    assert len(bench.book.pending) == len(answers)


def test_late_inputs_of_a_large_request_are_kept() -> None:
    bench = LargePolicyBench("weights", {"m:2": 1.0, "m:3": 1e-9})
    bench.post(300)
    bench.loop.advance(0.11)
    bench.settle()
    [reply] = bench.replies
    reasons = [each["default_reason"] for each in reply["batch_predictions"]]
    assert (reasons[0], set(reasons[1:])) == ("model_too_slow", {"queued_too_long"})
    assert {answered.outcomes for answered in bench.book.pending} == {(Outcome(arm(2), None),)}
