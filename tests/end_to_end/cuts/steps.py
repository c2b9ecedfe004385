"""The steps of an admin call, and the cuts that follow from them. (pure)

A step is one request, one store write, one command to the supervisor or one call of the Docker Engine. Which steps a
call has is not written anywhere: the call runs once under observation, and what was seen is cut.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

REQUEST = "request"
STORE_WRITE = "store write"
SUPERVISOR_COMMAND = "supervisor command"
ENGINE_CALL = "engine call"
RECORD_WRITE = "record write"

BEFORE, AFTER = "before", "after"

MANAGEMENT_KILLED = "management frontend killed"
REDIS_KILLED = "Redis killed"
INTERRUPTED = "Ctrl-C"
NOTEBOOK_KILLED = "notebook killed"
REFUSED = "error of supervisor or engine"

_LAST_CUT_OCCURRENCE = 2
"""What a call asks again and again, it does to wait: the third time is no other step than the second."""


@dataclass(frozen=True)
class Step:
    """What happened, and how often the same had happened before in this call, counted from 1."""

    kind: str
    label: str
    occurrence: int = 1

    def __str__(self) -> str:
        return f"{self.kind} {self.label}" + (f" #{self.occurrence}" if self.occurrence > 1 else "")


@dataclass(frozen=True)
class Cut:
    """A fault at a step of an operation."""

    operation: str
    step: Step
    moment: str
    fault: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.fault} {self.moment} {self.step}"

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON takes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Cut:
        """Return what ``to_dict`` was made of."""
        return cls(**{**fields, "step": Step(**fields["step"])})


class StepCounter:
    """Numbers the steps of one call."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str]] = Counter()

    def next(self, kind: str, label: str) -> Step:
        """Return the step that begins now."""
        self._seen[kind, label] += 1
        return Step(kind, label, self._seen[kind, label])


def worth_cutting(recorded: Iterable[Step]) -> list[Step]:
    """Return the steps without the repetitions of a wait, each once, in their order."""
    return list(dict.fromkeys(step for step in recorded if step.occurrence <= _LAST_CUT_OCCURRENCE))


def all_cuts(operation: str, steps: Iterable[Step], faults: Sequence[str]) -> list[Cut]:
    """Return each fault before and after each step."""
    return [
        Cut(operation, step, moment, fault)
        for step in steps
        for moment in (BEFORE, AFTER)
        for fault in faults
        if fault_fits(fault, step)
    ]


def cuts_in_turn(operation: str, steps: Iterable[Step], faults: Sequence[str], chance: random.Random) -> list[Cut]:
    """Return one cut for each step; moments and faults take turns, in an order that *chance* decides."""
    found: list[Cut] = []
    turn: list[tuple[str, str]] = []
    for step in steps:
        fitting = [one for one in turn if fault_fits(one[1], step)]
        if not fitting:
            again = [(moment, fault) for moment in (BEFORE, AFTER) for fault in faults]
            chance.shuffle(again)
            turn += again
            fitting = [one for one in turn if fault_fits(one[1], step)]
        chosen = fitting[0]
        turn.remove(chosen)
        found.append(Cut(operation, step, *chosen))
    return found


def fault_fits(fault: str, step: Step) -> bool:
    """Return whether the fault can happen at the step: only supervisor and engine can refuse."""
    return fault != REFUSED or step.kind in (SUPERVISOR_COMMAND, ENGINE_CALL)


def changes_the_engine(step: Step) -> bool:
    """Return whether the engine makes or ends something: what its other calls tell, the embedded cluster's do too."""
    return step.kind == ENGINE_CALL and not step.label.startswith("GET ")
