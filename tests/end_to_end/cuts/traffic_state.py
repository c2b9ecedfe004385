"""The traffic of a cluster's applications, their shadows, roll-outs and tokens: what there should be, and what is."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from clipper_nb import ClipperConnection
from clipper_nb.errors import NotFoundError
from clipper_nb.protocol.route import format_share

STEPS, STEP_S = (1, 100), 3600.0
"""Of a roll-out that stays where it is while it is looked at."""
KEY = "cut"
"""Of the query that gets feedback."""


@dataclass(frozen=True)
class TrafficState:
    """By application: the share of each target where it is no link and the policy that chooses among them, the shadow,
    the version rolled out, a token, and how many scores its answers got."""

    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    shadows: Mapping[str, str] = field(default_factory=dict)
    roll_outs: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, int] = field(default_factory=dict)

    def facts(self) -> dict[str, str]:
        """Return it as sentences, which can be compared one by one."""
        return {
            **{f"traffic of {name}": _describe_shares(shares) for name, shares in self.shares.items()},
            **{f"policy of {name}": policy for name, policy in self.policies.items()},
            **{f"shadow of {name}": target for name, target in self.shadows.items()},
            **{f"roll-out in {name}": target for name, target in self.roll_outs.items()},
            **{f"token of {name}": token for name, token in self.tokens.items()},
            **{f"scores of {name}": str(number) for name, number in self.scores.items()},
        }


def traffic_of(conn: ClipperConnection) -> TrafficState:
    """Return what there is."""
    names = [application["name"] for application in conn.get_all_apps(verbose=True)]
    traffic = {name: found for name in names if (found := conn.get_traffic(name)).targets}
    shares = {name: found.shares for name, found in traffic.items()}
    policies = {name: found.policy.name for name, found in traffic.items() if found.policy is not None}
    scores = {name: round(sum(target.num_scores for target in found.targets)) for name, found in traffic.items()}
    pinned = {name: found for name, found in shares.items() if len(found) > 1 or ":" in next(iter(found))}
    shadows = {name: target for name in names if (target := _shadow(conn, name)) is not None}
    assert conn._management is not None
    roll_outs = {info.app_name: info.model for info in conn._management.get_roll_outs() if info.is_under_way}
    tokens = {name: found[0]["token_name"] for name in names if (found := conn.get_tokens(name))}
    return TrafficState(
        pinned, policies, shadows, roll_outs, tokens, {name: number for name, number in scores.items() if number}
    )


def remove_traffic(conn: ClipperConnection, wanted: TrafficState) -> None:
    """Remove what is not wanted; links are free to be set afterwards."""
    there = traffic_of(conn)
    for name, target in there.roll_outs.items():
        if wanted.roll_outs.get(name) != target:
            conn.roll_outs[name].abort()
    for name, target in there.shadows.items():
        if wanted.shadows.get(name) != target:
            conn.shadow(name, None)
    for name, token in there.tokens.items():
        if wanted.tokens.get(name) != token:
            conn.revoke_token(name, token)
    for name in there.scores.keys() - wanted.scores.keys():
        conn.unregister_application(name)  # another one of its name has none
    for name in traffic_of(conn).shares.keys() - {*wanted.shares, *wanted.roll_outs}:
        for model in conn.get_linked_models(name):
            conn.unlink_model_from_app(name, model)


def add_traffic(conn: ClipperConnection, wanted: TrafficState) -> None:
    """Add what is missing to applications that have what else they need."""
    there = traffic_of(conn)
    for name, target in wanted.roll_outs.items():
        if there.roll_outs.get(name) != target:
            conn.set_traffic(name, {other: share for other, share in wanted.shares[name].items() if other != target})
            conn.roll_out(name, target, steps=STEPS, step_s=STEP_S)
    for name, shares in wanted.shares.items():
        policy, is_there = wanted.policies.get(name), _describe_shares(there.shares.get(name, {}))
        is_right = is_there == _describe_shares(shares) and there.policies.get(name) == policy
        if name not in wanted.roll_outs and not is_right:
            conn.set_traffic(name, shares, policy=policy)
    for name in wanted.policies:
        conn.predict(name, [0.0], key=KEY)
    for name, target in wanted.shadows.items():
        if there.shadows.get(name) != target:
            conn.shadow(name, target)
    for name, token in wanted.tokens.items():
        if there.tokens.get(name) != token:
            conn.create_token(name, name=token)


def _shadow(conn: ClipperConnection, name: str) -> str | None:
    assert conn._management is not None
    with contextlib.suppress(NotFoundError):
        return str(conn._management.get_shadow_report(name).model)
    return None


def _describe_shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{target} {format_share(share)}" for target, share in sorted(shares.items()))
