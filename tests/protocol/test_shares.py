"""Shares of queries add up to all of them, whichever one is changed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.protocol.shares import weights_of, with_share

parts = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1000), min_size=1)


def test_the_others_keep_their_proportions() -> None:
    shares = with_share({"m:1": 0.6, "m:2": 0.3, "m:3": 0.1}, "m:3", 0.55)
    assert shares == pytest.approx({"m:1": 0.3, "m:2": 0.15, "m:3": 0.55})
    assert with_share({"m:1": 1.0}, "m:2", 0.1) == pytest.approx({"m:1": 0.9, "m:2": 0.1})


def test_others_without_a_share_get_the_same() -> None:
    assert with_share({"a": 1.0, "b": 0.0, "c": 0.0}, "a", 0.5) == {"a": 0.5, "b": 0.25, "c": 0.25}


def test_only_target_has_all() -> None:
    assert with_share({"a": 1.0}, "a", 0.2) == with_share({}, "a", 0.0) == {"a": 1.0}


def test_targets_without_a_share_have_no_weight() -> None:
    assert weights_of({"a": 1 / 3, "b": 2 / 3, "c": 0.0, "d": 1e-9}) == {"a": 33.3333, "b": 66.6667}


@given(parts, st.sampled_from("abcdefg"), st.floats(-1, 2))
def test_sum_is_one_and_none_is_negative(weights: dict[str, float], target: str, share: float) -> None:
    total = math.fsum(weights.values())
    before = {name: weight / total for name, weight in weights.items()} if total > 0 else {}
    after = with_share(before, target, share)
    assert math.fsum(after.values()) == pytest.approx(1.0)
    assert min(after.values()) >= 0
    assert [*after] == [*dict.fromkeys((*before, target))]
    others = [name for name in before if name != target]
    for name in others:
        if share < 1 and before[name] > 1e-6:
            assert after[name] * before[others[0]] == pytest.approx(after[others[0]] * before[name], abs=1e-9)
