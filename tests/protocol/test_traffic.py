"""How the division of an application's queries is shown."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.records import Replica
from clipper_nb.protocol.route import make_route
from clipper_nb.protocol.score_books import arm_of
from clipper_nb.protocol.score_counts import Counts
from clipper_nb.protocol.traffic import ApplicationTraffic, describe_traffic
from tests.support.records import make_application, make_configuration, make_version

V1, V2 = make_version(), make_version(version="2")
NOT_LINKED = make_configuration(V1, V2, applications=(make_application(),))
REPLICAS = [Replica("digits-net", "1", number, V1.input_type) for number in range(2)]


def described(weights):
    configuration = replace(NOT_LINKED, routes={"digits": make_route(weights)})
    return describe_traffic(configuration, "digits", REPLICAS)


def test_every_target_has_its_share_and_its_version():
    traffic = described({"digits-net:1": 30, "digits-net": 10})
    assert traffic.shares == {"digits-net:1": 0.75, "digits-net": 0.25}
    first, second = traffic.targets
    assert (first.target, first.model, first.weight, first.num_replicas) == ("digits-net:1", "digits-net:1", 30.0, 2)
    assert (second.target, second.model, second.weight, second.num_replicas) == ("digits-net", "digits-net:2", 10.0, 0)


def test_repr_names_shares_versions_and_missing_replicas():
    assert repr(described({"digits-net:1": 90, "digits-net": 10})) == (
        "<Traffic of 'digits': digits-net:1 90 %, digits-net (now digits-net:2) 10 % without a replica>"
    )
    assert repr(describe_traffic(NOT_LINKED, "digits", REPLICAS)) == "<Traffic of 'digits': no model is linked>"


def test_model_without_a_current_version_is_shown():
    configuration = replace(NOT_LINKED, routes={"digits": make_route({"gone": 1})})
    assert repr(describe_traffic(configuration, "digits", [])) == "<Traffic of 'digits': gone 100 % without a replica>"


def test_traffic_survives_a_round_trip():
    traffic = described({"digits-net:1": 90, "digits-net:2": 10})
    assert msgspec.json.decode(msgspec.json.encode(traffic), type=ApplicationTraffic) == traffic


def test_scores_of_feedback_and_the_policy_are_shown():
    policy = Policy(name="thompson", half_life_s=60.0)
    configuration = replace(NOT_LINKED, routes={"digits": make_route({"digits-net:1": 1, "digits-net:2": 1}, policy)})
    scores = {arm_of(V1): Counts(40.0, 30.0, 0.0), "gone:1@1.000000": Counts(5.0, 5.0, 0.0)}
    traffic = describe_traffic(configuration, "digits", REPLICAS, scores)
    assert [(target.score, target.num_scores) for target in traffic.targets] == [(0.75, 40.0), (None, 0.0)]
    assert repr(traffic) == (
        "<Traffic of 'digits' by thompson, half_life_s=60.0: digits-net:1 50 % (score 0.75 of 40), digits-net:2 50 % "
        "without a replica>"
    )
    assert msgspec.json.decode(msgspec.json.encode(traffic), type=ApplicationTraffic) == traffic
