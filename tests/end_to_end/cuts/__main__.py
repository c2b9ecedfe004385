"""``python -m tests.end_to_end.cuts [--docker] [OPERATION ...]``: make every cut, and write a table of docs/cuts.md."""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.cuts.cutting import CutResult, Cutter, docker_cutter, local_cutter
from tests.end_to_end.cuts.operations import OPERATIONS
from tests.end_to_end.cuts.schedule import FAULTS, NUM_CLUSTERS, cut_all
from tests.end_to_end.cuts.steps import Cut, Step, all_cuts, changes_the_engine, cuts_in_turn
from tests.end_to_end.cuts.table import write_table

_TABLE = Path(__file__).parents[3] / "docs" / "cuts.md"
_CUTTERS = {"local": local_cutter, "docker": docker_cutter}
_CHANCE = random.Random(1)


def main(kind: str, names: Sequence[str]) -> int:
    """Return the number of cuts that went wrong."""
    with _CUTTERS[kind]() as cutter:
        steps = {name: _record(cutter, name) for name in names}
    cuts = [cut for name in names for cut in _cuts(kind, name, steps[name])]
    _CHANCE.shuffle(cuts)  # so that kills, which need time between them, are spread
    results = cut_all(cuts, _CUTTERS[kind], _Progress(len(cuts)).tell, num_clusters=NUM_CLUSTERS[kind])
    if set(names) == set(OPERATIONS):
        write_table(_TABLE, kind, steps, results)
    wrong = [result for result in results if result.problems]
    print(f"{len(results)} cuts, {len(wrong)} went wrong")
    return len(wrong)


def _record(cutter: Cutter, name: str) -> list[Step]:
    steps = cutter.record(OPERATIONS[name])
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

    def __init__(self, num_cuts: int) -> None:
        self._num_cuts = num_cuts
        self._numbers = itertools.count(1)

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
        sys.exit(min(main(arguments.kind, arguments.names or list(OPERATIONS)), 100))
    except KeyboardInterrupt:
        sys.exit("interrupted; the clusters are stopped")
