"""Stores of every kind on states of their own, and changes of configurations."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from msgspec import structs

from clipper_nb.errors import ExistsError
from clipper_nb.protocol.autoscaling import Autoscaling, ScalingEvent, VersionLoad
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Claim, Configuration, FrontendPresence, Replica
from clipper_nb.protocol.roll_out import RollOut, RollOutEvent, RollOutPlan
from clipper_nb.protocol.route import make_route
from clipper_nb.protocol.shadow import Shadow
from clipper_nb.runtime.state.memory_store import MemoryStore
from clipper_nb.runtime.state.redis_store import RedisStore
from clipper_nb.runtime.state.store import StateStore
from tests.support.records import make_application, make_configuration, make_version
from tests.support.redis_servers import RedisServer

NEWS_TIMEOUT_S = 20.0


@dataclass
class OpenState:
    """One state, and how to open another store on it, as another process would."""

    open_store: Callable[[], StateStore]
    server: RedisServer | None = None


def state_in_memory() -> Iterator[OpenState]:
    store = MemoryStore()
    yield OpenState(lambda: store)


def state_in_redis() -> Iterator[OpenState]:
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        server = RedisServer(Path(folder, "r"))
        server.start()
        try:
            yield OpenState(lambda: RedisStore(server.url), server)
        finally:
            server.kill()


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
    loads = (VersionLoad("digits-net", "1", 7, 0.5, 0.25),)
    return FrontendPresence(frontend_id, applied_revision, 1234.5, replicas, loads=loads)


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
    autoscaling={
        ModelId("digits-net", "1"): Autoscaling(1, 8, 0.5, 2.0, 3.0, 1, 0.75, (ScalingEvent(1234.5, "1 -> 2 é"),))
    },
)
