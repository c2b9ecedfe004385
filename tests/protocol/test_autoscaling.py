"""The door for bounds of autoscaling."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.autoscaling import Autoscaling, check_autoscaling

GOOD = {"min_replicas": 1, "max_replicas": 8, "target": 0.25, "period_s": 10, "stable_s": 60.0}


def test_bounds_are_a_record_of_floats() -> None:
    assert check_autoscaling(**GOOD) == Autoscaling(1, 8, 0.25, 10.0, 60.0)
    assert check_autoscaling(**{**GOOD, "max_replicas": 1, "target": 1}) == Autoscaling(1, 1, 1.0, 10.0, 60.0)
    of_numpy = check_autoscaling(**{**GOOD, "max_replicas": np.int64(8), "target": np.float32(0.25)})
    assert msgspec.json.encode(of_numpy) == msgspec.json.encode(check_autoscaling(**GOOD))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("min_replicas", 0, "min must be a whole number of replicas, from 1 to 1000; it is 0. To stop all"),
        ("min_replicas", 9, "got min=9 and max=8. Swap them"),
        ("min_replicas", True, "it is True"),
        ("max_replicas", 2.0, "max must be a whole number"),
        ("max_replicas", 10**6, "from 1 to 1000"),
        ("max_replicas", None, "it is None"),
        ("target", 0, "a number above 0 and up to 1; it is 0. A quarter of the SLO is 0.25."),
        ("target", 1.01, "it is 1.01"),
        ("target", math.nan, "it is nan"),
        ("target", 10**400, "it is 1000"),
        ("period_s", 10**400, "it is 1000"),
        ("target", "0.5", "it is '0.5'"),
        ("period_s", 0, "period_s must be a number of seconds above 0"),
        ("stable_s", math.inf, "stable_s must be a number of seconds above 0, up to 86400 (a day); it is inf"),
    ],
)
def test_what_is_no_bound_is_refused(field: str, value: object, said: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        check_autoscaling(**{**GOOD, field: value})
    assert said in str(raised.value)


def test_nearest_number_is_within_the_bounds() -> None:
    scaling = Autoscaling(2, 4)
    assert [scaling.nearest(number) for number in (1, 2, 3, 4, 9)] == [2, 2, 3, 4, 4]
