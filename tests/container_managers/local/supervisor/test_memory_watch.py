"""Which replicas are ended for their memory, and how often they are measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clipper_nb.container_managers.local.supervisor.memory_watch import MemoryWatch
from clipper_nb.protocol.containers import REPLICA, ContainerSpec
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits
from tests.support.fake_clock import FakeClock

MIB = 1 << 20
HUNDRED_MIB = ResourceLimits(memory=100 * MIB)


@dataclass
class Process:
    """A supervised process, as far as a watch sees it."""

    name: str
    pid: int | None
    limits: ResourceLimits = HUNDRED_MIB
    ends: list[tuple[int, int]] = field(default_factory=list)

    @property
    def spec(self) -> ContainerSpec:
        return ContainerSpec(self.name, REPLICA, (), limits=self.limits)

    def end_at_memory_limit(self, used_bytes: int, limit_bytes: int) -> None:
        self.ends.append((used_bytes // MIB, limit_bytes // MIB))


class Use:
    """The memory of processes: what is resident, and what of it is their own."""

    def __init__(self, clock: FakeClock, resident: dict[int, int], own: dict[int, int]) -> None:
        self.clock, self.resident, self.own = clock, resident, own
        self.measured: list[float] = []

    def family(self, pid: int) -> set[int]:
        return {pid, pid + 1}

    def resident_bytes(self, pids: set[int]) -> int:
        return sum(self.resident.get(pid, 0) for pid in pids) * MIB

    def proportional_bytes(self, pids: set[int]) -> int:
        self.measured.append(self.clock())
        self.clock.advance(0.01)
        return sum(self.own.get(pid, 0) for pid in pids) * MIB


def watch(processes: list[Process], resident: dict[int, int], own: dict[int, int], **owned: Any) -> tuple[Any, Use]:
    use = Use(FakeClock(), resident, own)
    found: Any = MemoryWatch(
        lambda: processes,  # type: ignore[arg-type, return-value]
        lambda name: owned.get(name, set()),
        use=use,  # type: ignore[arg-type]
        clock=use.clock,
    )
    return found, use


def test_only_what_is_above_its_limit_is_ended() -> None:
    large, small = Process("large", 10), Process("small", 20)
    unlimited, down = Process("unlimited", 30, NO_LIMITS), Process("down", None)
    memory = {10: 101, 20: 100, 30: 5000}
    looked, use = watch([large, small, unlimited, down], memory, memory)
    looked.look()
    assert large.ends == [(101, 100)]
    assert small.ends == unlimited.ends == down.ends == []
    assert len(use.measured) == 1  # the cheap look is enough for all others


def test_children_and_what_lost_its_parent_count() -> None:
    process = Process("m", 10)
    memory = {10: 40, 11: 40, 77: 40}
    watch([process], memory, memory)[0].look()
    assert process.ends == []
    watch([process], memory, memory, m={77})[0].look()
    assert process.ends == [(120, 100)]


def test_pages_shared_with_others_count_in_part() -> None:
    process = Process("m", 10)
    looked, _ = watch([process], {10: 150}, {10: 75})
    looked.look()
    assert process.ends == []


def test_exact_measurements_take_a_small_share_of_the_time() -> None:
    process = Process("m", 10)
    looked, use = watch([process], {10: 150}, {10: 75})
    started_s = use.clock()
    for _ in range(100):
        looked.look()
        use.clock.advance(0.1)
    assert 0.03 < len(use.measured) * 0.01 / (use.clock() - started_s) <= 0.05


def test_growth_to_the_limit_is_seen_at_the_next_look() -> None:
    """Also right after an exact measurement that took long."""
    process = Process("m", 10)
    looked, use = watch([process], {10: 150}, {10: 95})
    looked.look()
    use.resident[10] = 154
    looked.look()
    assert (process.ends, len(use.measured)) == ([], 1)
    use.resident[10], use.own[10] = 156, 101
    looked.look()
    assert process.ends == [(101, 100)]
