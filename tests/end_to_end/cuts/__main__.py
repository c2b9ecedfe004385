"""``python -m tests.end_to_end.cuts [--docker] [OPERATION ...]``: make every cut, and write a table of docs/cuts.md.

Calls that are not named keep their rows in it.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.end_to_end.cuts.cutting import CutResult, docker_cutter, local_cutter
from tests.end_to_end.cuts.lifecycle import LIFECYCLES
from tests.end_to_end.cuts.lifecycle_cutting import LifecycleCutter
from tests.end_to_end.cuts.operations import OPERATIONS, operations_on
from tests.end_to_end.cuts.schedule import FAULTS, NUM_CLUSTERS, CutsCalls, cut_all
from tests.end_to_end.cuts.steps import Cut, Step, all_cuts, changes_the_engine, cuts_in_turn
from tests.end_to_end.cuts.table import write_table

_TABLE = Path(__file__).parents[3] / "docs" / "cuts.md"
_CUTTERS = {"local": local_cutter, "docker": docker_cutter}
_CHANCE = random.Random(1)


def main(kind: str, names: Sequence[str]) -> int:
    """Return the number of cuts that went wrong."""
    calls, lifecycles = ([name for name in names if name in which] for which in (OPERATIONS, LIFECYCLES))
    steps: dict[str, list[Step]] = {}
    if calls:
        with _CUTTERS[kind]() as cutter:
            steps |= {name: _told(name, cutter.record(OPERATIONS[name])) for name in calls}
    if lifecycles:
        with LifecycleCutter() as lifecycle_cutter:
            steps |= {name: _told(name, lifecycle_cutter.record(name)) for name in lifecycles}
    progress = _Progress()
    results = _make(kind, calls, steps, _CUTTERS[kind], progress)
    results += _make(kind, lifecycles, steps, LifecycleCutter, progress)
    write_table(_TABLE, kind, _names_on(kind), steps, results)
    wrong = [result for result in results if result.problems]
    print(f"{len(results)} cuts, {len(wrong)} went wrong")
    return len(wrong)


def _names_on(kind: str) -> list[str]:
    return [*operations_on(kind), *(LIFECYCLES if kind == "local" else ())]


def _make(
    kind: str,
    names: Sequence[str],
    steps: Mapping[str, Sequence[Step]],
    open_cutter: Callable[[], AbstractContextManager[CutsCalls]],
    progress: _Progress,
) -> list[CutResult]:
    """Make all cuts of some calls, or of none."""
    if not names:
        return []
    cuts = [cut for name in names for cut in _cuts(kind, name, steps[name])]
    _CHANCE.shuffle(cuts)  # so that kills, which need time between them, are spread
    progress.expect(len(cuts))
    return cut_all(cuts, open_cutter, progress.tell, num_clusters=NUM_CLUSTERS[kind])


def _told(name: str, steps: list[Step]) -> list[Step]:
    print(f"{name}: {'; '.join(map(str, steps))}", flush=True)
    return steps


def _cuts(kind: str, name: str, steps: Sequence[Step]) -> list[Cut]:
    """Return every cut; on Docker all at what only Docker has, and one at each other step."""
    if kind == "local":
        return all_cuts(name, steps, FAULTS)
    own = [step for step in steps if changes_the_engine(step)]
    others = [step for step in steps if step not in own]
    return all_cuts(name, own, FAULTS) + cuts_in_turn(name, others, FAULTS, _CHANCE)


class _Progress:
    """A line for each cut."""

    def __init__(self) -> None:
        self._num_cuts = 0
        self._numbers = itertools.count(1)

    def expect(self, num_cuts: int) -> None:
        """Be told how many more there will be."""
        self._num_cuts += num_cuts

    def tell(self, result: CutResult) -> None:
        """Print how it went, and what the call was told where that tells something."""
        sign = "✗" if result.problems else "✓" if result.was_reached else "-"
        text = str(result.cut) if sign == "✓" else str(result)
        print(f"{sign} {next(self._numbers)}/{self._num_cuts} {text}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docker", action="store_const", const="docker", default="local", dest="kind")
    parser.add_argument("names", nargs="*", metavar="OPERATION")
    arguments = parser.parse_args()
    try:
        sys.exit(min(main(arguments.kind, arguments.names or _names_on(arguments.kind)), 100))
    except KeyboardInterrupt:
        sys.exit("interrupted; the clusters are stopped")
