"""The six input types and their spellings."""

from __future__ import annotations

from enum import Enum

from clipper_nb.errors import InvalidRequestError


class InputType(str, Enum):
    """Type of one query's input; the value is the canonical spelling that is stored and returned."""

    BYTES = "bytes"
    INTEGERS = "integers"
    FLOATS = "floats"
    DOUBLES = "doubles"
    STRINGS = "strings"
    JSON = "json"

    # str's own, instead of Enum's slower ones: the types are keys of tables that every query uses.
    __str__ = str.__str__
    __hash__ = str.__hash__

    @property
    def code(self) -> int:
        """Number of the type on the wire (RPC version 3); Clipper has the first five."""
        return _CODES[self]

    @property
    def item_size_bytes(self) -> int:
        """Bytes of one element in an encoded input; 1 for text and JSON."""
        return _ITEM_SIZES_BYTES[self]

    @property
    def is_numeric(self) -> bool:
        """Whether an input is a list of numbers."""
        return self in _NUMERIC

    @property
    def expectation(self) -> str:
        """What the JSON value of one input must be, for error messages."""
        return _EXPECTATIONS[self]

    @classmethod
    def from_code(cls, code: int) -> InputType:
        """Return the type with that number on the wire; raises ``ValueError`` for an unknown one."""
        input_type = _BY_CODE.get(code)
        if input_type is None:
            raise ValueError(f"unknown input type code {code}")
        return input_type


_NUMERIC = (InputType.INTEGERS, InputType.FLOATS, InputType.DOUBLES)
_CODES = {
    InputType.BYTES: 0,
    InputType.INTEGERS: 1,
    InputType.FLOATS: 2,
    InputType.DOUBLES: 3,
    InputType.STRINGS: 4,
    InputType.JSON: 5,
}
_BY_CODE = {code: input_type for input_type, code in _CODES.items()}
_ITEM_SIZES_BYTES = {
    InputType.BYTES: 1,
    InputType.INTEGERS: 4,
    InputType.FLOATS: 4,
    InputType.DOUBLES: 8,
    InputType.STRINGS: 1,
    InputType.JSON: 1,
}
_NOT_FINITE = 'null or "NaN" for a missing one, and "Infinity" or "-Infinity"'
_EXPECTATIONS = {
    InputType.BYTES: "base64 text (standard alphabet, padded)",
    InputType.INTEGERS: (
        "a list of whole numbers from -2147483648 to 2147483647, written without a decimal point, none of them missing"
    ),
    InputType.FLOATS: f"a list of numbers in the range of float32; {_NOT_FINITE}",
    InputType.DOUBLES: f"a list of numbers; {_NOT_FINITE}",
    InputType.STRINGS: "text",
    InputType.JSON: "any JSON value",
}
_SPELLINGS = {
    spelling: input_type
    for input_type, spellings in {
        InputType.BYTES: ("bytes", "byte", "b"),
        InputType.INTEGERS: ("integers", "ints", "integer", "int", "i"),
        InputType.FLOATS: ("floats", "float", "f"),
        InputType.DOUBLES: ("doubles", "double", "d"),
        InputType.STRINGS: ("strings", "string", "str", "strs", "s"),
        InputType.JSON: ("json", "dict", "dicts", "object", "objects", "record", "records"),
    }.items()
    for spelling in spellings
}


def parse_input_type(spelling: object) -> InputType:
    """Return the input type that *spelling* names, in any case."""
    found = _SPELLINGS.get(spelling.strip().lower()) if isinstance(spelling, str) else None
    if found is None:
        raise InvalidRequestError(
            f"{spelling!r} is not an input type. Use 'ints', 'floats', 'doubles', 'bytes', 'strings' or 'json'."
        )
    return found
