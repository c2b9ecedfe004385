"""A version is registered with a JSON Schema that can be used, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.json_schema import MAX_SCHEMA_SIZE_BYTES, check_schema, compile_schema
from clipper_nb.protocol.number_columns import columns_schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "nonsense"}, "no JSON Schema"),
        ({"$ref": "http://127.0.0.1:9/other.json"}, "no JSON Schema"),
        ({"$ref": "#/$defs/nowhere"}, "no JSON Schema"),
        ({"pattern": "("}, "no JSON Schema"),
        ({"description": "x" * MAX_SCHEMA_SIZE_BYTES}, "more than 262,144"),
    ],
)
def test_schema_that_cannot_be_used_is_refused(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        check_schema(schema, InputType.JSON)


def test_schema_is_for_json_and_for_numbers_with_names() -> None:
    check_schema({"type": "object"}, InputType.JSON)
    check_schema(columns_schema(InputType.DOUBLES, ["age"]), InputType.DOUBLES)
    check_schema(None, InputType.DOUBLES)
    with pytest.raises(InvalidRequestError, match="strings have no schema"):
        check_schema({"type": "object"}, InputType.STRINGS)
    with pytest.raises(InvalidRequestError, match="needs their names"):
        check_schema({"type": "object"}, InputType.DOUBLES)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (
            "date-time",
            ["2024-02-29T12:00:00", "2024-02-29T12:00:00.5Z", "2024-02-29T12:00:00+01:00"],
            ["2023-02-29T12:00:00"],
        ),
        ("date", ["2024-02-29"], ["2023-02-29", "soon"]),
        ("time", ["12:00:00", "12:00:00Z"], ["25:00:00"]),
    ],
)
def test_time_may_have_a_zone_or_none(kind: str, good: list[str], bad: list[str]) -> None:
    validator = compile_schema({"type": "string", "format": kind})
    assert [validator.is_valid(text) for text in good + bad] == [True] * len(good) + [False] * len(bad)
