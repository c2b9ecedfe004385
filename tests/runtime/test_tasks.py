"""Tasks end when they are cancelled, also those that let one cancellation pass."""

from __future__ import annotations

import asyncio

from clipper_nb.runtime.tasks import end_tasks
from tests.support.fake_clock import run_in_virtual_time


async def _passes_over(num_cancellations: int) -> None:
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            if num_cancellations == 0:
                raise
            num_cancellations -= 1


async def _fails_when_cancelled() -> None:
    try:
        await asyncio.sleep(1000)
    finally:
        raise ValueError("no end")


def test_all_tasks_end_even_if_they_resist() -> None:
    async def test() -> None:
        tasks = [
            asyncio.ensure_future(one)
            for one in (_passes_over(0), _passes_over(1), _passes_over(3), _fails_when_cancelled(), asyncio.sleep(0))
        ]
        await asyncio.sleep(1)
        await end_tasks(tasks)
        assert all(task.done() for task in tasks)

    run_in_virtual_time(test())


def test_ending_no_tasks_returns_at_once() -> None:
    run_in_virtual_time(end_tasks([]))
