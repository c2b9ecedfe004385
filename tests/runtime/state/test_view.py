"""The query frontend's own copy of the configuration, and what it tells the store."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import Replica
from clipper_nb.protocol.redis_keys import LEASE_S, PRESENCE_INTERVAL_S, PRESENCE_TIMEOUT_S
from clipper_nb.runtime.state.lease import Lease
from clipper_nb.runtime.state.memory_store import MemoryStore
from clipper_nb.runtime.state.view import ConfigurationView
from tests.support.fake_clock import run_in_virtual_time
from tests.support.records import make_application

REPLICA = Replica("digits-net", "1", 0, InputType.DOUBLES)


class MoodyStore(MemoryStore):
    """A store in memory that can be away, and that counts what it is told."""

    def __init__(self):
        super().__init__()
        self.is_away = False
        self.hangs = False
        self.announcements = []
        self.withdrawn = []

    def _check(self):
        if self.is_away:
            raise StateUnavailableError("away")

    async def read_configuration(self):
        self._check()
        return await super().read_configuration()

    async def announce(self, presence):
        self._check()
        if self.hangs:
            await asyncio.Event().wait()
        self.announcements.append(presence)
        return await super().announce(presence)

    async def withdraw(self, frontend_id):
        self._check()
        self.withdrawn.append(frontend_id)
        await super().withdraw(frontend_id)


class Bench:
    """A view with what it applied."""

    def __init__(self, store):
        self.store = store
        self.applied = []
        self.replicas = []
        self.lease = Lease(asyncio.get_running_loop().time)
        self.view = ConfigurationView(
            store, "one", apply=self.applied.append, replicas=lambda: list(self.replicas), lease=self.lease
        )

    async def presence(self):
        """Return what the store knows of the frontend."""
        found = [frontend for frontend in await self.store.read_presence() if frontend.frontend_id == "one"]
        return found[0] if found else None


def run(test):
    """Run ``test(bench)`` in virtual time; the view is stopped afterwards."""

    async def main():
        bench = Bench(MoodyStore())
        try:
            await test(bench)
        finally:
            bench.store.is_away = False
            await bench.view.stop()

    run_in_virtual_time(main())


def add(name):
    """Return a change that adds an application."""
    application = make_application(name)
    return lambda configuration: replace(configuration, applications={**configuration.applications, name: application})


def test_view_knows_nothing_before_it_begins():
    async def test(bench):
        assert bench.view.applied_revision == -1

    run(test)


def test_frontend_is_current_once_it_applied_and_announced():
    async def test(bench):
        await bench.store.update_configuration(add("a"))
        bench.view.start()
        await asyncio.wait_for(bench.view.wait_until_current(), 0.05)
        assert bench.view.applied_revision == 1
        assert [list(configuration.applications) for configuration in bench.applied] == [["a"]]
        assert (await bench.presence()).applied_revision == 1

    run(test)


def test_empty_configuration_is_applied_too():
    async def test(bench):
        bench.view.start()
        await asyncio.wait_for(bench.view.wait_until_current(), 0.05)
        assert [configuration.revision for configuration in bench.applied] == [0]

    run(test)


def test_change_is_applied_and_then_confirmed_at_once():
    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        await bench.store.update_configuration(add("a"))
        await asyncio.sleep(0.01)
        assert list(bench.applied[-1].applications) == ["a"]
        assert (await bench.presence()).applied_revision == 1

    run(test)


def test_configuration_is_confirmed_only_after_it_is_applied():
    """Or an admin call would return too early."""

    async def test(bench):
        announced = bench.store.announce
        applied = []

        async def announce(presence):
            assert presence.applied_revision == applied[-1].revision
            return await announced(presence)

        bench.store.announce = announce
        bench.view._apply = applied.append
        bench.view.start()
        for number in range(20):
            await bench.store.update_configuration(add(f"app-{number}"))
            await asyncio.sleep(0.001 * (number % 3))
        await asyncio.sleep(0.1)
        assert (await bench.presence()).applied_revision == 20

    run(test)


def test_same_configuration_is_applied_once():
    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        await asyncio.sleep(10 * PRESENCE_INTERVAL_S)
        assert len(bench.applied) == 1

    run(test)


def test_frontend_speaks_regularly_when_nothing_happens():
    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        before = len(bench.store.announcements)
        await asyncio.sleep(10 * PRESENCE_INTERVAL_S + 0.1)
        assert len(bench.store.announcements) - before == 10
        times = [presence.announced_at for presence in bench.store.announcements]
        assert len(set(times)) == len(times), "announcements that look the same look like silence"

    run(test)


def test_replicas_are_announced_when_they_change():
    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        bench.replicas.append(REPLICA)
        bench.view.announce_soon()
        await asyncio.sleep(0.01)
        assert (await bench.presence()).replicas == (REPLICA,)

    run(test)


def test_last_configuration_stays_while_the_store_is_away():
    async def test(bench):
        await bench.store.update_configuration(add("a"))
        bench.view.start()
        await bench.view.wait_until_current()
        bench.store.is_away = True
        await bench.store.update_configuration(add("b"))
        await asyncio.sleep(20.0)
        assert bench.view.applied_revision == 1
        assert len(bench.applied) == 1

    run(test)


def test_frontend_catches_up_when_the_store_is_back():
    """Also when it missed the news: its next announcement tells it that it is behind."""

    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        bench.store.is_away = True
        await bench.store.update_configuration(add("a"))
        await asyncio.sleep(20.0)
        bench.store.is_away = False
        await asyncio.sleep(PRESENCE_INTERVAL_S + 0.1)
        assert list(bench.applied[-1].applications) == ["a"]
        assert (await bench.presence()).applied_revision == 1

    run(test)


def test_frontend_started_before_its_store_becomes_current(caplog):
    async def test(bench):
        bench.store.is_away = True
        bench.view.start()
        await asyncio.sleep(5.0)
        assert bench.applied == []
        bench.store.is_away = False
        await bench.store.update_configuration(add("a"))
        await asyncio.wait_for(bench.view.wait_until_current(), 1.0)
        assert bench.view.applied_revision == 1

    run(test)
    assert "away" in caplog.text


def test_older_revision_is_applied_too():
    """A store that lost its last seconds is the truth all the same."""

    async def test(bench):
        for name in "abc":
            await bench.store.update_configuration(add(name))
        bench.view.start()
        await bench.view.wait_until_current()
        bench.store._configuration = replace(bench.store._configuration, revision=1, applications={})
        await asyncio.sleep(PRESENCE_INTERVAL_S + 0.1)
        assert bench.view.applied_revision == 1
        assert bench.applied[-1].applications == {}

    run(test)


def test_frontend_that_ends_is_withdrawn():
    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        await bench.view.stop()
        assert await bench.presence() is None
        await asyncio.sleep(10 * PRESENCE_INTERVAL_S)
        assert await bench.presence() is None

    run(test)


@pytest.mark.parametrize("num_turns", range(5))
def test_frontend_ends_also_while_it_is_about_to_announce(num_turns):
    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        bench.view.announce_soon()
        for _ in range(num_turns):  # at one of them asyncio.wait_for forgets that it was cancelled, before Python 3.12
            await asyncio.sleep(0)
        await asyncio.wait_for(bench.view.stop(), 1.0)

    run(test)


def test_frontend_can_end_while_the_store_is_away():
    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        bench.store.is_away = True
        await asyncio.wait_for(bench.view.stop(), 1.0)
        assert bench.store.withdrawn == []

    run(test)


# --- the lease


class Stillness:
    """Lets the lease's clock go on while the loop stands still, as it does for a process that is stopped."""

    def __init__(self, bench):
        self.seconds = 0.0
        loop_time = bench.lease.clock
        bench.lease.clock = lambda: loop_time() + self.seconds


def test_lease_ends_before_a_frontend_counts_as_dead():
    assert LEASE_S < PRESENCE_TIMEOUT_S


def test_lease_lasts_while_the_frontend_runs():
    async def test(bench):
        assert bench.lease.has_run_out
        bench.view.start()
        await bench.view.wait_until_current()
        for _ in range(100):
            assert not bench.lease.has_run_out
            await asyncio.sleep(0.3)

    run(test)


@pytest.mark.parametrize("hangs", [False, True], ids=["refuses", "hangs"])
def test_lease_lasts_while_the_store_is_away(hangs):
    """Nobody can change anything meanwhile."""

    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        bench.store.is_away, bench.store.hangs = not hangs, hangs
        for _ in range(200):
            await asyncio.sleep(0.1)
            assert not bench.lease.has_run_out

    run(test)


def test_stalled_frontend_has_no_lease_until_it_reads_again():
    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        stillness = Stillness(bench)
        stillness.seconds = LEASE_S + 0.1
        assert bench.lease.has_run_out
        await bench.store.update_configuration(add("a"))
        renewed = []
        bench.lease.when_renewed(lambda: renewed.append(bench.view.applied_revision))
        bench.view.announce_soon()
        await asyncio.sleep(0.01)
        assert not bench.lease.has_run_out
        assert renewed == [1]

    run(test)


def test_read_begun_before_a_stall_does_not_count():
    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        stillness = Stillness(bench)
        announce = bench.store.announce
        announcing = []

        async def stand_still(presence):
            announcing.append(bench.lease.clock())
            revision = await announce(presence)
            if len(announcing) == 1:
                stillness.seconds = 60.0
            return revision

        bench.store.announce = stand_still
        bench.view.announce_soon()
        await asyncio.sleep(0.01)
        assert len(announcing) == 2, "it has looked again at once"
        assert announcing[0] + LEASE_S < announcing[1] < bench.lease.until_s

    run(test)


def test_frontend_does_not_act_while_known_changes_are_unread():
    """They may have been confirmed without it: the store that is away now was there when they were made."""

    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        stillness = Stillness(bench)
        stillness.seconds = 60.0
        await bench.store.update_configuration(add("a"))
        read = bench.store.read_configuration

        async def fail():
            raise StateUnavailableError("away")

        bench.store.read_configuration = fail
        bench.view.announce_soon()
        await asyncio.sleep(0.01)
        bench.store.is_away = True
        await asyncio.sleep(10.0)
        assert bench.lease.has_run_out
        bench.store.is_away, bench.store.read_configuration = False, read
        await asyncio.sleep(0.2)
        assert not bench.lease.has_run_out
        assert bench.view.applied_revision == 1

    run(test)


def test_stalled_frontend_continues_while_the_store_is_away():
    async def test(bench):
        bench.view.start()
        await bench.view.wait_until_current()
        bench.store.is_away = True
        Stillness(bench).seconds = 60.0
        bench.view.announce_soon()
        await asyncio.sleep(0.01)
        assert not bench.lease.has_run_out

    run(test)


@pytest.mark.parametrize("num_frontends", [2, 5])
def test_frontends_that_share_a_store_follow_it_each(num_frontends):
    async def main():
        store = MoodyStore()
        applied = [[] for _ in range(num_frontends)]
        views = [
            ConfigurationView(store, f"frontend-{number}", apply=applied[number].append, replicas=list, lease=Lease())
            for number in range(num_frontends)
        ]
        for view in views:
            view.start()
        await store.update_configuration(add("a"))
        for view in views:
            await asyncio.wait_for(view.wait_until_current(), 1.0)
        presence = await store.read_presence()
        assert sorted(frontend.frontend_id for frontend in presence) == [f"frontend-{n}" for n in range(num_frontends)]
        assert {frontend.applied_revision for frontend in presence} == {1}
        for view in views:
            await view.stop()
        assert await store.read_presence() == []

    run_in_virtual_time(main())
