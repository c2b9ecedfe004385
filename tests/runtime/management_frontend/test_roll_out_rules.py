"""How roll-outs and shadows begin and end, as changes of the configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clipper_nb.errors import ApplicationNotFoundError, ExistsError, InvalidRequestError, NotFoundError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.roll_out import RollOutPlan
from clipper_nb.protocol.route import make_route
from clipper_nb.protocol.shadow import Shadow
from clipper_nb.runtime.management_frontend import roll_out_rules, rules, shadow_rules, traffic_rules
from tests.support.records import make_application, make_configuration, make_version

V1, V2, V3 = (make_version(version=version, registered_at=float(version)) for version in "123")
BEFORE = replace(
    make_configuration(
        V1, V2, V3, make_version("doubles", input_type=InputType.DOUBLES), applications=(make_application(),)
    ),
    routes={"digits": make_route({"digits-net:1": 1})},
)
SETS = "A roll-out of digits-net:2 sets the traffic"
PLAN = RollOutPlan("digits", "digits-net", "2", (10.0, 50.0, 100.0))


def start(before=BEFORE, plan=PLAN, num_replicas=1):
    return roll_out_rules.start_roll_out(before, plan, roll_out_id="id", num_replicas=num_replicas, at=1000.0)


def roll_out_of(configuration):
    return configuration.roll_outs["digits"]


def shares(configuration):
    return str(configuration.routes["digits"])


def test_steps_raise_the_share_until_all_is_the_versions():
    configuration = start()
    assert shares(configuration) == "digits-net:1 90 %, digits-net:2 10 %"
    assert roll_out_of(configuration).plan.max_latency_s == 0.1  # the SLO
    configuration = roll_out_rules.next_step(configuration, roll_out_of(configuration), at=1060.0)
    assert shares(configuration) == "digits-net:1 50 %, digits-net:2 50 %"
    assert roll_out_of(configuration).step_started_at == 1060.0
    configuration = roll_out_rules.next_step(configuration, roll_out_of(configuration), at=1120.0)
    assert shares(configuration) == "digits-net:2 100 %"
    assert roll_out_of(configuration).status == "promoted"
    assert [str(event) for event in roll_out_of(configuration).events] == [
        "00:16:40 digits-net:2 gets 10 %",
        "00:17:40 digits-net:2 gets 50 %",
        "00:18:40 digits-net:2 gets 100 %: it was not worse at any step",
    ]


def test_roll_back_restores_what_was_before():
    before = replace(BEFORE, routes={"digits": make_route({"digits-net:1": 3, "digits-net:3": 1})})
    configuration = start(before)
    assert shares(configuration) == "digits-net:1 67.5 %, digits-net:3 22.5 %, digits-net:2 10 %"
    configuration = roll_out_rules.roll_back(
        configuration, roll_out_of(configuration), "rolled_back", "worse", at=1001.0
    )
    assert configuration.routes == before.routes
    assert (roll_out_of(configuration).status, roll_out_of(configuration).reason) == ("rolled_back", "worse")


def test_canary_with_a_share_is_compared_with_the_others():
    before = replace(BEFORE, routes={"digits": make_route({"digits-net:1": 9, "digits-net:2": 1})})
    configuration = start(before)
    configuration = roll_out_rules.roll_back(configuration, roll_out_of(configuration), "aborted", "a user", at=1001.0)
    assert shares(configuration) == "digits-net:1 100 %"


def test_answers_are_kept_for_feedback_as_before():
    kept = replace(
        BEFORE, routes={"digits": make_route({"digits-net:1": 1, "digits-net:3": 1}, Policy(name="weights"))}
    )
    configuration = start(kept)
    assert configuration.routes["digits"].policy == Policy(name="weights")
    assert shares(configuration) == "digits-net:1 45 %, digits-net:3 45 %, digits-net:2 10 %"
    rolled_back = roll_out_rules.roll_back(configuration, roll_out_of(configuration), "rolled_back", "worse", at=1.0)
    assert rolled_back.routes == kept.routes


@pytest.mark.parametrize(
    "policy", [Policy(name="thompson"), Policy(name="exp4"), Policy(name="weights", half_life_s=9)]
)
def test_roll_out_beside_a_policy_is_refused(policy):
    divided = replace(BEFORE, routes={"digits": make_route({"digits-net:1": 1, "digits-net:3": 1}, policy)})
    with pytest.raises(InvalidRequestError, match=f"divided by the policy {policy.name}.*needs fixed shares"):
        start(divided)


def test_pause_keeps_the_share_and_a_step_goes_on():
    configuration = start()
    configuration = roll_out_rules.pause(configuration, roll_out_of(configuration), "few", at=1001.0)
    assert shares(configuration) == "digits-net:1 90 %, digits-net:2 10 %"
    assert roll_out_of(configuration).is_under_way
    configuration = roll_out_rules.next_step(configuration, roll_out_of(configuration), at=1002.0)
    assert (roll_out_of(configuration).status, roll_out_of(configuration).reason) == ("running", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: start(c), "has a roll-out under way: digits-net:2 at 10 %"),
        (lambda c: traffic_rules.set_traffic(c, "digits", {"digits-net:1": 1}), SETS),
        (lambda c: traffic_rules.link_model(c, "digits", "digits-net"), SETS),
        (lambda c: traffic_rules.unlink_model(c, "digits", "digits-net"), SETS),
    ],
    ids=["second roll-out", "traffic", "link", "unlink"],
)  # fmt: skip
def test_nothing_else_sets_the_traffic_meanwhile(change, message):
    with pytest.raises(ExistsError, match=message):
        change(start())
    ended = roll_out_rules.end(start(), roll_out_of(start()), "over", at=1001.0)
    if "second" not in message:
        traffic_rules.set_traffic(ended, "digits", {"digits-net:1": 1})


@pytest.mark.parametrize(
    ("before", "plan", "num_replicas", "error", "message"),
    [
        (BEFORE, replace(PLAN, app_name="nobody"), 1, ApplicationNotFoundError, "nobody"),
        (BEFORE, replace(PLAN, version="9"), 1, NotFoundError, "version '9'"),
        (BEFORE, replace(PLAN, model_name="doubles", version="1"), 1, InvalidRequestError, "must be the same"),
        (BEFORE, replace(PLAN, version="1"), 1, InvalidRequestError, "answers all queries of application"),
        (BEFORE, PLAN, 0, InvalidRequestError, r"no connected replica.*set_num_replicas\('digits-net', 1, '2'\)"),
        (replace(BEFORE, routes={}), PLAN, 1, InvalidRequestError, "nothing to compare digits-net:2 with"),
        (replace(BEFORE, routes={"digits": make_route({"digits-net": 1})}), replace(PLAN, version="3"), 1,
         InvalidRequestError, "it is the current version. Pin the one before first"),
    ],
    ids=["application", "version", "type", "has all", "no replica", "no link", "current"],
)  # fmt: skip
def test_careless_roll_outs_are_refused(before, plan, num_replicas, error, message):
    with pytest.raises(error, match=message):
        start(before, plan, num_replicas)


def test_what_breaks_a_roll_out_is_said():
    configuration = start()
    assert roll_out_rules.why_broken(configuration, roll_out_of(configuration)) is None
    without_it = rules.unregister_version(configuration, ModelId("digits-net", "2"))
    assert "not registered any more" in roll_out_rules.why_broken(without_it, roll_out_of(without_it))
    without_other = rules.unregister_version(configuration, ModelId("digits-net", "1"))
    assert "is gone" in roll_out_rules.why_broken(without_other, roll_out_of(without_other))


def test_version_that_becomes_current_ends_its_roll_out():
    before = replace(BEFORE, routes={"digits": make_route({"digits-net": 1})}, current_versions={"digits-net": "1"})
    configuration = rules.set_current_version(start(before), ModelId("digits-net", "2"))
    assert "became current" in roll_out_rules.why_broken(configuration, roll_out_of(configuration))


def test_application_takes_its_roll_out_and_shadow_along():
    configuration = shadow_rules.set_shadow(start(), "digits", Shadow("digits-net", "3"))
    gone = rules.unregister_application(configuration, "digits")
    assert (gone.roll_outs, gone.shadows) == ({}, {})


def test_only_what_is_under_way_is_found():
    with pytest.raises(NotFoundError, match="Application 'digits' has no roll-out"):
        roll_out_rules.find_under_way(BEFORE, "digits")
    ended = roll_out_rules.end(start(), roll_out_of(start()), "over", at=1001.0)
    with pytest.raises(NotFoundError, match=r"has ended: ended \(over\)"):
        roll_out_rules.find_under_way(ended, "digits")


# --- shadows


def test_shadow_is_set_replaced_and_ended():
    shadow = Shadow("digits-net", "2", 0.5, 1.0)
    configuration = shadow_rules.set_shadow(BEFORE, "digits", shadow)
    assert configuration.shadows == {"digits": shadow}
    configuration = shadow_rules.set_shadow(configuration, "digits", Shadow("digits-net", "3"))
    assert configuration.shadows == {"digits": Shadow("digits-net", "3")}
    assert shadow_rules.set_shadow(configuration, "digits", None).shadows == {}
    assert rules.unregister_version(configuration, ModelId("digits-net", "3")).shadows == {}


@pytest.mark.parametrize(
    ("shadow", "error", "message"),
    [
        (Shadow("digits-net", "1"), InvalidRequestError, "the shadow of itself"),
        (Shadow("digits-net", "9"), NotFoundError, "version '9'"),
        (Shadow("doubles", "1"), InvalidRequestError, "input types must be the same"),
        (None, NotFoundError, "Application 'digits' has no shadow"),
    ],
    ids=["itself", "unknown", "type", "none to end"],
)
def test_careless_shadows_are_refused(shadow, error, message):
    with pytest.raises(error, match=message):
        shadow_rules.set_shadow(BEFORE, "digits", shadow)


def test_shadow_of_nothing_is_refused():
    with pytest.raises(InvalidRequestError, match="nothing to compare digits-net:2 with"):
        shadow_rules.set_shadow(replace(BEFORE, routes={}), "digits", Shadow("digits-net", "2"))
