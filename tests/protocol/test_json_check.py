"""An input that does not fit its version's schema is refused by query, field, and what is expected."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.json_check import ANY_JSON, JsonCheck
from clipper_nb.protocol.json_inputs import MAX_CHECKED_SIZE_BYTES

SCHEMA = {
    "$ref": "#/$defs/Passenger",
    "$defs": {
        "Passenger": {
            "type": "object",
            "properties": {
                "age": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                "class": {"type": "integer", "minimum": 1},
                "sex": {"enum": ["male", "female"]},
                "boarded": {"type": "string", "format": "date-time"},
                "cabins": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["age"],
        }
    },
}
GOOD = {"age": 22, "class": 3, "sex": "male", "boarded": "1912-04-10T12:00:00Z", "cabins": ["C85"]}


def check(*values: Any, is_batch: bool = True) -> None:
    JsonCheck(SCHEMA, "titanic:1").check([json.dumps(value).encode() for value in values], is_batch=is_batch)


@pytest.mark.parametrize(
    "change",
    [{}, {"age": None}, {"age": 2.5}, {"class": 2.0}, {"boarded": "1912-04-10T12:00:00"}, {"cabins": []}, {"more": 1}],
)
def test_what_fits_passes(change: dict[str, Any]) -> None:
    check(GOOD, GOOD | change)
    check(GOOD | change, is_batch=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"age": "old"}, 'Expected a number or null, got "old" - at `$.input_batch[1].age`'),
        ({"class": True}, "Expected a whole number, got true - at `$.input_batch[1].class`"),
        ({"class": 0}, "0 is less than the minimum of 1 - at `$.input_batch[1].class`"),
        ({"sex": "M"}, 'Expected one of "male", "female", got "M" - at `$.input_batch[1].sex`'),
        ({"boarded": "soon"}, 'Expected a time as "2024-02-29T12:00:00Z", got "soon" - at `$.input_batch[1].boarded`'),
        ({"cabins": ["C85", 7]}, "Expected text, got 7 - at `$.input_batch[1].cabins[1]`"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError) as info:
        check(GOOD, GOOD | change, {"age": "later"})
    assert str(info.value).startswith(f"{words}. It does not fit the inputs of model titanic:1")
    with pytest.raises(InvalidInputError) as info:
        check(GOOD | change, is_batch=False)
    assert str(info.value).startswith(words.replace("$.input_batch[1]", "$.input"))


def test_missing_field_and_other_kinds_are_named() -> None:
    with pytest.raises(InvalidInputError, match=r'"age" is a required property - at `\$\.input`'):
        check({}, is_batch=False)
    with pytest.raises(InvalidInputError, match=r"Expected an object, got \[1\] - at `\$\.input_batch\[0\]`"):
        check([1])


def test_schema_that_cannot_be_used_here_is_left_to_the_replica(caplog: pytest.LogCaptureFixture) -> None:
    check = JsonCheck({"type": "of a later release"}, "m:1")
    check.check([b"1", b"{}"], is_batch=True)
    assert "inputs of m:1 are checked by its replicas alone" in caplog.text
    with pytest.raises(InvalidInputError, match="out of range"):
        check.check([b"1e999"], is_batch=False)


def test_position_counts_from_the_first() -> None:
    with pytest.raises(InvalidInputError, match=r"\$\.input_batch\[71\]\.age"):
        JsonCheck(SCHEMA).check([b'{"age": 1}', b'{"age": "x"}'], is_batch=True, first=70)


def test_number_that_is_not_finite_is_no_number_of_a_schema() -> None:
    with pytest.raises(InvalidInputError, match="Expected a number or null, got NaN"):
        JsonCheck(SCHEMA).check([b'{"age": "NaN"\t}'], is_batch=False)


@pytest.mark.parametrize(
    ("payload", "words"),
    [(b"1e999", "Number out of range - at `$.input_batch[0]`"), (b"[[1e999]]", "at `$.input_batch[0][0][0]`")],
)
def test_unreadable_input_is_refused_without_a_schema(payload: bytes, words: str) -> None:
    with pytest.raises(InvalidInputError) as info:
        ANY_JSON.check([payload], is_batch=True)
    assert words in str(info.value)
    ANY_JSON.check([b"null", b"[]", b'{"a": "NaN"\t}'], is_batch=True)


def test_large_input_is_left_to_the_replica() -> None:
    large = json.dumps({"age": "x" * MAX_CHECKED_SIZE_BYTES}).encode()
    JsonCheck(SCHEMA).check([large], is_batch=False)
