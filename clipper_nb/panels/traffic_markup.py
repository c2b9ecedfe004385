"""What the panel of traffic shows of targets, of a roll-out and of a shadow. (pure)"""

from __future__ import annotations

import math
from collections.abc import Mapping

from clipper_nb.display.html import Html, Severity
from clipper_nb.display.long_lists import count
from clipper_nb.panels.cluster_state import ApplicationState, ClusterState, Status, TargetState
from clipper_nb.panels.counts import ShadowCounts
from clipper_nb.panels.markup import badge, code, facts, format_ms, format_share, paragraph, two_lines
from clipper_nb.protocol import metric_names
from clipper_nb.protocol.names import parse_model_id
from clipper_nb.protocol.roll_out import RollOutInfo
from clipper_nb.protocol.roll_out import Status as RollOutStatus
from clipper_nb.protocol.traffic import TrafficTarget

HEAD = ("Target", "Wanted", "Got, 1\u00a0min", "p50 ms", "p99 ms", "Defaults", "Errors", "Score", "Replicas")
SCORE_COLUMN = HEAD.index("Score")
NUMBERS = tuple(range(1, len(HEAD)))
_MODEL_ERROR = "model_error"
_Z_95 = 1.959964
"""Standard deviations between which a normal number is in 95 % of all cases."""
_LEVELS: Mapping[RollOutStatus, Severity] = {
    "running": "ok", "promoted": "ok", "paused": "warning", "rolled_back": "problem", "aborted": "idle",
    "ended": "idle",
}  # fmt: skip


def target_row(
    target: TargetState, application: ApplicationState, state: ClusterState, score: TrafficTarget | None
) -> list[str]:
    """Return the cells of one target; *score* has what its feedback says, if that is known."""
    traffic = target.traffic
    num_queries = sum({each.model_id: each.traffic.num_queries for each in application.targets}.values())
    got = traffic.num_queries / num_queries if num_queries else None
    defaults = traffic.defaults or {}
    has_answers = traffic.num_queries > 0
    is_learnt = application.policy is not None and application.policy.learns_shares
    return [
        _name(target),
        "learnt" if is_learnt else format_share(target.share),
        "-" if got is None else two_lines(format_share(got), f"{traffic.num_queries:,} of {num_queries:,}"),
        format_ms(traffic.p50_s),
        format_ms(traffic.p99_s),
        _defaults(defaults) if has_answers else "-",
        format_share(defaults.get(_MODEL_ERROR, 0.0)) if has_answers else "-",
        "-" if score is None or score.score is None else _score(score.score, score.num_scores),
        _replicas(target, state),
    ]


def score_interval(mean: float, num_scores: float) -> tuple[float, float]:
    """Return the 95 % interval of a mean of scores from 0 to 1 (Wilson, JASA 1927).

    It is that of a share of successes. Other scores of the same mean vary less, so for them it is too wide, never too
    narrow.
    """
    spread = _Z_95**2 / num_scores
    middle = (mean + spread / 2) / (1 + spread)
    half = _Z_95 * math.sqrt(mean * (1 - mean) / num_scores + spread / (4 * num_scores)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def roll_out_picture(info: RollOutInfo) -> Html:
    """Return where a roll-out stands, and what speaks against its version."""
    where = (
        f"step {info.step + 1} of {len(info.steps)}: {format_share(info.share)}" if info.is_under_way else info.reason
    )
    status = badge(Status(_LEVELS[info.status], info.status.replace("_", " ")))
    rows = [
        ("Roll-out", Html(f"{code(info.model)} {status}")),
        *([("Now" if info.is_under_way else "Why", where)] if where else []),
        *([("Since", info.reason)] if info.is_under_way and info.reason else []),
        ("Answers", f"{info.candidate.num_queries:,}, of the others {info.baseline.num_queries:,}"),
    ]
    evidence = ", ".join(f"{measure} {_e_value(value)}" for measure, value in info.evidence.items())
    if evidence:
        rows.append(("Evidence", f"against it: {evidence}; rolled back at {info.limit:,.0f} together"))
    return facts(rows, caption=f"Roll-out of {info.model}")


def shadow_picture(shadow: ShadowCounts) -> Html:
    """Return how far a shadow's answers agree."""
    compared, asked, dropped = (
        shadow.values.get(name, 0.0)
        for name in (metric_names.SHADOW_COMPARED, metric_names.SHADOW_QUERIES, metric_names.SHADOW_DROPPED)
    )
    agreement = shadow.agreement
    said = "nothing compared yet" if agreement is None else f"{format_share(agreement)} of {compared:,.0f} agree"
    lost = f", {dropped:,.0f} of {count(round(asked), 'query').replace('querys', 'queries')} dropped" if dropped else ""
    return facts([("Shadow", Html(code(shadow.model_id))), ("Agreement", f"{said}{lost}")], caption="Shadow")


def policy_sentence(application: ApplicationState) -> Html:
    """Return which policy chooses among the targets, or nothing."""
    if application.policy is None:
        return Html("")
    return paragraph(f"The policy {application.policy} decides who answers; setting shares by hand ends it.")


def _name(target: TargetState) -> Html:
    if target.model_id in (None, target.target):
        return code(target.target)
    _, version = parse_model_id(target.model_id)
    return two_lines(target.target, f"current version: {version}")


def _defaults(shares: Mapping[str, float]) -> str:
    """Return the share of default outputs, and why there were any; model errors have their own column."""
    total = format_share(sum(shares.values()))
    reasons = [f"{reason} {format_share(share)}" for reason, share in sorted(shares.items()) if reason != _MODEL_ERROR]
    return two_lines(total, ", ".join(reasons)) if reasons else total


def _replicas(target: TargetState, state: ClusterState) -> str:
    version = next((found for found in state.versions if found.model_id == target.model_id), None)
    if version is None or version.num_connected == 0:
        return badge(Status("problem", "none"))
    return f"{version.num_connected} / {version.num_wanted}"


def _score(mean: float, num_scores: float) -> Html:
    low, high = score_interval(mean, num_scores)
    return two_lines(f"{mean:.3f}", f"{low:.2f} to {high:.2f}, n={num_scores:,.0f}")


def _e_value(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
