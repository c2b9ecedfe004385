"""Policies that ask all targets of a query and make one answer of what has come by the SLO. (pure)"""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.feedback import flatten, read_value
from clipper_nb.protocol.score_books import model_of
from clipper_nb.runtime.routing.policy_state import PolicyState
from clipper_nb.runtime.routing.selection import Combined, Selected, SelectionPolicy


class Ensemble(SelectionPolicy):
    """Combines outputs by the weights that were set.

    The confidence is the share of all weights that agrees with the answer; a target that did not answer agrees with
    nothing, so stragglers lower it (Crankshaw et al., NSDI 2017, sections 5.2.1 and 5.2.2).

    Parameters
    ----------
    combine : str
        ``"vote"`` or ``"mean"``; or the name of a model, for which the answer is what it is asked, and the confidence
        the share of all weights that answered.
    error_scale : float, optional
        For the mean of numbers: how far from it an output may be to agree with it. Without it, each that came agrees.
    """

    def __init__(self, combine: str = "vote", error_scale: float | None = None) -> None:
        self._combine = combine
        self._error_scale = error_scale

    def select(self, state: PolicyState, random: Random) -> list[Selected]:
        """Return all targets."""
        return [Selected(arm) for arm in state.arms]

    def combine(self, state: PolicyState, outputs: Mapping[str, str]) -> Combined:
        """Return the output of the most weight, or the mean of the outputs by their weights."""
        weights = self.weights(state)
        total = math.fsum(weights.values())
        shares = {arm: weight / total for arm, weight in weights.items() if arm in outputs}
        if self._combine == "vote":
            return _vote(outputs, shares)
        if self._combine == "mean":
            return _mean(outputs, shares, self._error_scale)
        return Combined(_input_of_combiner(outputs, shares), min(1.0, math.fsum(shares.values())))

    def weights(self, state: PolicyState) -> Mapping[str, float]:
        """Return the weight of each target's output."""
        return state.weights


class Exp4(Ensemble):
    """Combines outputs by weights that are learnt: the answer is nearly as good as the best target's, or better.

    All targets are asked and all outputs compared with the label, so the weights are those of the exponentially
    weighted average forecaster (Freund and Schapire's Hedge, 1997): w_i exp(-eta L_i), where L_i sums 1 - score. With
    eta = sqrt(8 ln K / n) after n labels, its weighted loss is above that of the best target by at most
    2 sqrt(n ln K / 2) + sqrt(ln K / 8) at each n (Cesa-Bianchi and Lugosi, "Prediction, learning, and games", 2006,
    theorem 2.3). Clipper calls it Exp4, after Auer et al. 2002, where only the answer that is given gets a score.
    """

    def weights(self, state: PolicyState) -> Mapping[str, float]:
        """Return the learnt weight of each target, times the one that was set."""
        num = max((state.of(arm).num for arm in state.arms), default=0.0)
        if num <= 0.0 or len(state.weights) < 2:
            return state.weights
        rate = math.sqrt(8.0 * math.log(len(state.weights)) / max(num, 1.0))
        losses = {arm: _loss(state, arm, num) for arm in state.arms}
        least = min(losses.values())
        return {arm: state.weights[arm] * math.exp(-rate * (loss - least)) for arm, loss in losses.items()}

    @staticmethod
    def regret_bound(num_arms: int, num_feedbacks: int) -> float:
        """Return how much more than the best target in hindsight the weighted loss is at most (theorem 2.3)."""
        return 2.0 * math.sqrt(num_feedbacks / 2.0 * math.log(num_arms)) + math.sqrt(math.log(num_arms) / 8.0)


def _loss(state: PolicyState, arm: str, num: float) -> float:
    """Return the sum of a target's losses; where it did not answer, it counts with its mean, as in Clipper's paper."""
    counts = state.of(arm)
    if counts.mean is None:
        return 0.5 * num
    return (1.0 - counts.mean) * num


def _vote(outputs: Mapping[str, str], shares: Mapping[str, float]) -> Combined:
    """Return the output of the most weight; of equal ones that of the first target, whichever came first."""
    agreeing: dict[bytes, list[str]] = {}
    for arm in shares:
        agreeing.setdefault(_canonical(outputs[arm]), []).append(arm)
    shared = {key: math.fsum(shares[arm] for arm in arms) for key, arms in agreeing.items()}
    winner = max(agreeing, key=lambda key: shared[key])
    arm = max(agreeing[winner], key=lambda arm: shares[arm])
    return Combined(outputs[arm], min(1.0, shared[winner]))


def _input_of_combiner(outputs: Mapping[str, str], shares: Mapping[str, float]) -> str:
    body = {
        "predictions": {model_of(arm): read_value(outputs[arm]) for arm in shares},
        "weights": {model_of(arm): round(share, 6) for arm, share in shares.items()},
    }
    return msgspec.json.encode(body).decode()


def _canonical(output: str) -> bytes:
    """Return equal bytes for outputs that mean the same: 7 and 7.0, objects in any order of their fields."""
    return msgspec.json.encode(_with_whole_numbers(read_value(output)), order="deterministic")


def _with_whole_numbers(value: Any) -> Any:
    """Return *value* with 7.0 as 7, in lists and objects too."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_with_whole_numbers(part) for part in value]
    return {key: _with_whole_numbers(part) for key, part in value.items()} if isinstance(value, dict) else value


def _mean(outputs: Mapping[str, str], shares: Mapping[str, float], error_scale: float | None) -> Combined:
    values = {arm: _numbers(arm, output) for arm, output in outputs.items()}
    first_arm, (first, shape) = next(iter(values.items()))
    for arm, (_, other) in values.items():
        if other != shape:
            raise InvalidInputError(
                f"The outputs of {model_of(first_arm)} and {model_of(arm)} have different shapes, {shape} and {other}: "
                "they have no mean. Use combine='vote', or models whose outputs have the same shape."
            )
    came = math.fsum(shares.values())
    mean = [
        math.fsum(shares[arm] * numbers[position] for arm, (numbers, _) in values.items()) / came
        for position in range(len(first))
    ]
    agreeing = [
        arm
        for arm, (numbers, _) in values.items()
        if error_scale is None or all(abs(a - b) <= error_scale for a, b in zip(numbers, mean, strict=True))
    ]
    confidence = math.fsum(shares[arm] for arm in agreeing)
    return Combined(msgspec.json.encode(_shaped(mean, shape)).decode(), min(1.0, confidence))


def _numbers(arm: str, output: str) -> tuple[list[float], tuple[int, ...]]:
    """Return an output's numbers in order, and its shape."""
    value = read_value(output)
    numbers: list[float] = []
    shape = flatten(value, numbers)
    if shape is None:
        raise InvalidInputError(
            f"The output of {model_of(arm)}, {output:.60}, is no number and no list of numbers: it has no mean. Use "
            "combine='vote'."
        )
    return numbers, shape


def _shaped(numbers: list[float], shape: tuple[int, ...]) -> Any:
    if not shape:
        return numbers[0]
    size = len(numbers) // shape[0]
    return [_shaped(numbers[size * n : size * (n + 1)], shape[1:]) for n in range(shape[0])]
