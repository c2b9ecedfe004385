"""Redis goes and comes back: nothing that was confirmed is lost, and who waits for news hears them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from clipper_nb.errors import ExistsError, StateUnavailableError
from clipper_nb.runtime.state.redis_store import RedisStore
from tests.support.stores import FULL, NEWS_TIMEOUT_S, add_application, claim, news, presence, run, same

EVERY_CALL = [
    lambda store: store.read_configuration(),
    lambda store: store.update_configuration(same),
    lambda store: store.announce(presence()),
    lambda store: store.withdraw("one"),
    lambda store: store.read_presence(),
]


@pytest.mark.redis
def test_nothing_is_lost_when_redis_is_killed(redis_state):
    """What a call has confirmed is on disk."""

    async def test(store):
        for number in range(20):
            await store.update_configuration(add_application(f"app-{number}"))
        written = await store.update_configuration(lambda configuration: replace(FULL, revision=configuration.revision))
        await store.announce(presence())
        redis_state.server.kill()
        redis_state.server.start()
        assert await store.read_configuration() == written
        assert await store.read_presence() == [presence()]
        assert (await store.update_configuration(same)).revision == written.revision + 1

    run(redis_state, test)


@pytest.mark.redis
def test_confirmed_changes_survive_a_kill_in_the_middle(redis_state):
    async def test(store):
        confirmed = []

        async def write():
            number = 0
            while True:
                await store.update_configuration(add_application(f"app-{number}"))
                confirmed.append(f"app-{number}")
                number += 1

        writing = asyncio.create_task(write())
        while len(confirmed) < 10:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(redis_state.server.kill)
        with pytest.raises(StateUnavailableError):
            await writing
        redis_state.server.start()
        read = await store.read_configuration()
        assert read.applications.keys() >= set(confirmed)
        # The last may have been written without being confirmed; a revision is never half there.
        assert len(read.applications) == read.revision <= len(confirmed) + 1

    run(redis_state, test)


@pytest.mark.redis
@pytest.mark.parametrize("call", EVERY_CALL, ids=["read", "update", "announce", "withdraw", "presence"])
@pytest.mark.parametrize("when", ["never there", "gone"])
def test_unreachable_store_raises_state_unavailable(redis_state, call, when):
    async def test(store):
        if when == "gone":
            await store.update_configuration(same)
        redis_state.server.kill()
        with pytest.raises(StateUnavailableError, match="Redis does not answer"):
            await call(store)
        redis_state.server.start()
        await call(store)

    run(redis_state, test)


@pytest.mark.redis
def test_change_with_a_lost_confirmation_is_made_once(redis_state):
    """Or the caller would be told that the name is taken, by nobody else than themselves."""

    async def main():
        async with redis_state.server.losing_confirmations(1) as url:
            store = RedisStore(url)
            written = await store.update_configuration(claim("digits"))
            assert list(written.applications) == ["digits"]
            assert await store.read_configuration() == written
            assert written.revision == 1
            with pytest.raises(ExistsError):
                await store.update_configuration(claim("digits"))
            await store.close()

    asyncio.run(main())


@pytest.mark.redis
@pytest.mark.parametrize("watch", ["configuration_changes", "presence_changes"])
def test_news_come_back_with_redis(redis_state, watch, caplog):
    """After a restart there is news at once, for something may have been missed, and then again of each change."""

    async def test(watcher, writer):
        changes = getattr(watcher, watch)()
        await news(changes)
        redis_state.server.kill()
        back = asyncio.create_task(anext(changes))
        await asyncio.sleep(0.2)
        assert not back.done()
        redis_state.server.start()
        await asyncio.wait_for(back, NEWS_TIMEOUT_S)
        await writer.update_configuration(same)
        await writer.announce(presence())
        await news(changes)
        await changes.aclose()

    run(redis_state, test, num_stores=2)
    assert "Redis is away" in caplog.text


@pytest.mark.redis
def test_wrong_password_is_reported_as_unavailable_store(redis_state):
    async def main():
        store = RedisStore(redis_state.server.url.replace(":secret@", ":wrong@"))
        with pytest.raises(StateUnavailableError):
            await store.read_configuration()
        await store.close()

    asyncio.run(main())
