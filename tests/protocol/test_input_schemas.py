"""What a schema allows is what a predict request may have, for each input type."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_schemas import example_input, input_schema
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.predict_body import parse_predict

ACCEPTED = [
    (InputType.INTEGERS, [-(2**31), 0, 2**31 - 1]),
    (InputType.FLOATS, [1, 0.5, None, "NaN", "-Infinity", 3.4028235e38]),
    (InputType.DOUBLES, [1, 1e308, -1e308, None, "Infinity"]),
    (InputType.BYTES, "AAEC"),
    (InputType.BYTES, "AAE="),
    (InputType.BYTES, ""),
    (InputType.STRINGS, "ä\n"),
]
REJECTED = [
    (InputType.INTEGERS, [2**31]),
    (InputType.INTEGERS, [0.5]),
    (InputType.INTEGERS, [None]),
    (InputType.INTEGERS, [True]),
    (InputType.FLOATS, [1e39]),
    (InputType.FLOATS, ["nan"]),
    (InputType.DOUBLES, [[1.0]]),
    (InputType.DOUBLES, 1.0),
    (InputType.BYTES, "AAE"),
    (InputType.BYTES, "-_-_"),
    (InputType.STRINGS, None),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["NaN", "Infinity", "AAEC", "AA=="]),
    lambda children: st.lists(children, max_size=3), max_leaves=4,
)  # fmt: skip


def is_allowed(input_type: InputType, value: Any) -> bool:
    return bool(jsonschema_rs.Draft202012Validator(input_schema(input_type)).is_valid(value))


def is_accepted(input_type: InputType, value: Any) -> bool:
    try:
        parse_predict(json.dumps({"input": value}).encode(), input_type)
    except InvalidInputError:
        return False
    return True


@pytest.mark.parametrize(("input_type", "value"), ACCEPTED)
def test_schema_allows_what_is_accepted(input_type: InputType, value: Any) -> None:
    assert is_allowed(input_type, value)
    assert is_accepted(input_type, value)


@pytest.mark.parametrize(("input_type", "value"), REJECTED)
def test_schema_forbids_what_is_rejected(input_type: InputType, value: Any) -> None:
    assert not is_allowed(input_type, value)
    assert not is_accepted(input_type, value)


@given(st.sampled_from(InputType), json_values)
def test_schema_and_parser_agree_on_any_value(input_type: InputType, value: Any) -> None:
    if input_type is InputType.INTEGERS:  # JSON Schema takes 1.0 for an integer, and cannot say otherwise
        value = json.loads(
            json.dumps(value), parse_float=lambda text: float(text) + 0.25 if float(text) % 1 == 0 else float(text)
        )
    assert is_allowed(input_type, value) == is_accepted(input_type, value)


@pytest.mark.parametrize("input_type", InputType)
def test_each_type_has_an_example_that_is_accepted(input_type: InputType) -> None:
    assert is_allowed(input_type, example_input(input_type))
    assert is_accepted(input_type, example_input(input_type))
