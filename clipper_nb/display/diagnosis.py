"""The findings about a machine and a cluster, as a table. (pure)"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from clipper_nb.display.html import Html, Severity, table
from clipper_nb.display.long_lists import count

_MARKS: dict[Severity, str] = {"ok": "✔", "warning": "!", "problem": "✖"}
"""Marks of a checklist that terminals have too."""
_CELL = 'style="text-align:left;vertical-align:top;padding:2px 16px 2px 0"'
_SUBJECT = 'style="text-align:left;vertical-align:top;padding:2px 16px 2px 0;white-space:nowrap"'
_WIDTH = 100


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes
    ----------
    subject : str
    state : str
        ``"ok"``, ``"warning"`` (it works, for now) or ``"problem"``.
    found : str
    advice : str
        What to do; empty where there is nothing to do.
    """

    subject: str
    state: Severity
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What ``conn.doctor()`` found; it shows itself as a table.

    Attributes
    ----------
    findings : list of Finding
        Ordered so that each check depends only on earlier ones.
    """

    findings: Sequence[Finding]

    @property
    def is_well(self) -> bool:
        """True if nothing is broken; warnings do not count."""
        return not self.problems

    @property
    def problems(self) -> list[Finding]:
        """The findings that keep something from working."""
        return [finding for finding in self.findings if finding.state == "problem"]

    @property
    def warnings(self) -> list[Finding]:
        """The findings about what works for now."""
        return [finding for finding in self.findings if finding.state == "warning"]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values that JSON can hold."""
        return {"is_well": self.is_well, "findings": [asdict(finding) for finding in self.findings]}

    def __repr__(self) -> str:
        """Return the table as text, with what to do below each line that requires something."""
        width = max((len(finding.subject) for finding in self.findings), default=0)
        margin = " " * (width + 4)
        lines = []
        for finding in self.findings:
            head = f"{_MARKS[finding.state]} {finding.subject:<{width}}  "
            lines += textwrap.wrap(finding.found, _WIDTH, initial_indent=head, subsequent_indent=margin)
            lines += textwrap.wrap(
                finding.advice, _WIDTH, initial_indent=f"{margin}→ ", subsequent_indent=f"{margin}  "
            )
        return "\n".join([*lines, self._summary()])

    def _repr_html_(self) -> str:
        rows = [
            (Html(f'<span title="{finding.state}">{_MARKS[finding.state]}</span>'), finding.subject, finding.found,
             finding.advice)
            for finding in self.findings
        ]  # fmt: skip
        head = ("", "Looked at", "Found", "What to do")
        return f"{table(rows, head=head, columns=(_CELL, _SUBJECT, _CELL, _CELL))}<p>{escape(self._summary())}</p>"

    def _summary(self) -> str:
        if not self.problems and not self.warnings:
            return "All is well."
        found = ((len(self.problems), "problem"), (len(self.warnings), "warning"))
        return f"{' and '.join(count(number, noun) for number, noun in found if number)}."
