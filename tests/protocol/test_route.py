"""Routes as text."""

from __future__ import annotations

import pytest

from clipper_nb.protocol.route import Route, RouteTarget, decode_route, encode_route, link_to


def test_link_is_the_name_of_its_model():
    assert encode_route(link_to("digits-net")) == "digits-net"
    assert link_to("digits-net").model_names == ("digits-net",)


@pytest.mark.parametrize(
    "route", [link_to("m"), Route((RouteTarget("m", 2.0),)), Route((RouteTarget("m", 0.9), RouteTarget("n", 0.1)))]
)
def test_every_route_comes_back_from_its_text(route):
    assert decode_route(encode_route(route)) == route
