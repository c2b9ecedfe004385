"""The tables of ``docs/security.md``: what each caller got. (pure, but for the file)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.end_to_end.strangers.callers import Ask
from tests.end_to_end.strangers.probes import Probe

DOCUMENT = Path(__file__).parents[3] / "docs" / "security.md"


def make_table(probes: Sequence[Probe], callers: Mapping[str, Ask]) -> str:
    """Ask everything as everybody; return a row for each probe."""
    head = f"| what is asked | {' | '.join(callers)} |"
    rows = [f"| {probe.what} | {' | '.join(ask(probe) for ask in callers.values())} |" for probe in probes]
    return "\n".join([head, f"|---|{'---|' * len(callers)}", *rows])


def read_table(name: str) -> str:
    """Return the table that is between the document's two marks of that name."""
    begin, end = _marks(name)
    return DOCUMENT.read_text().partition(begin)[2].partition(end)[0].strip()


def write_table(name: str, table: str) -> None:
    """Put a table between the document's two marks."""
    begin, end = _marks(name)
    head, _, rest = DOCUMENT.read_text().partition(begin)
    tail = rest.partition(end)[2]
    DOCUMENT.write_text(f"{head}{begin}\n\n{table}\n\n{end}{tail}")


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- begin of the table: {name} -->", f"<!-- end of the table: {name} -->"
