"""JSON values that are inputs, and those that may be; and an oracle of what they are decoded to."""

from __future__ import annotations

import base64
import binascii
import math

import numpy as np
from hypothesis import strategies as st

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_input

INT32 = st.integers(-(2**31), 2**31 - 1)
LARGEST_FLOAT32 = 3.4028234663852886e38
NOT_FINITE = {None: math.nan, "NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
NUMBERS = [InputType.FLOATS, InputType.DOUBLES]
not_finite = st.sampled_from(list(NOT_FINITE))

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**31) - 2, 2**31 + 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=[]), max_size=8)
    | st.binary(max_size=6).map(lambda value: base64.b64encode(value).decode()),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=8,
)

input_values = (
    json_values
    | st.lists(INT32, max_size=5)
    | st.lists(st.floats(allow_nan=False, allow_infinity=False) | not_finite, max_size=5)
    | st.lists(st.lists(INT32, max_size=3), max_size=3)
)

json_values_without_half_characters = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=8,
)


def good_values(input_type):
    """Return a strategy of JSON values that are inputs of that type."""
    return {
        InputType.INTEGERS: st.lists(INT32, max_size=6),
        InputType.FLOATS: st.lists(
            st.floats(-LARGEST_FLOAT32, LARGEST_FLOAT32, width=32) | st.integers(-(2**24), 2**24) | not_finite,
            max_size=6,
        ),
        InputType.DOUBLES: st.lists(st.floats(allow_nan=False, allow_infinity=False) | INT32 | not_finite, max_size=6),
        InputType.BYTES: st.binary(max_size=12).map(lambda value: base64.b64encode(value).decode()),
        InputType.STRINGS: st.text(max_size=12),
        InputType.JSON: json_values_without_half_characters,
    }[input_type]


def assert_is_the_input(input_type, payload, value):
    """See that a payload decodes to what a JSON value says, with an oracle of our own."""
    decoded = decode_input(input_type, payload)
    if input_type in (InputType.STRINGS, InputType.JSON):
        assert decoded == value
        assert repr(decoded) == repr(value)
    elif input_type is InputType.BYTES:
        assert decoded.tobytes() == binascii.a2b_base64(value)
    else:
        assert isinstance(value, list)
        assert not any(isinstance(number, bool) for number in value)
        if input_type in NUMBERS:
            value = [NOT_FINITE.get(number, number) for number in value]
        assert not any(isinstance(number, str) for number in value)
        with np.errstate(over="raise"):
            expected = np.array([float(number) for number in value]).astype(decoded.dtype)
        assert decoded.tobytes() == expected.tobytes()
        if input_type is InputType.INTEGERS:
            assert decoded.tolist() == value
            assert all(isinstance(number, int) for number in value)
