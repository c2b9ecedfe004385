"""Chooses the targets of each request to an application with a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from clipper_nb.protocol.feedback import digest_of_key
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.records import Application, Configuration
from clipper_nb.protocol.route import RouteTarget
from clipper_nb.protocol.score_books import arm_of, book_of
from clipper_nb.protocol.score_counts import Counts
from clipper_nb.runtime.metrics.exposition import Family
from clipper_nb.runtime.metrics.target_scores import make_score_families
from clipper_nb.runtime.query_frontend.combiner import Combiner
from clipper_nb.runtime.query_frontend.ensemble_target import EnsembleTarget
from clipper_nb.runtime.query_frontend.learner import Book, Learner
from clipper_nb.runtime.query_frontend.policy_target import Ask, ChosenVersion, OnFault
from clipper_nb.runtime.routing.choose_policy import make_selection
from clipper_nb.runtime.routing.ensembles import Ensemble
from clipper_nb.runtime.routing.split import Arm

MakeCombiner = Callable[[RouteTarget], Combiner]
Arms = Sequence[Arm[Any]]
"""Targets, each with its version as this frontend serves it."""


class PolicyChooser:
    """Chooses by one application's policy.

    Parameters
    ----------
    policy : Policy
    book : Book
        What is known of its targets.
    arms : mapping of str to Arm
        The targets, by the names under which their scores are kept.
    ask : callable
    random : Random
    combiner : Combiner or None
        The model that combines outputs, if the policy names one.
    """

    def __init__(
        self,
        policy: Policy,
        book: Book,
        arms: dict[str, Arm[Any]],
        ask: Ask,
        random: Random,
        combiner: Combiner | None = None,
    ) -> None:
        self._policy = policy
        self._selection = make_selection(policy)
        self._book = book
        self._arms = arms
        self._weights = {name: arm.weight for name, arm in arms.items()}
        self._ask = ask
        self._random = random
        self._combiner = combiner

    def choose(self, key: bytes | None, is_ready: Callable[[Any], bool]) -> ChosenVersion | EnsembleTarget:
        """Return what one request asks; versions that are not ready are passed over, unless none is."""
        group = digest_of_key(key) if self._policy.by_key else ""
        state = self._book.state(self._weights, group)
        on_fault = self._on_fault(group)
        if isinstance(self._selection, Ensemble):  # those that are not ready lower the confidence
            versions = [(name, arm.target) for name, arm in self._arms.items()]
            return EnsembleTarget(
                self._ask, self._book.keep, on_fault, key, self._policy, self._selection, state, versions,
                self._combiner,
            )  # fmt: skip
        ready = tuple(name for name, arm in self._arms.items() if is_ready(arm.target))
        if ready and len(ready) < len(self._arms):
            state = state.among(ready)
        (selected,) = self._selection.select(state, self._random)
        version = self._arms[selected.arm].target
        return ChosenVersion(self._ask, self._book.keep, on_fault, key, version, selected.arm, selected.propensity)

    def scores(self) -> list[tuple[ModelId, Counts]]:
        """Return what is known now of each target's version."""
        state = self._book.state(self._weights)
        return [(arm.target.model_id, state.of(name)) for name, arm in self._arms.items()]

    def _on_fault(self, group: str) -> OnFault | None:
        weight = self._policy.default_weight
        return None if weight is None else partial(self._book.count_default, group, weight)


class PolicyChoosers:
    """Makes the choosers of applications with a policy.

    Parameters
    ----------
    learner : Learner
    random : Random, optional
        By default one with a seed of the system's.
    """

    def __init__(self, learner: Learner, random: Random | None = None) -> None:
        self._learner = learner
        self._random = random or Random()
        self._choosers: dict[str, PolicyChooser] = {}

    def make(
        self,
        configuration: Configuration,
        application: Application,
        arms: Arms,
        ask: Ask,
        make_combiner: MakeCombiner,
    ) -> PolicyChooser | None:
        """Return an application's chooser, or ``None`` if it has no policy."""
        route = configuration.routes.get(application.name)
        if route is None or route.policy is None:
            self.forget(application.name)
            return None
        book = self._learner.book(application.name, book_of(application, route.policy), route.policy.half_life_s)
        by_name: dict[str, Arm[Any]] = {}
        for arm in arms:  # two targets may mean the same version by now: both shares are its
            name = arm_of(configuration.versions[arm.target.model_id])
            weight = arm.weight + (by_name[name].weight if name in by_name else 0.0)
            by_name[name] = Arm(name, weight, arm.target)
        combiner = None if route.combiner is None else make_combiner(route.combiner)
        chooser = PolicyChooser(route.policy, book, by_name, ask, self._random, combiner)
        self._choosers[application.name] = chooser
        return chooser

    def forget(self, application_name: str) -> None:
        """Let go of an application that has no policy any more."""
        self._choosers.pop(application_name, None)
        self._learner.forget(application_name)

    def families(self) -> list[Family]:
        """Return the metrics of what all applications' policies know."""
        choosers = self._choosers.items()
        return make_score_families((name, *score) for name, chooser in choosers for score in chooser.scores())
