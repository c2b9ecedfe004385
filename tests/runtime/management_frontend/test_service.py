"""What the management frontend does, on top of a store in memory."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from clipper_nb.errors import (
    ApplicationNotFoundError,
    ClusterUnreachableError,
    ExistsError,
    InvalidNameError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    StateUnavailableError,
)
from clipper_nb.protocol import rest
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Configuration, FrontendPresence, Replica
from clipper_nb.runtime.management_frontend.claim_holding import LAPSE_AFTER_S
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.state.memory_store import MemoryStore
from clipper_nb.version import __version__
from tests.support.fake_clock import run_in_virtual_time

ADD_DIGITS = rest.AddApplication("digits", "Doubles", "-1.0", 100_000)
ADD_NET = rest.AddModel("digits-net", "1", "d")


class PassingStore(MemoryStore):
    """A store that can be away."""

    is_away = False

    async def read_configuration(self):
        if self.is_away:
            raise StateUnavailableError("it is away")
        return await super().read_configuration()


def run(test, **options):
    """Run ``test(service, store)`` with a service that has been started, in virtual time."""

    async def main():
        store = PassingStore()
        clock = asyncio.get_running_loop().time
        service = ManagementService(store, clock=clock, wall_clock=lambda: 1234.5, **options)
        service.start()
        await asyncio.sleep(0)
        try:
            await test(service, store)
        finally:
            await service.stop()

    run_in_virtual_time(main())


async def add_linked(service):
    await service.register_application(ADD_DIGITS)
    await service.register_version(ADD_NET)
    await service.link_model(rest.ModelLinks("digits", ["digits-net"]))


def announce(store, frontend_id, revision, *replicas, counter=itertools.count()):  # noqa: B008  (one for all)
    return store.announce(FrontendPresence(frontend_id, revision, float(next(counter)), replicas))


# --- what is written


def test_application_is_recorded_in_canonical_words():
    async def test(service, store):
        application = await service.register_application(ADD_DIGITS)
        assert (await store.read_configuration()).applications == {"digits": application}
        assert application.input_type is InputType.DOUBLES
        assert application.slo_micros == 100_000
        assert application.registered_at == 1234.5

    run(test)


def test_version_is_recorded_and_current():
    async def test(service, store):
        request = rest.AddModel("digits-net", "1", "ints", ["x"], "image:1", 5)
        await service.register_version(request)
        configuration = await store.read_configuration()
        [(model_id, version)] = configuration.versions.items()
        assert model_id == ModelId("digits-net", "1")
        assert configuration.current_versions == {"digits-net": "1"}
        assert (version.input_type, version.image) == (InputType.INTEGERS, "image:1")
        assert (version.labels, version.batch_size) == (("x",), 5)
        assert version.registered_at == 1234.5

    run(test)


def test_link_is_made_and_removed():
    async def test(service, store):
        await add_linked(service)
        assert (await service.get_traffic("digits")).shares == {"digits-net": 1.0}
        await service.unlink_model(rest.ModelLinks("digits", ["digits-net"]))
        assert (await service.get_traffic("digits")).shares == {}

    run(test)


def test_everything_can_be_removed():
    async def test(service, store):
        await add_linked(service)
        await service.unregister_application("digits")
        await service.unregister_version(ModelId("digits-net", "1"))
        configuration = await store.read_configuration()
        assert configuration == Configuration(revision=5)

    run(test)


def test_current_version_can_be_set_back():
    async def test(service, store):
        await service.register_version(ADD_NET)
        await service.register_version(rest.AddModel("digits-net", "2", "d"))
        await service.set_current_version(ModelId("digits-net", "1"))
        assert (await service.read_configuration()).current_versions == {"digits-net": "1"}

    run(test)


# --- what is refused


@pytest.mark.parametrize(
    ("request_to", "error"),
    [
        (lambda s: s.register_application(rest.AddApplication("a/b", "d", "", 1)), InvalidNameError),
        (lambda s: s.register_application(rest.AddApplication("metrics", "d", "", 1)), InvalidNameError),
        (lambda s: s.register_application(rest.AddApplication("x", "no", "", 1)), InvalidRequestError),
        (lambda s: s.register_application(rest.AddApplication("x", "d", "", 0)), InvalidRequestError),
        (lambda s: s.register_application(rest.AddApplication("x", "d", "", -1)), InvalidRequestError),
        (lambda s: s.register_application(rest.AddApplication("x", "d", "", 2**31)), InvalidRequestError),
        (lambda s: s.register_application(ADD_DIGITS), ExistsError),
        (lambda s: s.unregister_application("x"), ApplicationNotFoundError),
        (lambda s: s.get_traffic("x"), ApplicationNotFoundError),
        (lambda s: s.set_traffic(rest.SetTraffic("x", {"digits-net": 1})), ApplicationNotFoundError),
        (lambda s: s.set_traffic(rest.SetTraffic("digits", {"x": 1})), ModelNotFoundError),
        (lambda s: s.set_traffic(rest.SetTraffic("digits", {"digits-net": "1"})), InvalidRequestError),
        (lambda s: s.link_model(rest.ModelLinks("digits", [])), InvalidRequestError),
        (lambda s: s.link_model(rest.ModelLinks("digits", ["a", "b"])), InvalidRequestError),
        (lambda s: s.link_model(rest.ModelLinks("digits", ["test_model"])), ModelNotFoundError),
        (lambda s: s.link_model(rest.ModelLinks("x", ["digits-net"])), ApplicationNotFoundError),
        (lambda s: s.link_model(rest.ModelLinks("digits", ["x"])), ModelNotFoundError),
        (lambda s: s.claim_version(rest.ClaimVersion("A", "1", "id", "me", is_new=True)), InvalidNameError),
        (lambda s: s.claim_version(rest.ClaimVersion("a", "1:2", "id", "me", is_new=True)), InvalidNameError),
        (lambda s: s.claim_version(rest.ClaimVersion("A", "1", "id", "me", is_new=False)), ModelNotFoundError),
        (lambda s: s.unlink_model(rest.ModelLinks("digits", [])), InvalidRequestError),
        (lambda s: s.unlink_model(rest.ModelLinks("digits", ["x"])), NotFoundError),
        (lambda s: s.register_version(rest.AddModel("A", "1", "d")), InvalidNameError),
        (lambda s: s.register_version(rest.AddModel("x", "1:2", "d")), InvalidNameError),
        (lambda s: s.register_version(rest.AddModel("x", "1", "no")), InvalidRequestError),
        (lambda s: s.register_version(rest.AddModel("x", "1", "d", batch_size=0)), InvalidRequestError),
        (lambda s: s.register_version(rest.AddModel("x", "1", "d", batch_size=-2)), InvalidRequestError),
        (lambda s: s.register_version(ADD_NET), ExistsError),
        (lambda s: s.register_version(rest.AddModel("digits-net", "2", "i")), InvalidRequestError),
        (lambda s: s.unregister_version(ModelId("x", "1")), ModelNotFoundError),
        (lambda s: s.set_current_version(ModelId("digits-net", "2")), ModelNotFoundError),
    ],
)
def test_request_that_breaks_a_rule_changes_nothing(request_to, error):
    async def test(service, store):
        await add_linked(service)
        before = await store.read_configuration()
        with pytest.raises(error):
            await request_to(service)
        assert await store.read_configuration() == before

    run(test)


@pytest.mark.parametrize("slo_micros", [1, 2**31 - 1])
def test_slo_may_be_extreme(slo_micros):
    async def test(service, store):
        application = await service.register_application(rest.AddApplication("x", "d", "", slo_micros))
        assert application.slo_micros == slo_micros

    run(test)


# --- read your writes


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


# --- replicas


def replica(number, version="1"):
    return Replica("digits-net", version, number, InputType.DOUBLES)


def test_replicas_are_those_that_the_frontend_announced():
    async def test(service, store):
        assert await service.read_replicas() == []
        await announce(store, "one", 0, replica(0), replica(3), replica(0, "2"))
        assert await service.read_replicas() == [replica(0), replica(3), replica(0, "2")]

    run(test)


def test_replicas_are_counted_as_the_poorest_frontend_does():
    """A count must not promise more than any frontend can use."""

    async def test(service, store):
        await announce(store, "one", 0, replica(0), replica(1), replica(0, "2"))
        await announce(store, "two", 0, replica(5))
        assert await service.read_replicas() == [replica(5)]

    run(test)


def test_every_living_frontend_reports_its_own_replicas():
    async def test(service, store):
        await announce(store, "two", 0, replica(5))
        await announce(store, "one", 0, replica(0), replica(1))
        frontends = await service.read_query_frontends()
        assert [(one.frontend_id, len(one.replicas)) for one in frontends] == [("one", 2), ("two", 1)]

    run(test)


def test_stopped_service_has_no_tasks_left():
    async def main():
        service = ManagementService(MemoryStore())
        service.start()
        await asyncio.sleep(0)
        await service.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_in_virtual_time(main())


# --- changes that are sent again


def test_change_repeated_with_its_id_is_made_once():
    async def test(service, store):
        await service.register_application(ADD_DIGITS, "key")
        await service.register_application(ADD_DIGITS, "key")
        with pytest.raises(ExistsError):
            await service.register_application(ADD_DIGITS, "another key")
        assert (await store.read_configuration()).revision == 1

    run(test)


# --- claims and what should run


CLAIM_NET = rest.ClaimVersion("digits-net", "1", "mine", "process 1 on a", is_new=True)
OUR_CLAIM = rest.HoldClaim("digits-net", "1", "mine")


def test_held_claim_stays_and_lapses_after_its_holder_left():
    async def test(service, store):
        await service.claim_version(CLAIM_NET)
        gone = asyncio.Event()
        holding = asyncio.create_task(service.hold_claim(OUR_CLAIM, gone))
        await asyncio.sleep(20)
        assert not holding.done()
        gone.set()
        assert (await asyncio.wait_for(holding, 0.1)).is_held  # it may be held again
        await asyncio.sleep(LAPSE_AFTER_S - 0.5)
        assert list((await store.read_configuration()).claims)
        await asyncio.sleep(1.5)
        assert not (await store.read_configuration()).claims

    run(test)


def test_claim_lapses_soon_after_the_store_was_away():
    async def test(service, store):
        await service.claim_version(CLAIM_NET)
        await asyncio.sleep(1.0)
        store.is_away = True
        await asyncio.sleep(2.0)
        store.is_away = False
        await asyncio.sleep(LAPSE_AFTER_S + 0.5)
        assert not (await store.read_configuration()).claims

    run(test)


def test_holding_ends_at_once_with_the_claim():
    async def test(service, store):
        await service.claim_version(CLAIM_NET)
        holding = asyncio.create_task(service.hold_claim(OUR_CLAIM, asyncio.Event()))
        await asyncio.sleep(0.1)
        await service.unregister_version(ModelId("digits-net", "1"))
        assert not (await asyncio.wait_for(holding, 0.1)).is_held
        assert not (await service.hold_claim(OUR_CLAIM, asyncio.Event())).is_held

    run(test)


def test_holding_ends_when_the_awaited_replicas_are_connected():
    async def test(service, store):
        await service.claim_version(CLAIM_NET)
        await announce(store, "a", 10)
        awaited = rest.HoldClaim("digits-net", "1", "mine", rest.AwaitedReplicas(1, InputType.DOUBLES))
        holding = asyncio.create_task(service.hold_claim(awaited, asyncio.Event()))
        await asyncio.sleep(20)
        assert not holding.done()
        await announce(store, "a", 10, Replica("digits-net", "1", 0, InputType.DOUBLES))
        assert await asyncio.wait_for(holding, 0.1) == rest.ClaimHeld(is_held=True, is_complete=True)

    run(test)


def test_holding_ends_when_a_replica_serves_another_input_type():
    async def test(service, store):
        await service.claim_version(CLAIM_NET)
        await announce(store, "a", 10, Replica("digits-net", "1", 0, InputType.INTEGERS))
        awaited = rest.HoldClaim("digits-net", "1", "mine", rest.AwaitedReplicas(2, InputType.DOUBLES))
        held = await service.hold_claim(awaited, asyncio.Event())
        assert held == rest.ClaimHeld(is_held=True, other_input_type="integers")

    run(test)


def test_one_answer_has_all_that_a_deploy_must_agree_with():
    async def test(service, store):
        await store.announce(FrontendPresence("a", 10, 1.0, (), "0.1.7"))
        await service.register_application(rest.AddApplication("digits-net", "doubles", "", 1000))
        await service.register_version(rest.AddModel("digits-net", "1", "doubles"))
        await service.link_model(rest.ModelLinks("digits-net", ["digits-net"]))
        state = await service.read_deploy_state(ModelId("digits-net", "2"))
        assert (state.is_registered, state.current_version, state.has_application) == (False, "1", True)
        assert state.linked_input_types == {"digits-net": "doubles"}
        assert (state.release, state.query_frontend_releases) == (__version__, ["0.1.7"])
        assert (await service.read_deploy_state(ModelId("digits-net", "1"))).is_registered
        fresh = await service.read_deploy_state(ModelId("fresh", "1"))
        assert (fresh.is_registered, fresh.current_version, fresh.has_application) == (False, None, False)

    run(test)


def test_holding_and_waiting_end_when_the_frontend_stops():
    async def test(service, store):
        await service.claim_version(CLAIM_NET)
        waiting = [
            asyncio.create_task(service.hold_claim(OUR_CLAIM, asyncio.Event())),
            asyncio.create_task(service.read_desired_replicas(rest.DesiredReplicasSince(1, 20.0))),
        ]
        await asyncio.sleep(0.1)
        service.end_waits()
        await asyncio.wait_for(asyncio.gather(*waiting), 0.1)

    run(test)


def test_desired_replicas_are_reported_when_they_change():
    async def test(service, store):
        await service.claim_version(CLAIM_NET)
        known = await service.read_desired_replicas(rest.DesiredReplicasSince())
        assert (known.num_replicas, known.images, known.claimed) == ({}, {}, ["digits-net:1"])
        news = asyncio.create_task(service.read_desired_replicas(rest.DesiredReplicasSince(known.revision, 20.0)))
        await asyncio.sleep(1)
        assert not news.done()
        await service.register_version(
            rest.AddModel("digits-net", "1", "d", container_name="i", num_replicas=2, claim_id="mine")
        )
        told = await asyncio.wait_for(news, 0.1)
        assert (told.num_replicas, told.images, told.claimed) == ({"digits-net:1": 2}, {"digits-net:1": "i"}, [])
        same = await service.read_desired_replicas(rest.DesiredReplicasSince(told.revision, 5.0))
        assert same == told

    run(test)


@pytest.mark.parametrize("number", [-1, -5])
def test_negative_number_of_replicas_is_refused(number):
    async def test(service, store):
        with pytest.raises(InvalidRequestError, match="num_replicas"):
            await service.register_version(rest.AddModel("digits-net", "1", "d", num_replicas=number))
        with pytest.raises(InvalidRequestError, match="num_replicas"):
            await service.set_num_replicas(rest.NumReplicas("digits-net", "1", number))

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
