"""Numbers of tensors become inputs only if each stays what it is."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.v2_tensors import (
    ACCEPTED,
    BYTES,
    ITEM_SIZES_BYTES,
    Structure,
    convert_numbers,
    needs_no_conversion,
    num_elements,
    parse_numbers,
)

DTYPES = {
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4",
    "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
TARGETS = {
    InputType.DOUBLES: "<f8",
    InputType.FLOATS: "<f4",
    InputType.INTEGERS: "<i4",
    InputType.BYTES: "<i1",
}
PAIRS = [(input_type, datatype) for input_type in TARGETS for datatype in ACCEPTED[input_type] if datatype != BYTES]


def test_sizes_of_elements_are_those_of_numpy() -> None:
    assert {datatype: np.dtype(code).itemsize for datatype, code in DTYPES.items()} == ITEM_SIZES_BYTES


@pytest.mark.parametrize(("input_type", "datatype"), PAIRS)
@given(data=st.data())
def test_each_number_stays_itself_or_is_refused(input_type: InputType, datatype: str, data: st.DataObject) -> None:
    """NumPy is the oracle; only FP64 for floats is rounded."""
    dtype = np.dtype(DTYPES[datatype])
    if dtype.kind == "f":
        elements = st.floats(width=8 * dtype.itemsize)
    else:
        info = np.iinfo(dtype)
        elements = st.integers(int(info.min), int(info.max)) | st.integers(
            max(-300, int(info.min)), min(300, int(info.max))
        )
    values = np.array(data.draw(st.lists(elements, max_size=6)), dtype=dtype)
    try:
        payload = convert_numbers(values.tobytes(), datatype, input_type, 0)
    except InvalidInputError as exc:
        refused = exc
    else:
        got = np.frombuffer(payload, TARGETS[input_type])
        if input_type is InputType.BYTES:
            assert payload == values.tobytes()
        elif (input_type, datatype) == (InputType.FLOATS, "FP64"):
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(got, values.astype(np.float32))
            assert np.isinf(got).tolist() == np.isinf(values).tolist()
        else:
            assert len(got) == len(values)
            for one, other in zip(got.tolist(), values.tolist(), strict=True):
                assert one == other or (math.isnan(one) and math.isnan(other))
        return
    assert "no exact value of the input type" in str(refused)
    with np.errstate(over="ignore", invalid="ignore"):
        there_and_back = values.astype(TARGETS[input_type])
    if dtype.kind == "f":
        assert np.isinf(there_and_back).sum() > np.isinf(values).sum()
    else:
        assert [int(number) for number in there_and_back.tolist()] != values.tolist()


@pytest.mark.parametrize(
    ("input_type", "datatype", "values", "position"),
    [
        (InputType.DOUBLES, "INT64", [1, 2**53 + 1], 11),
        (InputType.FLOATS, "INT32", [2**24 + 1], 10),
        (InputType.FLOATS, "FP64", [0.0, 0.0, 3.5e38], 12),
        (InputType.INTEGERS, "INT64", [0, 2**31], 11),
        (InputType.INTEGERS, "UINT32", [2**32 - 1], 10),
    ],
)
def test_refusal_names_the_element(input_type: InputType, datatype: str, values: list[float], position: int) -> None:
    raw = np.array(values, DTYPES[datatype]).tobytes()
    with pytest.raises(
        InvalidInputError, match=re.escape(f"Element {position} of the {datatype} tensor is {values[-1]}")
    ):
        convert_numbers(raw, datatype, input_type, 10)


def test_whole_number_in_json_that_no_double_has_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"FP64 tensor: The whole number 9007199254740993 .* at element 11"):
        parse_numbers(b"1, 9007199254740993", "FP64", InputType.DOUBLES, 10)


@pytest.mark.parametrize(("input_type", "datatype"), [pair for pair in PAIRS if pair[1] != "FP16"])
@given(data=st.data())
def test_json_gives_the_same_inputs_as_binary(input_type: InputType, datatype: str, data: st.DataObject) -> None:
    dtype = np.dtype(DTYPES[datatype])
    elements = (
        st.floats(width=8 * dtype.itemsize, allow_nan=False, allow_infinity=False)
        if dtype.kind == "f"
        else st.integers(-100, 100)
        if dtype.kind == "i"
        else st.integers(0, 200)
    )
    values = np.array(data.draw(st.lists(elements, max_size=6)), dtype=dtype)
    texts = ", ".join(map(repr, values.tolist())).encode()
    try:
        expected = convert_numbers(values.tobytes(), datatype, input_type, 0)
    except InvalidInputError:
        with pytest.raises(InvalidInputError):
            parse_numbers(texts, datatype, input_type, 0)
        return
    assert parse_numbers(texts, datatype, input_type, 0) == expected


def test_nan_and_infinities_are_written_as_in_predict() -> None:
    payload = parse_numbers(b'1, null, "NaN", "-Infinity"', "FP64", InputType.DOUBLES, 0)
    np.testing.assert_array_equal(np.frombuffer(payload), [1.0, math.nan, math.nan, -math.inf])


@pytest.mark.parametrize(
    ("elements", "datatype", "what"),
    [
        (b"1, 256", "UINT8", "<= 255 - at element 8"),
        (b"-1", "UINT64", ">= 0 - at element 7"),
        (b"18446744073709551616", "UINT64", "out of its range"),
        (b"1.5", "INT32", "Expected `int`, got `float` - at element 7"),
        (b"true", "INT32", "Expected `int`, got `bool` - at element 7"),
        (b"1, x", "INT32", "malformed"),
        (b"1[2", "INT32", "malformed"),
    ],
)
def test_wrong_json_number_is_named(elements: bytes, datatype: str, what: str) -> None:
    with pytest.raises(InvalidInputError, match=f"'data' of the {datatype} tensor: .*{what}"):
        parse_numbers(elements, datatype, InputType.INTEGERS if datatype != "UINT8" else InputType.BYTES, 7)


def test_brackets_never_join_two_numbers() -> None:
    with pytest.raises(InvalidInputError):
        parse_numbers(b"1[2, 3", "FP64", InputType.DOUBLES, 0)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.booleans(), st.integers(0, 20))
def test_structure_is_flat_or_that_of_the_shape(shape: list[int], is_flat: bool, cut: int) -> None:
    data = json.dumps(np.zeros(num_elements(shape) if is_flat else shape).tolist()).encode()
    structure = Structure()
    structure.add(data[:cut])
    structure.add(data[cut:])
    assert structure.is_of(shape)
    assert not structure.is_of([*shape, 2])
    assert structure.is_of([*shape, 1]) == (is_flat or shape == [num_elements(shape)])


def test_structure_of_a_huge_shape_is_never_made() -> None:
    structure = Structure()
    structure.add(b"[1,2]")
    assert not structure.is_of([2**60, 2**60])


@pytest.mark.parametrize(("data", "is_right"), [(b"[]", True), (b"[[],[]]", True), (b"[true]", False)])
def test_structure_without_elements_is_brackets_alone(data: bytes, is_right: bool) -> None:
    structure = Structure()
    structure.add(data)
    assert structure.is_of([2, 0]) is is_right


@pytest.mark.parametrize("input_type", list(InputType))
def test_first_accepted_datatype_needs_no_conversion(input_type: InputType) -> None:
    first = ACCEPTED[input_type][0]
    assert first == BYTES or needs_no_conversion(input_type, first)
