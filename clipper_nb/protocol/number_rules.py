"""The rules for numbers in records: each is written once, as an annotation, and has one error text everywhere. (pure)

>>> class AddApplication(Struct):
...     latency_slo_micros: SloMicros
>>> checked(AddApplication(0))
InvalidRequestError: slo_micros (the latency SLO) must be a whole number, from 1 to 2147483647; it is 0. ...

``msgspec.Meta`` cannot say "-1 or at least 1", and its error does not name a notebook's argument.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from numbers import Integral
from typing import Annotated, Any, TypeVar, Union, get_type_hints

from clipper_nb.errors import InvalidRequestError

ADAPTIVE_BATCH_SIZE = -1
"""``batch_size`` that adapts to the SLO; a positive one is a fixed maximum."""

_RecordT = TypeVar("_RecordT")


@dataclass(frozen=True)
class Whole:
    """A whole number within bounds.

    Attributes
    ----------
    name : str
        Its name in the error.
    smallest, largest : int
        The bounds; both are allowed.
    besides : int, optional
        A number outside the bounds that is also allowed.
    hint : str
        The end of the error.
    """

    name: str
    smallest: int
    largest: int | None = None
    besides: int | None = None
    hint: str = ""

    def check(self, value: object) -> None:
        """Raise :class:`InvalidRequestError` for any other value."""
        if isinstance(value, int) and not isinstance(value, bool) and self._allows(value):
            return
        span = f"at least {self.smallest}" if self.largest is None else f"from {self.smallest} to {self.largest}"
        is_numpys = isinstance(value, Integral) and not isinstance(value, int)
        hint = f" Pass int({value})." if is_numpys else self.hint
        raise InvalidRequestError(f"{self.name} must be a whole number, {span}; it is {value!r:.100}.{hint}")

    def _allows(self, number: int) -> bool:
        is_within = number >= self.smallest and (self.largest is None or number <= self.largest)
        return is_within or number == self.besides


@dataclass(frozen=True)
class Seconds:
    """A positive, finite number of seconds, or ``None`` for never."""

    name: str

    def check(self, value: object) -> None:
        """Raise :class:`InvalidRequestError` for any other value."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 < value < math.inf):  # type: ignore[operator]
            raise InvalidRequestError(
                f"{self.name} must be a number of seconds above 0, or None for never; it is {value!r}."
            )


def check_port_numbers(**ports: object) -> None:
    """Raise :class:`InvalidRequestError` unless each is a port of TCP, 0 for any that is free, or ``None``."""
    for name, port in ports.items():
        if port is not None:
            Whole(name, 0, 65_535, hint=" 0 takes any that is free.").check(port)


SLO_MICROS = Whole("slo_micros (the latency SLO)", 1, 2**31 - 1, hint=" 100 ms is 100000.")
"""At most about 35.8 minutes, Clipper's limit."""
BATCH_SIZE = Whole(f"batch_size (or {ADAPTIVE_BATCH_SIZE} to adapt to the SLO)", 1, besides=ADAPTIVE_BATCH_SIZE)
NUM_REPLICAS = Whole("num_replicas", 0)
QUERY_ID = Whole("query_id (the number in an answer)", 0)
HANG_TIMEOUT = Seconds("hang_timeout_s")
TOKEN_LIFETIME = Seconds("expires_s")

SloMicros = Annotated[int, SLO_MICROS]
BatchSize = Annotated[int, BATCH_SIZE]
ReplicaCount = Annotated[int, NUM_REPLICAS]
QueryNumber = Annotated[int, QUERY_ID]
HangTimeout = Annotated[Union[float, None], HANG_TIMEOUT]
TokenLifetime = Annotated[Union[float, None], TOKEN_LIFETIME]


def checked(record: _RecordT) -> _RecordT:
    """Return the record if each of its numbers follows the rule of its field.

    Raises
    ------
    InvalidRequestError
        For the first number that does not; the error says what was expected.
    """
    record_type: Any = type(record)
    for name, rule in _rules_of(record_type):
        rule.check(getattr(record, name))
    return record


@functools.cache
def _rules_of(record_type: Any) -> list[tuple[str, Whole | Seconds]]:
    hints: dict[str, Any] = get_type_hints(record_type, include_extras=True)
    found = ((name, getattr(hint, "__metadata__", ())) for name, hint in hints.items())
    return [(name, rule) for name, annotations in found for rule in annotations if isinstance(rule, (Whole, Seconds))]
