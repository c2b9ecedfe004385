"""The catalogue shows each application with the version that answers."""

from __future__ import annotations

from dataclasses import replace

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.provenance import Example, Provenance
from clipper_nb.protocol.route import make_route
from clipper_nb.runtime.query_frontend.catalogue import Catalogue
from tests.support.records import make_application, make_configuration, make_version

CONFIGURATION = make_configuration(
    make_version("m", "1", registered_at=2.0),
    make_version("m", "0", registered_at=1.0, provenance=Provenance(example=Example("in", "out"))),
    applications=(make_application("b"), make_application("a", InputType.DOUBLES), make_application("c")),
    links={"b": "m", "c": "gone"},
)


def test_applications_come_in_the_order_of_their_names() -> None:
    assert [entry.name for entry in Catalogue(CONFIGURATION)] == ["a", "b", "c"]


def test_find_returns_what_iteration_yields() -> None:
    catalogue = Catalogue(CONFIGURATION)
    assert [catalogue.find(entry.name) for entry in catalogue] == list(catalogue)
    assert catalogue.find("m") is None


def test_linked_application_has_versions_in_their_order() -> None:
    entry = Catalogue(CONFIGURATION).find("b")
    assert (str(entry.model_id), entry.versions) == ("m:0", ("0", "1"))


def test_sample_is_that_of_the_version_that_answers() -> None:
    entry = Catalogue(CONFIGURATION).find("b")
    assert (entry.has_sample, entry.sample_input, entry.sample_output) == (True, "in", "out")


def test_application_without_a_model_has_an_example_of_its_type() -> None:
    entry = Catalogue(CONFIGURATION).find("a")
    assert (entry.linked_model, entry.model_id, entry.versions) == (None, None, None)
    assert (entry.has_sample, entry.sample_input, entry.sample_output) == (False, [0.5, 1.0, 1.5], None)


def test_linked_model_without_versions_leaves_none_to_name() -> None:
    entry = Catalogue(CONFIGURATION).find("c")
    assert (entry.linked_model, entry.model_id, entry.versions) == ("gone", None, ())


def test_divided_traffic_has_versions_of_all_models() -> None:
    route = make_route({"m:1": 90, "m:0": 10})
    entry = Catalogue(replace(CONFIGURATION, routes={"b": route})).find("b")
    assert (entry.traffic, str(entry.model_id), entry.versions) == ("m:1 90 %, m:0 10 %", "m:1", ("0", "1"))
    other = make_version("n", "7")
    both = replace(CONFIGURATION, routes={"b": make_route({"m:1": 1, "n:7": 2})},
                   versions={**CONFIGURATION.versions, other.model_id: other})  # fmt: skip
    assert Catalogue(both).find("b").versions == ("n:7", "m:0", "m:1")


def test_expectation_names_the_fields_of_records() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "number"}}, "required": ["age"]}
    configuration = make_configuration(
        make_version("m", "1", provenance=Provenance(input_schema=schema)),
        applications=(make_application("b", InputType.JSON), make_application("c", InputType.JSON)),
        links={"b": "m"},
    )
    expected = [entry.expectation for entry in Catalogue(configuration)]
    assert expected == ['{"age": a number}', InputType.JSON.expectation]
