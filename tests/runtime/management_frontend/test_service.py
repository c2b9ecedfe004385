"""What the management frontend does, on top of a store in memory."""

from __future__ import annotations

import asyncio

import pytest

from clipper_nb.errors import (
    ApplicationNotFoundError,
    ExistsError,
    InvalidNameError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
)
from clipper_nb.protocol import rest
from clipper_nb.protocol.autoscaling import ScalingRule
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Configuration
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.state.memory_store import MemoryStore
from tests.support.fake_clock import run_in_virtual_time
from tests.support.management_service import ADD_DIGITS, ADD_NET, announce, replica, run


async def add_linked(service):
    await service.register_application(ADD_DIGITS)
    await service.register_version(ADD_NET)
    await service.link_model(rest.ModelLinks("digits", ["digits-net"]))


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


@pytest.mark.parametrize("number", [-1, -5])
def test_negative_number_of_replicas_is_refused(number):
    async def test(service, store):
        with pytest.raises(InvalidRequestError, match="num_replicas"):
            await service.register_version(rest.AddModel("digits-net", "1", "d", num_replicas=number))
        with pytest.raises(InvalidRequestError, match="num_replicas"):
            await service.set_num_replicas(rest.NumReplicas("digits-net", "1", number))

    run(test)


def test_version_is_autoscaled_from_its_registration_on():
    async def test(service, store):
        model_id, rule = ModelId("digits-net", "1"), ScalingRule(1, 4, 0.5)
        await service.register_version(
            rest.AddModel(*model_id, "doubles", num_replicas=3, container_name="i", autoscaling=rule)
        )
        configuration = await store.read_configuration()
        assert (configuration.autoscaling[model_id].rule, configuration.num_replicas[model_id]) == (rule, 3)
        state = await service.read_deploy_state(ModelId("digits-net", "2"))
        assert (state.num_replicas, state.autoscaling) == (3, rule)
        for bad in (
            rest.AddModel("m", "1", "doubles", num_replicas=3, container_name="i", autoscaling=ScalingRule(2, 1)),
            rest.AddModel("m", "1", "doubles", autoscaling=rule),
        ):  # containerless
            with pytest.raises(InvalidRequestError):
                await service.register_version(bad)
        assert list((await store.read_configuration()).versions) == [model_id]

    run(test)
