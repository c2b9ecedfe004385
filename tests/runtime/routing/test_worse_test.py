"""A worse version is seen soon, an equal one is not taken for worse, and the e-value is one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.runtime.routing.roll_out_policy import LIMIT as LIMIT_OF_ALL
from clipper_nb.runtime.routing.worse_test import NO_EVIDENCE, add_interval, e_value, visible_share

LIMIT, LIMIT_OF_SCORE = 4 * LIMIT_OF_ALL, 2 * LIMIT_OF_ALL
"""Where nothing but default outputs or lateness, or nothing but the score, speaks against a version."""
STEPS = (0.01, 0.1, 0.5)
NUM_RUNS = 100


def queries_until_rolled_back(seed, bad_share, bad_share_others, *, steps=STEPS, limit=LIMIT, num_most=1000):
    """Return how many answers a version had when it was found worse, at each share for a minute, or None."""
    rng, rate = np.random.default_rng(seed), 50
    evidence, num_answers = NO_EVIDENCE, 0
    for second in range(10_000):
        share = steps[min(len(steps) - 1, second // 60)]
        num = int(rng.binomial(rate, share))
        evidence = add_interval(
            evidence, num=num, num_bad=int(rng.binomial(num, bad_share)), num_others=rate - num,
            num_bad_others=int(rng.binomial(rate - num, bad_share_others)),
        )  # fmt: skip
        num_answers += num
        if e_value(evidence) >= limit:
            return num_answers
        if num_answers >= num_most:
            return None
    raise AssertionError


def shares_over(slo_s, *, slower):
    """Return the shares of answers over the SLO of lognormal latencies, of median 100 ms, and of slower ones."""
    return [0.5 * math.erfc(math.log(slo_s / (0.1 * factor)) / (0.5 * math.sqrt(2))) for factor in (1.0, slower)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad_share_others", "bad_share", "steps", "limit"),
    [
        pytest.param(0.0, 0.02, STEPS, LIMIT, id="2 % errors against none"),
        pytest.param(*shares_over(0.25, slower=1.3), STEPS, LIMIT, id="30 % slower"),
        pytest.param(0.03, 0.08, STEPS, LIMIT_OF_SCORE, id="score of 92 % against 97 %"),
        pytest.param(0.1, 0.15, (0.01, 0.1), LIMIT_OF_SCORE, id="score of 85 % against 90 %, at a tenth"),
    ],
)
def test_worse_version_is_found_before_1000_of_its_queries(bad_share_others, bad_share, steps, limit):
    found = [
        queries_until_rolled_back(seed, bad_share, bad_share_others, steps=steps, limit=limit)
        for seed in range(NUM_RUNS)
    ]
    assert sum(num is not None for num in found) >= 95


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.02, 0.1])
def test_equal_version_is_seldom_found_worse(share):
    """At most 5 of 100 by all measures together, so it is half of that by the score."""
    found = [
        queries_until_rolled_back(seed, share, share, limit=LIMIT_OF_SCORE, num_most=3000) for seed in range(NUM_RUNS)
    ]
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
