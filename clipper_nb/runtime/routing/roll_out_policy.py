"""Decides what comes next in a roll-out: waiting, the next step, a pause, or the roll-back. (pure)"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from clipper_nb.protocol.roll_out import (
    FALSE_ALARM,
    Measure,
    RollOut,
    RollOutCounts,
    RollOutInfo,
    RollOutPlan,
    RollOutProgress,
)
from clipper_nb.protocol.roll_out_plan import describe_plan
from clipper_nb.protocol.route import format_share
from clipper_nb.runtime.routing.worse_test import NO_EVIDENCE, add_interval, e_value, visible_share

_BAD: Mapping[Measure, str] = {
    "defaults": "are default outputs",
    "latency": "took too long",
    "score": "have a bad score",
}
_WEIGHTS: Mapping[Measure, float] = {"defaults": 1.0, "latency": 1.0, "score": 2.0}
"""Of measures in the mean of their e-values. Few answers have a score, and scores differ less than failures do."""
LIMIT = 1.0 / FALSE_ALARM
"""The mean e-value from which a version is worse, by Ville's inequality."""


@dataclass(frozen=True)
class Move:
    """What comes next, and why."""

    kind: Literal["wait", "next", "pause", "roll_back"]
    reason: str = ""


def look(roll_out: RollOut, before: RollOutProgress, counts: RollOutCounts) -> RollOutProgress:
    """Return the progress after *counts*, which are all since the roll-out began."""
    new = counts.minus(before.counts)
    evidence: dict[Measure, Sequence[float]] = {
        measure: _add(before.log_evidence.get(measure, NO_EVIDENCE), measure, new) for measure in roll_out.plan.watch
    }
    is_new_step = before.step != roll_out.step
    num_at_start = before.counts.candidate.num_queries if is_new_step else before.num_at_step_start
    return RollOutProgress(counts, num_at_start, roll_out.step, evidence)


def decide(roll_out: RollOut, progress: RollOutProgress, *, now: float) -> Move:
    """Return what comes next; *now* is seconds since the epoch."""
    plan, counts = roll_out.plan, progress.counts
    evidence = _weighted_evidence(plan, progress)
    if math.fsum(evidence.values()) >= LIMIT:
        return Move("roll_back", _explain(plan, max(evidence, key=lambda measure: evidence[measure]), counts, evidence))
    num_answers = counts.candidate.num_queries - progress.num_at_step_start
    if num_answers >= plan.min_queries and now - roll_out.step_started_at >= plan.step_s:
        return Move("next")
    is_patient = now - roll_out.step_started_at < max(plan.patience_s, plan.step_s)
    if num_answers < plan.min_queries and not is_patient and roll_out.status == "running":
        return Move(
            "pause",
            f"{plan.model_id} gave {num_answers} answers at {format_share(roll_out.share)} within "
            f"{now - roll_out.step_started_at:.0f} s, and a step needs {plan.min_queries}; it goes on when they have "
            "come, promote() does not wait for them, and abort() ends it",
        )
    return Move("wait")


def describe(roll_out: RollOut, progress: RollOutProgress) -> RollOutInfo:
    """Return a roll-out as users see it."""
    plan = roll_out.plan
    limit_of_one = LIMIT / min(_weights(plan).values())
    visible = [visible_share(plan.min_queries, step / 100, limit_of_one) for step in plan.steps if step < 100]
    return RollOutInfo(
        roll_out_id=roll_out.roll_out_id,
        app_name=plan.app_name,
        model=str(plan.model_id),
        status=roll_out.status,
        share=_share_now(roll_out),
        step=roll_out.step,
        steps=plan.steps,
        step_s=plan.step_s,
        started_at=roll_out.started_at,
        step_started_at=roll_out.step_started_at,
        reason=roll_out.reason,
        candidate=progress.counts.candidate,
        baseline=progress.counts.baseline,
        evidence=_weighted_evidence(plan, progress),
        limit=LIMIT,
        plan=describe_plan(plan, visible),
        events=roll_out.events,
    )


def _share_now(roll_out: RollOut) -> float:
    if roll_out.status == "promoted":
        return 1.0
    return 0.0 if roll_out.status in ("rolled_back", "aborted") else roll_out.share


def _weights(plan: RollOutPlan) -> dict[Measure, float]:
    total = math.fsum(_WEIGHTS[measure] for measure in plan.watch)
    return {measure: _WEIGHTS[measure] / total for measure in plan.watch}


def _weighted_evidence(plan: RollOutPlan, progress: RollOutProgress) -> dict[Measure, float]:
    """Return what each measure adds to the mean of their e-values."""
    nothing = NO_EVIDENCE
    return {
        measure: weight * e_value(progress.log_evidence.get(measure, nothing))
        for measure, weight in _weights(plan).items()
    }


def _add(evidence: Sequence[float], measure: Measure, new: RollOutCounts) -> tuple[float, ...]:
    num, num_bad = new.candidate.of(measure)
    num_others, num_bad_others = new.baseline.of(measure)
    # Answers are counted one after the other, so a reading may have a bad one that it does not have as an answer yet.
    return add_interval(
        evidence, num=max(num, num_bad), num_bad=num_bad, num_others=max(num_others, num_bad_others),
        num_bad_others=num_bad_others,
    )  # fmt: skip


def _explain(plan: RollOutPlan, measure: Measure, counts: RollOutCounts, evidence: Mapping[Measure, float]) -> str:
    num, num_bad = counts.candidate.of(measure)
    num_others, num_bad_others = counts.baseline.of(measure)
    threshold = f" (over {1000 * plan.max_latency_s:g} ms)" if measure == "latency" else ""
    return (
        f"{plan.model_id} is worse: {_percent(num_bad, num)} of its {num} answers {_BAD[measure]}{threshold}, and "
        f"{_percent(num_bad_others, num_others)} of the {num_others} others meanwhile (evidence "
        f"{math.fsum(evidence.values()):.3g}, limit {LIMIT:g})"
    )


def _percent(num: int, of: int) -> str:
    return format_share(num / of if of else 0.0)
