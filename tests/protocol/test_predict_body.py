"""Bodies of predict requests: what is taken, and becomes which inputs."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_input, format_input
from clipper_nb.protocol.predict_body import MAX_INPUTS_AT_ONCE, is_large, parse_predict
from clipper_nb.protocol.predict_call import format_request
from tests.support.examples import examples
from tests.support.input_values import (
    LARGEST_FLOAT32,
    NOT_FINITE,
    NUMBERS,
    assert_is_the_input,
    good_values,
    input_values,
)


@examples(150)
@given(st.data(), st.sampled_from(list(InputType)))
def test_good_input_decodes_to_the_same(data, input_type):
    value = data.draw(good_values(input_type))
    request = parse_predict(json.dumps({"input": value}).encode(), input_type)
    assert not request.is_batch
    assert request.version is None
    assert len(request.payloads) == 1
    assert_is_the_input(input_type, request.payloads[0], value)


@examples(100)
@given(st.data(), st.sampled_from(list(InputType)))
def test_good_batch_keeps_its_order(data, input_type):
    values = data.draw(st.lists(good_values(input_type), max_size=5))
    request = parse_predict(json.dumps({"input_batch": values}, ensure_ascii=False).encode(), input_type)
    assert request.is_batch
    assert len(request.payloads) == len(values)
    for payload, value in zip(request.payloads, values, strict=True):
        assert_is_the_input(input_type, payload, value)


@pytest.mark.slow
@examples(500)
@given(input_values, st.sampled_from(list(InputType)), st.sampled_from(["input", "input_batch"]))
def test_any_json_value_is_an_input_or_refused(value, input_type, key):
    body = json.dumps({key: value}).encode()
    try:
        request = parse_predict(body, input_type)
    except InvalidInputError:
        return
    values = value if key == "input_batch" else [value]
    assert request.is_batch == (key == "input_batch")
    for payload, one in zip(request.payloads, values, strict=True):
        assert_is_the_input(input_type, payload, one)


@examples(300)
@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode), st.sampled_from(list(InputType)))
def test_any_body_is_a_request_or_refused(body, input_type):
    try:
        request = parse_predict(body, input_type)
    except InvalidInputError:
        return
    assert all(isinstance(payload, bytes) for payload in request.payloads)


@pytest.mark.slow
@examples(300)
@given(
    st.data(),
    st.sampled_from(list(InputType)),
    st.integers(0, 100),
    st.binary(max_size=3),
)
def test_damaged_body_is_a_request_or_refused(data, input_type, position, damage):
    body = json.dumps({"input": data.draw(good_values(input_type)), "version": "1"}).encode()
    position %= len(body) + 1
    with_damage = body[:position] + damage + body[position + len(damage) :]
    try:
        parse_predict(with_damage, input_type)
    except InvalidInputError:
        pass


@pytest.mark.parametrize(
    ("key", "found"), [("ada", b"ada"), ("ü", "ü".encode()), (42, b"42"), ("42", b"42"), (-1, b"-1")]
)
def test_key_becomes_bytes(key, found):
    body = json.dumps({"key": key, "input": []}).encode()
    assert parse_predict(body, InputType.DOUBLES).key == found
    assert parse_predict(b'{"input": []}', InputType.DOUBLES).key is None


@pytest.mark.parametrize(("version", "text"), [("2", "2"), ("1.0", "1.0"), (2, "2"), ("", ""), ("no such", "no such")])
def test_version_becomes_text(version, text):
    body = json.dumps({"input": [], "version": version}).encode()
    assert parse_predict(body, InputType.DOUBLES).version == text


@pytest.mark.parametrize("input_type", list(InputType))
def test_empty_batch_is_a_batch(input_type):
    request = parse_predict(b'{"input_batch": []}', input_type)
    assert request.payloads == []
    assert request.is_batch


@pytest.mark.parametrize(
    ("input_type", "number"),
    [
        (InputType.INTEGERS, "2147483647"),
        (InputType.INTEGERS, "-2147483648"),
        (InputType.FLOATS, "3.4028234663852886e38"),
        (InputType.FLOATS, "-3.4028234663852886e38"),
        (InputType.FLOATS, "1"),
        (InputType.DOUBLES, "1.7976931348623157e308"),
        (InputType.DOUBLES, "9007199254740994"),
        (InputType.DOUBLES, "-0.0"),
    ],
)
def test_extreme_number_is_taken(input_type, number):
    request = parse_predict(b'{"input": [%b]}' % number.encode(), input_type)
    assert decode_input(input_type, request.payloads[0]).tolist() == [float(number)]


@pytest.mark.parametrize("number", ["9007199254740993", "-12345678901234567", "18446744073709551617", f"1{'0' * 400}"])
def test_whole_number_that_no_double_has_is_refused(number):
    for key, inputs, where in [
        ("input", f"[1.5, {number}]", "`$.input[1]`"),
        ("input", f"[null, {number}]", "`$.input[1]`"),
        ("input_batch", f"[[], [0, 1, {number}]]", "`$.input_batch[1][2]`"),
    ]:
        with pytest.raises(InvalidInputError, match=f"The whole number {number[:40]}.*more digits") as raised:
            parse_predict(f'{{"{key}": {inputs}}}'.encode(), InputType.DOUBLES)
        assert f" - at {where}. This application's input type is 'doubles'" in str(raised.value)


@examples(200)
@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: abs(number) < 1e21))
def test_double_as_any_language_writes_it_is_taken(number):
    shortest = f"{Decimal(repr(number)):f}".removesuffix(".0")  # as JavaScript and Go do
    exact = f"{Decimal(number):f}"  # as C does
    body = f'{{"input": [{shortest}, {exact}]}}'.encode()
    assert decode_input(InputType.DOUBLES, parse_predict(body, InputType.DOUBLES).payloads[0]).tolist() == [number] * 2


@examples(100)
@given(st.integers(-(2**70), 2**70))
def test_whole_number_keeps_its_digits_or_is_refused(number):
    try:
        payload = parse_predict(b'{"input": [%d]}' % number, InputType.DOUBLES).payloads[0]
    except InvalidInputError:
        assert float(number) != number
    else:
        found = decode_input(InputType.DOUBLES, payload).tolist()[0]
        assert number in (int(found), int(Decimal(repr(found))))


@pytest.mark.parametrize("number", ["3.4028235e38", "3.4028235677973362e38", f"34028235{'0' * 31}"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_double_that_rounds_to_the_largest_float_is_taken(sign, number):
    request = parse_predict(b'{"input": [%b]}' % f"{sign}{number}".encode(), InputType.FLOATS)
    assert decode_input(InputType.FLOATS, request.payloads[0]).tolist() == [float(f"{sign}{LARGEST_FLOAT32}")]


@pytest.mark.parametrize("input_type", NUMBERS)
@pytest.mark.parametrize("written", ["null", '"NaN"', '"Infinity"', '"-Infinity"', '"\\u004eaN"'])
def test_what_json_has_no_number_for_is_taken(input_type, written):
    value = NOT_FINITE[json.loads(written)]
    bodies = [f'{{"input": [1, {written}]}}', f'{{"input_batch": [[2], [1, {written}]]}}']
    for body in bodies:
        decoded = decode_input(input_type, parse_predict(body.encode(), input_type).payloads[-1])
        np.testing.assert_array_equal(decoded, [1.0, value])


@pytest.mark.parametrize("input_type", NUMBERS)
def test_each_nan_has_the_same_bits(input_type):
    """Or a cached answer would not be found."""
    body = json.dumps({"input_batch": [[None], ["NaN"], format_input(input_type, [-math.nan])]}).encode()
    assert len(set(parse_predict(body, input_type).payloads)) == 1


@examples(100)
@given(st.data(), st.sampled_from(list(InputType)), st.none() | st.text(max_size=5))
def test_frontend_reads_what_the_client_writes(data, input_type, version):
    value = data.draw(good_values(input_type))
    single = parse_predict(format_request(input_type, value, is_batch=False, version=version, key="k"), input_type)
    assert single.key == b"k"
    batch = parse_predict(format_request(input_type, [value, value], is_batch=True, version=version), input_type)
    assert (single.is_batch, batch.is_batch) == (False, True)
    assert single.version == batch.version == version
    assert batch.payloads == single.payloads * 2
    assert_is_the_input(input_type, single.payloads[0], value)


def test_array_travels_from_notebook_to_function():
    numbers = np.array([0.1, 1e-40, 3.4e38], dtype=np.float32)
    body = format_request(InputType.FLOATS, format_input(InputType.FLOATS, numbers), is_batch=False, version=None)
    decoded = decode_input(InputType.FLOATS, parse_predict(body, InputType.FLOATS).payloads[0])
    assert decoded.tobytes() == numbers.tobytes()


@pytest.mark.parametrize(("input_type", "value"), [(InputType.DOUBLES, [1.25] * 20), (InputType.STRINGS, "word" * 20)])
def test_request_is_large_from_so_many_inputs_on(input_type, value):
    sizes = [1, MAX_INPUTS_AT_ONCE, MAX_INPUTS_AT_ONCE + 4]  # texts are counted with room for the keys
    bodies = [format_request(input_type, [value] * size, is_batch=True, version="1") for size in sizes]
    assert [is_large(body, input_type) for body in bodies] == [False, False, True]


def test_one_long_input_is_not_large():
    for input_type, value in ((InputType.DOUBLES, [1.25] * 20_000), (InputType.STRINGS, "word" * 20_000)):
        assert not is_large(format_request(input_type, value, is_batch=False, version=None), input_type)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"input_batch": [' + b"1 ," * MAX_INPUTS_AT_ONCE + b"1 " * 400 + b"]}",
            False,
        ),  # malformed: reported at once
        (b'{"input_batch": [' + b"1   ," * MAX_INPUTS_AT_ONCE + b"1]}", True),
        (b'{"input_batch": [[' + b"1   ," * MAX_INPUTS_AT_ONCE + b"1]]}", False),
        (b'{"input": [' + b"1   ," * MAX_INPUTS_AT_ONCE + b"1]}", False),
        (b'{"input": "' + b"word" * 20_000 + b'"}', True),
    ],
)
def test_request_of_json_is_large_by_bytes_or_inputs(body, expected):
    assert is_large(body, InputType.JSON) is expected
