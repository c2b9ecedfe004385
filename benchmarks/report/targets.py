"""The targets, and whether a measurement meets them. (pure)"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from peers.servers import ECHO_NAME, FRAMEWORK, IN_PROCESS, OURS_NAME
from report.results import Results
from workloads import FOREST, NOOP, SUM


@dataclass(frozen=True)
class Verdict:
    """One target beside what was measured."""

    target: str
    measured: str
    is_met: bool


def judge(results: Results) -> list[Verdict]:
    """Return a verdict for each target whose servers were measured."""
    return [*_judge_noop(results), *_judge_one_connection(results), *_judge_sum(results), *_judge_forest(results)]


def _judge_noop(results: Results) -> Iterator[Verdict]:
    ours = results.get_median(OURS_NAME, NOOP.name, 64)
    echo = results.get_median(ECHO_NAME, NOOP.name, 64)
    if ours is None:
        return
    if echo:
        yield _at_least("no-op, 64 connections: at least 0.5 of echo", ours.requests_per_s / echo.requests_per_s, 0.5)
    if best := results.get_best({IN_PROCESS}, NOOP.name, 64):
        ratio = ours.requests_per_s / best[1].requests_per_s
        yield _at_least("no-op, 64 connections: at least 3.5 x FastAPI", ratio, 3.5, best[0])
    if best := results.get_best({FRAMEWORK}, NOOP.name, 64):
        name, load = best
        ratio = ours.requests_per_s / load.requests_per_s
        yield _at_least("no-op, 64 connections: at least 20 x the best serving framework", ratio, 20, name)
        yield Verdict(
            "no-op, 64 connections: p99 below that framework's p50",
            f"{ours.p99_ms:.2f} ms against {load.p50_ms:.2f} ms",
            ours.p99_ms < load.p50_ms,
        )


def _judge_one_connection(results: Results) -> Iterator[Verdict]:
    ours = results.get_median(OURS_NAME, NOOP.name, 1)
    echo = results.get_median(ECHO_NAME, NOOP.name, 1)
    if ours and echo:
        yield _at_most("no-op, 1 connection: p50 at most 2.5 x echo's", ours.p50_ms / echo.p50_ms, 2.5)
    if results.batching_p50_ms:
        pairs = zip(results.batching_p50_ms["on"], results.batching_p50_ms["off"], strict=True)
        ratio = statistics.median(on / off for on, off in pairs)  # what was measured one right after the other
        yield _at_most("no-op, 1 connection: p50 at most 5 % above that without batching", ratio, 1.05)


def _judge_sum(results: Results) -> Iterator[Verdict]:
    ours = results.get_median(OURS_NAME, SUM.name, 64)
    echo = results.get_median(ECHO_NAME, SUM.name, 64)
    if ours and echo:
        yield _at_least("sum, 64 connections: at least 0.5 of echo", ours.requests_per_s / echo.requests_per_s, 0.5)


def _judge_forest(results: Results) -> Iterator[Verdict]:
    for num_connections, wanted_ratio, wanted_p99_ms in ((64, 4, 25), (256, 8, 60)):
        ours = results.get_median(OURS_NAME, FOREST.name, num_connections)
        if ours is None:
            continue
        title = f"forest, {num_connections} connections:"
        if best := results.get_best({IN_PROCESS, FRAMEWORK}, FOREST.name, num_connections):
            ratio = ours.requests_per_s / best[1].requests_per_s
            yield _at_least(f"{title} at least {wanted_ratio} x the best peer", ratio, wanted_ratio, best[0])
        yield Verdict(f"{title} p99 at most {wanted_p99_ms} ms", f"{ours.p99_ms:.1f} ms", ours.p99_ms <= wanted_p99_ms)
        yield Verdict(f"{title} no error", f"{ours.num_errors} errors", ours.num_errors == 0)


def _at_least(target: str, ratio: float, wanted: float, against: str = "") -> Verdict:
    return Verdict(target, f"{ratio:.2f}{f' ({against})' if against else ''}", ratio >= wanted)


def _at_most(target: str, ratio: float, wanted: float) -> Verdict:
    return Verdict(target, f"{ratio:.2f}", ratio <= wanted)
