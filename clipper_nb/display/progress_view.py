"""How the steps of a long call look in a notebook's cell, as text and as HTML. (pure)"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Literal

Outcome = Literal["running", "done", "failed", "interrupted"]

_DETAIL_LENGTH = 100
_ANSI_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x20\x7f]+")
_SYMBOLS: dict[Outcome, str] = {"running": "●", "done": "✓", "failed": "✗", "interrupted": "■"}
_COLOURS: dict[Outcome, str] = {
    "running": "var(--jp-brand-color1, #1976d2)",
    "done": "var(--jp-success-color1, #388e3c)",
    "failed": "var(--jp-error-color1, #d32f2f)",
    "interrupted": "var(--jp-warn-color1, #f57c00)",
}
_SMALL_STYLE = "font-size:0.9em;color:var(--jp-content-font-color2, inherit)"
_DETAIL_STYLE = (
    "font-family:var(--jp-code-font-family, monospace);font-size:0.85em;white-space:nowrap;overflow:hidden;"
    "text-overflow:ellipsis;color:var(--jp-content-font-color2, inherit)"
)


@dataclass(frozen=True)
class StepTime:
    """A step and the time from its beginning to the next one's, or until now."""

    name: str
    seconds: float


@dataclass(frozen=True)
class ProgressState:
    """The progress to show. The call is in the last step, or ended there."""

    title: str
    seconds: float
    steps: tuple[StepTime, ...] = ()
    detail: str = ""
    outcome: Outcome = "running"


def format_text(state: ProgressState) -> str:
    """Return one line: the title, how it goes, and the steps with their times."""
    return " · ".join([f"{_SYMBOLS[state.outcome]} {state.title}", _status(state), *map(_step, state.steps)])


def format_html(state: ProgressState) -> str:
    """Return a block with a line per step while it runs, and one line with all steps when it is over."""
    is_running = state.outcome == "running"
    # A screen reader hears how it ended, not four changes a second.
    return (
        f'<div role="status" aria-live="{"off" if is_running else "polite"}" style="border-left:3px solid '
        f'{_COLOURS[state.outcome]};padding:2px 0 2px 10px;line-height:1.5;font-variant-numeric:tabular-nums">'
        f"<div>{_symbol(state.outcome)} <strong>{escape(state.title)}</strong> · {escape(_status(state))}</div>"
        f"{_running_steps(state) if is_running else _ended_steps(state)}"
        f"{'' if state.outcome == 'done' else _detail(state.detail)}</div>"
    )


def _running_steps(state: ProgressState) -> str:
    return "".join(
        f'<div style="{_SMALL_STYLE}">{_symbol("running" if step is state.steps[-1] else "done")} '
        f"{escape(_step(step))}</div>"
        for step in state.steps
    )


def _ended_steps(state: ProgressState) -> str:
    steps = " · ".join(f'<span style="white-space:nowrap">{escape(_step(step))}</span>' for step in state.steps)
    return f'<div style="{_SMALL_STYLE}">{steps}</div>' if steps else ""


def _detail(text: str) -> str:
    line = _CONTROL_CHARACTERS.sub(" ", _ANSI_SEQUENCE.sub("", text)).strip()
    shown = line if len(line) <= _DETAIL_LENGTH else f"{line[: _DETAIL_LENGTH - 1]}…"
    return f'<div style="{_DETAIL_STYLE}">{escape(shown)}</div>' if shown else ""


def _symbol(outcome: Outcome) -> str:
    style = f"color:{_COLOURS[outcome]};font-weight:bold;display:inline-block;width:1.1em"
    return f'<span aria-hidden="true" style="{style}">{_SYMBOLS[outcome]}</span>'


def _step(step: StepTime) -> str:
    return f"{step.name} ({_duration(step.seconds)})"


def _status(state: ProgressState) -> str:
    duration = _duration(state.seconds)
    if state.outcome == "running":
        return f"running for {duration}"
    if state.outcome == "done":
        return f"done in {duration}"
    within = f' in "{state.steps[-1].name}"' if state.steps else ""
    return f"{state.outcome}{within} after {duration}"


def _duration(seconds: float) -> str:
    if seconds < 59.95:  # shows as 60.0
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
