"""The table of ``docs/cuts.md``. (pure, but for the file)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.end_to_end.cuts.cutting import CutResult
from tests.end_to_end.cuts.steps import Step

_BEGIN, _END = "<!-- begin of the table -->", "<!-- end of the table -->"


def write_table(path: Path, steps: Mapping[str, Sequence[Step]], results: Sequence[CutResult]) -> None:
    """Put the results between the file's two marks."""
    head, _, rest = path.read_text().partition(_BEGIN)
    tail = rest.partition(_END)[2]
    path.write_text(f"{head}{_BEGIN}\n\n{format_table(steps, results)}\n\n{_END}{tail}")


def format_table(steps: Mapping[str, Sequence[Step]], results: Sequence[CutResult]) -> str:
    """Return a row for each operation, and the sum."""
    cuts = Counter(result.cut.operation for result in results)
    unreached = Counter(result.cut.operation for result in results if not result.was_reached)
    wrong = Counter(result.cut.operation for result in results if result.problems)
    rows = [
        f"| {name} | {_count_kinds(steps[name])} | {cuts[name]} | {unreached[name]} | {wrong[name]} |" for name in steps
    ]
    num_steps = sum(map(len, steps.values()))
    total = f"| **all** | {num_steps} steps | {len(results)} | {unreached.total()} | {wrong.total()} |"
    return "\n".join(["| call | steps | cuts | not reached | failures |", "|---|---|---|---|---|", *rows, total])


def _count_kinds(steps: Sequence[Step]) -> str:
    kinds = Counter(step.kind for step in steps)
    return ", ".join(f"{number} {kind}{'' if number == 1 else 's'}" for kind, number in kinds.items())
