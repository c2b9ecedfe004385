"""The management frontend sets how many replicas run, from what query frontends announce, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from msgspec import structs

from clipper_nb.errors import InvalidRequestError, ModelNotFoundError, VersionClaimedError
from clipper_nb.protocol import rest
from clipper_nb.protocol.autoscaling import MAX_EVENTS, Autoscaling, ScalingEvent, VersionLoad
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE, Claim, FrontendPresence, Replica
from clipper_nb.runtime.management_frontend import rules, scaling_rules
from clipper_nb.runtime.management_frontend.autoscaler import Autoscaler
from clipper_nb.runtime.management_frontend.autoscaling import Step
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.state.memory_store import MemoryStore
from tests.support.fake_clock import run_in_virtual_time
from tests.support.records import make_configuration, make_version

NET = ModelId("digits-net", "1")
SCALING = Autoscaling(1, 8, target=0.25, period_s=10.0, stable_s=60.0)
CONFIGURATION = replace(make_configuration(make_version()), num_replicas={NET: 1})


class Cluster:
    """A service and a store, and one frontend whose replicas are there as soon as they should be.

    Its load is a number of replicas' time; queries wait a tenth of the SLO, and all of it when that is too much.
    """

    def __init__(self):
        self.clock = asyncio.get_running_loop().time
        self.store = MemoryStore()
        self.service = ManagementService(self.store, clock=self.clock, wall_clock=self.clock)
        self.work = 0.0
        self.num_broken = 0
        self.counted = (0, 0.0, 0.0)
        self.tasks = []

    async def start(self):
        await self.store.update_configuration(lambda _: CONFIGURATION)
        self.service._liveness.observe = lambda presence, now_s: (presence, [])
        self.tasks = [asyncio.create_task(self.announce()), self.drive()]

    def drive(self):
        return asyncio.create_task(
            Autoscaler(self.service, self.store, clock=self.clock, wall_clock=self.clock).drive()
        )

    async def announce(self):
        while True:
            number = await self.number() - self.num_broken
            num_queries, waited, busy_s = self.counted
            waiting = 1.0 if self.work > number else 0.1 if self.work else 0.0
            self.counted = (num_queries + bool(self.work), waited + waiting, busy_s + min(self.work, number))
            replicas = tuple(Replica(*NET, each, InputType.STRINGS) for each in range(number))
            loads = (VersionLoad(*NET, *self.counted),)
            await self.store.announce(FrontendPresence("one", 10**9, self.clock(), replicas, loads=loads))
            await asyncio.sleep(1.0)

    async def begin(self, scaling=SCALING):
        await self.service.change(lambda before: scaling_rules.set_autoscaling(before, NET, scaling, at=self.clock()))

    async def number(self):
        return (await self.store.read_configuration()).num_replicas[NET]

    async def texts(self):
        return [event.text for event in (await self.store.read_configuration()).autoscaling[NET].events]


def run(test):
    async def main():
        cluster = Cluster()
        await cluster.start()
        await test(cluster)

    run_in_virtual_time(main())


def test_number_follows_the_load_up_and_down():
    async def test(cluster):
        await cluster.begin()
        cluster.work = 2.5
        await asyncio.sleep(40)
        assert await cluster.number() == 4, "in proportion: all of the SLO is four targets"
        await asyncio.sleep(600)
        assert await cluster.number() == 4, "three would be busy for 83 % of their time"
        cluster.work = 0.0
        await asyncio.sleep(100)
        assert await cluster.number() == 3
        await asyncio.sleep(200)
        assert await cluster.number() == 1
        assert (await cluster.texts())[:3] == [
            "autoscaling between 1 and 8 replicas begins with 1",
            "waiting took 100 % of the SLO for 10 s: 1 -> 4 replicas",
            "for 60 s 3 would have been enough, as 4 were busy for 0 % of their time: 4 -> 3 replicas",
        ]

    run(test)


def test_another_management_frontend_goes_on():
    async def test(cluster):
        await cluster.begin()
        cluster.work = 1.5
        await asyncio.sleep(30)
        cluster.tasks.pop().cancel()
        cluster.work = 0.0
        cluster.tasks.append(cluster.drive())
        await asyncio.sleep(400)
        assert await cluster.number() == 1
        assert len(await cluster.texts()) == 5

    run(test)


def test_no_more_are_asked_for_while_some_are_loading():
    async def test(cluster):
        await cluster.begin()
        cluster.work, cluster.num_broken = 20.0, 0
        await asyncio.sleep(12)
        cluster.num_broken = 1
        number = await cluster.number()
        await asyncio.sleep(100)
        assert await cluster.number() == number == 4
        cluster.num_broken = 0
        await asyncio.sleep(30)
        assert await cluster.number() == 8

    run(test)


def test_a_fixed_number_ends_autoscaling():
    async def test(cluster):
        await cluster.begin()
        await cluster.service.set_num_replicas(rest.NumReplicas(*NET, 2))
        cluster.work = 20.0
        await asyncio.sleep(100)
        assert await cluster.number() == 2
        assert (await cluster.store.read_configuration()).autoscaling == {}

    run(test)


def test_claimed_version_is_left_to_its_claimant():
    async def test(cluster):
        await cluster.begin()
        cluster.work = 20.0
        claim = Claim("c", *NET, "process 7")
        await cluster.service._store_change(lambda before: rules.claim_version(before, claim, is_new=False), None)
        cluster.service._holding.opened("c")
        await asyncio.sleep(100)
        assert await cluster.number() == 1
        await cluster.service.release_claim(rest.ClaimName(*NET, "c"))
        await asyncio.sleep(5)
        assert await cluster.number() == 4

    run(test)


# --- rules


def begin(configuration, model_id=NET, scaling=SCALING):
    return scaling_rules.set_autoscaling(configuration, model_id, scaling, at=1.0)


def test_number_outside_of_the_bounds_is_corrected_at_once():
    assert begin(CONFIGURATION, scaling=Autoscaling(3, 4)).num_replicas == {NET: 3}
    assert begin(replace(CONFIGURATION, num_replicas={NET: 9})).num_replicas == {NET: 8}


def test_what_cannot_be_scaled_is_refused():
    with pytest.raises(ModelNotFoundError):
        begin(CONFIGURATION, ModelId("other", "1"))
    with pytest.raises(InvalidRequestError, match="has no replica"):
        begin(replace(CONFIGURATION, num_replicas={NET: 0}))
    containerless = structs.replace(make_version(), image=CONTAINERLESS_IMAGE)
    with pytest.raises(InvalidRequestError, match="containerless model"):
        begin(replace(CONFIGURATION, versions={NET: containerless}))
    with pytest.raises(VersionClaimedError):
        begin(replace(CONFIGURATION, claims={NET: Claim("c", *NET, "process 7")}))


def test_step_is_for_the_version_as_it_was_seen():
    begun = begin(CONFIGURATION)
    seen, step = begun.autoscaling[NET], Step(4, "why", 0.9)
    after = scaling_rules.take_step(begun, NET, seen, 1, step, at=2.0)
    scaled = after.autoscaling[NET]
    assert (after.num_replicas, scaled.too_few, scaled.too_few_work) == ({NET: 4}, 1, 0.9)
    assert scaled.events[-1] == ScalingEvent(2.0, "why: 1 -> 4 replicas")
    claimed = replace(begun, claims={NET: Claim("c", *NET, "process 7")})
    for other in (after, CONFIGURATION, claimed, replace(begun, num_replicas={NET: 2})):
        with pytest.raises(scaling_rules.SupersededError):
            scaling_rules.take_step(other, NET, seen, 1, step, at=3.0)


def test_version_that_is_unregistered_is_scaled_no_more():
    assert rules.unregister_version(begin(CONFIGURATION), NET).autoscaling == {}


def test_last_steps_are_kept():
    configuration = begin(CONFIGURATION)
    for number in range(2 * MAX_EVENTS):
        seen, current = configuration.autoscaling[NET], configuration.num_replicas[NET]
        configuration = scaling_rules.take_step(configuration, NET, seen, current, Step(number, "why"), at=1.0)
    assert len(configuration.autoscaling[NET].events) == MAX_EVENTS
