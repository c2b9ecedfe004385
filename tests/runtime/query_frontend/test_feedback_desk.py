"""Feedback finds the query that it is for, wherever its answer is, and counts once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import tornado.web

from clipper_nb.errors import InvalidInputError, InvalidRequestError, NotFoundError
from clipper_nb.protocol.feedback_call import Feedback
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.route import make_route
from clipper_nb.runtime.query_frontend.feedback_desk import FeedbackDesk
from clipper_nb.runtime.query_frontend.journal import Journal
from clipper_nb.runtime.query_frontend.learner import Learner
from clipper_nb.runtime.query_frontend.policy_chooser import PolicyChoosers
from clipper_nb.runtime.query_frontend.query_histories import QueryHistories
from clipper_nb.runtime.state.memory_store import MemoryStore
from clipper_nb.runtime.tasks import end_tasks
from tests.runtime.query_frontend.test_policy_target import BASE, IDS
from tests.support.predictor_bench import Bench

TARGETS = {"m:1": 1.0, "m:2": 1.0, "m:3": 1.0}


class Frontend(Bench):
    """A query frontend with a store, which another may share."""

    def __init__(self, store: MemoryStore, policy: Policy | None, first_query_id: int = 0) -> None:
        self.now_s = 1000.0
        self.learner = Learner(store.feedback, lambda: self.now_s)
        targets = TARGETS if policy else {"m:1": 1.0}
        configuration = replace(BASE, routes={"digits": make_route(targets, policy)})
        super().__init__(configuration, choosers=PolicyChoosers(self.learner, Random(1)))
        self.predictor.skip_query_ids(first_query_id)
        self.replicas = {model_id: self.join(model_id) for model_id in IDS}
        self.desk = FeedbackDesk(self.predictor, store, self.learner)
        self.journal = Journal()
        self.histories = QueryHistories(
            store, self.journal, "f", clock=self.loop.time, wall_clock=self.loop.time, flush=self.learner.flush,
            find_shadow_report=self.predictor.watches.report, read_metrics=self.read_metrics,
        )  # fmt: skip

    async def read_metrics(self) -> str:
        return ""

    def predict(self, payload: bytes, output: str) -> int:
        """Return the id of a query that every version that is asked has answered so."""
        before = {model_id: len(replica.batches) for model_id, replica in self.replicas.items()}
        [query] = self.ask(payload)
        for model_id, replica in self.replicas.items():
            if len(replica.batches) > before[model_id]:
                self.answer(replica, output)
        self.journal.record(query, "digits", IDS[0], self.loop.time())
        return int(query.query_id)

    async def give(self, **body: Any) -> Feedback:
        return await self.desk.receive("digits", json.dumps(body).encode())


def run(policy: Policy | None, test: Callable[[Frontend, Frontend], Awaitable[None]]) -> None:
    """Run a test with two frontends that share a store and answer questions."""

    async def main() -> None:
        store = MemoryStore()
        frontends = Frontend(store, policy), Frontend(store, policy, first_query_id=500)
        tasks = [asyncio.create_task(frontend.histories.answer_questions()) for frontend in frontends]
        await asyncio.sleep(0)
        try:
            await test(*frontends)
        finally:
            await end_tasks(tasks)

    asyncio.run(main())


THOMPSON = Policy(name="thompson", half_life_s=100.0)


def test_label_counts_for_the_version_that_answered() -> None:
    async def test(one: Frontend, other: Frontend) -> None:
        query_id = one.predict(b"a", "7")
        [model] = (await one.give(query_id=query_id, label=7)).scores
        assert model in {"m:1", "m:2", "m:3"}
        again = await one.give(query_id=query_id, label=8)
        assert (again.counted, again.scores) == (False, {})
        assert "counted before" in again.cause
        assert one.learner._books["digits"]._counts[f"{model}@1.000000"].counts.num == 1.0

    run(THOMPSON, test)


def test_feedback_reaches_another_frontend_than_the_query() -> None:
    """The answer is not in the store yet: whoever has it is asked to write it."""

    async def test(one: Frontend, other: Frontend) -> None:
        query_id = one.predict(b"a", "7")
        assert one.learner._books["digits"].pending
        feedback = await other.give(query_id=query_id, label="7")
        assert (feedback.counted, list(feedback.scores.values())) == (True, [1.0])
        assert not (await one.give(query_id=query_id, score=0.0)).counted

    run(THOMPSON, test)


def test_last_query_with_an_input_is_meant() -> None:
    async def test(one: Frontend, other: Frontend) -> None:
        one.predict(b"a", "7")
        second = one.predict(b"a", "8")
        feedback = await one.give(uid=0, input="a", label=8)
        assert (feedback.query_id, list(feedback.scores.values())) == (second, [1.0])
        with pytest.raises(NotFoundError, match="has not answered a query with this input"):
            await one.give(uid=0, input="b", label=8)
        with pytest.raises(NotFoundError, match="has not answered a query with this input"):
            await one.give(uid="ann", input="a", label=8)
        with pytest.raises(NotFoundError, match="has not answered a query with this key"):
            await one.give(key="ann", label=8)

    run(THOMPSON, test)


def test_ensemble_scores_each_version_by_the_label() -> None:
    async def test(one: Frontend, other: Frontend) -> None:
        [query] = one.ask(b"a")
        for model_id, output in zip(IDS, ("7", "8", "7"), strict=True):
            one.answer(one.replicas[model_id], output)
        with pytest.raises(InvalidRequestError, match="Send the label"):
            await one.give(query_id=query.query_id, score=1)
        feedback = await one.give(query_id=query.query_id, label=7)
        assert feedback.scores == {"m:1": 1.0, "m:2": 0.0, "m:3": 1.0}

    run(Policy(name="ensemble"), test)


def test_label_of_a_default_output_scores_nothing() -> None:
    async def test(one: Frontend, other: Frontend) -> None:
        [query] = one.ask(b"a")
        one.loop.advance(0.2)
        assert list((await one.give(query_id=query.query_id, label="unknown")).scores.values()) == [0.0]

    run(THOMPSON, test)


def test_default_output_that_counts_itself_has_no_label() -> None:
    async def test(one: Frontend, other: Frontend) -> None:
        [query] = one.ask(b"a")
        one.loop.advance(0.2)
        for said in ({"label": "unknown"}, {"score": 1}):
            feedback = await one.give(query_id=query.query_id, **said)
            assert (feedback.counted, "has counted by itself" in feedback.cause) == (False, True)

    run(Policy(name="thompson", default_weight=1.0), test)


def test_ensemble_without_answers_has_nothing_to_score() -> None:
    async def test(one: Frontend, other: Frontend) -> None:
        [query] = one.ask(b"a")
        one.loop.advance(0.2)
        feedback = await one.give(query_id=query.query_id, label="unknown")
        assert (feedback.counted, feedback.cause[:20]) == (False, "No version answered ")

    run(Policy(name="exp4"), test)


def test_application_without_a_policy_takes_scores() -> None:
    async def test(one: Frontend, other: Frontend) -> None:
        query_id = one.predict(b"a", "7")
        with pytest.raises(InvalidRequestError, match=r"is not kept, so a label has nothing.*Send a score"):
            await other.give(query_id=query_id, label=7)
        assert await other.give(query_id=query_id, score=0.25) == Feedback(True, query_id, {"m:1": 0.25})
        assert not (await one.give(query_id=query_id, score=0.25)).counted

    run(None, test)


@pytest.mark.parametrize("policy", [None, THOMPSON])
def test_what_was_never_asked_is_refused(policy: Policy | None) -> None:
    async def test(one: Frontend, other: Frontend) -> None:
        with pytest.raises(NotFoundError, match="'digits' has not answered query 9, or does not keep it any more"):
            await one.give(query_id=9, score=1)
        with pytest.raises(tornado.web.HTTPError, match="404"):
            await one.desk.receive("nobody", b'{"query_id":1,"score":1}')
        with pytest.raises(InvalidInputError, match="has 300000 bytes"):
            await one.desk.receive("digits", b" " * 300_000)

    run(policy, test)


def test_other_frontends_scores_are_read_soon() -> None:
    async def test(one: Frontend, other: Frontend) -> None:
        other.ask(b"a")
        query_id = one.predict(b"a", "7")
        await one.give(query_id=query_id, label=7)
        await other.learner._read()
        assert other.learner._books["digits"].state(dict.fromkeys([f"m:{n}@1.000000" for n in (1, 2, 3)], 1.0)).num == 1

    run(THOMPSON, test)


def test_answers_wait_while_the_store_is_away() -> None:
    async def test(one: Frontend, other: Frontend) -> None:
        query_id = one.predict(b"a", "7")
        book = one.learner._books["digits"]
        book.pending *= 30_000  # more than wait
        book.keep(book.pending[0])
        assert len(book.pending) <= 20_000
        assert book.num_dropped > 0
        await one.learner.flush()
        assert (book.pending, book.num_dropped) == ([], 0)
        assert (await one.give(query_id=query_id, label=7)).counted

    run(THOMPSON, test)
