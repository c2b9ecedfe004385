"""``python -m tests.end_to_end.cuts [OPERATION ...]``: make every cut, and write the table of ``docs/cuts.md``."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.cuts.cutting import CutResult, Cutter, local_cutter
from tests.end_to_end.cuts.operations import OPERATIONS
from tests.end_to_end.cuts.schedule import LOCAL_FAULTS, cut_all
from tests.end_to_end.cuts.steps import Step, all_cuts
from tests.end_to_end.cuts.table import write_table

_TABLE = Path(__file__).parents[3] / "docs" / "cuts.md"


def main(names: Sequence[str]) -> int:
    """Return the number of cuts that went wrong."""
    with local_cutter() as cutter:
        steps = {name: _record(cutter, name) for name in names}
    cuts = [cut for name in names for cut in all_cuts(name, steps[name], LOCAL_FAULTS)]
    random.Random(1).shuffle(cuts)  # so that kills, which need time between them, are spread
    results = cut_all(cuts, _Progress(len(cuts)).tell)
    if set(names) == set(OPERATIONS):
        write_table(_TABLE, steps, results)
    wrong = [result for result in results if result.problems]
    print(f"{len(results)} cuts, {len(wrong)} went wrong")
    return len(wrong)


def _record(cutter: Cutter, name: str) -> list[Step]:
    steps = cutter.record(OPERATIONS[name])
    print(f"{name}: {'; '.join(map(str, steps))}", flush=True)
    return steps


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
    try:
        sys.exit(min(main(sys.argv[1:] or list(OPERATIONS)), 100))
    except KeyboardInterrupt:
        sys.exit("interrupted; the cluster is stopped")
