"""What a schema expects is said as a person would."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.protocol.schema_words import (
    describe_expected,
    describe_fields,
    find_part,
    format_path,
    shortened,
)

ROOT = {"$defs": {"Sex": {"enum": ["male", "female"]}, "a/b~c": {"type": "null"}, "Loop": {"$ref": "#/$defs/Loop"}}}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "number"}, "a number"),
        ({"type": ["string", "null"]}, "text or null"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "a number or null"),
        ({"anyOf": [{"type": "number"}, {"type": "number"}]}, "a number"),
        ({"$ref": "#/$defs/Sex"}, 'one of "male", "female"'),
        ({"anyOf": [{"$ref": "#/$defs/Sex"}, {"type": "null"}]}, 'one of "male", "female" or null'),
        ({"$ref": "#/$defs/a~1b~0c"}, "null"),
        ({"const": 3}, "3"),
        ({"enum": list(range(30))}, "one of " + ", ".join(map(str, range(20))) + ", … (30 in all)"),
        ({"type": "string", "format": "date-time"}, 'a time as "2024-02-29T12:00:00Z"'),
        ({"type": "string", "format": "email"}, "text of the format email"),
        ({"type": "array", "items": {"type": "number"}}, "a list"),
        ({"type": "object"}, "an object"),
        ({"$ref": "#/$defs/Loop"}, "another value"),
        ({"$ref": "#/$defs/nowhere"}, "another value"),
        ({}, "another value"),
        (True, "another value"),
    ],
)
def test_schema_is_described_in_words(schema: Any, words: str) -> None:
    assert describe_expected(schema, ROOT) == words


def test_fields_of_an_object_are_told() -> None:
    fields = {"age": {"type": "number"}, "sex": {"$ref": "#/$defs/Sex"}}
    schema = {
        "$ref": "#/$defs/P",
        "$defs": {"P": {"type": "object", "properties": fields, "required": ["age"]}, **ROOT["$defs"]},
    }
    assert describe_fields(schema) == '{"age": a number, "sex": one of "male", "female" (optional)}'
    assert describe_fields({"type": "string"}) == "text"
    assert describe_fields({"$ref": "#/$defs/nowhere"}) == "another value"
    many = {"type": "object", "properties": {f"x{n}": {"type": "number"} for n in range(40)}}
    assert describe_fields(many).endswith('"x29": a number (optional), …}')


def test_part_is_found_by_its_path() -> None:
    assert find_part({"a/b": [{"c": 1}]}, ["a/b", 0, "c"]) == 1
    assert find_part({"a": 1}, ["b"]) is None
    assert find_part({"a": 1}, ["a", "b"]) is None


def test_path_is_written_as_the_other_errors_write_it() -> None:
    assert format_path(["rows", 2, "age"]) == ".rows[2].age"
    assert format_path(["first name", 0]) == "['first name'][0]"
    assert format_path([]) == ""


def test_long_value_is_shortened() -> None:
    assert shortened("é" * 100) == '"' + "é" * 58 + "…"
    assert shortened({"a": [1]}) == '{"a": [1]}'
