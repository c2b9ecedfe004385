"""Which models and versions an application's queries may go to."""

from __future__ import annotations

import pytest

from clipper_nb.errors import (
    ApplicationNotFoundError,
    ExistsError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
)
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.provenance import Example, Provenance
from clipper_nb.runtime.management_frontend import rules, traffic_rules
from tests.support.records import make_application, make_configuration, make_routes, make_version

DIGITS = make_application()
V1 = make_version(registered_at=1.0)
V2 = make_version(version="2", registered_at=2.0)
LINKED = make_configuration(V1, V2, applications=(DIGITS,), links={"digits": "digits-net"})
WITH_OTHER = rules.register_version(LINKED, make_version("other"))


def route_after(weights, before=WITH_OTHER):
    route = traffic_rules.set_traffic(before, "digits", weights).routes.get("digits")
    return None if route is None else str(route)


def traffic(weights):
    return traffic_rules.set_traffic(WITH_OTHER, "digits", weights)


def test_model_is_linked():
    before = make_configuration(V1, applications=(DIGITS,))
    assert traffic_rules.link_model(before, "digits", "digits-net").routes == make_routes({"digits": "digits-net"})


def test_link_to_an_unknown_model_is_refused():
    before = make_configuration(V1, applications=(DIGITS,))
    with pytest.raises(ModelNotFoundError, match=r"No model with name 'digit-net' exists\. Models: digits-net\."):
        traffic_rules.link_model(before, "digits", "digit-net")


def test_link_to_a_model_without_a_current_version_is_refused():
    before = make_configuration(V1, applications=(DIGITS,), current={})
    with pytest.raises(ModelNotFoundError):
        traffic_rules.link_model(before, "digits", "digits-net")


def test_link_between_two_input_types_is_refused_with_both():
    before = make_configuration(make_version(input_type=InputType.DOUBLES), applications=(DIGITS,))
    with pytest.raises(InvalidRequestError, match=r"takes doubles .*takes strings"):
        traffic_rules.link_model(before, "digits", "digits-net")


def test_input_type_of_the_current_version_counts_for_a_link():
    doubles = make_version(version="2", input_type=InputType.DOUBLES)
    before = make_configuration(V1, doubles, applications=(DIGITS,), current={"digits-net": "1"})
    assert traffic_rules.link_model(before, "digits", "digits-net").routes == make_routes({"digits": "digits-net"})


def test_same_link_again_is_refused():
    with pytest.raises(ExistsError, match="already linked to application 'digits'"):
        traffic_rules.link_model(LINKED, "digits", "digits-net")


def test_second_model_is_refused_with_the_way_out():
    before = rules.register_version(LINKED, make_version("other"))
    with pytest.raises(ExistsError, match=r"unlink_model_from_app\('digits', 'digits-net'\)"):
        traffic_rules.link_model(before, "digits", "other")


def test_link_is_removed():
    assert traffic_rules.unlink_model(LINKED, "digits", "digits-net").routes == {}


@pytest.mark.parametrize("model_name", ["other", "digit-net"])
def test_link_that_does_not_exist_cannot_be_removed(model_name):
    with pytest.raises(NotFoundError, match="is not linked to application 'digits'"):
        traffic_rules.unlink_model(LINKED, "digits", model_name)


def test_unlinked_model_leaves_its_share_to_the_others():
    before = traffic({"digits-net:1": 50, "digits-net:2": 25, "other": 25})
    assert str(traffic_rules.unlink_model(before, "digits", "digits-net").routes["digits"]) == "other 100 %"
    assert str(traffic_rules.unlink_model(before, "digits", "other").routes["digits"]) == (
        "digits-net:1 66.7 %, digits-net:2 33.3 %"
    )


def test_link_while_traffic_is_set_is_refused_with_the_way_out():
    for weights in ({"digits-net:1": 90, "digits-net:2": 10}, {"digits-net:1": 1}):
        with pytest.raises(
            ExistsError, match=r"traffic set: digits-net:1 .*set_traffic\('digits', {'digits-net': 1}\)"
        ):
            traffic_rules.link_model(traffic(weights), "digits", "digits-net")


# --- traffic


@pytest.mark.parametrize(
    ("weights", "route"),
    [
        ({"digits-net:1": 90, "digits-net:2": 10}, "digits-net:1 90 %, digits-net:2 10 %"),
        ({"digits-net:1": 0.3, "digits-net": 0.1}, "digits-net:1 75 %, digits-net 25 %"),
        ({"other": 1, "digits-net": 2}, "other 33.3 %, digits-net 66.7 %"),
        ({"digits-net:1": 7}, "digits-net:1 100 %"),
    ],
)
def test_traffic_is_divided_by_weight(weights, route):
    assert route_after(weights) == route


def test_all_queries_to_a_model_are_a_link():
    assert traffic({"digits-net": 100}).routes == LINKED.routes
    assert traffic_rules.set_traffic(traffic({"other:1": 1}), "digits", {"digits-net": 3}).routes == LINKED.routes


def test_traffic_of_an_application_without_a_link_is_set():
    assert route_after({"digits-net:2": 1}, make_configuration(V1, V2, applications=(DIGITS,))) == "digits-net:2 100 %"


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ({"nobody": 1}, ModelNotFoundError, r"'nobody' exists. Models: digits-net, numbers, other"),
        ({"digits-net:9": 1}, ModelNotFoundError, r"version '9'.*Versions: 1, 2"),
        ({"digits-net:": 1}, ModelNotFoundError, r"version ''"),
        ({"digits-net:1": 1, "nobody:1": 1}, ModelNotFoundError, "'nobody'"),
        ({"numbers": 1}, InvalidRequestError, "takes doubles .*takes strings"),
        ({"digits-net": 1, "numbers:1": 1}, InvalidRequestError, "takes doubles .*takes strings"),
        ({"digits-net": 9, "digits-net:2": 1}, InvalidRequestError, "'digits-net' and 'digits-net:2' are the same"),
        ({"digits-net:2": 9, "digits-net": 1}, InvalidRequestError, "Name it once: as 'digits-net:2'"),
    ],
)
def test_traffic_to_what_cannot_answer_is_refused(weights, error, message):
    before = rules.register_version(WITH_OTHER, make_version("numbers", input_type=InputType.DOUBLES))
    with pytest.raises(error, match=message):
        traffic_rules.set_traffic(before, "digits", weights)
    with pytest.raises(ApplicationNotFoundError):
        traffic_rules.set_traffic(before, "digit", weights)


def test_target_without_a_version_follows_the_current_one():
    """A canary is promoted by making it current: then both targets are that version."""
    before = rules.set_current_version(WITH_OTHER, ModelId("digits-net", "1"))
    before = traffic_rules.set_traffic(before, "digits", {"digits-net": 90, "digits-net:2": 10})
    after = rules.set_current_version(before, ModelId("digits-net", "2"))
    route = after.routes["digits"]
    assert [after.version_of(target) for target in route.targets] == [V2, V2]


def test_unregistered_version_leaves_its_share_to_the_others():
    before = traffic({"digits-net:1": 90, "other": 10})
    after = rules.unregister_version(before, V1.model_id)
    assert str(after.routes["digits"]) == "other 100 %"
    again = rules.register_version(after, V1)
    assert again.routes == after.routes  # another version of that name gets nothing
    assert rules.unregister_version(traffic({"digits-net:1": 1}), V1.model_id).routes == {}
    assert rules.unregister_version(LINKED, V2.model_id).routes == make_routes({"digits": "digits-net"})


def test_models_with_traffic_keep_the_input_type():
    doubles = make_version("other", "2", InputType.DOUBLES)
    with pytest.raises(InvalidRequestError):
        rules.register_version(traffic({"digits-net:1": 90, "other:1": 10}), doubles)


def test_policy_is_part_of_the_route():
    policy = Policy(name="exp4", min_confidence=0.5)
    after = traffic_rules.set_traffic(WITH_OTHER, "digits", {"digits-net:1": 1.0, "other": 1.0}, policy)
    assert after.routes["digits"].policy == policy
    unregistered = rules.unregister_version(after, ModelId("digits-net", "1"))
    assert unregistered.routes["digits"].policy is None  # one target needs no choice


def test_mean_of_a_version_whose_sample_is_no_number_is_refused():
    told = make_version(version="3", provenance=Provenance(example=Example("a", "cat")))
    before = rules.register_version(WITH_OTHER, told)
    weights = {"digits-net:3": 1.0, "other": 1.0}
    with pytest.raises(InvalidRequestError, match=r"digits-net:3 answers 'cat', which is no number.*combine='vote'"):
        traffic_rules.set_traffic(before, "digits", weights, Policy(name="ensemble", combine="mean"))
    traffic_rules.set_traffic(before, "digits", weights, Policy(name="ensemble"))
