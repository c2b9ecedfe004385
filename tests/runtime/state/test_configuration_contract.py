"""The same promises on the configuration, asked of every store."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from clipper_nb.errors import ExistsError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Configuration, ModelVersion
from clipper_nb.protocol.route import make_route
from tests.support.records import make_application, make_configuration, make_routes, make_version
from tests.support.stores import FULL, add_application, claim, run, same


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
