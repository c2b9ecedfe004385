"""Policies that ask one target for each query, and the better ones more often. (pure)

With faded counts each forgets: a target that was bad long ago is tried again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random

from clipper_nb.protocol.score_counts import Counts
from clipper_nb.runtime.routing.policy_state import PolicyState
from clipper_nb.runtime.routing.selection import Combined, Selected, SelectionPolicy

_COLD = 0.1
"""A target with fewer scores has no mean that says anything."""


class OneTarget(SelectionPolicy):
    """What policies have in common that ask one target."""

    def combine(self, state: PolicyState, outputs: Mapping[str, str]) -> Combined:
        """Return the only output."""
        return Combined(next(iter(outputs.values())), 1.0)


class FixedShares(OneTarget):
    """Asks targets by their weights, whatever the feedback says."""

    def select(self, state: PolicyState, random: Random) -> list[Selected]:
        """Return one target, with the probability of its share."""
        return [Selected(random.choices(state.arms, list(state.weights.values()))[0])]


class _Exploring(OneTarget):
    """Asks any target with a small probability, so that each can come back.

    Parameters
    ----------
    explore : float
        Share of the queries that go to a target at random.
    """

    def __init__(self, explore: float) -> None:
        self._explore = explore

    def select(self, state: PolicyState, random: Random) -> list[Selected]:
        """Return one target."""
        if random.random() < self._explore:
            return [Selected(random.choice(state.arms))]
        return [Selected(self._best(state, random))]

    def _best(self, state: PolicyState, random: Random) -> str:
        raise NotImplementedError


class ThompsonSampling(_Exploring):
    """Asks each target with the probability that it is the best one, by what is known.

    Each target's mean score has a Beta(1 + sum, 1 + number - sum) distribution; the target with the largest draw is
    asked (Thompson, "On the likelihood that one unknown probability exceeds another", 1933; Chapelle and Li, "An
    empirical evaluation of Thompson sampling", 2011).
    """

    def _best(self, state: PolicyState, random: Random) -> str:
        def draw(arm: str) -> float:
            counts = state.of(arm)
            return random.betavariate(1.0 + counts.total, 1.0 + max(0.0, counts.num - counts.total))

        return max(state.arms, key=draw)


class UpperConfidenceBound(_Exploring):
    """Asks the target whose mean score may be the highest: UCB1.

    The bound is mean + sqrt(2 ln n / n_i), with n scores of all targets and n_i of this one (Auer, Cesa-Bianchi and
    Fischer, "Finite-time analysis of the multiarmed bandit problem", 2002). With faded counts it is discounted UCB
    (Garivier and Moulines, "On upper-confidence bound policies for switching bandit problems", 2011).
    """

    def _best(self, state: PolicyState, random: Random) -> str:
        if _has_cold(state):
            return random.choice(state.arms)  # feedback of a cold one may never come: the others go on meanwhile
        log_num = math.log(max(state.num, 1.0))

        def bound(arm: str) -> float:
            counts = state.of(arm)
            return (counts.mean or 0.0) + math.sqrt(2.0 * log_num / counts.num)

        return _any_best(state.arms, bound, random)


class EpsilonGreedy(_Exploring):
    """Asks the target with the best mean score, and any one with probability epsilon.

    Source: Sutton and Barto, "Reinforcement learning", section 2.2.
    """

    def _best(self, state: PolicyState, random: Random) -> str:
        if _has_cold(state):
            return random.choice(state.arms)
        return _any_best(state.arms, lambda arm: state.of(arm).mean or 0.0, random)


class Exp3(OneTarget):
    """Asks targets by exponential weights of their estimated rewards: good also if an adversary makes the scores.

    p_i = (1 - g) w_i / sum(w) + g / K and w_i = exp(g G_i / K), where G_i sums score / p_i over the queries that target
    i answered (Auer, Cesa-Bianchi, Freund and Schapire, "The nonstochastic multiarmed bandit problem", 2002, figure 1).

    Parameters
    ----------
    explore : float
        g, above 0. For a known number T of feedbacks, ``exploration_for`` returns that of the paper's corollary 3.2.
    """

    def __init__(self, explore: float) -> None:
        self._explore = explore

    def select(self, state: PolicyState, random: Random) -> list[Selected]:
        """Return one target, with the probability with which it was drawn."""
        probabilities = self.probabilities(state)
        arm = random.choices(state.arms, probabilities)[0]
        return [Selected(arm, probabilities[state.arms.index(arm)])]

    def probabilities(self, state: PolicyState) -> list[float]:
        """Return the probability of each target, in order."""
        num_arms = len(state.weights)
        estimates = [state.of(arm).estimate for arm in state.arms]
        largest = max(estimates)  # only differences matter, and this way nothing overflows
        weights = [math.exp(self._explore * (estimate - largest) / num_arms) for estimate in estimates]
        total = math.fsum(weights)
        return [(1.0 - self._explore) * weight / total + self._explore / num_arms for weight in weights]

    @staticmethod
    def exploration_for(num_arms: int, num_feedbacks: int) -> float:
        """Return the exploration for which ``regret_bound`` holds."""
        return min(1.0, math.sqrt(num_arms * math.log(num_arms) / ((math.e - 1.0) * num_feedbacks)))

    @staticmethod
    def regret_bound(num_arms: int, num_feedbacks: int) -> float:
        """Return how much less than the best target in hindsight it scores at most, in expectation (corollary 3.2)."""
        return 2.0 * math.sqrt((math.e - 1.0) * num_feedbacks * num_arms * math.log(num_arms))

    def observe(self, scores: Mapping[str, float], propensities: Mapping[str, float | None]) -> dict[str, Counts]:
        """Return what to add to the state; a score whose probability is not known says nothing of the others."""
        added = super().observe(scores, propensities)
        return {
            arm: counts if propensities.get(arm) else Counts(counts.num, counts.total) for arm, counts in added.items()
        }


def _has_cold(state: PolicyState) -> bool:
    return any(state.of(arm).num < _COLD for arm in state.weights)


def _any_best(arms: Sequence[str], value: Callable[[str], float], random: Random) -> str:
    values = [value(arm) for arm in arms]
    best = max(values)
    return random.choice([arm for arm, found in zip(arms, values, strict=True) if found == best])
