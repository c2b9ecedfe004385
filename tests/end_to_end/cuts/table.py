"""The tables of ``docs/cuts.md``, one for each kind of cluster. (pure, but for the file)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.end_to_end.cuts.cutting import CutResult
from tests.end_to_end.cuts.steps import Step

_HEAD = "| call | steps | cuts | not reached | failures |\n|---|---|---|---|---|"
_SUM = "**all**"


def write_table(
    path: Path, kind: str, names: Sequence[str], steps: Mapping[str, Sequence[Step]], results: Sequence[CutResult]
) -> None:
    """Put the results between the file's two marks of a kind of cluster.

    Calls of *names* that were not made keep their rows; the file is in the order of *names*.
    """
    begin, end = (f"<!-- {edge} of the table: {kind} -->" for edge in ("begin", "end"))
    head, _, rest = path.read_text().partition(begin)
    known, _, tail = rest.partition(end)
    path.write_text(f"{head}{begin}\n\n{format_table(names, known, steps, results)}\n\n{end}{tail}")


def format_table(
    names: Sequence[str], known: str, steps: Mapping[str, Sequence[Step]], results: Sequence[CutResult]
) -> str:
    """Return a row for each call, of the results or of the *known* table, and the sum."""
    rows = {**_rows_of(known), **{name: _row(steps[name], name, results) for name in steps}}
    rows = {name: rows[name] for name in names if name in rows}
    sums = [sum(int(row[column]) for row in rows.values()) for column in (1, 2, 3)]
    num_steps = sum(int(kind.split()[0]) for row in rows.values() for kind in row[0].split(", "))
    lines = [*rows.items(), (_SUM, [f"{num_steps} steps", *map(str, sums)])]
    return "\n".join([_HEAD, *(f"| {' | '.join([name, *row])} |" for name, row in lines)])


def _row(steps: Sequence[Step], name: str, results: Sequence[CutResult]) -> list[str]:
    own = [result for result in results if result.cut.operation == name]
    num_unreached = sum(not result.was_reached for result in own)
    num_wrong = sum(bool(result.problems) for result in own)
    return [_count_kinds(steps), str(len(own)), str(num_unreached), str(num_wrong)]


def _rows_of(table: str) -> dict[str, list[str]]:
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {name: row for name, *row in cells if name not in ("call", _SUM)}


def _count_kinds(steps: Sequence[Step]) -> str:
    kinds = Counter(step.kind for step in steps)
    return ", ".join(f"{number} {kind}{'' if number == 1 else 's'}" for kind, number in kinds.items())
