"""The six input types and their spellings."""

from __future__ import annotations

import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.input_types import InputType, parse_input_type

SPELLINGS = {
    InputType.BYTES: ["bytes", "byte", "b"],
    InputType.INTEGERS: ["integers", "ints", "integer", "int", "i"],
    InputType.FLOATS: ["floats", "float", "f"],
    InputType.DOUBLES: ["doubles", "double", "d"],
    InputType.STRINGS: ["strings", "string", "str", "strs", "s"],
    InputType.JSON: ["json", "dict", "dicts", "object", "objects", "record", "records"],
}


@pytest.mark.parametrize(
    ("spelling", "input_type"),
    [(spelling, input_type) for input_type, spellings in SPELLINGS.items() for spelling in spellings],
)
def test_every_spelling_of_clipper_is_understood(spelling, input_type):
    assert parse_input_type(spelling) is input_type
    assert parse_input_type(f" {spelling.upper()}\n") is input_type


@pytest.mark.parametrize("spelling", ["", "booleans", "float32", "doubles,", None, 3, b"doubles", ["doubles"], float])
def test_unknown_spelling_is_refused_with_the_known_ones(spelling):
    with pytest.raises(
        InvalidRequestError, match="Use 'ints', 'floats', 'doubles', 'bytes', 'strings' or 'json'"
    ) as info:
        parse_input_type(spelling)
    assert repr(spelling) in str(info.value)


@pytest.mark.parametrize(
    ("input_type", "text", "code", "item_size_bytes"),
    [
        (InputType.BYTES, "bytes", 0, 1),
        (InputType.INTEGERS, "integers", 1, 4),
        (InputType.FLOATS, "floats", 2, 4),
        (InputType.DOUBLES, "doubles", 3, 8),
        (InputType.STRINGS, "strings", 4, 1),
        (InputType.JSON, "json", 5, 1),
    ],
)
def test_text_code_and_size_are_clippers(input_type, text, code, item_size_bytes):
    assert str(input_type) == f"{input_type}" == text
    assert input_type.code == code
    assert input_type.item_size_bytes == item_size_bytes
    assert InputType.from_code(code) is input_type
    assert input_type.expectation


@pytest.mark.parametrize("code", [-1, 6, 2**32])
def test_unknown_code_is_refused(code):
    with pytest.raises(ValueError, match="unknown input type code"):
        InputType.from_code(code)


def test_every_type_is_found_again_from_its_text():
    assert [parse_input_type(str(input_type)) for input_type in InputType] == list(InputType)
