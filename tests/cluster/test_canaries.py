"""A new version gets its share, and nothing more, of the applications that were named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import pytest

from clipper_nb.cluster.canaries import Canary, check_canaries, give_shares, keeping_versions, parse_canaries
from clipper_nb.errors import ApplicationNotFoundError, InvalidRequestError
from clipper_nb.protocol.descriptions import ApplicationInfo, TargetInfo
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.roll_out import RollOutInfo
from clipper_nb.protocol.traffic import ApplicationTraffic, TrafficTarget

BIRDS = Canary("birds", 0.1)


class Applications:
    """Applications whose queries are divided; ``"m"`` means a current version."""

    def __init__(self, **weights: Mapping[str, float]) -> None:
        self.weights = dict(weights)
        self.current = "m:1"

    def get_traffic(self, name: str) -> ApplicationTraffic:
        weights = self.weights[name]
        total = sum(weights.values())
        return ApplicationTraffic(
            name,
            tuple(
                TrafficTarget(target, self.current if target == "m" else target, weight, weight / total, 1)
                for target, weight in weights.items()
            ),
        )

    def set_traffic(self, name: str, weights: Mapping[str, float]) -> ApplicationTraffic:
        self.weights[name] = dict(weights)
        return self.get_traffic(name)


class Known:
    """What the management frontend knows."""

    def __init__(self, applications: Sequence[ApplicationInfo], *roll_outs: RollOutInfo) -> None:
        self.get_applications = lambda: applications
        self.get_roll_outs = lambda: roll_outs


def info(
    name: str, model: str | None = "m:1", *targets: str, input_type: str = "doubles", policy: Any = None
) -> ApplicationInfo:
    return ApplicationInfo(
        name=name, input_type=InputType(input_type), default_output="", slo_micros=1000, model=model,
        linked_models=[] if model is None else ["m"], policy=policy and Policy(name=policy),
        traffic=[TargetInfo(target=target, weight=1.0, share=1 / len(targets)) for target in targets],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "share"), [("birds=10", 0.1), ("birds=12.5%", 0.125), ("birds=0.01", 0.0001), ("birds=99", 0.99)]
)
def test_share_is_in_per_cent(text: str, share: float) -> None:
    assert parse_canaries([text]) == [Canary("birds", pytest.approx(share))]


@pytest.mark.parametrize(
    "text", ["birds", "birds=", "=10", "birds=0", "birds=100", "birds=-1", "birds=nan", "birds=a=1"]
)
def test_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="--canary must be an application and a per cent above 0"):
        parse_canaries([text])


def test_application_is_named_once() -> None:
    with pytest.raises(InvalidRequestError, match="'birds' 2 times"):
        parse_canaries(["birds=10", "fish=1", "birds=20"])


@pytest.mark.parametrize(
    ("applications", "error", "match"),
    [
        ([info("fish")], ApplicationNotFoundError, "fish"),
        ([info("birds", input_type="strings")], InvalidRequestError, "takes strings and the model doubles"),
        ([info("birds", policy="ucb")], InvalidRequestError, "The policy ucb decides"),
        ([info("birds", None)], InvalidRequestError, "use --link birds"),
        (
            [info("birds"), info("fish")],
            InvalidRequestError,
            r"--canary fish=10, .* conn.set_traffic\('fish', {'m:1': 1}",
        ),
        ([info("birds"), info("fish", "m:1", "m", "n:1")], InvalidRequestError, "'fish' sends its queries"),
    ],
)
def test_canary_that_is_none_is_refused(applications: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        check_canaries(Known(applications), [BIRDS], "m", InputType.DOUBLES)


@pytest.mark.parametrize("status", ["running", "paused", "promoted"])
def test_canary_beside_a_roll_out_is_refused(status: Any) -> None:
    roll_out = RollOutInfo(
        roll_out_id="r", app_name="birds", model="m:1", status=status, share=0.1, step=0, steps=[10, 100], step_s=1,
        started_at=1.0, step_started_at=1.0,
    )  # fmt: skip
    expected = nullcontext() if status == "promoted" else pytest.raises(InvalidRequestError, match="roll-out of m:1")
    with expected:
        check_canaries(Known([info("birds")], roll_out), [BIRDS], "m", InputType.DOUBLES)


def test_other_applications_may_have_their_own_versions() -> None:
    others = [info("pinned", "m:1", "m:1"), info("empty", None), info("texts", None, input_type="strings")]
    check_canaries(Known([info("birds"), *others]), [BIRDS], "m", InputType.DOUBLES)
    check_canaries(Known([info("birds"), info("fish")]), [BIRDS, Canary("fish", 0.5)], "m", InputType.DOUBLES)


def test_version_keeps_its_queries_until_the_new_has_its_share() -> None:
    conn = Applications(birds={"m": 3.0, "other": 1.0})
    with keeping_versions(conn, [BIRDS], "m"):
        assert conn.weights["birds"] == {"m:1": 3.0, "other": 1.0}
        conn.current = "m:2"
    give_shares(conn, [BIRDS], "m:2")
    assert conn.weights["birds"] == {"m:1": 67.5, "other": 22.5, "m:2": 10.0}


def test_same_version_by_two_names_is_kept_once() -> None:
    conn = Applications(birds={"m": 3.0, "m:1": 1.0})
    with keeping_versions(conn, [BIRDS], "m"):
        assert conn.weights["birds"] == {"m:1": 4.0}


def test_failed_deploy_leaves_the_traffic_as_it_was() -> None:
    conn = Applications(birds={"m": 1.0}, pinned={"m:1": 1.0})
    with pytest.raises(KeyboardInterrupt), keeping_versions(conn, [BIRDS, Canary("pinned", 0.5)], "m"):
        raise KeyboardInterrupt
    assert conn.weights == {"birds": {"m": 1.0}, "pinned": {"m:1": 1.0}}


def test_failed_deploy_leaves_what_another_caller_set() -> None:
    conn = Applications(birds={"m": 1.0})
    with suppress(KeyboardInterrupt), keeping_versions(conn, [BIRDS], "m"):
        conn.set_traffic("birds", {"other": 1.0})
        raise KeyboardInterrupt
    assert conn.weights["birds"] == {"other": 1.0}
