"""When both frontends come from one process, and what happens when that is not possible."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from clipper_nb.container_managers import specs
from clipper_nb.container_managers.local.supervisor.frontend_pair import pair_frontends
from clipper_nb.container_managers.local.supervisor.launching import Launch, Spawning
from clipper_nb.container_managers.specs import ClusterOptions

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has descriptors of processes")


@pytest.fixture
def make_launches(tmp_path: Path):
    def make(python: str = "/bin/false", **options: int) -> list[Launch]:
        frontends = (
            specs.management_frontend_spec(python, ClusterOptions(), {}, "token"),
            specs.query_frontend_spec(python, ClusterOptions(**options), {}),
        )
        return [
            Launch(spec, variables=dict(spec.environment), working_folder=tmp_path, log_path=tmp_path / spec.name)
            for spec in frontends
        ]

    return make


class Programs:
    """Stands for the start of programs; keeps the names of what was started."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def start(self, launch: Launch, _stopping: asyncio.Event) -> None:
        self.names.append(launch.spec.name)


def test_frontend_is_a_program_if_the_other_cannot_fork_it(make_launches):
    async def start_twice() -> tuple[list[str], int]:
        programs, stopping = Programs(), asyncio.Event()
        management_frontend, query_frontend = launches = make_launches()
        start = pair_frontends(launches, spawning=Spawning(), otherwise=programs.start)
        _, process = await asyncio.gather(start(management_frontend, stopping), start(query_frontend, stopping))
        status = await process.wait()
        await start(query_frontend, stopping)  # after its end
        return programs.names, status

    assert asyncio.run(start_twice()) == (["management_frontend-0", "query_frontend-0"], 1)


def test_frontend_is_a_program_if_the_other_cannot_be_started(make_launches):
    async def start_both() -> list[str]:
        programs, stopping = Programs(), asyncio.Event()
        management_frontend, query_frontend = launches = make_launches("/nowhere/python")
        start = pair_frontends(launches, spawning=Spawning(), otherwise=programs.start)
        found = await asyncio.gather(
            start(management_frontend, stopping), start(query_frontend, stopping), return_exceptions=True
        )
        assert isinstance(found[1], FileNotFoundError)
        return programs.names

    assert asyncio.run(start_both()) == ["management_frontend-0"]


def test_stop_does_not_wait_for_a_fork(make_launches):
    async def stop_first() -> None:
        programs, stopping = Programs(), asyncio.Event()
        launches = make_launches()
        start = pair_frontends(launches, spawning=Spawning(), otherwise=programs.start)
        stopping.set()
        assert await start(launches[0], stopping) is None
        assert programs.names == []

    asyncio.run(stop_first())


def test_several_query_frontends_start_as_programs(make_launches):
    async def choose() -> None:
        programs = Programs()
        launches = make_launches(num_frontend_replicas=2)
        assert pair_frontends(launches, spawning=Spawning(), otherwise=programs.start) == programs.start
        assert pair_frontends(launches[:1], spawning=Spawning(), otherwise=programs.start) == programs.start

    asyncio.run(choose())
