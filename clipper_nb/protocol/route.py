"""The models that an application sends its queries to. (pure)"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import msgspec


class RouteMode(str, Enum):
    """How a route chooses one of its targets for a query."""

    CURRENT = "current"
    """The current version of the one model that is linked."""


@dataclass(frozen=True)
class RouteTarget:
    """A model that gets a share of the queries."""

    model_name: str
    weight: float = 1.0
    """Its share is its weight divided by the sum of all weights."""


@dataclass(frozen=True)
class Route:
    """The targets of an application's queries, at least one."""

    targets: tuple[RouteTarget, ...]
    mode: RouteMode = RouteMode.CURRENT

    @property
    def model_names(self) -> tuple[str, ...]:
        """The models that queries go to."""
        return tuple(target.model_name for target in self.targets)


_decode = msgspec.json.Decoder(Route).decode


def link_to(model_name: str) -> Route:
    """Return the route that sends every query to the current version of one model."""
    return Route((RouteTarget(model_name),))


def encode_route(route: Route) -> str:
    """Return a route as text: a link is the model's name, any other route is JSON."""
    first = route.targets[0]
    return first.model_name if route == link_to(first.model_name) else msgspec.json.encode(route).decode()


def decode_route(text: str) -> Route:
    """Return the route in a text; no model name begins with a brace."""
    return _decode(text) if text.startswith("{") else link_to(text)
