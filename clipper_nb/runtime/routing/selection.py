"""The interface of a policy that chooses among targets and learns from feedback. (pure)

A policy is four functions over a state that it does not keep, as in Clipper's paper (Crankshaw et al., "Clipper: a
low-latency online prediction serving system", NSDI 2017, section 5). Here ``observe`` returns counts to be added rather
than the next state: additions of several frontends are atomic in Redis, and none is lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from clipper_nb.protocol.score_counts import Counts
from clipper_nb.runtime.routing.policy_state import PolicyState


@dataclass(frozen=True)
class Selected:
    """A target that is asked, and the probability with which it is, if learning needs that."""

    arm: str
    propensity: float | None = None


@dataclass(frozen=True)
class Combined:
    """One answer made of several.

    Attributes
    ----------
    output : str
        JSON, or text, as a model returns it.
    confidence : float
        Share of the weight of all targets, those that did not answer too, that agrees with the output; from 0 to 1.
    """

    output: str
    confidence: float


class SelectionPolicy(ABC):
    """One way to choose among targets."""

    def init(self, weights: Mapping[str, float]) -> PolicyState:
        """Return the state before any feedback, for targets with their weights."""
        return PolicyState(dict(weights), {})

    @abstractmethod
    def select(self, state: PolicyState, random: Random) -> list[Selected]:
        """Return the targets to ask for one query, at least one."""

    @abstractmethod
    def combine(self, state: PolicyState, outputs: Mapping[str, str]) -> Combined:
        """Return the answer from the outputs that have come, at least one, by target.

        Raises
        ------
        InvalidInputError
            The outputs cannot be combined.
        """

    def observe(self, scores: Mapping[str, float], propensities: Mapping[str, float | None]) -> dict[str, Counts]:
        """Return what to add to the state for the scores of one query, from 0 to 1, by target."""
        return {arm: Counts(1.0, score, score / (propensities.get(arm) or 1.0)) for arm, score in scores.items()}
