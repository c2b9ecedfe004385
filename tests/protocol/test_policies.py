"""A policy is checked once, and each refusal says what is valid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.policies import POLICY_NAMES, Policy, check_policy, make_policy
from clipper_nb.protocol.route import Route, check_traffic, decode_route, encode_route, make_route


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_each_policy_needs_no_option(name: Any) -> None:
    policy = check_policy({"name": name}, 2)
    assert policy == Policy(name=name)
    assert str(policy) == name


def test_numbers_of_numpy_are_options() -> None:
    policy = check_policy({"name": "ucb", "half_life_s": np.int64(60), "default_weight": np.float32(0.5)}, 2)
    route = make_route({"m:1": 1.0, "m:2": 1.0}, policy)
    assert decode_route(encode_route(route)).policy == Policy(name="ucb", half_life_s=60.0, default_weight=0.5)


def test_options_are_shown_and_kept() -> None:
    policy = check_policy({"name": "exp4", "half_life_s": 60, "min_confidence": 1}, 3)
    assert str(policy) == "exp4, half_life_s=60.0, min_confidence=1.0"
    route = make_route({"m:1": 1.0, "m:2": 1.0}, policy)
    assert decode_route(encode_route(route)) == route
    assert str(route) == "m:1, m:2 by exp4, half_life_s=60.0, min_confidence=1.0"


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"name": "bandit"}, "policy must be one of 'weights', 'thompson'.*it is 'bandit'"),
        ({"name": None}, "policy must be one of"),
        ({"name": ["ucb"]}, "policy must be one of"),
        ({}, "policy must be one of"),
        ("thompson", "must be an object"),
        ({"name": "ucb", "half_live_s": 1}, "no option 'half_live_s'. It has half_life_s"),
        ({"name": "ucb", "half_life_s": 0}, "half_life_s must be a number of seconds above 0.*it is 0"),
        ({"name": "ucb", "half_life_s": math.nan}, "half_life_s must be"),
        ({"name": "ucb", "half_life_s": math.inf}, "half_life_s must be"),
        ({"name": "ucb", "half_life_s": True}, "half_life_s must be"),
        ({"name": "ensemble", "combine": "Blend"}, "combine must be 'vote', 'mean', or a model.*it is 'Blend'"),
        ({"name": "ensemble", "combine": len}, "deploy it as such a model first"),
        ({"name": "ucb", "default_weight": 0}, "default_weight must be a number above 0, at most 1; it is 0"),
        ({"name": "ensemble", "default_weight": 1}, "default_weight needs a policy that learns"),
        ({"name": "ucb", "half_life_s": "1 h"}, "half_life_s must be"),
        ({"name": "ucb", "explore": 1.5}, "explore must be a share from 0 to 1"),
        ({"name": "exp3", "explore": 0}, "exp3 needs explore above 0"),
        ({"name": "ensemble", "explore": 0.1}, "explore needs a policy that learns which one"),
        ({"name": "ensemble", "min_confidence": 1.01}, "min_confidence must be a share from 0 to 1"),
        ({"name": "ensemble", "min_confidence": -0.1}, "min_confidence must be a share from 0 to 1"),
        ({"name": "thompson", "min_confidence": 0.5}, "min_confidence needs policy 'ensemble' or 'exp4'"),
        ({"name": "thompson", "combine": "mean"}, "combine needs policy 'ensemble' or 'exp4'"),
        ({"name": "ensemble", "error_scale": 0}, "error_scale must be a number above 0"),
        ({"name": "ensemble", "by_key": True}, "by_key needs a policy that learns"),
        ({"name": "ucb", "by_key": 1}, "by_key must be True or False"),
    ],
)
def test_careless_use_is_refused(fields: Any, cause: str) -> None:
    with pytest.raises(InvalidRequestError, match=cause):
        check_policy(fields, 2)


def test_policy_of_one_target_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at least two targets; there is 1"):
        check_policy({"name": "ensemble"}, 1)


def test_options_without_a_policy_are_refused() -> None:
    assert make_policy(None, half_life_s=None, by_key=False, combine="vote") is None
    with pytest.raises(InvalidRequestError, match="half_life_s needs a policy"):
        make_policy(None, half_life_s=1.0)


def test_list_of_targets_has_equal_weights() -> None:
    weights, policy = check_traffic(["m:1", "m:2"], {"name": "ucb"})
    assert (weights, policy) == ({"m:1": 1.0, "m:2": 1.0}, Policy(name="ucb"))


@pytest.mark.parametrize("targets", [["m:1", "m:1"], ["m:1", 2], "ab", 5, [["m:1"], ["m:2"]]])
def test_targets_of_a_policy_are_different_texts(targets: Any) -> None:
    with pytest.raises(InvalidRequestError):
        check_traffic(targets, {"name": "ucb"})


def test_weights_that_are_learnt_cannot_differ() -> None:
    with pytest.raises(InvalidRequestError, match=r"learns the shares.*list: \['m:1', 'm:2'\]"):
        check_traffic({"m:1": 1, "m:2": 2}, {"name": "thompson"})
    assert check_traffic({"m:1": 1, "m:2": 2}, {"name": "ensemble"})[0] == {"m:1": 1.0, "m:2": 2.0}


def test_last_target_of_a_policy_needs_none() -> None:
    route = make_route({"m:1": 1.0, "m:2": 1.0, "m:3": 1.0}, Policy(name="ucb"))
    two = route.without(lambda target: target.version == "3")
    assert two is not None
    assert two.policy == Policy(name="ucb")
    assert two.without(lambda target: target.version == "2") == make_route({"m:1": 1.0})
    assert not route.is_link
    assert "policy" not in encode_route(Route(route.targets))
