"""Routes as text."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.route import Route, RouteTarget, check_weights, decode_route, encode_route, link_to, make_route


def test_link_is_the_name_of_its_model():
    assert encode_route(link_to("digits-net")) == "digits-net"
    assert link_to("digits-net").model_names == ("digits-net",)


@pytest.mark.parametrize(
    "route",
    [
        link_to("m"), Route((RouteTarget("m", 2.0),)), Route((RouteTarget("m", 1.0, "1"),)),
        Route((RouteTarget("m", 0.9), RouteTarget("n", 0.1, "rc1"))),
    ],
)  # fmt: skip
def test_every_route_comes_back_from_its_text(route):
    assert decode_route(encode_route(route)) == route


def test_route_says_who_gets_what():
    route = make_route({"m:1": 90, "n": 9, "m:2": 1})
    assert str(route) == "m:1 90 %, n 9 %, m:2 1 %"
    assert route.model_names == ("m", "n")
    assert make_route({"n": 1, "m:1": 2}).model_names == ("m", "n")  # the largest share first
    assert not route.is_link
    assert make_route({"m": 5}) == link_to("m")
    assert make_route({"m:1": 5}).targets == (RouteTarget("m", 1.0, "1"),)


def test_weights_are_any_positive_numbers():
    weights = {"a": 1, "b": 0.5, "c": np.int64(3), "d": np.float32(2), "e": Fraction(1, 4)}
    assert check_weights(weights) == {"a": 1.0, "b": 0.5, "c": 3.0, "d": 2.0, "e": 0.25}


@pytest.mark.parametrize(
    "weight", [0, -1, float("nan"), float("inf"), True, "90", None, 10**400, 1e-300, np.bool_(True), [1], 1j]
)
def test_weight_that_is_no_positive_number_is_named(weight):
    with pytest.raises(InvalidRequestError, match="The weight of 'm:2' must be a positive number"):
        check_weights({"m:1": 1, "m:2": weight})


@pytest.mark.parametrize("weights", [{}, None, ["m"], "m", 5, {1: 2}, {f"m:{number}": 1 for number in range(101)}])
def test_weights_that_are_no_mapping_of_targets_are_refused(weights):
    with pytest.raises(InvalidRequestError, match=r"[Pp]ass weights by target"):
        check_weights(weights)
