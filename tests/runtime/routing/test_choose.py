"""One target for each key, in the proportion of the weights."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipper_nb.protocol.route import Route, RouteTarget, link_to
from clipper_nb.runtime.routing.choose import choose

KEYS = [b"%d" % number for number in range(20_000)]


def weighted(*weights):
    return Route(tuple(RouteTarget(f"m{number}", weight) for number, weight in enumerate(weights)))


@settings(deadline=None)
@given(st.binary())
def test_the_only_target_gets_every_query(key):
    assert choose(link_to("m"), key).model_name == "m"


@settings(deadline=None)
@given(st.binary(), st.lists(st.floats(0.1, 10), min_size=1, max_size=5))
def test_same_key_has_the_same_target(key, weights):
    assert choose(weighted(*weights), key) == choose(weighted(*weights), key)


@pytest.mark.parametrize("weights", [(1, 1), (90, 10), (0.2, 0.3, 0.5), (1, 2, 3, 4)])
def test_shares_are_in_proportion_to_the_weights(weights):
    counts = Counter(choose(weighted(*weights), key).model_name for key in KEYS)
    for number, weight in enumerate(weights):
        assert counts[f"m{number}"] / len(KEYS) == pytest.approx(weight / sum(weights), abs=0.02)


@pytest.mark.parametrize("weights", [(1, 0), (0, 1), (0, 1, 0)])
def test_target_of_weight_zero_is_never_chosen(weights):
    assert {choose(weighted(*weights), key).weight for key in KEYS} == {1}


def test_keys_move_only_to_the_last_target_whose_weight_grows():
    before, after = weighted(90, 10), weighted(80, 20)
    moved = {(choose(before, key).model_name, choose(after, key).model_name) for key in KEYS}
    assert moved == {("m0", "m0"), ("m0", "m1"), ("m1", "m1")}
