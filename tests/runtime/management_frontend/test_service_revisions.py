"""A change returns when every query frontend acts on it, and is made once."""

from __future__ import annotations

import asyncio

import pytest

from clipper_nb.errors import ClusterUnreachableError, ExistsError
from clipper_nb.protocol import rest
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import FrontendPresence, Replica
from tests.support.management_service import ADD_DIGITS, announce, run


def test_change_returns_when_every_frontend_acts_on_it():
    async def test(service, store):
        await announce(store, "one", 0)
        await announce(store, "two", 0)
        change = asyncio.create_task(service.register_application(ADD_DIGITS))
        await asyncio.sleep(1.0)
        assert not change.done()
        await announce(store, "one", 1)
        await asyncio.sleep(1.0)
        assert not change.done()
        await announce(store, "two", 1)
        await asyncio.wait_for(change, 0.01)

    run(test)


def test_change_without_frontends_returns_at_once():
    async def test(service, store):
        await asyncio.wait_for(service.register_application(ADD_DIGITS), 0.001)

    run(test)


def test_frontend_that_is_ahead_is_not_waited_for():
    async def test(service, store):
        await announce(store, "one", 7)
        await asyncio.wait_for(service.register_application(ADD_DIGITS), 0.001)

    run(test)


def test_frontend_that_withdraws_is_not_waited_for():
    async def test(service, store):
        await announce(store, "one", 0)
        change = asyncio.create_task(service.register_application(ADD_DIGITS))
        await asyncio.sleep(0.1)
        assert not change.done()
        await store.withdraw("one")
        await asyncio.wait_for(change, 0.01)

    run(test)


def test_unconfirmed_change_is_reported_with_the_frontend():
    """It is stored, and it takes effect as soon as they can."""

    async def test(service, store):
        await announce(store, "fine", 1)
        await announce(store, "stuck", 0)
        with pytest.raises(ClusterUnreachableError, match="query frontend stuck has not confirmed it within 0 s"):
            await service.register_application(ADD_DIGITS)
        assert "digits" in (await store.read_configuration()).applications

    run(test, confirmation_timeout_s=0.0)


def test_changes_at_the_same_time_are_all_stored():
    async def test(service, store):
        requests = [rest.AddApplication(f"app-{number}", "d", "", 1000) for number in range(10)]
        await asyncio.gather(*(service.register_application(request) for request in requests))
        assert len((await store.read_configuration()).applications) == 10

    run(test)


def test_change_repeated_with_its_id_is_made_once():
    async def test(service, store):
        await service.register_application(ADD_DIGITS, "key")
        await service.register_application(ADD_DIGITS, "key")
        with pytest.raises(ExistsError):
            await service.register_application(ADD_DIGITS, "another key")
        assert (await store.read_configuration()).revision == 1

    run(test)


def test_presence_from_before_a_resumption_does_not_count():
    """It would delay each change for six seconds, and say that replicas are connected which are not."""

    async def test(service, store):
        await store.announce(
            FrontendPresence("old", 0, 1.0, (Replica("digits-net", "1", 0, InputType.DOUBLES),), "", "before")
        )
        await store.announce(FrontendPresence("new", 10, 1.0, (), "", "now"))
        assert [frontend.frontend_id for frontend in await service.read_query_frontends()] == ["new"]
        started_s = asyncio.get_running_loop().time()
        await service.register_application(ADD_DIGITS)
        assert asyncio.get_running_loop().time() == started_s
        assert await service.read_replicas() == []

    run(test, run_id="now")
