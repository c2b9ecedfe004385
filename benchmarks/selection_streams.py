"""Policies on a stream of digits whose labels come at once, while one model gets its images turned; no cluster.

The models are scikit-learn's, each fitted to 100 digits of its own, so that none is perfect and they err differently.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

import numpy as np

from clipper_nb.runtime.routing.policy_state import PolicyState
from clipper_nb.runtime.routing.selection import SelectionPolicy

NUM_FITTED = 100
_WINDOW = 200
"""Queries over which a share is taken."""


@dataclass(frozen=True)
class Digits:
    """What each model answers to each digit, as it is and turned by 90 degrees."""

    labels: list[int]
    upright: dict[str, list[int]]
    turned: dict[str, list[int]]

    def accuracy(self, name: str) -> float:
        """Return a model's accuracy on upright digits."""
        return float(np.mean(np.array(self.upright[name]) == np.array(self.labels)))

    @property
    def best(self) -> str:
        """The most accurate model."""
        return max(self.upright, key=self.accuracy)


def make_digits() -> Digits:
    """Return five models' answers to digits that none was fitted to."""
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    order = random.permutation(len(images))
    fitted, asked = order[:600], order[600:]
    models = {
        "logistic": LogisticRegression(max_iter=2000),
        "svm": SVC(gamma=0.001),
        "tree": DecisionTreeClassifier(max_depth=8, random_state=0),
        "forest": RandomForestClassifier(12, max_depth=7, random_state=0),
        "neighbors": KNeighborsClassifier(5),
    }
    for model in models.values():
        some = random.choice(fitted, NUM_FITTED, replace=False)
        model.fit(images[some], labels[some])
    turned = np.rot90(images[asked].reshape(-1, 8, 8), axes=(1, 2)).reshape(-1, 64)
    return Digits(
        labels[asked].tolist(),
        {name: model.predict(images[asked]).tolist() for name, model in models.items()},
        {name: model.predict(turned).tolist() for name, model in models.items()},
    )


@dataclass(frozen=True)
class Stream:
    """Digits in the order in which they are asked; *degraded* models see turned ones from *begin* to *end*."""

    digits: Digits
    num: int
    degraded: tuple[str, ...] = ()
    begin: int = 0
    end: int = 0
    seed: int = 0

    def __iter__(self):  # type: ignore[no-untyped-def]
        """Yield the models' answers and the label of each query."""
        random = Random(self.seed)
        for number in range(self.num):
            position = random.randrange(len(self.digits.labels))
            is_bad = self.begin <= number < self.end
            answers = {
                name: (self.digits.turned if is_bad and name in self.degraded else self.digits.upright)[name][position]
                for name in self.digits.upright
            }
            yield answers, self.digits.labels[position]


@dataclass
class Run:
    """What a policy did on a stream."""

    errors: list[bool] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The target of each query, where only one was asked."""
    weighted_loss: float = 0.0
    """Where all were asked: the loss of the targets by their weights."""
    single_errors: dict[str, int] = field(default_factory=dict)
    """Errors of each model, if it had been asked alone."""

    def error(self, begin: int, end: int) -> float:
        """Return the share of wrong answers."""
        return sum(self.errors[begin:end]) / (end - begin)

    def regret(self) -> float:
        """Return how many more errors there were than the best model in hindsight would have made."""
        return sum(self.errors) - min(self.single_errors.values())

    def share(self, name: str, begin: int, end: int) -> float:
        """Return the share of the queries that a target got."""
        return self.asked[begin:end].count(name) / (end - begin)

    def until(self, begin: int, end: int, is_so: Callable[[int, int], bool]) -> int | None:
        """Return after how many queries from *begin* on something is so of the last window; ``None`` if never."""
        for first in range(begin, end - _WINDOW):
            if is_so(first, first + _WINDOW):
                return first + _WINDOW - begin
        return None


def run(policy: SelectionPolicy, stream: Stream, *, half_life: float | None = None, seed: int = 1) -> Run:
    """Return what a policy does on a stream; *half_life* is in queries."""
    random = Random(seed)
    kept = 1.0 if half_life is None else 2.0 ** (-1.0 / half_life)
    state = policy.init(dict.fromkeys(stream.digits.upright, 1.0))
    done = Run(single_errors=dict.fromkeys(stream.digits.upright, 0))
    for answers, label in stream:
        for name, answer in answers.items():
            done.single_errors[name] += answer != label
        selected = policy.select(state, random)
        outputs = {each.arm: str(answers[each.arm]) for each in selected}
        done.errors.append(policy.combine(state, outputs).output != str(label))
        scores = {each.arm: float(answers[each.arm] == label) for each in selected}
        if len(selected) == 1:
            done.asked.append(selected[0].arm)
        else:
            done.weighted_loss += _weighted_loss(policy, state, scores)
        added = policy.observe(scores, {each.arm: each.propensity for each in selected})
        state = (state if kept == 1.0 else state.faded(kept)).plus(added)
    return done


def _weighted_loss(policy: SelectionPolicy, state: PolicyState, scores: Mapping[str, float]) -> float:
    weights = policy.weights(state)  # type: ignore[attr-defined]
    return math.fsum(weights[arm] * (1.0 - score) for arm, score in scores.items()) / math.fsum(weights.values())


def thompson_shares(policy: SelectionPolicy, means: Mapping[str, float], num_learnt: int, seeds: int) -> list[float]:
    """Return the share of the best target in the 1,000 queries after *num_learnt* feedbacks, for each seed."""
    best = max(means, key=lambda arm: means[arm])
    shares = []
    for seed in range(seeds):
        random, state = Random(seed), policy.init(dict.fromkeys(means, 1.0))
        num_best = 0
        for number in range(num_learnt + 1000):
            (selected,) = policy.select(state, random)
            score = float(random.random() < means[selected.arm])
            state = state.plus(policy.observe({selected.arm: score}, {}))
            num_best += number >= num_learnt and selected.arm == best
        shares.append(num_best / 1000)
    return shares


def agreement(digits: Digits) -> tuple[float, dict[int, tuple[float, float]]]:
    """Return the accuracy of the vote, and by the number of models that agree: share of digits, and error."""
    by_count: dict[int, list[bool]] = {}
    for position, label in enumerate(digits.labels):
        answers = [upright[position] for upright in digits.upright.values()]
        winner = max(sorted(set(answers)), key=answers.count)
        by_count.setdefault(answers.count(winner), []).append(winner != label)
    num = len(digits.labels)
    wrong = sum(sum(errors) for errors in by_count.values())
    return 1 - wrong / num, {count: (len(e) / num, sum(e) / len(e)) for count, e in sorted(by_count.items())}
