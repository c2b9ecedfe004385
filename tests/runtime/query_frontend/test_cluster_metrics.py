"""What one query frontend shows of all that are in pods of their own, also of those that have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import Application, FrontendPresence
from clipper_nb.runtime.query_frontend.cluster_metrics import KILLED_AFTER_S, SEEN_BY_ALL, ClusterMetrics
from clipper_nb.runtime.query_frontend.exposed_metrics import OwnMetrics
from clipper_nb.runtime.state.count_keeping import CountKeeper
from clipper_nb.runtime.state.memory_store import MemoryStore
from clipper_nb.runtime.tasks import end_tasks
from tests.support.counting import LATENCY, LOST, QUERIES, WORDS, Counted, configuration, of, values


class Frontend(Counted):
    """The metrics of one process of a query frontend."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        super().__init__()
        self._store = cluster.store
        self.own = OwnMetrics(self.metrics)
        wall_clock = lambda: cluster.now_s  # noqa: E731
        self.keeper = CountKeeper(
            cluster.store.counts, name, lambda: cluster.configuration, seen_by_all=SEEN_BY_ALL, wall_clock=wall_clock
        )
        self.shown = ClusterMetrics(cluster.store, name, self.own, self.keeper, wall_clock=wall_clock)

    async def start(self) -> None:
        await self.shown.start()
        self._task = asyncio.create_task(self._answer())
        await asyncio.sleep(0)

    async def _answer(self) -> None:
        async for question in self._store.questions():
            await self._store.answer_question(question.question_id, await self.shown.report())

    async def kill(self) -> None:
        await end_tasks([self._task])

    async def stop(self) -> None:
        await self.kill()
        await self.shown.stop()

    async def sums(self) -> dict[str, float]:
        return values(await self.shown.exposition())


class Cluster:
    """Query frontends that share a store."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.configuration = configuration()
        self.now_s = 1000.0

    async def start(self, name: str) -> Frontend:
        frontend = Frontend(self, name)
        await frontend.start()
        return frontend


def run(test: Callable[[Cluster], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test(Cluster()))


def test_queries_are_added_and_a_lost_replica_counts_once() -> None:
    async def test(cluster: Cluster) -> None:
        one, other = await cluster.start("a"), await cluster.start("b")
        one.count(2)
        other.count(3)
        assert of(values(await one.own.exposition())) == [2, 2, 1, 2]
        assert of(await one.sums()) == of(await other.sums()) == [5, 5, 1, 4]
        await one.stop()
        await other.stop()

    run(test)


def test_sum_keeps_what_ended_frontends_have_counted() -> None:
    async def test(cluster: Cluster) -> None:
        last = await cluster.start("pod-0")
        last.count(2)
        for number in range(1, 4):  # as in a rolling restart: the next one serves before one ends
            following = await cluster.start(f"pod-{number}")
            following.count(1)
            before = await following.sums()
            last.application.query_answered(0.01, None)  # its last answer, after it was asked for the last time
            await last.stop()
            after = await following.sums()
            assert of(after) == [before[QUERIES] + 1, before[LATENCY] + 1, before[LOST], before[WORDS]]
            last = following
        assert of(await last.sums()) == [8, 8, 3, 8]
        assert len(await cluster.store.counts.read()) <= 3, "those that have ended are one"
        await last.stop()

    run(test)


def test_what_was_shown_stays_when_a_frontend_is_killed() -> None:
    async def test(cluster: Cluster) -> None:
        one, other = await cluster.start("a"), await cluster.start("b")
        one.count(2)
        shown = await other.sums()
        assert of(shown) == [2, 2, 1, 2]
        await one.kill()
        assert await other.sums() == shown
        again = await cluster.start("a")  # the next process in its pod
        assert len(await cluster.store.counts.read()) == 1, "what it follows has ended for sure"
        again.count(1)
        assert of(await other.sums()) == [3, 3, 2, 4]
        await again.stop()
        await other.stop()

    run(test)


def test_all_that_was_shown_stays_however_often_it_was_shown() -> None:
    async def test(cluster: Cluster) -> None:
        one, other = await cluster.start("a"), await cluster.start("b")
        for number in range(1, 20):
            one.count(1)
            shown = await other.sums()
            assert shown[QUERIES] == number
        await one.kill()
        assert await other.sums() == shown
        await other.stop()

    run(test)


def test_killed_pod_is_merged_only_when_it_is_long_gone() -> None:
    async def test(cluster: Cluster) -> None:
        silent = await cluster.start("silent")
        silent.count(2)
        await silent.sums()
        await silent.kill()
        await cluster.store.announce(FrontendPresence("silent", 1, 1.0, ()))
        cluster.now_s += KILLED_AFTER_S + 1
        await cluster.start("a")
        assert silent.keeper.run in await cluster.store.counts.read(), "it is still announced"
        await cluster.store.withdraw("silent")
        one = await cluster.start("b")
        assert silent.keeper.run not in await cluster.store.counts.read()
        # It was only cut off, and comes back: it must not count twice.
        silent.count(5)
        await silent.start()
        assert of(await one.sums()) == [2, 2, 1, 2]

    run(test)


def test_application_that_is_registered_again_begins_at_zero() -> None:
    async def test(cluster: Cluster) -> None:
        ended, one = await cluster.start("a"), await cluster.start("b")
        ended.count(2)
        await ended.stop()
        cluster.configuration = replace(configuration(), applications={})
        assert of(await one.sums()) == [0, 0, 1, 2]
        cluster.configuration = configuration(Application("app", InputType.INTEGERS, "-1", 100_000, 11.0))
        assert of(await one.sums()) == [0, 0, 1, 2]
        await (await cluster.start("c")).stop()  # it merged what has ended
        assert of(await one.sums()) == [0, 0, 1, 2]
        cluster.configuration = replace(cluster.configuration, versions={})
        assert of(await one.sums())[3] == 0

    run(test)


def test_nothing_is_stored_while_nothing_is_counted() -> None:
    async def test(cluster: Cluster) -> None:
        one = await cluster.start("a")
        await one.sums()
        assert await cluster.store.counts.read() == {}
        one.count(1)
        await one.sums()
        kept = await cluster.store.counts.read()
        cluster.now_s += 60.0
        await one.sums()
        assert await cluster.store.counts.read() == kept, "equal counts are not written again"

    run(test)


def test_report_of_another_release_is_left_out() -> None:
    async def answer_strangely(store: MemoryStore) -> None:
        async for question in store.questions():
            await store.answer_question(question.question_id, "what is this?")

    async def test(cluster: Cluster) -> None:
        await cluster.store.counts.keep("strange", "what is this?")
        one = await cluster.start("a")
        one.count(2)
        strange = asyncio.create_task(answer_strangely(cluster.store))
        await asyncio.sleep(0)
        assert of(await one.sums()) == [2, 2, 1, 2]
        await end_tasks([strange])

    run(test)
