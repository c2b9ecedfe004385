"""Every store tells its watchers what changed, and which frontends there are."""

from __future__ import annotations

import asyncio

import pytest

from clipper_nb.errors import ExistsError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import Replica
from tests.support.stores import add_application, news, presence, run, same


def test_presence_is_the_last_announcement_of_each(store):
    replicas = (Replica("m", "1", 0, InputType.DOUBLES), Replica("m", "1", 1, InputType.DOUBLES))

    async def test(one, two):
        await one.announce(presence("one", 1))
        await two.announce(presence("two", 2))
        await one.announce(presence("one", 3, *replicas))
        read = {frontend.frontend_id: frontend for frontend in await two.read_presence()}
        assert read == {"one": presence("one", 3, *replicas), "two": presence("two", 2)}

    run(store, test, num_stores=2)


def test_announcement_returns_the_revision(store):
    async def test(one, two):
        assert await one.announce(presence()) == 0
        await two.update_configuration(same)
        assert await one.announce(presence()) == 1

    run(store, test, num_stores=2)


def test_withdrawn_frontend_is_forgotten(store):
    async def test(one):
        await one.announce(presence("one"))
        await one.announce(presence("two"))
        await one.withdraw("one")
        await one.withdraw("never there")
        assert [frontend.frontend_id for frontend in await one.read_presence()] == ["two"]

    run(store, test)


@pytest.mark.parametrize("watch", ["configuration_changes", "presence_changes"])
def test_news_begin_at_once(store, watch):
    """What happened before must be read then."""

    async def test(one):
        changes = getattr(one, watch)()
        await news(changes)
        await changes.aclose()

    run(store, test)


def test_every_watcher_hears_of_a_change(store):
    async def test(one, two):
        watchers = [one.configuration_changes(), two.configuration_changes()]
        for watcher in watchers:
            await news(watcher)
        await two.update_configuration(same)
        for watcher in watchers:
            await news(watcher)
            await watcher.aclose()

    run(store, test, num_stores=2)


def test_change_is_readable_when_it_is_reported(store):
    async def test(one, two):
        changes = two.configuration_changes()
        await news(changes)
        for number in range(10):
            await one.update_configuration(add_application(f"app-{number}"))
            await news(changes)
            assert f"app-{number}" in (await two.read_configuration()).applications
        await changes.aclose()

    run(store, test, num_stores=2)


def test_refused_change_is_not_announced(store):
    async def test(one):
        changes = one.configuration_changes()
        await news(changes)

        def refuse(configuration):
            raise ExistsError("taken")

        with pytest.raises(ExistsError):
            await one.update_configuration(refuse)
        await one.announce(presence())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(changes), 0.05)

    run(store, test)


@pytest.mark.parametrize("speak", ["announce", "withdraw"])
def test_presence_change_is_reported(store, speak):
    async def test(one, two):
        await one.announce(presence())
        changes = two.presence_changes()
        await news(changes)
        await (one.announce(presence("two")) if speak == "announce" else one.withdraw("one"))
        await news(changes)
        found = [frontend.frontend_id for frontend in await two.read_presence()]
        assert sorted(found) == (["one", "two"] if speak == "announce" else [])
        await changes.aclose()

    run(store, test, num_stores=2)


def test_watcher_may_be_left(store):
    async def test(one):
        changes = one.configuration_changes()
        await news(changes)
        waiting = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await one.update_configuration(same)).revision == 1

    run(store, test)
