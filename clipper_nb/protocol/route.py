"""The models and versions that an application sends its queries to, each with its weight. (pure)"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real

import msgspec

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.names import ModelId, parse_model_id
from clipper_nb.protocol.policies import Policy, check_policy

MAX_TARGETS = 100
"""Of one application: each query compares all of them."""
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-9, 1e9

_MEANING = 'Pass weights by target, for example {"digits-net:1": 90, "digits-net:2": 10}.'


@dataclass(frozen=True)
class RouteTarget:
    """A model or a version that gets a share of the queries."""

    model_name: str
    weight: float = 1.0
    """Its share is its weight divided by the sum of all weights."""
    version: str | None = None
    """``None`` is the model's current version, whichever that is."""

    def __str__(self) -> str:
        return self.model_name if self.version is None else f"{self.model_name}:{self.version}"

    def resolve(self, current_versions: Mapping[str, str]) -> ModelId | None:
        """Return the version that it means now; ``None`` if its model has no current version."""
        version = current_versions.get(self.model_name) if self.version is None else self.version
        return None if version is None else ModelId(self.model_name, version)


@dataclass(frozen=True)
class Route:
    """The targets of an application's queries, at least one."""

    targets: tuple[RouteTarget, ...]
    policy: Policy | None = None
    """By which a target is chosen; ``None`` is by weight."""

    @property
    def model_names(self) -> tuple[str, ...]:
        """The models that queries go to, each once; that of the largest share is the first."""
        return tuple(dict.fromkeys(target.model_name for target in (self.main_target, *self.targets)))

    @property
    def is_link(self) -> bool:
        """Whether every query goes to the current version of one model."""
        return len(self.targets) == 1 and self.targets[0].version is None and self.policy is None

    @property
    def main_target(self) -> RouteTarget:
        """The target with the largest share."""
        return max(self.targets, key=lambda target: target.weight)

    @property
    def combiner(self) -> RouteTarget | None:
        """The model, or the version, that makes one answer of the targets' outputs; ``None`` where it needs none."""
        combiner = None if self.policy is None else self.policy.combiner
        return None if combiner is None else _make_target(combiner, 1.0)

    def share_of(self, target: RouteTarget) -> float:
        """Return the share of the queries that a target should get, from 0 to 1."""
        return target.weight / math.fsum(each.weight for each in self.targets)

    def without(self, is_gone: Callable[[RouteTarget], bool]) -> Route | None:
        """Return the route of the other targets, which share the queries; ``None`` if there are none."""
        kept = tuple(target for target in self.targets if not is_gone(target))
        if len(kept) == len(self.targets):
            return self
        # One target needs no choice.
        return replace(self, targets=kept, policy=self.policy if len(kept) > 1 else None) if kept else None

    def __str__(self) -> str:
        if self.policy is not None and self.policy.name != "weights":
            return f"{', '.join(map(str, self.targets))} by {self.policy}"
        return ", ".join(f"{target} {format_share(self.share_of(target))}" for target in self.targets)


_decode = msgspec.json.Decoder(Route).decode


def link_to(model_name: str) -> Route:
    """Return the route that sends every query to the current version of one model."""
    return Route((RouteTarget(model_name),))


def make_route(weights: Mapping[str, float], policy: Policy | None = None) -> Route:
    """Return the route to the targets of checked weights, ``"model"`` or ``"model:version"``."""
    targets = tuple(_make_target(text, weight) for text, weight in weights.items())
    if policy is not None:
        return Route(targets, policy)
    # The weight of the only target does not matter, so that every way to send all queries to a model is a link.
    return Route(targets) if len(targets) > 1 else Route((RouteTarget(targets[0].model_name, 1.0, targets[0].version),))


def check_weights(weights: object) -> dict[str, float]:
    """Return weights by target if each is a positive number.

    Raises
    ------
    InvalidRequestError
        It is no mapping, or empty, or a target is no text, or a weight is something else; the error names it.
    """
    if not isinstance(weights, Mapping):
        raise InvalidRequestError(f"weights must be a mapping, not {type(weights).__name__}. {_MEANING}")
    if not 1 <= len(weights) <= MAX_TARGETS:
        raise InvalidRequestError(f"weights must have 1 to {MAX_TARGETS} targets; it has {len(weights)}. {_MEANING}")
    return {_check_target(target): _check_weight(target, weight) for target, weight in weights.items()}


def check_traffic(weights: object, policy: object) -> tuple[dict[str, float], Policy | None]:
    """Return weights by target, and the policy that chooses among them, if both are valid.

    Parameters
    ----------
    weights : mapping, or a list of targets
        A list for a policy that needs no weights.
    policy : Policy, dict or None

    Raises
    ------
    InvalidRequestError
        As ``check_weights`` and ``check_policy``; or weights differ that the policy would learn.
    """
    if policy is None:
        return check_weights(weights), None
    checked = check_policy(policy, len(weights) if isinstance(weights, (Mapping, Sequence)) else 2)
    assert checked is not None
    if isinstance(weights, Sequence) and not isinstance(weights, str):
        if not all(isinstance(target, str) for target in weights) or len(set(weights)) != len(weights):
            raise InvalidRequestError(f"A list of targets has texts, each once; it is {weights!r:.100}. {_MEANING}")
        return check_weights(dict.fromkeys(weights, 1.0)), checked
    by_target = check_weights(weights)
    if checked.learns_shares and len(set(by_target.values())) > 1:
        raise InvalidRequestError(
            f"Policy '{checked.name}' learns the shares; different weights mean nothing to it. Pass the targets as a "
            f"list: {list(by_target)!r:.200}."
        )
    return by_target, checked


def encode_route(route: Route) -> str:
    """Return a route as text: a link is the model's name, any other route is JSON."""
    first = route.targets[0]
    if route == link_to(first.model_name):
        return first.model_name
    told = msgspec.to_builtins(route)
    if route.policy is None:
        del told["policy"]
    return msgspec.json.encode(told).decode()


def decode_route(text: str) -> Route:
    """Return the route in a text; no model name begins with a brace."""
    return _decode(text) if text.startswith("{") else link_to(text)


def format_share(share: float) -> str:
    """Return a share as per cent, with at most three digits."""
    return f"{100 * share:.3g} %"


def _make_target(text: str, weight: float) -> RouteTarget:
    if ":" not in text:
        return RouteTarget(text, weight)
    name, version = parse_model_id(text)
    return RouteTarget(name, weight, version)


def _check_target(target: object) -> str:
    if isinstance(target, str):
        return target
    raise InvalidRequestError(f'A target must be text, "model" or "model:version"; it is {target!r}. {_MEANING}')


def _check_weight(target: object, weight: object) -> float:
    is_number = isinstance(weight, Real) and not isinstance(weight, bool)
    if is_number and SMALLEST_WEIGHT <= weight <= LARGEST_WEIGHT:  # type: ignore[operator]
        return float(weight)  # type: ignore[arg-type]
    raise InvalidRequestError(
        f"The weight of {target!r} must be a positive number, from {SMALLEST_WEIGHT:g} to {LARGEST_WEIGHT:g}; it is "
        f"{weight!r}. To send a target no queries, leave it out."
    )
