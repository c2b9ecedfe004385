"""Whether a version does worse than the others: a sequential test that may be looked at after every query. (pure)

What is compared are two shares of bad answers. In each interval between two looks both versions had some answers, and
together some of these were bad. If no version is worse, any of the answers is bad with the same chance, so the number
of bad ones among the version's is hypergeometric, whatever the chance is; if it is worse by an odds ratio, the number
follows Fisher's noncentral hypergeometric distribution with that ratio. The quotient of both probabilities is an
e-value: its mean is at most 1 unless the version is worse. The product over intervals is a test martingale, so by
Ville's inequality it ever exceeds ``1 / alpha`` with a chance of at most ``alpha``, however often one looks and
whatever decides when to stop. A weighted mean over odds ratios, and over several measures, stays one.

Conditioning on each interval's totals makes the test exact, and immune to shares and to traffic that change with time:
an outage that hits all versions tells nothing.

Sources: A. Wald, "Sequential tests of statistical hypotheses", 1945 (quotients); D. A. Darling and H. Robbins,
"Some nonparametric sequential tests with power one", 1968 (mixtures); R. Turner, A. Ly, P. Grünwald, "Generic
E-variables for exact sequential k-sample tests that allow for optional stopping", 2021 (e-values for two shares);
R. Turner and P. Grünwald, "Safe sequential testing and effect estimation in stratified count data", 2023 (strata).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

ODDS_RATIOS = (1.5, 2.0, 3.0, 6.0, 20.0, 200.0)
"""By which a version may be worse. One that is worse by less than about a fifth is not told from an equal one."""
_WEIGHTS = (0.5, 0.2, 0.15, 0.05, 0.05, 0.05)
"""In the mean. A small difference takes the most answers to see, so its odds ratio gets the most weight; a large one is
seen a few answers later."""

NO_EVIDENCE: tuple[float, ...] = (0.0,) * len(ODDS_RATIOS)


def add_interval(
    log_evidence: Sequence[float], *, num: int, num_bad: int, num_others: int, num_bad_others: int
) -> tuple[float, ...]:
    """Return the logarithms of the e-values, one for each odds ratio, after another interval.

    Parameters
    ----------
    log_evidence : sequence of float
        Those before; :data:`NO_EVIDENCE` at the start.
    num, num_bad : int
        Answers of the version in the interval, and how many of them are bad.
    num_others, num_bad_others : int
        The same of all other versions.
    """
    all_bad = num_bad + num_bad_others
    if num == 0 or num_others == 0 or all_bad == 0 or all_bad == num + num_others:
        return tuple(log_evidence)  # nothing to compare
    lowest, highest = max(0, all_bad - num_others), min(num, all_bad)
    log_weights = _log_weights(num, num_others, all_bad, lowest, highest)
    log_total = _log_sum(log_weights)
    return tuple(
        before + num_bad * math.log(ratio) - (_log_sum(_tilted(log_weights, lowest, ratio)) - log_total)
        for before, ratio in zip(log_evidence, ODDS_RATIOS, strict=True)
    )


def e_value(log_evidence: Sequence[float]) -> float:
    """Return the evidence that the version is worse: at most ``1 / alpha`` with a chance of ``1 - alpha`` if not."""
    weighted = [each + math.log(weight) for each, weight in zip(log_evidence, _WEIGHTS, strict=True)]
    return math.exp(min(700.0, _log_sum(weighted)))


def visible_share(num: int, share: float, limit: float) -> float:
    """Return the smallest share of bad answers of a version that reaches the limit, if the others have none.

    Parameters
    ----------
    num : int
        Answers of the version, while it had *share* (0 to 1, both excluded) of all.
    """
    num_others = round(num * (1 - share) / share)
    few, many = 0, num + 1
    while many - few > 1:
        middle = (few + many) // 2
        evidence = add_interval(NO_EVIDENCE, num=num, num_bad=middle, num_others=num_others, num_bad_others=0)
        few, many = (few, middle) if e_value(evidence) >= limit else (middle, many)
    return many / num


def _log_weights(num: int, num_others: int, all_bad: int, lowest: int, highest: int) -> list[float]:
    """Return logarithms of what hypergeometric probabilities are proportional to, from the lowest number up."""
    log_weight, log_weights = 0.0, [0.0]
    for bad in range(lowest, highest):
        log_weight += math.log((num - bad) * (all_bad - bad) / ((bad + 1) * (num_others - all_bad + bad + 1)))
        log_weights.append(log_weight)
    return log_weights


def _tilted(log_weights: Sequence[float], lowest: int, odds_ratio: float) -> list[float]:
    """Return what the probabilities of Fisher's noncentral distribution are proportional to, as logarithms."""
    log_ratio = math.log(odds_ratio)
    return [log_weight + bad * log_ratio for bad, log_weight in enumerate(log_weights, lowest)]


def _log_sum(logarithms: Sequence[float]) -> float:
    largest = max(logarithms)
    return largest + math.log(math.fsum(math.exp(logarithm - largest) for logarithm in logarithms))
