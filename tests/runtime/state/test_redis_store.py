"""What is special about the store in Redis: its documented layout, and changes that are read as differences."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from clipper_nb.protocol.records import Configuration
from clipper_nb.protocol.redis_keys import LAYOUT_VERSION, NUM_KEPT_DIFFERENCES, RedisKeys
from tests.support.records import make_application, make_routes
from tests.support.stores import FULL, add_application, presence, run, same


@pytest.mark.redis
def test_layout_is_the_documented_one(redis_state):
    """Others read it too."""

    async def test(store):
        await store.update_configuration(lambda _: FULL)
        await store.announce(presence())
        client = store._redis
        kinds = {key: await client.type(key) for key in await client.keys("*")}
        assert kinds == {
            RedisKeys().layout: "string",
            RedisKeys().revision: "string",
            RedisKeys().changes: "zset",
            RedisKeys().differences: "stream",
            RedisKeys().applications: "hash",
            RedisKeys().versions: "hash",
            RedisKeys().current_versions: "hash",
            RedisKeys().routes: "hash",
            RedisKeys().num_replicas: "hash",
            RedisKeys().claims: "hash",
            RedisKeys().shadows: "hash",
            RedisKeys().roll_outs: "hash",
            RedisKeys().autoscaling: "hash",
            RedisKeys().frontends: "hash",
        }
        assert await client.get(RedisKeys().layout) == LAYOUT_VERSION
        assert await client.get(RedisKeys().revision) == "1"
        assert set(await client.hkeys(RedisKeys().versions)) == {"digits-net:1", "digits-net:1.0_rc-2", "other:3"}
        assert await client.hgetall(RedisKeys().routes) == {"digits": "digits-net"}
        await store.update_configuration(lambda configuration: replace(configuration, routes={}), "id-2")
        [[entry_id, entry]] = await client.xrevrange(RedisKeys().differences, count=1)
        assert (entry_id, entry) == ("2-0", {"change": "id-2", "difference": '{"links":{"digits":null}}'})

    run(redis_state, test)


def add_many(number: int) -> Callable[[Configuration], Configuration]:
    """Return a change that adds so many applications."""
    applications = {f"app-{n}": make_application(f"app-{n}") for n in range(number)}
    return lambda configuration: replace(configuration, applications=applications)


@pytest.mark.redis
def test_cost_of_reading_a_change_is_independent_of_the_rest(redis_state):
    async def size_of_changes(num_applications, reader, writer):
        await writer.update_configuration(add_many(num_applications))
        await reader.read_configuration()
        before = await reader._redis.info("stats")
        for change in (add_application("new"), same):
            await writer.update_configuration(change)
            await reader.read_configuration()
        after = await reader._redis.info("stats")
        return after["total_net_output_bytes"] - before["total_net_output_bytes"]

    async def test(*stores):
        few = await size_of_changes(1, *stores)
        many = await size_of_changes(1000, *stores)
        assert many < few + 500, "only the numbers of revisions may be longer"

    run(redis_state, test, num_stores=2)


@pytest.mark.redis
def test_records_that_did_not_change_are_the_same_objects(redis_state):
    """So whoever acts on a configuration sees at once what it has to do."""

    async def test(reader, writer):
        await writer.update_configuration(lambda _: FULL)
        before = await reader.read_configuration()
        await writer.update_configuration(add_application("new"))
        after = await reader.read_configuration()
        assert after.versions is before.versions
        assert after.applications["digits"] is before.applications["digits"]
        assert await reader.read_configuration() is after

    run(redis_state, test, num_stores=2)


@pytest.mark.redis
def test_reader_that_missed_too_many_changes_reads_everything(redis_state):
    async def test(reader, writer):
        await writer.update_configuration(add_application("first"))
        await reader.read_configuration()
        for number in range(NUM_KEPT_DIFFERENCES + 200):
            await writer.update_configuration(add_application(f"app-{number % 7}"))
        assert await writer._redis.xlen(RedisKeys().differences) < NUM_KEPT_DIFFERENCES + 200
        assert await reader.read_configuration() == await writer.read_configuration()

    run(redis_state, test, num_stores=2)


@pytest.mark.redis
def test_other_history_with_the_same_revision_is_read_again(redis_state):
    """A Redis that lost its last seconds goes on with another change of that number."""

    async def test(reader, writer, other):
        for name in "ab":
            await writer.update_configuration(add_application(name))
        await reader.read_configuration()
        await writer._redis.flushdb()
        for name in "cde":
            await other.update_configuration(add_application(name))
        assert set((await reader.read_configuration()).applications) == {"c", "d", "e"}
        await writer._redis.flushdb()
        assert await reader.read_configuration() == Configuration()

    run(redis_state, test, num_stores=3)


@pytest.mark.redis
def test_configuration_without_differences_is_read_and_followed(redis_state):
    """As an older release left it."""

    async def test(writer, reader):
        await writer.update_configuration(lambda _: FULL)
        await writer._redis.delete(RedisKeys().differences, RedisKeys().changes)
        assert await reader.read_configuration() == replace(FULL, revision=1)
        written = await writer.update_configuration(add_application("new"))
        assert await reader.read_configuration() == written == await writer.read_configuration()

    run(redis_state, test, num_stores=2)


@pytest.mark.redis
def test_everything_is_read_whole_while_others_write(redis_state):
    """It is read in pieces, and each revision has as many applications as its number."""

    async def test(writer):
        await writer.update_configuration(add_many(500))

        async def write():
            for number in range(60):
                await writer.update_configuration(
                    lambda configuration, n=number: replace(
                        configuration,
                        applications={
                            **{name: kept for name, kept in configuration.applications.items() if name != f"app-{n}"},
                            f"new-{n}": make_application(f"new-{n}"),
                        },
                        routes=make_routes({f"new-{n}": f"model-{configuration.revision + 1}"}),
                    )
                )

        writing = asyncio.create_task(write())
        num_reads = 0
        while not writing.done():
            store = redis_state.open_store()
            read = await store.read_configuration()
            await store.close()
            num_new = read.revision - 1
            expected = {f"app-{n}" for n in range(num_new, 500)} | {f"new-{n}" for n in range(num_new)}
            assert set(read.applications) == expected
            assert read.routes == make_routes({f"new-{num_new - 1}": f"model-{read.revision}"} if num_new else {})
            num_reads += 1
        await writing
        assert num_reads > 1

    run(redis_state, test)
