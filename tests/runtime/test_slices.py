"""Long work in slices: whole, in order, and with turns of the event loop in between."""

from __future__ import annotations

import asyncio
import time

import pytest

from clipper_nb.runtime.slices import in_slices


def _slow(number):
    """Yield numbers, each after two milliseconds of work."""
    for one in range(number):
        until_s = time.perf_counter() + 0.002
        while time.perf_counter() < until_s:
            pass
        yield one


def test_everything_comes_in_order():
    assert asyncio.run(in_slices(iter(range(1000)))) == list(range(1000))
    assert asyncio.run(in_slices([])) == []


def test_loop_turns_after_each_slice():
    async def main():
        num_turns = 0

        async def turn():
            nonlocal num_turns
            while True:
                num_turns += 1
                await asyncio.sleep(0)

        turning = asyncio.create_task(turn())
        assert await in_slices(_slow(5)) == [0, 1, 2, 3, 4]
        turning.cancel()
        return num_turns

    assert asyncio.run(main()) >= 5


def test_exception_of_a_step_passes_through():
    def steps():
        yield 1
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(in_slices(steps()))
