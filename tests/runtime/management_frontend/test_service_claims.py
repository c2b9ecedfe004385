"""Claims on versions are held and lapse, and callers hear when the replicas that should run do."""

from __future__ import annotations

import asyncio

from clipper_nb.protocol import rest
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import FrontendPresence, Replica
from clipper_nb.runtime.management_frontend.claim_holding import LAPSE_AFTER_S
from clipper_nb.version import __version__
from tests.support.management_service import announce, run

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
