"""Policies that ask one target: the best one more often, and each again when it has become better."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.score_counts import Counts
from clipper_nb.runtime.routing.bandits import Exp3, FixedShares, ThompsonSampling, UpperConfidenceBound
from clipper_nb.runtime.routing.choose_policy import make_selection
from clipper_nb.runtime.routing.policy_state import PolicyState
from clipper_nb.runtime.routing.selection import SelectionPolicy
from tests.support.examples import examples

MEANS = {"a": 0.9, "b": 0.8, "c": 0.6, "d": 0.5}
LEARNING = ("thompson", "ucb", "epsilon-greedy", "exp3")


def play(
    policy: SelectionPolicy, state: PolicyState, means: Mapping[str, float], num: int, random: Random, kept: float = 1.0
) -> tuple[PolicyState, dict[str, float]]:
    """Return the state after some queries with feedback, and the shares; *kept* of all counts are kept at each."""
    asked = dict.fromkeys(means, 0)
    for _ in range(num):
        (selected,) = policy.select(state, random)
        asked[selected.arm] += 1
        score = float(random.random() < means[selected.arm])
        added = policy.observe({selected.arm: score}, {selected.arm: selected.propensity})
        state = (state if kept == 1.0 else state.faded(kept)).plus(added)
    return state, {arm: count / num for arm, count in asked.items()}


@pytest.mark.parametrize("name", LEARNING)
def test_best_of_four_is_asked_most(name: str) -> None:
    policy, random = make_selection(Policy(name=name)), Random(5)
    state, _ = play(policy, policy.init(dict.fromkeys(MEANS, 1.0)), MEANS, 2000, random)
    _, shares = play(policy, state, MEANS, 500, random)
    assert max(shares, key=lambda arm: shares[arm]) == "a"
    assert min(shares.values()) > 0.0 or name in ("thompson", "ucb", "epsilon-greedy")


def test_thompson_gives_nine_tenths_to_the_best() -> None:
    policy, random = ThompsonSampling(0.02), Random(1)
    state, _ = play(policy, policy.init(dict.fromkeys(MEANS, 1.0)), MEANS, 2000, random)
    _, shares = play(policy, state, MEANS, 500, random)
    assert shares["a"] > 0.9


@pytest.mark.parametrize("name", LEARNING)
def test_faded_counts_find_who_has_become_the_best(name: str) -> None:
    policy, random = make_selection(Policy(name=name)), Random(3)
    kept = 2.0 ** (-1 / 200)
    state, _ = play(policy, policy.init({"a": 1.0, "b": 1.0}), {"a": 0.9, "b": 0.5}, 1500, random, kept)
    state, _ = play(policy, state, {"a": 0.2, "b": 0.5}, 1500, random, kept)
    _, shares = play(policy, state, {"a": 0.2, "b": 0.5}, 300, random, kept)
    assert shares["b"] > 0.6


@pytest.mark.parametrize("name", LEARNING)
def test_cold_target_is_asked_and_never_alone(name: str) -> None:
    """Feedback for it may never come: an infinite bound would then send it every query."""
    policy, random = make_selection(Policy(name=name)), Random(2)
    state = PolicyState({"a": 1.0, "new": 1.0}, {"a": Counts(100.0, 95.0, 95.0)})
    asked = [policy.select(state, random)[0].arm for _ in range(300)]
    assert 3 <= asked.count("new") <= 270


def test_shares_without_learning_are_those_of_the_weights() -> None:
    policy, random = FixedShares(), Random(1)
    state = PolicyState({"a": 3.0, "b": 1.0}, {"b": Counts(1000.0, 1000.0, 0.0)})
    asked = [policy.select(state, random)[0].arm for _ in range(4000)]
    assert abs(asked.count("b") - 1000) < 3.29 * (4000 * 0.25 * 0.75) ** 0.5


@examples(200)
@given(st.lists(st.floats(0, 1e12), min_size=2, max_size=6), st.floats(0.01, 1.0))
def test_exp3_has_probabilities_above_its_floor(estimates: list[float], explore: float) -> None:
    arms = [str(number) for number in range(len(estimates))]
    state = PolicyState(
        dict.fromkeys(arms, 1.0),
        {arm: Counts(1.0, 1.0, estimate) for arm, estimate in zip(arms, estimates, strict=True)},
    )
    probabilities = Exp3(explore).probabilities(state)
    assert sum(probabilities) == pytest.approx(1.0)
    assert min(probabilities) >= explore / len(arms) * (1 - 1e-9)


def test_exp3_divides_by_the_probability_it_asked_with() -> None:
    assert Exp3(0.1).observe({"a": 0.5}, {"a": 0.25}) == {"a": Counts(1.0, 0.5, 2.0)}
    assert Exp3(0.1).observe({"a": 0.5}, {"a": None}) == {"a": Counts(1.0, 0.5, 0.0)}


@pytest.mark.slow
def test_exp3_keeps_its_regret_bound() -> None:
    num = 4000
    policy = Exp3(Exp3.exploration_for(4, num))
    for seed in range(3):
        random = Random(seed)
        state, _ = play(policy, policy.init(dict.fromkeys(MEANS, 1.0)), MEANS, num, random)
        reward = sum(state.of(arm).total for arm in MEANS)
        assert 0.9 * num - reward < Exp3.regret_bound(4, num)


def test_ucb_prefers_what_it_knows_less_among_equals() -> None:
    state = PolicyState({"a": 1.0, "b": 1.0}, {"a": Counts(100.0, 50.0, 0.0), "b": Counts(10.0, 5.0, 0.0)})
    assert UpperConfidenceBound(0.0).select(state, Random(1))[0].arm == "b"


def test_only_some_targets_may_be_asked() -> None:
    state = PolicyState({"a": 1.0, "b": 1.0, "c": 1.0}, {"a": Counts(9.0, 9.0, 9.0)}).among(("b", "c"))
    for name in LEARNING:
        asked = {make_selection(Policy(name=name)).select(state, Random(seed))[0].arm for seed in range(30)}
        assert asked == {"b", "c"}


@pytest.mark.parametrize("name", ["thompson", "ucb", "epsilon-greedy"])
def test_target_that_only_times_out_is_left(name: str) -> None:
    """Without a default's score it keeps its good name, for what is not answered gets no label."""
    policy, random = make_selection(Policy(name=name)), Random(4)
    kept, shares = 2.0 ** (-1 / 200), {}
    start, _ = play(policy, policy.init({"a": 1.0, "b": 1.0}), {"a": 0.9, "b": 0.6}, 1500, random, kept)
    for default_weight in (0.0, 1.0):
        state, asked = start, 0
        for number in range(1000):
            (selected,) = policy.select(state, random)
            asked += number >= 500 and selected.arm == "a"
            score = float(random.random() < 0.6)
            added = policy.observe({"b": score}, {}) if selected.arm == "b" else {"a": Counts(default_weight)}
            state = state.faded(kept).plus(added)
        shares[default_weight] = asked / 500
    assert shares[1.0] < 0.25 < 0.75 < shares[0.0]
