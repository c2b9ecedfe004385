"""``python -m tests.end_to_end.cuts [OPERATION ...]``: make every cut, and write the table of ``docs/cuts.md``."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.cuts.cutting import CutResult, local_cutter
from tests.end_to_end.cuts.operations import OPERATIONS
from tests.end_to_end.cuts.schedule import LOCAL_FAULTS, in_good_order
from tests.end_to_end.cuts.steps import Step, all_cuts
from tests.end_to_end.cuts.table import write_table

_TABLE = Path(__file__).parents[3] / "docs" / "cuts.md"


def main(names: Sequence[str]) -> int:
    """Return the number of cuts that went wrong."""
    steps: dict[str, list[Step]] = {}
    results: list[CutResult] = []
    with local_cutter() as cutter:
        for name in names:
            steps[name] = cutter.record(OPERATIONS[name])
            print(f"{name}: {', '.join(map(str, steps[name]))}", flush=True)
        cuts = [cut for name in names for cut in all_cuts(name, steps[name], LOCAL_FAULTS)]
        random.Random(1).shuffle(cuts)  # so that kills, which need time between them, are spread
        print(f"{len(cuts)} cuts", flush=True)
        for number, cut in enumerate(in_good_order(cutter, cuts), 1):
            started_s = time.monotonic()
            results.append(cutter.cut(cut))
            sign = "✗" if results[-1].problems else "✓" if results[-1].was_reached else "-"
            text = str(results[-1]) if results[-1].problems else str(cut)
            print(f"{sign} {number}/{len(cuts)} {time.monotonic() - started_s:4.1f} s  {text}", flush=True)
    if set(names) == set(OPERATIONS):
        write_table(_TABLE, steps, results)
    wrong = [result for result in results if result.problems]
    print(f"{len(results)} cuts, {len(wrong)} went wrong")
    return len(wrong)


if __name__ == "__main__":
    try:
        sys.exit(min(main(sys.argv[1:] or list(OPERATIONS)), 100))
    except KeyboardInterrupt:
        sys.exit("interrupted; the cluster is stopped")
