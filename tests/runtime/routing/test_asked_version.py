"""Which version a request may ask for, and how it names it."""

from __future__ import annotations

import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import Application
from clipper_nb.protocol.route import link_to, make_route
from clipper_nb.runtime.routing.asked_version import UnknownVersionError, find_version, versions_to_ask_for
from tests.support.records import make_configuration, make_version

CONFIGURATION = make_configuration(
    make_version("a", "1"), make_version("a", "2", registered_at=2.0), make_version("b", "1"), make_version("c", "7")
)
BOTH = make_route({"a:2": 1, "b": 1})


@pytest.mark.parametrize(("asked", "found"), [("1", "a:1"), ("2", "a:2"), ("a:1", "a:1")])
def test_any_version_of_the_linked_model_may_be_asked_for(asked, found):
    assert str(find_version(CONFIGURATION, link_to("a"), asked)) == found


@pytest.mark.parametrize(("asked", "found"), [("2", "a:2"), ("a:1", "a:1"), ("b:1", "b:1")])
def test_version_is_found_among_several_models(asked, found):
    assert str(find_version(CONFIGURATION, BOTH, asked)) == found


@pytest.mark.parametrize("asked", ["9", "7", "c:7", "b:2", "", ":", "a:", "a:1:1"])
def test_version_of_no_model_of_the_route_is_refused(asked):
    with pytest.raises(UnknownVersionError, match=f"Requested version: {asked} does not exist for model: a, b"):
        find_version(CONFIGURATION, BOTH, asked)


def test_version_of_several_models_is_refused_with_the_way_out():
    with pytest.raises(UnknownVersionError, match=r"1 exists for each of the models: a, b\. Ask for 'a:1'"):
        find_version(CONFIGURATION, BOTH, "1")


def test_versions_are_listed_as_they_may_be_asked_for():
    def listed(route, input_type=InputType.STRINGS):
        application = Application("app", input_type, "0", 1000, 0.0)
        return versions_to_ask_for(application, route, CONFIGURATION.versions_of)

    assert (listed(None), listed(link_to("a"))) == ([], ["1", "2"])
    assert listed(BOTH) == ["a:1", "a:2", "b:1"]
    assert listed(BOTH, InputType.INTEGERS) == []
    assert all(find_version(CONFIGURATION, BOTH, version) for version in listed(BOTH))
