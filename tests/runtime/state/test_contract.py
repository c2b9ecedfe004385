"""The same promises, asked of every store."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from clipper_nb.errors import ExistsError, StateUnavailableError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.query_history import QueryHistory
from clipper_nb.protocol.records import Claim, Configuration, FrontendPresence, ModelVersion, Replica
from clipper_nb.protocol.redis_keys import LAYOUT_VERSION, NUM_KEPT_DIFFERENCES, RedisKeys
from clipper_nb.protocol.roll_out import ArmCounts, RollOut, RollOutCounts, RollOutEvent, RollOutPlan, RollOutProgress
from clipper_nb.protocol.route import make_route
from clipper_nb.protocol.shadow import Shadow, ShadowReport, ShadowSample
from clipper_nb.runtime.state.memory_store import MemoryStore
from clipper_nb.runtime.state.redis_store import RedisStore
from clipper_nb.runtime.state.store import StateStore
from clipper_nb.runtime.tasks import end_tasks
from tests.support.records import make_application, make_configuration, make_routes, make_version
from tests.support.redis_servers import RedisServer

NEWS_TIMEOUT_S = 20.0


@dataclass
class OpenState:
    """One state, and how to open another store on it, as another process would."""

    open_store: Callable[[], StateStore]
    server: RedisServer | None = None


def _memory_state() -> Iterator[OpenState]:
    store = MemoryStore()
    yield OpenState(lambda: store)


def _redis_state() -> Iterator[OpenState]:
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        server = RedisServer(Path(folder, "r"))
        server.start()
        try:
            yield OpenState(lambda: RedisStore(server.url), server)
        finally:
            server.kill()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def store(request: pytest.FixtureRequest) -> Iterator[OpenState]:
    """An empty state of every kind of store."""
    yield from _memory_state() if request.param == "memory" else _redis_state()


@pytest.fixture
def redis_state() -> Iterator[OpenState]:
    """An empty state in Redis, with its server."""
    yield from _redis_state()


def run(state: OpenState, test: Callable[..., Any], *, num_stores: int = 1) -> None:
    """Run ``test(store, ...)`` with so many stores on the same state."""

    async def main() -> None:
        stores = [state.open_store() for _ in range(num_stores)]
        try:
            await asyncio.wait_for(test(*stores), 60.0)
        finally:
            for one in stores:
                await one.close()

    asyncio.run(main())


def add_application(name: str) -> Callable[[Configuration], Configuration]:
    """Return a change that adds an application."""
    application = make_application(name)
    return lambda configuration: replace(configuration, applications={**configuration.applications, name: application})


def claim(name: str) -> Callable[[Configuration], Configuration]:
    """Return a change that adds an application, unless the name is taken."""

    def change(configuration: Configuration) -> Configuration:
        if name in configuration.applications:
            raise ExistsError("taken")
        return add_application(name)(configuration)

    return change


def same(configuration: Configuration) -> Configuration:
    """A change that changes nothing."""
    return configuration


async def news(changes: Any) -> None:
    """Wait for the next news."""
    await asyncio.wait_for(anext(changes), NEWS_TIMEOUT_S)


def presence(frontend_id: str = "one", applied_revision: int = 0, *replicas: Replica) -> FrontendPresence:
    return FrontendPresence(frontend_id, applied_revision, 1234.5, replicas)


FULL = replace(
    make_configuration(
        make_version(),
        structs.replace(
            make_version(version="1.0_rc-2", input_type=InputType.BYTES), labels=("é", "b"), image="r:5000/x:1"
        ),
        structs.replace(make_version("other", "3", InputType.INTEGERS, batch_size=4), registered_at=1234.567891),
        applications=(
            make_application(default_output='"é"\n'),
            make_application("b.c", InputType.FLOATS, slo_micros=1),
        ),
        links={"digits": "digits-net"},
    ),
    num_replicas={ModelId("digits-net", "1"): 2, ModelId("digits-net", "1.0_rc-2"): 0},
    claims={ModelId("digits-net", "4"): Claim("c1", "digits-net", "4", "process 7 on host h")},
    shadows={"digits": Shadow("digits-net", "1.0_rc-2", 0.25, 1234.567891)},
    roll_outs={
        "b.c": RollOut(
            "id",
            RollOutPlan("b.c", "other", "3", (0.5, 100.0), watch=("score",)),
            make_route({"other": 2, "m:1": 1}),
            1234.5,
            "paused",
            0,
            1234.567891,
            "é",
            (RollOutEvent(1234.5, "begun"),),
        )
    },
)


# --- what models count


def test_what_models_counted_outlives_a_frontend(store):
    async def test(one, other):
        assert await one.read_own_metrics("one") is None
        await one.keep_own_metrics("one", '["é"]'.encode())
        await one.keep_own_metrics("two", b"[]")
        await one.withdraw("one")
        assert await other.read_own_metrics("one") == '["é"]'.encode()

    run(store, test, num_stores=2)


# --- the configuration


def test_divided_traffic_is_read_as_it_was_written(store):
    route = make_route({"digits-net:1": 90, "digits-net:1.0_rc-2": 9.5, "other": 0.5})

    async def test(one, other):
        await one.update_configuration(lambda _: replace(FULL, routes={"digits": route}))
        assert (await other.read_configuration()).routes == {"digits": route}

    run(store, test, num_stores=2)


def test_new_store_holds_nothing(store):
    async def test(one):
        assert await one.read_configuration() == Configuration()
        assert await one.read_presence() == []

    run(store, test)


def test_every_store_reads_what_one_wrote(store):
    async def test(one, two):
        written = await one.update_configuration(lambda _: FULL)
        assert written == replace(FULL, revision=1)
        assert await one.read_configuration() == written
        assert await two.read_configuration() == written

    run(store, test, num_stores=2)


def test_records_keep_their_types(store):
    async def test(one):
        await one.update_configuration(lambda _: FULL)
        read = await one.read_configuration()
        version = read.versions[ModelId("digits-net", "1.0_rc-2")]
        assert isinstance(version, ModelVersion)
        assert version.input_type is InputType.BYTES
        assert version.labels == ("é", "b")
        assert all(isinstance(model_id, ModelId) for model_id in read.versions)
        assert read.applications["digits"].input_type is InputType.STRINGS

    run(store, test)


def test_every_change_has_its_own_revision(store):
    async def test(one, two):
        revisions = [(await changer.update_configuration(same)).revision for changer in (one, two, one)]
        assert revisions == [1, 2, 3]
        assert (await two.read_configuration()).revision == 3

    run(store, test, num_stores=2)


def test_change_with_a_known_id_is_made_once(store):
    async def test(one, two):
        first = await one.update_configuration(add_application("a"), "id-1")
        again = await two.update_configuration(add_application("b"), "id-1")
        assert list(again.applications) == ["a"]
        assert again.revision == first.revision == 1
        assert (await two.update_configuration(add_application("b"), "id-2")).revision == 2

    run(store, test, num_stores=2)


def test_refused_change_may_be_asked_for_again(store):
    async def test(one):
        await one.update_configuration(add_application("a"))
        with pytest.raises(ExistsError):
            await one.update_configuration(claim("a"), "id-1")
        assert list((await one.update_configuration(add_application("b"), "id-1")).applications) == ["a", "b"]

    run(store, test)


def test_store_assigns_the_revision(store):
    async def test(one):
        await one.update_configuration(lambda configuration: replace(configuration, revision=77))
        assert (await one.read_configuration()).revision == 1

    run(store, test)


def test_records_can_be_changed_and_removed(store):
    async def test(one):
        await one.update_configuration(lambda _: FULL)
        smaller = make_configuration(
            make_version(), applications=(make_application(slo_micros=7),), links={}, current={"digits-net": "1"}
        )
        await one.update_configuration(lambda _: smaller)
        assert await one.read_configuration() == replace(smaller, revision=2)
        await one.update_configuration(lambda _: Configuration())
        assert await one.read_configuration() == Configuration(revision=3)

    run(store, test)


def test_change_that_raises_changes_nothing(store):
    async def test(one):
        await one.update_configuration(lambda _: FULL)

        def refuse(configuration):
            raise ExistsError("taken")

        with pytest.raises(ExistsError, match="taken"):
            await one.update_configuration(refuse)
        assert await one.read_configuration() == replace(FULL, revision=1)
        assert (await one.update_configuration(same)).revision == 2

    run(store, test)


def test_change_sees_what_others_wrote(store):
    async def test(one, two):
        await one.update_configuration(add_application("a"))
        seen = []
        await two.update_configuration(lambda configuration: (seen.append(configuration), configuration)[1])
        assert list(seen[-1].applications) == ["a"]
        assert seen[-1].revision == 1

    run(store, test, num_stores=2)


def test_writers_at_the_same_time_lose_nothing(store):
    async def test(*stores):
        names = [f"app-{number}" for number in range(24)]
        results = await asyncio.gather(
            *(
                stores[number % len(stores)].update_configuration(add_application(name))
                for number, name in enumerate(names)
            )
        )
        assert sorted(result.revision for result in results) == list(range(1, 25))
        read = await stores[0].read_configuration()
        assert sorted(read.applications) == sorted(names)
        assert read.revision == 24

    run(store, test, num_stores=4)


def test_name_is_given_to_one_of_two_writers(store):
    """A rule is checked in the transaction that writes its result."""

    async def test(one, two):
        for _ in range(10):
            results = await asyncio.gather(
                one.update_configuration(claim("digits")),
                two.update_configuration(claim("digits")),
                return_exceptions=True,
            )
            assert sorted(type(result) for result in results if isinstance(result, Exception)) == [ExistsError]
            await one.update_configuration(lambda _: Configuration())

    run(store, test, num_stores=2)


def test_reader_sees_whole_changes_only(store):
    async def test(writer, reader):
        stopping = asyncio.Event()

        async def write():
            for number in range(50):
                name = f"m-{number}"
                version = make_version(name)
                await writer.update_configuration(
                    lambda _, version=version, name=name: make_configuration(
                        version, applications=(make_application(name),), links={name: name}
                    )
                )
            stopping.set()

        async def read():
            num_reads = 0
            while not stopping.is_set():
                configuration = await reader.read_configuration()
                if configuration.revision:
                    [name] = configuration.applications
                    assert name == f"m-{configuration.revision - 1}"
                    assert configuration.routes == make_routes({name: name})
                    assert list(configuration.versions) == [ModelId(name, "1")]
                    assert configuration.current_versions == {name: "1"}
                    num_reads += 1
                await asyncio.sleep(0)
            return num_reads

        await asyncio.gather(write(), read())

    run(store, test, num_stores=2)


# --- presence


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


# --- news


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


# --- Redis that goes and comes back

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


# --- Redis is asked for differences


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


@pytest.mark.redis
def test_wrong_password_is_reported_as_unavailable_store(redis_state):
    async def main():
        store = RedisStore(redis_state.server.url.replace(":secret@", ":wrong@"))
        with pytest.raises(StateUnavailableError):
            await store.read_configuration()
        await store.close()

    asyncio.run(main())


# --- questions


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


# --- roll-outs


def test_counts_of_a_roll_out_are_added_over_runs(store):
    """What one run writes again replaces what it wrote before."""
    counts = RollOutCounts(ArmCounts(3, 1, 1, 2, 1), ArmCounts(30))

    async def test(one, other):
        assert await one.read_roll_out_counts("id") == RollOutCounts()
        await one.write_roll_out_counts("id", "first", RollOutCounts(ArmCounts(1), ArmCounts(2)))
        await one.write_roll_out_counts("id", "first", counts)
        await other.write_roll_out_counts("id", "second", RollOutCounts(ArmCounts(1), ArmCounts(1, 1)))
        await other.write_roll_out_counts("another", "second", counts)
        assert await other.read_roll_out_counts("id") == RollOutCounts(ArmCounts(4, 1, 1, 2, 1), ArmCounts(31, 1))

    run(store, test, num_stores=2)


def test_progress_of_a_roll_out_is_read_as_it_was_written(store):
    progress = RollOutProgress(RollOutCounts(ArmCounts(3)), 2, 1, {"defaults": [0.5, -1.25e-7]})

    async def test(one, other):
        assert await other.read_roll_out_progress("id") == RollOutProgress()
        await one.write_roll_out_progress("id", progress)
        assert await other.read_roll_out_progress("id") == progress

    run(store, test, num_stores=2)


def test_only_one_drives_roll_outs(store):
    async def test(one, other):
        assert await one.hold_driver_lease("a")
        assert not await other.hold_driver_lease("b")
        assert await one.hold_driver_lease("a")

    run(store, test, num_stores=2)


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
