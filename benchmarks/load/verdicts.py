"""What was measured beside what was asked for: a small table, an exit status, a file."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "results"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    target: str
    measured: str
    is_met: bool | None
    """``None`` when nothing was asked for."""


class Verdicts:
    """The table of one benchmark.

    Parameters
    ----------
    name : str
        Of the benchmark, and of its file among the results.
    options : argparse.Namespace
        Of ``parse_options``.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self._name = name
        self._options = options
        self._rows: list[Row] = []
        self._notes: list[str] = []
        self._load_average = os.getloadavg()[0]
        print(f"{self._machine()}\n", flush=True)

    def check(self, what: str, target: str, measured: str, is_met: bool) -> None:
        """Add what a target was set for."""
        self._add(Row(what, target, measured, is_met))

    def tell(self, what: str, measured: str) -> None:
        """Add what no target was set for."""
        self._add(Row(what, "", measured, None))

    def note(self, text: str) -> None:
        """Add a line below the table."""
        self._notes.append(text)
        print(f"  {text}", flush=True)

    def finish(self, more: str = "") -> int:
        """Write the file when that was asked for, with *more* at its end, and return 1 when a target was missed."""
        num_missed = sum(row.is_met is False for row in self._rows)
        print(f"\n{num_missed or 'no'} target{'' if num_missed == 1 else 's'} missed", flush=True)
        if self._options.write:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{self._name}.md").write_text(self._as_markdown() + more)
        return 1 if num_missed else 0

    def _add(self, row: Row) -> None:
        self._rows.append(row)
        print(f"{_verdict(row):<6}{row.what:<66}{row.measured:>26}   {row.target}".rstrip(), flush=True)

    def _machine(self) -> str:
        cores = len(os.sched_getaffinity(0))
        return (
            f"{cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
            f"load average {self._load_average:.1f} before"
        )

    def _as_markdown(self) -> str:
        command = " ".join([f"benchmarks/{self._name}.py", *(word for word in sys.argv[1:] if word != "--write")])
        lines = [
            f"# {self._name}",
            "",
            f"`python {command}`, {time.strftime('%Y-%m-%d')}. {self._machine()}.",
            "",
            "| | target | measured | |",
            "|---|---|---|---|",
            *(f"| {row.what} | {row.target} | {row.measured} | {_verdict(row)} |" for row in self._rows),
            *([""] if self._notes else []),
            *(f"- {note}" for note in self._notes),
        ]
        return "\n".join(lines) + "\n"


def _verdict(row: Row) -> str:
    return {True: "met", False: "MISSED", None: ""}[row.is_met]


def parse_options(description: str | None, parser: argparse.ArgumentParser | None = None) -> argparse.Namespace:
    """Return the options that every benchmark has, and those of *parser*."""
    parser = parser or argparse.ArgumentParser()
    parser.description = (description or "").splitlines()[0]
    parser.add_argument("--quick", action="store_true", help="a shorter run")
    parser.add_argument("--write", action="store_true", help="write the table to benchmarks/results")
    return parser.parse_args()
