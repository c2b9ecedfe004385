"""A management service on a store in memory, in virtual time, and what it is asked."""

from __future__ import annotations

import asyncio
import itertools

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol import rest
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import FrontendPresence, Replica
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.state.memory_store import MemoryStore
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


def announce(store, frontend_id, revision, *replicas, counter=itertools.count()):  # noqa: B008  (one for all)
    return store.announce(FrontendPresence(frontend_id, revision, float(next(counter)), replicas))


def replica(number, version="1"):
    return Replica("digits-net", version, number, InputType.DOUBLES)
