"""Every store counts for roll-outs, keeps their progress, and lets one frontend drive them."""

from __future__ import annotations

from clipper_nb.protocol.roll_out import ArmCounts, RollOutCounts, RollOutProgress
from tests.support.stores import run


def test_counts_of_a_roll_out_are_added_over_runs(store):
    """What one run writes again replaces what it wrote before."""
    counts = RollOutCounts(ArmCounts(3, 1, 1, 2, 1), ArmCounts(30))

    async def test(one, other):
        assert await one.read_roll_out_counts("id") == RollOutCounts()
        await one.write_roll_out_counts("id", "first", RollOutCounts(ArmCounts(1), ArmCounts(2)))
        await one.write_roll_out_counts("id", "first", counts)
        await other.write_roll_out_counts("id", "second", RollOutCounts(ArmCounts(1), ArmCounts(1, 1)))
        await other.write_roll_out_counts("another", "second", counts)
        assert await other.read_roll_out_counts("id") == RollOutCounts(ArmCounts(4, 1, 1, 2, 1), ArmCounts(31, 1))

    run(store, test, num_stores=2)


def test_progress_of_a_roll_out_is_read_as_it_was_written(store):
    progress = RollOutProgress(RollOutCounts(ArmCounts(3)), 2, 1, {"defaults": [0.5, -1.25e-7]})

    async def test(one, other):
        assert await other.read_roll_out_progress("id") == RollOutProgress()
        await one.write_roll_out_progress("id", progress)
        assert await other.read_roll_out_progress("id") == progress

    run(store, test, num_stores=2)


def test_only_one_drives_roll_outs(store):
    async def test(one, other):
        assert await one.hold_driver_lease("a")
        assert not await other.hold_driver_lease("b")
        assert await one.hold_driver_lease("a")

    run(store, test, num_stores=2)
