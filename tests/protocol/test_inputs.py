"""Inputs between JSON value, payload and what the model's function gets."""

from __future__ import annotations

import array
import base64
import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidInputError, ProtocolError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_input, encode_input, format_input
from tests.support.examples import examples

NUMERIC = [
    (InputType.INTEGERS, np.int32),
    (InputType.FLOATS, np.float32),
    (InputType.DOUBLES, np.float64),
]


@pytest.mark.parametrize(
    ("input_type", "value", "payload"),
    [
        (InputType.INTEGERS, [1, -2], b"\x01\0\0\0\xfe\xff\xff\xff"),
        (InputType.FLOATS, [1.0, -0.5], b"\0\0\x80\x3f\0\0\0\xbf"),
        (InputType.DOUBLES, [1], b"\0\0\0\0\0\0\xf0\x3f"),
        (InputType.BYTES, b"\0\xff", b"\0\xff"),
        (InputType.STRINGS, "é😀", b"\xc3\xa9\xf0\x9f\x98\x80"),
        (InputType.INTEGERS, [], b""),
        (InputType.STRINGS, "", b""),
    ],
)
def test_payload_is_little_endian_or_utf8(input_type, value, payload):
    assert encode_input(input_type, value) == payload


@pytest.mark.parametrize(("input_type", "dtype"), NUMERIC)
def test_function_gets_a_read_only_one_dimensional_array(input_type, dtype):
    decoded = decode_input(input_type, memoryview(encode_input(input_type, [1, 2, 3])))
    assert decoded.dtype == dtype
    assert decoded.shape == (3,)
    assert decoded.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        decoded[0] = 5


def test_bytes_become_signed_numbers():
    assert decode_input(InputType.BYTES, b"\x00\x7f\x80\xff").tolist() == [0, 127, -128, -1]
    assert decode_input(InputType.BYTES, b"\xff").dtype == np.int8


def test_text_becomes_str():
    assert decode_input(InputType.STRINGS, memoryview("é".encode())) == "é"


@pytest.mark.parametrize("input_type", [each for each in InputType if each is not InputType.JSON])
def test_empty_input_is_legal(input_type):
    assert len(decode_input(input_type, b"")) == 0


def test_a_writable_buffer_gives_a_read_only_array_too():
    decoded = decode_input(InputType.INTEGERS, memoryview(bytearray(8)))
    assert not decoded.flags.writeable


@pytest.mark.parametrize(
    ("input_type", "payload"),
    [
        (InputType.INTEGERS, b"123"),
        (InputType.FLOATS, b"12345"),
        (InputType.DOUBLES, b"1234"),
        (InputType.STRINGS, b"\xff"),
        (InputType.STRINGS, b"\xed\xa0\x80"),
    ],
)
def test_malformed_payload_is_a_protocol_error(input_type, payload):
    with pytest.raises(ProtocolError):
        decode_input(input_type, payload)


@examples(100)
@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_integers_survive(numbers):
    assert decode_input(InputType.INTEGERS, encode_input(InputType.INTEGERS, numbers)).tolist() == numbers


@examples(100)
@given(st.lists(st.floats(allow_nan=False)))
def test_doubles_survive_to_the_last_bit(numbers):
    decoded = decode_input(InputType.DOUBLES, encode_input(InputType.DOUBLES, numbers))
    assert decoded.tobytes() == np.array(numbers, dtype="<f8").tobytes()


@examples(100)
@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_floats_survive_to_the_last_bit(numbers):
    decoded = decode_input(InputType.FLOATS, encode_input(InputType.FLOATS, numbers))
    assert decoded.tobytes() == np.array(numbers, dtype="<f4").tobytes()


@examples(100)
@given(st.text())
def test_text_survives(text):
    assert decode_input(InputType.STRINGS, encode_input(InputType.STRINGS, text)) == text


@examples(200)
@given(st.sampled_from([each for each in InputType if each is not InputType.JSON]), st.binary(max_size=64))
def test_any_payload_is_an_input_or_a_protocol_error(input_type, payload):
    try:
        decoded = decode_input(input_type, payload)
    except ProtocolError:
        return
    again = decoded.encode() if isinstance(decoded, str) else decoded.tobytes()
    assert again == payload


@pytest.mark.parametrize(
    ("input_type", "value", "json_value"),
    [
        (InputType.DOUBLES, [1.5, 2], [1.5, 2]),
        (InputType.DOUBLES, (1.5, 2.0), [1.5, 2.0]),
        (InputType.DOUBLES, range(3), [0, 1, 2]),
        (InputType.DOUBLES, np.array([0.5, 1.0]), [0.5, 1.0]),
        (InputType.FLOATS, np.array([0.5], dtype=np.float32), [0.5]),
        (InputType.INTEGERS, np.array([1, 2], dtype=np.int64), [1, 2]),
        (InputType.INTEGERS, [np.int32(1), np.int64(2)], [1, 2]),
        (InputType.INTEGERS, array.array("i", [1, 2]), [1, 2]),
        (InputType.DOUBLES, [], []),
        (InputType.STRINGS, "text", "text"),
        (InputType.BYTES, b"ab", "YWI="),
        (InputType.BYTES, bytearray(b"ab"), "YWI="),
        (InputType.BYTES, memoryview(b"ab"), "YWI="),
        (InputType.BYTES, np.array([97, 98], dtype=np.int8), "YWI="),
        (InputType.BYTES, b"", ""),
    ],
)
def test_notebook_value_becomes_a_json_value(input_type, value, json_value):
    formatted = format_input(input_type, value)
    assert formatted == json_value
    assert type(formatted) is type(json_value)


def test_formatted_numbers_are_plain_python():
    formatted = format_input(InputType.DOUBLES, [np.float32(0.5), np.int64(1), 2])
    assert [type(number) for number in formatted] == [float, int, int]


MISSING = [
    ([1.5, math.nan], [1.5, "NaN"]),
    ([math.inf, -math.inf, None], ["Infinity", "-Infinity", None]),
    ([1e308, 1e308], [1e308, 1e308]),
    (np.array([0.5, np.nan, -np.inf]), [0.5, "NaN", "-Infinity"]),
    ([np.float32("nan"), np.float64("inf")], ["NaN", "Infinity"]),
    (np.ma.array([1.0, 2.0], mask=[False, True]), [1.0, None]),
    (list(np.ma.array([1.0, 2.0], mask=[False, True])), [1.0, None]),
    (pd.Series([1, pd.NA], dtype="Int64"), [1, None]),
    (pd.Series([0.5, None]), [0.5, "NaN"]),
    ([1, pd.NA], [1, None]),
    (pa.array([1.5, None]), [1.5, None]),
    ([pa.scalar(1.5), pa.scalar(None)], [1.5, None]),
    (["NaN", 1], ["NaN", 1]),
]


@pytest.mark.parametrize(("value", "json_value"), MISSING, ids=lambda value: str(value).replace("\n", " "))
def test_missing_and_infinite_numbers_are_written_as_such(value: Any, json_value: list[Any]) -> None:
    for input_type in (InputType.DOUBLES, InputType.FLOATS):
        assert format_input(input_type, value) == json_value


@pytest.mark.parametrize("value", [np.array([1, np.nan]), [1, None], [1, pd.NA], pd.Series([1, None], dtype="Int64")])
def test_missing_whole_number_is_refused_with_its_position(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"Number 1 .* is missing, and whole numbers have no missing value"):
        format_input(InputType.INTEGERS, value)


@pytest.mark.parametrize("value", [Decimal("1.5"), np.longdouble("1.5"), np.array(1.5), pa.scalar(1.5)])
def test_number_of_another_type_is_a_number(value: Any) -> None:
    (number,) = format_input(InputType.DOUBLES, [value])
    assert (type(number), number) == (float, 1.5)


@pytest.mark.parametrize(
    "value",
    [Decimal(2**53 + 1), np.longdouble(2**53) + 1, Fraction(2**53 + 1), np.int64(2**53 + 1), pa.scalar(2**53 + 1)],
)
def test_whole_number_of_another_type_keeps_its_digits(value: Any) -> None:
    assert format_input(InputType.DOUBLES, [value]) == [2**53 + 1]


def test_number_beyond_a_double_does_not_become_infinity() -> None:
    with pytest.raises(InvalidInputError, match="beyond the range of a double: 1e\\+999"):
        format_input(InputType.DOUBLES, [Decimal("1e999")])
    assert format_input(InputType.DOUBLES, [Decimal("-Infinity")]) == ["-Infinity"]


@pytest.mark.parametrize("dtype", ["datetime64[ns]", "timedelta64[ns]"])
def test_times_are_not_taken_for_nanoseconds(dtype: str) -> None:
    times = np.array([10], dtype=dtype)
    for value in (times, list(times), pd.Series(times)):
        with pytest.raises(InvalidInputError, match=re.escape(f"numbers are times ({dtype}")):
            format_input(InputType.DOUBLES, value)


@pytest.mark.parametrize(
    ("input_type", "value", "way_out"),
    [
        (InputType.STRINGS, 1, r"must be str, not int\. Send its text: str\(x\)"),
        (InputType.DOUBLES, 1.5, "as a list"),
        (InputType.STRINGS, {"a": 1}, r"json\.dumps\(row\)"),
        (InputType.DOUBLES, pd.DataFrame({"a": [1.0]}), r"predict_batch\(\)"),
    ],
)
def test_value_of_another_kind_is_refused_with_the_way_out(input_type: InputType, value: Any, way_out: str) -> None:
    with pytest.raises(InvalidInputError, match=way_out):
        format_input(input_type, value)


@pytest.mark.parametrize(
    ("input_type", "value", "expected"),
    [
        (InputType.DOUBLES, "1,2", "a 1-D array or list of numbers"),
        (InputType.DOUBLES, b"12", "a 1-D array or list of numbers"),
        (InputType.INTEGERS, 1, "a 1-D array or list of numbers"),
        (InputType.FLOATS, np.float32(1.0), "a 1-D array or list of numbers"),
        (InputType.FLOATS, None, "a 1-D array or list of numbers"),
        (InputType.FLOATS, {1.0}, "a 1-D array or list of numbers"),
        (InputType.FLOATS, {"a": 1.0}, "a 1-D array or list of numbers"),
        (InputType.STRINGS, b"text", "str"),
        (InputType.STRINGS, 5, "str"),
        (InputType.STRINGS, ["text"], "str"),
        (InputType.BYTES, "text", "bytes or an array of them"),
        (InputType.BYTES, [1, 2], "bytes or an array of them"),
    ],
)
def test_value_without_json_form_is_refused_with_expected_form(input_type, value, expected):
    with pytest.raises(InvalidInputError) as info:
        format_input(input_type, value)
    assert f"An input of type {input_type} must be {expected}, not " in str(info.value)


@pytest.mark.parametrize(
    "value",
    [np.array([1, 2]), np.array([0.5], dtype=np.float16), array.array("d", [1.0]), memoryview(np.array([1, 2])),
     np.array(["ab"]), np.array([b"ab"]), np.float64(1.0)],
)  # fmt: skip
def test_memory_of_an_array_is_not_taken_for_bytes(value):
    with pytest.raises(InvalidInputError, match=r"elements are not bytes .*astype\('uint8'\)"):
        format_input(InputType.BYTES, value)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (np.array([97, 98], dtype=np.uint8), "YWI="),
        (np.array([True, False]), "AQA="),
        (np.bytes_(b"ab"), "YWI="),
        (np.void(b"ab"), "YWI="),
        (array.array("B", [97, 98]), "YWI="),
        (memoryview(np.array([97, 98], dtype=np.int8)), "YWI="),
    ],
)
def test_bytes_in_arrays_and_scalars_are_sent(value, sent):
    assert format_input(InputType.BYTES, value) == sent


@pytest.mark.parametrize(
    "value",
    [np.zeros((2, 2)), [[1.0], [2.0]], [np.array([1.0])], [(1.0,)], np.zeros((1, 1, 1)), [[]]],
    ids=["matrix", "lists", "arrays", "tuples", "cube", "empty list"],
)
def test_input_with_more_dimensions_is_refused_with_the_way_out(value):
    with pytest.raises(InvalidInputError, match=r"predict_batch\(\)"):
        format_input(InputType.DOUBLES, value)


@examples(50)
@given(st.binary())
def test_bytes_are_written_as_base64(value):
    assert base64.b64decode(format_input(InputType.BYTES, value), validate=True) == value


def test_text_of_an_array_is_text() -> None:
    (value,) = np.array(["naïve"])
    assert type(format_input(InputType.STRINGS, value)) is str
