"""The management frontend drives roll-outs from what is in the store, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from clipper_nb.errors import NotFoundError
from clipper_nb.protocol import rest
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import FrontendPresence, Replica
from clipper_nb.protocol.redis_keys import DRIVER_LEASE_S
from clipper_nb.protocol.roll_out import ArmCounts, RollOutCounts
from clipper_nb.protocol.roll_out_plan import StartRollOut
from clipper_nb.protocol.route import make_route
from clipper_nb.runtime.management_frontend.roll_out_driver import RollOutDriver
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.management_frontend.traffic_calls import TrafficCalls
from clipper_nb.runtime.state.memory_store import MemoryStore
from tests.support.fake_clock import run_in_virtual_time
from tests.support.records import make_application, make_configuration, make_version

CONFIGURATION = replace(
    make_configuration(make_version(), make_version(version="2"), applications=(make_application(),)),
    routes={"digits": make_route({"digits-net:1": 1})},
)
START = StartRollOut("digits", "digits-net:2", (10, 50, 100), 60.0, min_queries=20, patience_s=600.0)


class Cluster:
    """A service and a store, one frontend that acts on everything at once, and drivers."""

    def __init__(self):
        self.clock = asyncio.get_running_loop().time
        self.store = MemoryStore()
        self.service = ManagementService(self.store, clock=self.clock, wall_clock=self.clock)
        self.calls = TrafficCalls(self.service, self.store, self.clock)
        self.scores = RollOutCounts()
        self.tasks = []

    async def start(self, *, num_drivers=1):
        await self.store.update_configuration(lambda _: CONFIGURATION)
        replicas = (Replica("digits-net", "2", 0, InputType.STRINGS),)
        await self.store.announce(FrontendPresence("one", 10**9, 1.0, replicas))
        self.service._liveness.observe = lambda presence, now_s: (presence, [])
        for _ in range(num_drivers):
            self.drive()

    def drive(self):
        driver = RollOutDriver(self.service, self.store, read_scores=self.read_scores, wall_clock=self.clock)
        self.tasks.append(asyncio.create_task(driver.drive()))
        return driver

    async def read_scores(self, roll_out):
        return self.scores

    async def answer(self, num, num_defaults=0, num_others=0, num_defaults_others=0, run_id="one"):
        """Count so many answers in all."""
        roll_out = (await self.store.read_configuration()).roll_outs["digits"]
        counts = RollOutCounts(ArmCounts(num, num_defaults), ArmCounts(num_others, num_defaults_others))
        await self.store.write_roll_out_counts(roll_out.roll_out_id, run_id, counts)

    async def info(self):
        return (await self.calls.get_roll_outs(rest.Listing()))[0]

    async def shares(self):
        return str((await self.store.read_configuration()).routes["digits"])


def run(test, **options):
    async def main():
        cluster = Cluster()
        await cluster.start(**options)
        await test(cluster)

    run_in_virtual_time(main())


@pytest.mark.parametrize("num_drivers", [1, 3])
def test_good_version_goes_all_the_way(num_drivers):
    async def test(cluster):
        await cluster.calls.start_roll_out(START)
        for step in (1, 2):
            await cluster.answer(100 * step, 0, 1000 * step, 0)
            await asyncio.sleep(62)
        info = await cluster.info()
        assert (info.status, info.share, await cluster.shares()) == ("promoted", 1.0, "digits-net:2 100 %")
        assert len(info.events) == 3
        assert info.candidate.num_queries == 200

    run(test, num_drivers=num_drivers)


def test_bad_version_is_rolled_back_at_the_next_look():
    async def test(cluster):
        await cluster.calls.start_roll_out(START)
        await cluster.answer(30, 6, 400, 0)
        await asyncio.sleep(1.1)
        info = await cluster.info()
        assert (info.status, await cluster.shares()) == ("rolled_back", "digits-net:1 100 %")
        await cluster.answer(1000, 6, 1000, 0)  # a failure stays one
        await asyncio.sleep(200)
        assert (await cluster.info()).status == "rolled_back"
        with pytest.raises(NotFoundError, match="has ended: rolled_back"):
            await cluster.calls.promote_roll_out(rest.TrafficOf("digits"))

    run(test)


def test_bad_scores_roll_back_too():
    async def test(cluster):
        earlier = RollOutCounts(ArmCounts.of_scores(50, 20.0), ArmCounts.of_scores(500, 490.0))
        cluster.scores = earlier
        await cluster.calls.start_roll_out(START)
        await asyncio.sleep(1.1)
        assert (await cluster.info()).status == "running"
        cluster.scores = earlier.plus(earlier)
        await asyncio.sleep(1.1)
        assert "have a bad score" in (await cluster.info()).reason

    run(test)


def test_counts_of_several_frontends_and_runs_are_added():
    async def test(cluster):
        await cluster.calls.start_roll_out(START)
        await cluster.answer(10, 1, 100, 0, run_id="one")
        await cluster.answer(12, 0, 90, 2, run_id="two")
        await asyncio.sleep(1.1)
        info = await cluster.info()
        assert (info.candidate, info.baseline) == (ArmCounts(22, 1), ArmCounts(190, 2))

    run(test)


def test_too_few_answers_pause_and_more_go_on():
    async def test(cluster):
        await cluster.calls.start_roll_out(START)
        await cluster.answer(3)
        await asyncio.sleep(602)
        assert (await cluster.info()).status == "paused"
        await cluster.answer(40, 0, 300)
        await asyncio.sleep(2)
        info = await cluster.info()
        assert (info.status, info.step) == ("running", 1)

    run(test)


def test_another_driver_takes_over_when_the_first_is_gone():
    async def test(cluster):
        await cluster.calls.start_roll_out(START)
        await asyncio.sleep(2)
        cluster.tasks[0].cancel()
        cluster.store._driver_until_s = 0.0  # the lease is by the machine's clock, which has stood still
        cluster.drive()
        await cluster.answer(100, 0, 1000)
        await asyncio.sleep(60 + DRIVER_LEASE_S)
        assert (await cluster.info()).step == 1

    run(test)


def test_user_who_was_faster_wins():
    """The driver looked at a roll-out that was aborted before its change came."""

    async def test(cluster):
        await cluster.calls.start_roll_out(START)
        await cluster.answer(30, 10, 400, 0)
        seen = (await cluster.store.read_configuration()).roll_outs["digits"]
        await cluster.calls.abort_roll_out(rest.TrafficOf("digits"))
        driver = RollOutDriver(cluster.service, cluster.store, wall_clock=cluster.clock)
        with pytest.raises(Exception, match="changed meanwhile"):
            await driver._change(seen, lambda before, at: before)
        assert (await cluster.info()).status == "aborted"

    run(test, num_drivers=0)


def test_shadow_of_an_application_that_has_none_is_not_found():
    async def test(cluster):
        with pytest.raises(NotFoundError, match="has no shadow"):
            await cluster.calls.get_shadow_report(rest.TrafficOf("digits"))
        await cluster.calls.set_shadow(rest.SetShadow("digits", "digits-net:2", 0.5))
        report = await cluster.calls.get_shadow_report(rest.TrafficOf("digits"))
        assert (report.model, report.share, report.num_asked) == ("digits-net:2", 0.5, 0)

    run(test)
