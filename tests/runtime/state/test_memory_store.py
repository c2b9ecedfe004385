"""What is special about the store in memory; what all stores promise is in the files of contracts."""

from __future__ import annotations

import asyncio

from clipper_nb.protocol.records import FrontendPresence
from clipper_nb.runtime.state.memory_store import MemoryStore
from clipper_nb.runtime.tasks import end_tasks
from tests.support.fake_clock import run_in_virtual_time


def test_changes_missed_by_a_watcher_are_reported_once():
    async def main():
        store = MemoryStore()
        changes = store.configuration_changes()
        await anext(changes)
        for _ in range(3):
            await store.update_configuration(lambda configuration: configuration)
        await asyncio.wait_for(anext(changes), 1.0)
        waiting = asyncio.create_task(anext(changes))
        await asyncio.sleep(1.0)
        assert not waiting.done()

    run_in_virtual_time(main())


def test_watcher_that_ends_is_forgotten():
    async def main():
        store = MemoryStore()
        configuration_changes, presence_changes = store.configuration_changes(), store.presence_changes()
        await anext(configuration_changes)
        await anext(presence_changes)
        await configuration_changes.aclose()
        await presence_changes.aclose()
        assert not store._configuration_watchers
        assert not store._presence_watchers

    run_in_virtual_time(main())


def test_presence_does_not_wake_configuration_watchers():
    async def main():
        store = MemoryStore()
        changes = store.configuration_changes()
        await anext(changes)
        waiting = asyncio.create_task(anext(changes))
        await store.announce(FrontendPresence("a", 0, 1.0))
        await asyncio.sleep(1.0)
        assert not waiting.done()

    run_in_virtual_time(main())


def test_stores_share_nothing():
    async def main():
        first, second = MemoryStore(), MemoryStore()
        await first.announce(FrontendPresence("a", 0, 1.0))
        await first.update_configuration(lambda configuration: configuration)
        assert await second.read_presence() == []
        assert (await second.read_configuration()).revision == 0

    run_in_virtual_time(main())


def test_frontend_that_a_busy_machine_delays_is_waited_for():
    """Left out, it would look as if it knew nothing."""

    async def answer_late(store):
        async for question in store.questions():
            await asyncio.sleep(2.5)
            await store.answer_question(question.question_id, "what I counted")

    async def main():
        store = MemoryStore()
        answering = asyncio.create_task(answer_late(store))
        await asyncio.sleep(0)
        assert await store.ask_metrics() == ["what I counted"]
        await end_tasks([answering])

    run_in_virtual_time(main())
