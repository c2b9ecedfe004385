"""The tables of ``docs/cuts.md``, one for each kind of cluster. (pure, but for the file)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.end_to_end.cuts.cutting import CutResult
from tests.end_to_end.cuts.steps import Step


def write_table(path: Path, kind: str, steps: Mapping[str, Sequence[Step]], results: Sequence[CutResult]) -> None:
    """Put the results between the file's two marks of a kind of cluster."""
    begin, end = (f"<!-- {edge} of the table: {kind} -->" for edge in ("begin", "end"))
    head, _, rest = path.read_text().partition(begin)
    tail = rest.partition(end)[2]
    path.write_text(f"{head}{begin}\n\n{format_table(steps, results)}\n\n{end}{tail}")


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
