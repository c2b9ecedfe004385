"""Every store asks all frontends, and what they counted outlives them."""

from __future__ import annotations

import asyncio

import pytest

from clipper_nb.protocol.query_history import QueryHistory
from clipper_nb.protocol.shadow import ShadowReport, ShadowSample
from clipper_nb.runtime.state.count_store import PAST
from clipper_nb.runtime.state.store import StateStore
from clipper_nb.runtime.tasks import end_tasks
from tests.support.stores import run

HISTORY = QueryHistory(
    query_id=7, application="digits", model=None, frontend_id="one", received_at=1.0, sent_after_s=None,
    batch_size=None, replica_id=None, answered_after_s=0.5, reason="not_linked", explanation="é",
)  # fmt: skip


async def answer_all(store: StateStore, answer: QueryHistory | None, seen: list[int]) -> None:
    async for question in store.questions():
        seen.append(question.query_id)
        await store.answer_question(question.question_id, answer)


async def ask_until_heard(store: StateStore, seen: list[list[int]]) -> list[QueryHistory]:
    """Ask until all listen, which they do soon after they began."""
    while True:
        found = await store.ask_frontends(7)
        if all(seen):
            return found
        await asyncio.sleep(0.01)


def test_counts_of_ended_runs_become_one(store):
    async def test(one, other):
        assert await other.counts.read() == {}
        for run_id in ("a", "b", "c"):
            assert await one.counts.keep(run_id, f"{run_id}1")
        assert await one.counts.keep("a", "a2")
        await one.withdraw("a")
        assert await other.counts.read() == {"a": "a2", "b": "b1", "c": "c1"}
        assert not await other.counts.merge({"a": "a1"}, None, "a1"), "it was read before it changed"
        assert not await other.counts.merge({"a": "a2"}, "past", "a2"), "there was no past"
        assert await other.counts.merge({"a": "a2", "b": "b1"}, None, "a2 b1")
        assert await one.counts.read() == {PAST: "a2 b1", "c": "c1"}
        assert not await one.counts.keep("a", "a3"), "it would count twice"
        assert not await one.counts.merge({"c": "c1"}, None, "c1"), "there is a past"
        assert await one.counts.merge({"c": "c1"}, "a2 b1", "a2 b1 c1")
        assert await other.counts.read() == {PAST: "a2 b1 c1"}

    run(store, test, num_stores=2)


def test_question_is_answered_by_every_frontend_that_listens(store):
    async def test(asking, one, two):
        seen = [[], []]
        tasks = [
            asyncio.create_task(answer_all(one, HISTORY, seen[0])),
            asyncio.create_task(answer_all(two, None, seen[1])),
        ]
        assert await ask_until_heard(asking, seen) == [HISTORY]
        assert await asking.ask_frontends(8) == [HISTORY]
        assert [numbers[-1] for numbers in seen] == [8, 8]
        await end_tasks(tasks)
        assert await asking.ask_frontends(9) == []

    run(store, test, num_stores=3)


def test_shadow_reports_come_from_every_frontend(store):
    sample = ShadowSample(1.0, ["é", None], "m:1", "7", None, None, 0.1, 0.2, None, "model_error")
    report = ShadowReport(app_name="digits", model="m:2", share=0.5, num_failed={"model_error": 1}, samples=[sample])

    async def answer(one: StateStore, heard: list[str]) -> None:
        async for question in one.questions():
            heard.append(question.shadow_of)
            await one.answer_question(question.question_id, report)

    async def test(asking, one, two):
        heard = [[], []]
        tasks = [asyncio.create_task(answer(one, heard[0])), asyncio.create_task(answer(two, heard[1]))]
        while not all(heard):
            found = await asking.ask_shadow("digits")
            await asyncio.sleep(0.01)
        assert [(each.model, list(each.samples)) for each in found] == [("m:2", [sample])] * 2
        assert set(heard[0]) == {"digits"}
        await end_tasks(tasks)

    run(store, test, num_stores=3)


def test_metrics_come_from_every_frontend(store):
    """As they encoded them, also if they have megabytes."""
    texts = ["é\n1", "x" * 3_000_000]

    async def answer(one: StateStore, text: str) -> None:
        async for question in one.questions():
            assert question.is_about_metrics
            await one.answer_question(question.question_id, text)

    async def test(asking, one, two):
        tasks = [asyncio.create_task(answer(*each)) for each in zip((one, two), texts, strict=True)]
        found: list[str] = []
        while len(found) < 2:
            found = await asking.ask_metrics()
            await asyncio.sleep(0.01)
        assert sorted(found) == sorted(texts)
        await end_tasks(tasks)

    run(store, test, num_stores=3)


@pytest.mark.slow
def test_question_that_nobody_answers_ends(store):
    async def listen(one):
        async for _ in one.questions():
            pass

    async def test(asking, one):
        task = asyncio.create_task(listen(one))
        await asyncio.sleep(0)
        assert await asyncio.wait_for(asking.ask_frontends(7), 10) == []
        await end_tasks([task])

    run(store, test, num_stores=2)
