"""The OpenAPI document is valid, and its schemas allow what the frontend accepts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.provenance import Example, Provenance
from clipper_nb.protocol.route import make_route
from clipper_nb.runtime.query_frontend.catalogue import Catalogue
from clipper_nb.runtime.query_frontend.openapi import openapi_pieces
from tests.support.records import make_application, make_configuration, make_version

SAMPLE = Provenance(example=Example([1.0, 2.0], 3.0))
CONFIGURATION = make_configuration(
    make_version("m", "1", InputType.DOUBLES, registered_at=1.0),
    make_version("m", "beta", InputType.DOUBLES, registered_at=2.0, provenance=SAMPLE),
    applications=(
        make_application("linked", InputType.DOUBLES),
        *(make_application(input_type.value, input_type) for input_type in InputType),
    ),
    links={"linked": "m"},
)


def document(*, needs_token: bool = False) -> Any:
    return json.loads(b"".join(openapi_pieces(Catalogue(CONFIGURATION), needs_token=needs_token)))


def assert_is_valid(openapi: Any) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator  # compiles dozens of grammars when it is imported

    OpenAPIV31SpecValidator(openapi).validate()


def operation(name: str, *, needs_token: bool = False) -> Any:
    return document(needs_token=needs_token)["paths"][f"/{name}/predict"]["post"]


def is_valid(name: str, body: Any) -> bool:
    schema = operation(name)["requestBody"]["content"]["application/json"]["schema"]
    return bool(jsonschema_rs.Draft202012Validator(schema).is_valid(body))


@pytest.mark.slow
@pytest.mark.parametrize("needs_token", [False, True])
def test_document_is_valid(needs_token: bool) -> None:
    assert_is_valid(document(needs_token=needs_token))


@pytest.mark.slow
def test_document_without_applications_is_valid() -> None:
    empty = json.loads(b"".join(openapi_pieces((), needs_token=False)))
    assert_is_valid(empty)
    assert empty["paths"] == {}


def test_each_application_is_one_operation() -> None:
    paths = document()["paths"]
    names = [entry.name for entry in Catalogue(CONFIGURATION)]
    assert sorted(paths) == sorted(f"/{name}/{verb}" for name in names for verb in ("predict", "update"))
    assert paths["/linked/predict"]["post"]["operationId"] == "predict_linked"


def test_sample_of_the_deploy_is_the_example() -> None:
    linked = operation("linked")
    examples = linked["requestBody"]["content"]["application/json"]["examples"]
    assert [example["value"] for example in examples.values()] == [
        {"input": [1.0, 2.0]}, {"input_batch": [[1.0, 2.0]]},
    ]  # fmt: skip
    answer = linked["responses"]["200"]["content"]["application/json"]["example"]
    assert answer == {"query_id": 0, "output": 3.0, "default": False, "model": "m:beta"}


@pytest.mark.parametrize("name", ["linked", *InputType])
def test_examples_fit_their_schema(name: str) -> None:
    examples = operation(name)["requestBody"]["content"]["application/json"]["examples"].values()
    assert [is_valid(name, example["value"]) for example in examples] == [True, True]


def test_body_has_either_key_and_no_other() -> None:
    assert not is_valid("linked", {})
    assert not is_valid("linked", {"input": [1.0], "input_batch": [[1.0]]})
    assert not is_valid("linked", {"input": [1.0], "more": 1})


def test_version_is_one_of_the_linked_model() -> None:
    assert is_valid("linked", {"input": [1.0], "version": "beta"})
    assert is_valid("linked", {"input": [1.0], "version": 1})
    assert not is_valid("linked", {"input": [1.0], "version": "2"})
    assert not is_valid("linked", {"input": [1.0], "version": 2})


def test_key_is_a_text_or_a_whole_number() -> None:
    good, bad = ["ada", "ü", 7], ["", "a[0]", 1.5, None, True, "a" * 257]
    assert [is_valid("linked", {"input": [1.0], "key": key}) for key in good] == [True] * len(good)
    assert [is_valid("linked", {"input": [1.0], "key": key}) for key in bad] == [False] * len(bad)


def test_divided_traffic_is_described() -> None:
    configuration = replace(CONFIGURATION, routes={"linked": make_route({"m:1": 3, "m:beta": 1})})
    found = json.loads(b"".join(openapi_pieces(Catalogue(configuration), needs_token=False)))
    assert found["paths"]["/linked/predict"]["post"]["description"] == (
        "Answers within 100 ms, by one of several versions: m:1 75 %, m:beta 25 %."
    )


@pytest.mark.slow
def test_definitions_of_a_version_are_found_in_the_document() -> None:
    schema = {
        "$ref": "#/$defs/Passenger",
        "$defs": {"Passenger": {"type": "object", "required": ["age"], "properties": {"age": {"type": "integer"}}}},
    }
    version = make_version("p", "1", InputType.JSON, provenance=Provenance(input_schema=schema))
    configuration = make_configuration(
        version, applications=(make_application("people.x", InputType.JSON),), links={"people.x": "p"}
    )
    found = json.loads(b"".join(openapi_pieces(Catalogue(configuration), needs_token=False)))
    assert_is_valid(found)
    place = "#/paths/~1people.x~1predict/post/requestBody/content/application~1json/schema"
    validator = jsonschema_rs.Draft202012Validator({"$ref": place, **found})
    bodies = [{"input": {"age": 3}}, {"input": {"age": "x"}}, {"input_batch": [{"age": 3}]}, {"input_batch": [{}]}]
    assert [validator.is_valid(body) for body in bodies] == [True, False, True, False]


def test_any_version_may_be_named_without_a_model() -> None:
    assert is_valid("strings", {"input": "a", "version": "2"})


def test_token_is_a_security_scheme_where_one_is_needed() -> None:
    assert document(needs_token=True)["security"] == [{"token": []}]
    assert "401" in operation("linked", needs_token=True)["responses"]
    assert "security" not in document()
    assert "401" not in operation("linked")["responses"]
