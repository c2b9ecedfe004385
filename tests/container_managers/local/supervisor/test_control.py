"""A notebook and a supervisor over a Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from clipper_nb.container_managers.local.supervisor.control import CarryOut, SupervisorClient, listen
from clipper_nb.errors import ClusterUnreachableError
from clipper_nb.protocol.containers import REDIS, Command, Observe, ObservedContainer, Stop

OBSERVED = ObservedContainer("redis-0", REDIS, None, is_running=True)


def call(socket_path: Path, command: Command, carry_out: CarryOut) -> Sequence[ObservedContainer]:
    """Return what a client gets from a supervisor that carries out a command so."""

    async def run() -> Sequence[ObservedContainer]:
        server = await listen(socket_path, carry_out)
        try:
            return await asyncio.to_thread(SupervisorClient(socket_path).call, command)
        finally:
            server.close()

    return asyncio.run(run())


def test_command_arrives_and_what_is_observed_comes_back(tmp_path: Path) -> None:
    seen: list[Command] = []

    async def carry_out(command: Command) -> Sequence[ObservedContainer] | None:
        seen.append(command)
        return [OBSERVED] if command == Observe() else None

    assert call(tmp_path / "s", Observe(), carry_out) == (OBSERVED,)
    assert call(tmp_path / "s", Stop(("a",)), carry_out) == ()
    assert seen == [Observe(), Stop(("a",))]


def test_command_that_fails_raises_with_its_reason(tmp_path: Path) -> None:
    async def carry_out(command: Command) -> None:
        raise OSError("no room")

    with pytest.raises(ClusterUnreachableError, match=r"supervisor failed on 'stop': OSError: no room"):
        call(tmp_path / "s", Stop(("a",)), carry_out)


def test_supervisor_that_is_gone_is_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(ClusterUnreachableError, match="cannot be reached"):
        SupervisorClient(tmp_path / "s").call(Observe())


def test_command_is_sent_again_to_the_supervisor_that_follows(tmp_path: Path) -> None:
    """Only while a guardian starts one; the first listens once the client has found none."""

    async def carry_out(command: Command) -> Sequence[ObservedContainer]:
        return [OBSERVED]

    async def run() -> Sequence[ObservedContainer]:
        loop, has_found_none = asyncio.get_running_loop(), asyncio.Event()

        def is_guarded() -> bool:
            loop.call_soon_threadsafe(has_found_none.set)
            return True

        calling = asyncio.create_task(asyncio.to_thread(SupervisorClient(tmp_path / "s", is_guarded).call, Observe()))
        await has_found_none.wait()
        server = await listen(tmp_path / "s", carry_out)
        try:
            return await calling
        finally:
            server.close()

    assert asyncio.run(run()) == (OBSERVED,)
