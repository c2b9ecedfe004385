"""Autoscaling of a version: its bounds and its target, what query frontends report for it, and its steps. (pure)"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from numbers import Integral, Real
from typing import Any

from msgspec import Struct, structs

from clipper_nb.errors import InvalidRequestError

DEFAULT_TARGET = 0.25
DEFAULT_PERIOD_S = 10.0
DEFAULT_STABLE_S = 60.0
MAX_SPAN_S = 86_400.0
LARGEST_MAX = 1_000
"""A mistyped bound must not fill a machine."""
MAX_EVENTS = 50


class ScalingEvent(Struct, frozen=True):
    """One step of an autoscaled version, with its reason."""

    at: float
    """Seconds since the epoch."""
    text: str

    def __str__(self) -> str:
        return f"{datetime.fromtimestamp(self.at, timezone.utc):%H:%M:%S} {self.text}"


class ScalingRule(Struct, frozen=True):
    """Between which numbers the cluster chooses how many replicas of a version run, and by what."""

    min_replicas: int
    max_replicas: int
    target: float = DEFAULT_TARGET
    """The share of its SLO that a query should wait for a replica at most, on average."""
    period_s: float = DEFAULT_PERIOD_S
    """Over how long it is averaged."""
    stable_s: float = DEFAULT_STABLE_S
    """How long fewer replicas must have been enough before one is stopped."""

    @property
    def bounds(self) -> str:
        """Its bounds, for a person to read: ``"1-8"``."""
        return f"{self.min_replicas}-{self.max_replicas}"

    def nearest(self, number: int) -> int:
        """Return the number of replicas within the bounds that is nearest to *number*."""
        return min(max(number, self.min_replicas), self.max_replicas)


class Autoscaling(ScalingRule, frozen=True):
    """The rule of an autoscaled version, and what the cluster has done by it."""

    too_few: int = 0
    """The number that was too few last; 0 if none was."""
    too_few_work: float = 0.0
    """How many replicas' time was used then."""
    events: tuple[ScalingEvent, ...] = ()
    """Its last steps."""

    @property
    def rule(self) -> ScalingRule:
        """Its rule alone, as another version may have it."""
        return ScalingRule(*(getattr(self, name) for name in ScalingRule.__struct_fields__))


def announce_interval_s(scaling: Autoscaling) -> float:
    """Return every how many seconds query frontends should announce the load, and the cluster should look at it."""
    return min(2.0, max(0.1, scaling.period_s / 5))


class VersionLoad(Struct, frozen=True, array_like=True):
    """What a query frontend counted of one version since it started."""

    model_name: str
    model_version: str
    num_queries: int
    """Queries that replicas answered, and those that were given up because they could not be in time."""
    waited: float
    """The sum of what these waited for a replica, each as a share of its SLO."""
    busy_s: float
    """How long replicas were busy with its batches, in sum."""


class SetAutoscaling(Struct):
    """``/admin/set_autoscaling``"""

    model_name: str
    model_version: str
    min_replicas: Any
    max_replicas: Any
    target: Any = DEFAULT_TARGET
    period_s: Any = DEFAULT_PERIOD_S
    stable_s: Any = DEFAULT_STABLE_S
    claim_id: str | None = None


def check_autoscaling(
    *, min_replicas: object, max_replicas: object, target: object, period_s: object, stable_s: object
) -> Autoscaling:
    """Return what a caller asks for; the one door, for the notebook and for the management frontend.

    Raises
    ------
    InvalidRequestError
        An argument is not what it should be; the error names it.
    """
    smallest = _check_bound("min", min_replicas)
    largest = _check_bound("max", max_replicas)
    if smallest > largest:
        raise InvalidRequestError(f"min must not exceed max; got min={smallest} and max={largest}. Swap them.")
    if not (_is_number(target) and 0 < target <= 1):  # type: ignore[operator]
        raise InvalidRequestError(
            "target must be the share of the SLO that queries may spend waiting, a number above 0 and up to 1; it is "
            f"{target!r}. A quarter of the SLO is 0.25."
        )
    return Autoscaling(
        smallest, largest, float(target), _check_span("period_s", period_s), _check_span("stable_s", stable_s)  # type: ignore[arg-type]
    )  # fmt: skip


def check_rule(rule: ScalingRule) -> Autoscaling:
    """Return what begins by a rule that was sent or stored; raises as :func:`check_autoscaling`."""
    return check_autoscaling(**structs.asdict(rule))


def _check_bound(name: str, value: object) -> int:
    is_whole = not isinstance(value, bool) and isinstance(value, Integral)
    if is_whole and 1 <= value <= LARGEST_MAX:  # type: ignore[operator]
        return int(value)  # type: ignore[call-overload,no-any-return]
    hint = " To stop all replicas, call set_num_replicas(name, 0)." if name == "min" and value == 0 else ""
    raise InvalidRequestError(
        f"{name} must be a whole number of replicas, from 1 to {LARGEST_MAX}; it is {value!r}.{hint}"
    )


def _check_span(name: str, span_s: object) -> float:
    if _is_number(span_s) and 0 < span_s <= MAX_SPAN_S:  # type: ignore[operator]
        return float(span_s)  # type: ignore[arg-type]
    raise InvalidRequestError(
        f"{name} must be a number of seconds above 0, up to {MAX_SPAN_S:g} (a day); it is {span_s!r}."
    )


def _is_number(value: object) -> bool:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and -math.inf < value < math.inf  # type: ignore[operator]
