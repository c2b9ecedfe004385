"""Divides an application's queries among several targets, in proportion to their weights. (pure)

A key has a target by weighted rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit
rates", 1998; weights after Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005): each target draws
for the key a number that is exponentially distributed with its weight as the rate, and the smallest one wins. So a
target is chosen with the probability of its share; when weights change, only keys move that must; and when a target
is gone, only its own keys move.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import xxhash

_TargetT = TypeVar("_TargetT")


@dataclass(frozen=True)
class Arm(Generic[_TargetT]):
    """A target, with the name by which keys know it."""

    name: str
    weight: float
    target: _TargetT


class Split(Generic[_TargetT]):
    """Chooses one of at least two targets for each query.

    Parameters
    ----------
    application_name : str
        Keys are distributed differently in each application, so that the same clients are not always first.
    arms : sequence of Arm
    draw : callable
        Returns a random number from 0 to 1, for queries without a key.
    """

    def __init__(
        self, application_name: str, arms: Sequence[Arm[_TargetT]], draw: Callable[[], float] = random.random
    ) -> None:
        self._arms = [(arm, xxhash.xxh3_64_intdigest(f"{application_name}/{arm.name}".encode())) for arm in arms]
        self._draw = draw

    def choose(self, key: bytes | None, is_ready: Callable[[_TargetT], bool]) -> _TargetT:
        """Return the target of a query; those that are not ready are passed over, unless none is."""
        ready = [each for each in self._arms if is_ready(each[0].target)] or self._arms
        if key is None:
            return self._choose_any(ready)
        arm, _ = min(ready, key=lambda each: _arrival(key, each[1]) / each[0].weight)
        return arm.target

    def _choose_any(self, ready: Sequence[tuple[Arm[_TargetT], int]]) -> _TargetT:
        point = self._draw() * sum(arm.weight for arm, _ in ready)
        for arm, _ in ready:
            point -= arm.weight
            if point < 0:
                return arm.target
        return ready[-1][0].target


def _arrival(key: bytes, seed: int) -> float:
    """Return a number that is exponentially distributed over keys, with rate 1."""
    # 52 bits and a half: never 0 or 1.
    return -math.log(((xxhash.xxh3_64_intdigest(key, seed) >> 12) + 0.5) * 2.0**-52)
