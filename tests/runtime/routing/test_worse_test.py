"""A worse version is seen soon, an equal one is not taken for worse, and the e-value is one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.protocol.roll_out import FALSE_ALARM
from clipper_nb.runtime.routing.worse_test import NO_EVIDENCE, add_interval, e_value, limit_of, visible_share

LIMIT = limit_of(FALSE_ALARM, 3)
NUM_RUNS = 100


def queries_until_rolled_back(seed, bad_share, bad_share_others, *, rate=50, num_most=1000):
    """Return how many answers a version had when it was found worse, at 1, 10 and 50 % for a minute each, or None."""
    rng = np.random.default_rng(seed)
    evidence, num_answers = NO_EVIDENCE, 0
    for second in range(10_000):
        share = (0.01, 0.1, 0.5)[min(2, second // 60)]
        num = int(rng.binomial(rate, share))
        evidence = add_interval(
            evidence, num=num, num_bad=int(rng.binomial(num, bad_share)), num_others=rate - num,
            num_bad_others=int(rng.binomial(rate - num, bad_share_others)),
        )  # fmt: skip
        num_answers += num
        if e_value(evidence) >= LIMIT:
            return num_answers
        if num_answers >= num_most:
            return None
    raise AssertionError


def shares_over(slo_s, *, slower):
    """Return the shares of answers over the SLO of lognormal latencies, of median 100 ms, and of slower ones."""
    return [0.5 * math.erfc(math.log(slo_s / (0.1 * factor)) / (0.5 * math.sqrt(2))) for factor in (1.0, slower)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad_share_others", "bad_share"),
    [
        pytest.param(0.0, 0.02, id="2 % errors against none"),
        pytest.param(*shares_over(0.25, slower=1.3), id="30 % slower"),
        pytest.param(0.03, 0.08, id="score worse by 5 points"),
    ],
)
def test_worse_version_is_found_before_1000_of_its_queries(bad_share_others, bad_share):
    found = [queries_until_rolled_back(seed, bad_share, bad_share_others) for seed in range(NUM_RUNS)]
    assert sum(num is not None for num in found) >= 95


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.02, 0.1])
def test_equal_version_is_seldom_found_worse(share):
    """At most 5 of 100 by any of three measures, so it is less by one."""
    found = [queries_until_rolled_back(seed, share, share, num_most=3000) for seed in range(NUM_RUNS)]
    assert sum(num is not None for num in found) <= 5


def test_outage_of_all_versions_is_no_evidence():
    """At 1 % the version misses the good minutes of the others; compared at each moment, nothing is worse."""
    rng, evidence = np.random.default_rng(1), NO_EVIDENCE
    for second in range(120):
        share, bad = (0.01, 0.0) if second < 60 else (0.5, 0.3)
        num = int(rng.binomial(50, share))
        evidence = add_interval(
            evidence, num=num, num_bad=int(rng.binomial(num, bad)), num_others=50 - num,
            num_bad_others=int(rng.binomial(50 - num, bad)),
        )  # fmt: skip
    assert e_value(evidence) < LIMIT


@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_mean_e_value_of_an_equal_version_is_one(num, num_others, data):
    """Over all ways in which the bad answers may be divided, with their probabilities."""
    all_bad = data.draw(st.integers(0, num + num_others))
    mean = 0.0
    for num_bad in range(max(0, all_bad - num_others), min(num, all_bad) + 1):
        ways = math.comb(num, num_bad) * math.comb(num_others, all_bad - num_bad)
        evidence = add_interval(
            NO_EVIDENCE, num=num, num_bad=num_bad, num_others=num_others, num_bad_others=all_bad - num_bad
        )
        mean += ways / math.comb(num + num_others, all_bad) * e_value(evidence)
    assert mean == pytest.approx(1.0)


@pytest.mark.parametrize(
    "counts", [(0, 0, 10, 5), (10, 5, 0, 0), (10, 0, 10, 0), (10, 10, 10, 10)],
    ids=["none of its answers", "no others", "none bad", "all bad"],
)  # fmt: skip
def test_interval_without_a_comparison_changes_nothing(counts):
    num, num_bad, num_others, num_bad_others = counts
    before = tuple(0.5 for _ in NO_EVIDENCE)
    after = add_interval(before, num=num, num_bad=num_bad, num_others=num_others, num_bad_others=num_bad_others)
    assert after == before


def test_large_numbers_overflow_nothing():
    evidence = add_interval(NO_EVIDENCE, num=20_000, num_bad=20_000, num_others=20_000, num_bad_others=1)
    assert e_value(evidence) == math.exp(700)


def test_visible_share_falls_with_more_answers():
    assert visible_share(1000, 0.5, LIMIT) < visible_share(100, 0.5, LIMIT)
    assert visible_share(100, 0.01, LIMIT) < visible_share(100, 0.5, LIMIT)
    assert visible_share(2, 0.9, LIMIT) > 1  # not even if both are bad
