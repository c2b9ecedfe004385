"""Each target gets its share, and a key keeps its target."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipper_nb.runtime.routing.split import Arm, Split

KEYS = [b"user-%d" % number for number in range(10_000)]
WITHIN_999 = 3.29
"""Standard deviations between which a binomial number is in 99.9 % of all cases."""


def all_ready(target):
    return True


def make_split(weights, *, application_name="app", seed=0):
    arms = [Arm(name, weight, name) for name, weight in weights.items()]
    return Split(application_name, arms, random.Random(seed).random)


def assert_shares(chosen, weights):
    counts = Counter(chosen)
    for name, weight in weights.items():
        share = weight / sum(weights.values())
        bound = WITHIN_999 * math.sqrt(len(chosen) * share * (1 - share))
        assert abs(counts[name] - len(chosen) * share) <= bound, (name, counts)


WEIGHTS = [{"a": 90, "b": 10}, {"a": 1, "b": 1}, {"a": 0.2, "b": 0.3, "c": 0.5}, {"a": 98, "b": 1, "c": 1}]


@pytest.mark.parametrize("num_frontends", [1, 2, 3])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_queries_without_a_key_are_split_by_weight(weights, num_frontends):
    splits = [make_split(weights, seed=number) for number in range(num_frontends)]
    assert_shares([splits[n % num_frontends].choose(None, all_ready) for n in range(10_000)], weights)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_keys_are_split_by_weight(weights):
    split = make_split(weights)
    assert_shares([split.choose(key, all_ready) for key in KEYS], weights)


@settings(deadline=None, max_examples=50)
@given(st.binary(), st.lists(st.floats(1e-9, 1e9), min_size=2, max_size=5))
def test_any_key_has_the_same_target_everywhere(key, weights):
    """Frontends that draw other random numbers and have read the targets in another order agree on it."""
    named = {f"m{number}": weight for number, weight in enumerate(weights)}
    other = make_split(dict(reversed(named.items())), seed=7)
    assert make_split(named).choose(key, all_ready) == other.choose(key, all_ready)


def test_targets_of_keys_are_the_same_in_every_release():
    split = make_split({"m:1": 60, "m:2": 40}, application_name="digits")
    chosen = {key: split.choose(key.encode(), all_ready) for key in ("ada", "grace", "42", "ü", "alan", "emmy")}
    assert chosen == {"ada": "m:1", "grace": "m:2", "42": "m:1", "ü": "m:1", "alan": "m:1", "emmy": "m:1"}


def test_no_key_changes_its_target_without_a_change_of_weights():
    before, after = make_split({"a": 90, "b": 10}), make_split({"a": 0.9, "b": 0.1}, seed=1)
    assert [before.choose(key, all_ready) for key in KEYS] == [after.choose(key, all_ready) for key in KEYS]


def test_few_keys_move_when_weights_change():
    before, after = make_split({"a": 90, "b": 10}), make_split({"a": 80, "b": 20})
    moves = Counter((before.choose(key, all_ready), after.choose(key, all_ready)) for key in KEYS)
    assert moves["b", "a"] == 0
    assert 0.09 <= moves["a", "b"] / len(KEYS) <= 0.105


def test_only_keys_of_a_target_without_a_replica_move():
    split = make_split({"a": 50, "b": 30, "c": 20})
    before = [split.choose(key, all_ready) for key in KEYS]
    during = [split.choose(key, lambda target: target != "b") for key in KEYS]
    assert all(now == old for old, now in zip(before, during, strict=True) if old != "b")
    assert_shares([now for old, now in zip(before, during, strict=True) if old == "b"], {"a": 50, "c": 20})
    assert "b" not in [split.choose(None, lambda target: target != "b") for _ in range(100)]


def test_targets_are_chosen_as_ever_when_none_is_ready():
    split = make_split({"a": 50, "b": 50})
    for key in KEYS[:100]:
        assert split.choose(key, lambda target: False) == split.choose(key, all_ready)


def test_applications_divide_the_same_keys_differently():
    one, other = (make_split({"a": 90, "b": 10}, application_name=name) for name in ("one", "other"))
    both = sum(one.choose(key, all_ready) == other.choose(key, all_ready) == "b" for key in KEYS)
    assert both / len(KEYS) < 0.02  # 1 % by chance


def test_random_numbers_at_both_ends_choose_a_target():
    arms = [Arm(name, 0.1, name) for name in "abc"]
    assert Split("app", arms, lambda: 0.0).choose(None, all_ready) == "a"
    assert Split("app", arms, lambda: 1.0).choose(None, all_ready) == "c"
