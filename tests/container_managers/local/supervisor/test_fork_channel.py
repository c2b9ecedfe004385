"""Requests to a process that forks, and what comes back when it is gone."""

from __future__ import annotations

import asyncio

import pytest

from clipper_nb.container_managers.local.supervisor.fork_channel import ChannelClosedError, ForkChannel
from clipper_nb.protocol.nursery import Answer, Import, receive_request, send_message


async def answer(channel: ForkChannel, *answers: Answer) -> None:
    for each in answers:
        assert await asyncio.to_thread(receive_request, channel.other_end)
        send_message(channel.other_end, each)


async def ask(channel: ForkChannel) -> Answer:
    return await channel.ask(Import(()), timeout_s=10)


def test_each_request_gets_its_own_answer():
    async def run() -> None:
        channel = ForkChannel()
        answers = [Answer(pid=number) for number in range(3)]
        *got, _ = await asyncio.gather(ask(channel), ask(channel), ask(channel), answer(channel, *answers))
        assert got == answers
        channel.close()

    asyncio.run(run())


def test_end_of_the_other_process_is_seen_and_final():
    async def run() -> None:
        channel = ForkChannel()
        asking = asyncio.create_task(ask(channel))
        await asyncio.sleep(0)
        channel.other_end.close()
        for request in (asking, ask(channel)):
            with pytest.raises(ChannelClosedError) as closed:
                await request
            assert closed.value.is_stale
        assert not channel.is_open

    asyncio.run(run())


def test_closing_ends_the_wait_and_frees_its_descriptor():
    async def run() -> None:
        channel = ForkChannel()
        asking = asyncio.create_task(ask(channel))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        channel.close()
        with pytest.raises(ChannelClosedError):
            await asyncio.wait_for(asking, 10)
        other = ForkChannel()  # gets the same descriptors
        got, _ = await asyncio.gather(ask(other), answer(other, Answer(pid=1)))
        assert got == Answer(pid=1)
        other.close()

    asyncio.run(run())


def test_answer_that_does_not_come_closes_the_channel():
    async def run() -> None:
        channel = ForkChannel()
        with pytest.raises(ChannelClosedError):
            await channel.hear(timeout_s=0)
        assert not channel.is_open

    asyncio.run(run())
