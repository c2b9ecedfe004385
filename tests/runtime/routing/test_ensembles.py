"""One answer of several: what most of the weight says, or the mean; and how far the targets agree."""

from __future__ import annotations

import itertools
import json
import math
from random import Random

import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.score_counts import Counts
from clipper_nb.runtime.routing.ensembles import Ensemble, Exp4
from clipper_nb.runtime.routing.policy_state import PolicyState
from clipper_nb.runtime.routing.selection import Combined

THREE = PolicyState({"a@1": 2.0, "b@1": 1.0, "c@1": 1.0}, {})


def test_most_weight_wins_the_vote() -> None:
    vote = Ensemble().combine
    assert vote(THREE, {"a@1": "1", "b@1": "2", "c@1": "2"}).confidence == 0.5
    assert vote(THREE, {"a@1": "1", "b@1": "1.0", "c@1": "2"}) == Combined("1", 0.75)
    assert vote(THREE, {"b@1": "cat", "c@1": '"cat"'}) == Combined("cat", 0.5)


def test_outputs_that_mean_the_same_agree() -> None:
    assert Ensemble().combine(THREE, {"a@1": '{"x":1,"y":2}', "b@1": '{"y":2,"x":1}'}).confidence == 0.75


@pytest.mark.parametrize("pair", [("[7,1]", "[7.0,1.0]"), ('{"x":[1]}', '{"x":[1.0]}'), ("[[0.0]]", "[[-0.0]]")])
def test_whole_numbers_within_outputs_agree_too(pair: tuple[str, str]) -> None:
    vote = Ensemble().combine
    assert vote(
        PolicyState({"a@1": 1.0, "b@1": 1.0, "c@1": 1.5}, {}), {"c@1": "[9]", "a@1": pair[0], "b@1": pair[1]}
    ) == (Combined(pair[0], 2.0 / 3.5))
    big = '{"x":9007199254740993}', '{"x":9007199254740992}'
    assert vote(THREE, {"b@1": big[0], "c@1": big[1]}).confidence == 0.25


def test_equal_votes_do_not_depend_on_who_is_first() -> None:
    arms = {"a@1": 1.0, "b@1": 1.0, "c@1": 1.0}
    outputs = {"a@1": "1", "b@1": "2", "c@1": "3"}
    for order in itertools.permutations(outputs):
        came = {arm: outputs[arm] for arm in order}
        assert Ensemble().combine(PolicyState(arms, {}), came).output == "1"
        asked = Ensemble("combiner").combine(PolicyState(arms, {}), came).output
        assert list(json.loads(asked)["predictions"]) == ["a", "b", "c"]


def test_targets_that_did_not_answer_lower_the_confidence() -> None:
    assert Ensemble().combine(THREE, {"b@1": "1"}) == Combined("1", 0.25)
    assert Ensemble("mean").combine(THREE, {"b@1": "1", "c@1": "3"}) == Combined("2.0", 0.5)


def test_mean_is_weighted_and_keeps_the_shape() -> None:
    mean = Ensemble("mean").combine
    assert mean(THREE, {"a@1": "1", "b@1": "2", "c@1": "4"}).output == "2.0"
    assert mean(THREE, {"a@1": "[[1,2],[3,4]]", "b@1": "[[4,2],[3,4]]"}).output == "[[2.0,2.0],[3.0,4.0]]"


def test_scale_says_which_numbers_agree() -> None:
    combined = Ensemble("mean", error_scale=1.0).combine(THREE, {"a@1": "1", "b@1": "1", "c@1": "5"})
    assert combined == Combined("2.0", 0.75)


@pytest.mark.parametrize("output", ['"cat"', "null", "[1,[2]]", "true", '"NaN"'])
def test_what_has_no_mean_names_its_model(output: str) -> None:
    with pytest.raises(InvalidInputError, match=r"The output of m:2, .*Use combine='vote'"):
        Ensemble("mean").combine(PolicyState({"m:1@1": 1.0, "m:2@1": 1.0}, {}), {"m:1@1": "1", "m:2@1": output})


def test_different_shapes_have_no_mean() -> None:
    with pytest.raises(InvalidInputError, match=r"m:1 and m:2 have different shapes, \(2,\) and \(1,\)"):
        Ensemble("mean").combine(PolicyState({"m:1@1": 1.0, "m:2@1": 1.0}, {}), {"m:1@1": "[1,2]", "m:2@1": "[1]"})


def test_all_targets_are_asked() -> None:
    assert [selected.arm for selected in Exp4().select(THREE, Random(1))] == ["a@1", "b@1", "c@1"]


def test_exp4_begins_with_the_weights_that_were_set() -> None:
    assert Exp4().weights(THREE) == THREE.weights


def test_exp4_follows_the_target_that_is_right() -> None:
    policy, state = Exp4(), PolicyState({"a": 1.0, "b": 1.0, "c": 1.0}, {})
    for _ in range(30):
        state = state.plus(policy.observe({"a": 1.0, "b": 0.0, "c": 0.0}, {}))
    assert policy.combine(state, {"a": "1", "b": "2", "c": "2"}).output == "1"


def test_exp4_counts_a_late_target_with_its_mean() -> None:
    """A straggler that is right when it answers loses nothing by being late."""
    state = PolicyState({"a": 1.0, "b": 1.0}, {"a": Counts(100.0, 80.0, 0.0), "b": Counts(10.0, 8.0, 0.0)})
    weights = Exp4().weights(state)
    assert weights["a"] == pytest.approx(weights["b"])


@pytest.mark.slow
def test_exp4_keeps_its_regret_bound() -> None:
    """The weighted loss, against the best target in hindsight, while the best one changes."""
    policy, random = Exp4(), Random(1)
    state = policy.init(dict.fromkeys("abcd", 1.0))
    loss = 0.0
    for number in range(3000):
        means = {"a": 0.9 if number < 1000 else 0.4, "b": 0.8, "c": 0.6, "d": 0.5}
        scores = {arm: float(random.random() < mean) for arm, mean in means.items()}
        weights = policy.weights(state)
        loss += math.fsum(weights[arm] * (1 - score) for arm, score in scores.items()) / math.fsum(weights.values())
        state = state.plus(policy.observe(scores, {}))
    best = min(3000 - state.of(arm).total for arm in "abcd")
    assert loss - best < Exp4.regret_bound(4, 3000)
