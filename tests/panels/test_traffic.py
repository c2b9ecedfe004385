"""The panel of traffic: what it shows, and how shares are moved, set, promoted and taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clipper_nb.panels.cluster_state import ApplicationState, ClusterState, TargetState
from clipper_nb.panels.counts import ShadowCounts
from clipper_nb.panels.history import Traffic
from clipper_nb.panels.traffic import TrafficPanel
from clipper_nb.panels.traffic_markup import score_interval
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.roll_out import ArmCounts, RollOutInfo
from tests.panels.standing import StandingConnection, click, click_in_row, is_asked, make_panel, outcome, settle, show
from tests.panels.states import application, cluster, version

Made = tuple[Any, StandingConnection]


def divided(name: str = "digits", **shares: float) -> ApplicationState:
    """Return an application whose queries go to versions of ``net``, by shares of ``v1``, ``v2`` …"""
    targets = [TargetState(f"net:{key[1:]}", f"net:{key[1:]}", share) for key, share in shares.items()]
    return application(name, targets=targets)


def seen(*applications: ApplicationState) -> ClusterState:
    versions = [version(str(number), at=float(number), is_current=number == 3) for number in (3, 2, 1)]
    return cluster(*applications, *versions)


@pytest.fixture
def made() -> Made:
    panel, conn = make_panel(TrafficPanel, seen(application("alone", targets=()), divided(v1=0.9, v2=0.1)))
    conn.weights = {"net:1": 9.0, "net:2": 1.0}
    return panel, conn


def move(panel: Any, target: str, per_cent: float) -> None:
    panel._sliders._handle_custom_msg({"target": target, "per_cent": per_cent}, [])
    settle(panel)


def sliders(panel: Any) -> dict[str, float]:
    return {target: pytest.approx(per_cent) for target, per_cent in panel._sliders.shares}


def set_calls(conn: StandingConnection) -> list[tuple[Any, ...]]:
    return [call[1:] for call in conn.calls if call[0] == "set_traffic"]


def test_divided_application_is_shown_first(made: Made) -> None:
    panel, _ = made
    assert panel._application.value == "digits"
    assert panel._application.options == (("alone", "alone"), ("digits", "digits"))
    assert sliders(panel) == {"net:1": 90, "net:2": 10}


def test_row_shows_wanted_and_got() -> None:
    bad = {"model_error": 0.02, "queued_too_long": 0.1}
    first = TargetState("net:1", "net:1", 0.9, Traffic(1.0, 0.004, 0.019, {}, num_queries=1780))
    second = TargetState("net", "net:3", 0.1, Traffic(1.0, 0.006, 0.5, bad, num_queries=220))
    panel, _ = make_panel(TrafficPanel, seen(application(targets=[first, second])))
    html = panel._picture.value
    assert "Traffic of digits in the last minute" in html
    for text in ("89 %", "1,780 of 2,000", "11 %", "220 of 2,000", "current version: 3", "4.0", "19", "500", "1 / 1"):
        assert text in html, text
    assert "<strong>12 %</strong>" in html
    assert ">queued_too_long 10 %<" in html
    assert ">2.0 %<" in html
    assert 'aria-label="All to it net:1"' in html
    saved = panel.render()
    assert "Traffic of digits in the last minute" in saved
    assert "button" not in saved


def test_target_that_has_no_replica_is_marked() -> None:
    gone = TargetState("other", None, 0.5)
    state = cluster(application(targets=[TargetState("net:1", "net:1", 0.5), gone]), version(num_connected=0))
    panel, _ = make_panel(TrafficPanel, state)
    assert panel.render().count("cl-problem") == 2


def test_moved_slider_leaves_the_others_the_rest(made: Made) -> None:
    panel, conn = made
    move(panel, "net:2", 40)
    assert sliders(panel) == {"net:1": 60, "net:2": 40}
    show(panel, seen(divided(v1=0.9, v2=0.1)))
    assert sliders(panel) == {"net:1": 60, "net:2": 40}, "the next poll leaves what the user chose"
    click(panel, panel._reset_button)
    assert sliders(panel) == {"net:1": 90, "net:2": 10}
    assert set_calls(conn) == []


def test_chosen_shares_are_set_without_a_question(made: Made) -> None:
    panel, conn = made
    assert panel._set_button.disabled
    move(panel, "net:2", 25)
    assert not panel._set_button.disabled
    click(panel, panel._set_button)
    assert set_calls(conn) == [("digits", {"net:1": 75.0, "net:2": 25.0})]
    assert "The queries of digits go to net:1 75 %, net:2 25 %." in outcome(panel)
    show(panel, seen(divided(v1=0.75, v2=0.25)))
    assert "elsewhere" not in outcome(panel)
    assert panel._set_button.disabled


def test_version_is_added_with_a_share(made: Made) -> None:
    panel, conn = made
    assert panel._version.options == (("net:3 (current)", "net:3"),)
    click(panel, panel._add_button)
    assert sliders(panel) == {"net:1": 90, "net:2": 10, "net:3": 0}
    assert panel._version.options == ()
    assert panel._set_button.disabled, "it has no share yet"
    move(panel, "net:3", 50)
    click(panel, panel._set_button)
    assert set_calls(conn) == [("digits", {"net:1": 45.0, "net:2": 5.0, "net:3": 50.0})]


def test_target_that_would_get_nothing_is_asked_about(made: Made) -> None:
    panel, conn = made
    move(panel, "net:2", 100)
    click(panel, panel._set_button)
    text = panel._question._text.value
    assert "Send the queries of digits to net:2 100 %? net:1 would get none." in text
    assert set_calls(conn) == []
    click(panel, panel._question.yes)
    assert set_calls(conn) == [("digits", {"net:2": 100.0})]


def test_row_is_promoted_after_a_yes(made: Made) -> None:
    panel, conn = made
    move(panel, "net:1", 50)
    click_in_row(panel, "promote", "net:2")
    assert is_asked(panel)
    click(panel, panel._question.yes)
    assert set_calls(conn) == [("digits", {"net:2": 100.0})]
    show(panel, seen(divided(v2=1.0)))
    assert sliders(panel) == {"net:2": 100}
    assert "elsewhere" not in outcome(panel)
    assert "All to it" not in panel._picture.value


def test_back_sets_what_was_before_each_change(made: Made) -> None:
    panel, conn = made
    assert panel._back_button.disabled
    move(panel, "net:2", 25)
    click(panel, panel._set_button)
    conn.weights = {"net:1": 75.0, "net:2": 25.0}
    show(panel, seen(divided(v1=0.75, v2=0.25)))
    move(panel, "net:2", 50)
    click(panel, panel._set_button)
    for weights in ({"net:1": 75.0, "net:2": 25.0}, {"net:1": 9.0, "net:2": 1.0}):
        assert not panel._back_button.disabled
        click(panel, panel._back_button)
        assert set_calls(conn)[-1] == ("digits", weights)
    assert "net:1 90 %, net:2 10 % again" in outcome(panel)
    assert panel._back_button.disabled


def test_back_is_kept_when_it_fails(made: Made) -> None:
    panel, conn = made
    move(panel, "net:2", 25)
    click(panel, panel._set_button)
    conn.set_traffic = lambda *_arguments: 1 / 0  # type: ignore[attr-defined]
    click(panel, panel._back_button)
    assert "ZeroDivisionError" in outcome(panel)
    assert not panel._back_button.disabled


def test_change_from_elsewhere_is_told_and_shown(made: Made) -> None:
    panel, _ = made
    move(panel, "net:2", 25)
    click_in_row(panel, "promote", "net:2")
    show(panel, seen(divided(v1=0.5, v2=0.5)))
    assert "changed elsewhere" in outcome(panel)
    assert not is_asked(panel)
    assert sliders(panel) == {"net:1": 50, "net:2": 50}


def test_application_without_a_model_gets_its_first(made: Made) -> None:
    panel, conn = made
    conn.weights = {}
    panel._application.value = "alone"
    settle(panel)
    assert "alone is linked to no model" in panel.render()
    panel._version.value = "net:2"
    click(panel, panel._add_button)
    click(panel, panel._set_button)
    assert set_calls(conn) == [("alone", {"net:2": 100.0})]
    assert panel._back_button.disabled, "there was nothing before"


def test_versions_of_other_input_types_are_not_offered() -> None:
    panel, _ = make_panel(TrafficPanel, seen(application(targets=(), input_type=InputType.STRINGS)))
    assert (panel._version.options, panel._add_button.disabled) == ((), True)
    assert "No applications yet" in make_panel(TrafficPanel, cluster())[0].render()


def test_application_that_is_asked_for_is_shown_when_seen() -> None:
    panel, _ = make_panel(TrafficPanel, cluster())
    panel.choose("other")
    show(panel, seen(divided(v1=1.0), divided("other", v1=0.5, v2=0.5)))
    assert panel._application.value == "other"


# --- policies, roll-outs, shadows


def rolling(status: Any = "running", **fields: Any) -> RollOutInfo:
    given = {"share": 0.1, "step": 1, "reason": "", **fields}
    return RollOutInfo(
        roll_out_id="r", app_name="digits", model="net:2", status=status, steps=[1, 10, 100], step_s=1, started_at=1.0,
        step_started_at=1.0, limit=20.0, evidence={"defaults": 3.4, "latency": 0.02},
        candidate=ArmCounts(num_queries=120), baseline=ArmCounts(num_queries=1080), **given,
    )  # fmt: skip


def test_roll_out_shows_its_step_and_what_speaks_against_it(made: Made) -> None:
    panel, conn = made
    assert panel._roll_out_row.layout.display == "none"
    show(panel, replace(seen(divided(v1=0.9, v2=0.1)), roll_outs=[rolling()]))
    html = panel.render()
    for text in (
        "running",
        "step 2 of 3: 10 %",
        "120, of the others 1,080",
        "defaults 3.4, latency 0.02; rolled back at 20",
    ):
        assert text in html, text
    assert panel._roll_out_row.layout.display == "flex"
    assert panel._sliders.is_enabled is False
    assert "All to it" not in panel._picture.value
    move(panel, "net:2", 50)
    assert sliders(panel) == {"net:1": 90, "net:2": 10}
    abort, promote = panel._roll_out_row.children[1], panel._roll_out_row.children[0]
    click(panel, promote)
    assert is_asked(panel)
    click(panel, panel._question.yes)
    click(panel, abort)
    assert conn.calls == [("promote_roll_out", "digits"), ("abort_roll_out", "digits")]
    show(
        panel, replace(seen(divided(v1=1.0)), roll_outs=[rolling("rolled_back", reason="defaults: 6 of 50 against 0")])
    )
    assert "defaults: 6 of 50 against 0" in panel.render()
    assert panel._roll_out_row.layout.display == "none"
    assert abort.disabled
    assert panel._sliders.is_enabled


def test_scores_have_their_interval(made: Made) -> None:
    panel, conn = made
    assert "Score" not in panel.render()
    conn.scores = {"net:1": 0.9}
    show(panel, seen(divided(v1=0.9, v2=0.1)))
    assert "Score" in panel.render()
    assert "<strong>0.900</strong>" in panel.render()
    assert "0.83 to 0.94, n=100" in panel.render()


@pytest.mark.parametrize(
    ("mean", "num", "low", "high"), [(0.5, 100, 0.4038, 0.5962), (0.0, 10, 0.0, 0.2775), (1.0, 10, 0.7225, 1.0)]
)
def test_interval_is_wilsons(mean: float, num: float, low: float, high: float) -> None:
    assert score_interval(mean, num) == pytest.approx((low, high), abs=1e-4)


def test_policy_is_ended_after_a_yes_and_comes_back(made: Made) -> None:
    panel, conn = made
    conn.policy = Policy(name="epsilon-greedy", explore=0.2)
    state = seen(replace(divided(v1=0.5, v2=0.5), policy=conn.policy))
    show(panel, state)
    assert "The policy epsilon-greedy, explore=0.2 decides who answers" in panel.render()
    assert panel.render().count("learnt") == 2
    move(panel, "net:2", 25)
    click(panel, panel._set_button)
    assert "That ends the policy epsilon-greedy." in panel._question._text.value
    click(panel, panel._question.yes)
    conn.policy = None
    show(panel, seen(divided(v1=0.75, v2=0.25)))
    click(panel, panel._back_button)
    assert set_calls(conn)[-1] == ("digits", conn.weights, {"policy": "epsilon-greedy", "explore": 0.2})


def test_shadow_shows_its_agreement(made: Made) -> None:
    panel, _ = made
    names = ("queries", "dropped", "compared", "agreed")
    values = {f"clipper_shadow_{name}_total": value for name, value in zip(names, (1300, 100, 1200, 1182), strict=True)}
    show(panel, seen(replace(divided(v1=1.0), shadow=ShadowCounts("net:3", values))))
    assert "98 % of 1,200 agree, 100 of 1,300 queries dropped" in panel.render()
    show(panel, seen(replace(divided(v1=1.0), shadow=ShadowCounts("net:3"))))
    assert "nothing compared yet" in panel.render()
