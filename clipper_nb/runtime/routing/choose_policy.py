"""The class of each policy that can be set. (pure)"""

from __future__ import annotations

from clipper_nb.protocol.policies import Policy
from clipper_nb.runtime.routing.bandits import EpsilonGreedy, Exp3, FixedShares, ThompsonSampling, UpperConfidenceBound
from clipper_nb.runtime.routing.ensembles import Ensemble, Exp4
from clipper_nb.runtime.routing.selection import SelectionPolicy


def make_selection(policy: Policy) -> SelectionPolicy:
    """Return what chooses by a checked policy."""
    explore = policy.exploration
    if policy.name == "thompson":
        return ThompsonSampling(explore)
    if policy.name == "ucb":
        return UpperConfidenceBound(explore)
    if policy.name == "epsilon-greedy":
        return EpsilonGreedy(explore)
    if policy.name == "exp3":
        return Exp3(explore)
    if policy.name == "exp4":
        return Exp4(policy.combine, policy.error_scale)
    if policy.name == "ensemble":
        return Ensemble(policy.combine, policy.error_scale)
    return FixedShares()
