"""Bodies of predict requests and their answers."""

from __future__ import annotations

import base64
import binascii
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_input, format_input
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.predict_body import (
    MAX_INPUTS_AT_ONCE,
    format_defaults,
    format_model,
    format_prediction,
    format_predictions,
    is_large,
    parse_predict,
)
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS, format_request, parse_predictions
from tests.support.examples import examples

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


GOOD_JSON = (b'{"input": null}', b'{"input": {}}', b'{"input": 1}', b'{"input_batch": [null]}')
"""Bodies that are good where any JSON value is an input, and bad for other types."""


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


# --- what is taken


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
        (InputType.DOUBLES, "9007199254740993"),
        (InputType.DOUBLES, "-0.0"),
    ],
)
def test_extreme_number_is_taken(input_type, number):
    request = parse_predict(b'{"input": [%b]}' % number.encode(), input_type)
    assert decode_input(input_type, request.payloads[0]).tolist() == [float(number)]


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


# --- what is refused


@pytest.mark.parametrize(
    ("input_type", "element"),
    [
        (InputType.INTEGERS, "1.0"),
        (InputType.INTEGERS, "1e0"),
        (InputType.INTEGERS, "2147483648"),
        (InputType.INTEGERS, "-2147483649"),
        (InputType.INTEGERS, "1" * 5000),
        (InputType.INTEGERS, "true"),
        (InputType.INTEGERS, '"1"'),
        (InputType.INTEGERS, "null"),
        (InputType.INTEGERS, "[1]"),
        (InputType.INTEGERS, '"NaN"'),
        (InputType.FLOATS, "3.5e38"),
        (InputType.FLOATS, "3.4028235677973366e38"),
        (InputType.FLOATS, '"nan"'),
        (InputType.FLOATS, '"inf"'),
        (InputType.FLOATS, "1" * 5000),
        (InputType.FLOATS, "false"),
        (InputType.FLOATS, '"1.0"'),
        (InputType.DOUBLES, "1e400"),
        (InputType.DOUBLES, "1" * 5000),
        (InputType.DOUBLES, "true"),
        (InputType.DOUBLES, '"+Infinity"'),
        (InputType.DOUBLES, "[null]"),
        (InputType.DOUBLES, "{}"),
    ],
)
@pytest.mark.parametrize("position", [0, 1, 3])
def test_wrong_element_is_refused_with_its_position(input_type, element, position):
    elements = ["0"] * 4
    elements[position] = element
    one = "[" + ", ".join(elements) + "]"
    with pytest.raises(InvalidInputError) as single:
        parse_predict(f'{{"input": {one}}}'.encode(), input_type)
    assert f"`$.input[{position}]`" in str(single.value)
    with pytest.raises(InvalidInputError) as batch:
        parse_predict(f'{{"input_batch": [[], {one}]}}'.encode(), input_type)
    assert f"`$.input_batch[1][{position}]`" in str(batch.value)


@examples(100)
@given(
    st.sampled_from([InputType.INTEGERS, InputType.FLOATS, InputType.DOUBLES]),
    st.lists(INT32, max_size=8),
    st.sampled_from([True, "1", "NaN ", [], {}]),
    st.data(),
)
def test_first_element_of_wrong_type_is_named(input_type, numbers, wrong, data):
    position = data.draw(st.integers(0, len(numbers)))
    value = [*numbers[:position], wrong, *numbers[position:], "wrong too"]
    with pytest.raises(InvalidInputError) as info:
        parse_predict(json.dumps({"input": value}).encode(), input_type)
    assert f"`$.input[{position}]`" in str(info.value)


@pytest.mark.parametrize("input_type", NUMBERS)
@pytest.mark.parametrize("wrong", ["true", '"x"', "{}", f'"{"x" * 10_000} - at `$.version`"'])
def test_wrong_element_is_told_to_be_no_number(input_type, wrong):
    with pytest.raises(InvalidInputError) as info:
        parse_predict(f'{{"input": [null, {wrong}]}}'.encode(), input_type)
    kind = {"t": "bool", '"': "str", "{": "object"}[wrong[0]]
    assert str(info.value).startswith(f"Expected `float`, got `{kind}` - at `$.input[1]`. This application's")


@pytest.mark.parametrize("input_type", NUMBERS)
@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "nan"])
def test_bare_token_is_no_json_and_the_error_says_what_is(input_type, token):
    with pytest.raises(InvalidInputError, match=r'malformed.*null or "NaN" for a missing one'):
        parse_predict(f'{{"input": [1, {token}]}}'.encode(), input_type)


@pytest.mark.parametrize("text", ["Y", "YQ", "YQ=", "Y Q==", "YQ==\\n", "YQ==YQ==", "-_-_", "é", "====", "YWJj===="])
def test_text_that_is_not_base64_is_refused(text):
    with pytest.raises(InvalidInputError, match="base64 text"):
        parse_predict(f'{{"input": "{text}"}}'.encode(), InputType.BYTES)


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00", "\\ud83d", "a\\ud83da", "\\udc00\\ud800"])
def test_half_a_character_is_refused(text):
    with pytest.raises(InvalidInputError):
        parse_predict(f'{{"input": "{text}"}}'.encode(), InputType.STRINGS)


@pytest.mark.parametrize("input_type", list(InputType))
@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "truncated"),
        (b"hello", "malformed"),
        (b"[1]", "Expected `object`"),
        (b"null", "Expected `object`"),
        (b"3", "Expected `object`"),
        (b"{", "truncated"),
        (b"{}", "The body has neither 'input' nor 'input_batch'"),
        (b'{"version": "1"}', "The body has neither 'input' nor 'input_batch'"),
        (b'{"inputs": [1]}', "unknown field `inputs`"),
        (b'{"input_batch": [], "x": 1}', "unknown field `x`"),
        (b'{"input": null}', "`$.input`"),
        (b'{"input": {}}', "`$.input`"),
        (b'{"input": 1}', "`$.input`"),
        (b'{"input_batch": null}', "`$.input_batch`"),
        (b'{"input_batch": {}}', "`$.input_batch`"),
        (b'{"input_batch": "text"}', "`$.input_batch`"),
        (b'{"input_batch": [null]}', "`$.input_batch[0]`"),
        (b'{"input_batch": [], "version": 1.0}', "`$.version`"),
        (b'{"input_batch": [], "key": 1.0}', "Expected a text of 1 to 256 characters without '[', or a whole number"),
        (b'{"input_batch": [], "key": null}', "`$.key`"),
        (b'{"input_batch": [], "key": true}', "`$.key`"),
        (b'{"input_batch": [], "key": ""}', "`$.key`"),
        (b'{"input_batch": [], "key": "a[0]"}', "`$.key`"),
        (b'{"input_batch": [], "key": "%b"}' % (b"a" * 257), "`$.key`"),
        (b'{"input_batch": [], "version": null}', "`$.version`"),
        (b'{"input_batch": [], "version": true}', "`$.version`"),
        (b'{"input_batch": []} x', "trailing characters"),
        (b'{"input_batch": [NaN]}', "malformed"),
        (b'{"\xff": 1}', "This application's input type"),
        (b"[" * 100_000, "This application's input type"),
        (b'{"input_batch": ' + b"[" * 100_000, "This application's input type"),
    ],
)
def test_bad_body_is_refused_with_the_fault_and_expected_type(input_type, body, complaint):
    if input_type is InputType.JSON and body in GOOD_JSON:
        assert len(parse_predict(body, input_type).payloads) == 1
        return
    with pytest.raises(InvalidInputError) as info:
        parse_predict(body, input_type)
    assert complaint in str(info.value)
    assert f"This application's input type is '{input_type}': send a JSON object with 'input'" in str(info.value)
    assert input_type.expectation in str(info.value)


@pytest.mark.parametrize(("input_type", "value"), [(InputType.DOUBLES, [1.0]), (InputType.STRINGS, "a")])
def test_input_and_input_batch_together_are_refused(input_type, value):
    body = json.dumps({"input": value, "input_batch": [value]}).encode()
    with pytest.raises(InvalidInputError, match="both 'input' and 'input_batch'"):
        parse_predict(body, input_type)


@pytest.mark.parametrize(
    ("input_type", "one"),
    [
        (InputType.DOUBLES, b"[]"),
        (InputType.INTEGERS, b"[1]"),
        (InputType.FLOATS, b"[" + b"1," * 20 + b"1]"),
        (InputType.STRINGS, b'"["'),
        (InputType.BYTES, b'""'),
    ],
)
def test_more_inputs_than_the_limit_are_refused(input_type, one):
    def body(number):
        return b'{"input_batch":[' + b",".join([one] * number) + b"]}"

    assert len(parse_predict(body(MAX_BATCH_INPUTS), input_type).payloads) == MAX_BATCH_INPUTS
    with pytest.raises(InvalidInputError, match=r"More than 16384 inputs - at `\$.input_batch`"):
        parse_predict(body(MAX_BATCH_INPUTS + 1), input_type)


def test_brackets_in_text_do_not_count_as_inputs():
    text = "[" * 300_000
    assert parse_predict(json.dumps({"input": text}).encode(), InputType.STRINGS).payloads == [text.encode()]


# --- answers


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ("1", 1),
        ("-1.5", -1.5),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ('"text"', "text"),
        ("true", True),
        ("null", None),
        (" 1 ", 1),
        ("text", "text"),
        ("", ""),
        ("01", "01"),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("{", "{"),
        ('"', '"'),
        ("a\nb\0", "a\nb\0"),
        ("é😀", "é😀"),
        ("1 2", "1 2"),
    ],
)
def test_output_is_json_when_it_parses_and_text_when_not(output, value):
    answer = json.loads(format_prediction(7, output, None, None))
    assert answer == {"query_id": 7, "output": value, "default": False}
    assert type(answer["output"]) is type(value)


def test_reply_names_the_version_that_was_asked():
    model = format_model(ModelId("digits-net", "3"))
    assert json.loads(format_prediction(7, "1", None, None, model))["model"] == "digits-net:3"
    assert json.loads(format_prediction(7, "1", "model_error", "no", model))["model"] == "digits-net:3"
    assert [json.loads(one)["model"] for one in format_defaults([1, 2], "1", "model_error", "no", model)] == (
        2 * ["digits-net:3"]
    )
    (found,) = parse_predictions(format_prediction(7, "1", None, None, model), latency_s=0.1)
    assert found.model == "digits-net:3"
    (found,) = parse_predictions(format_prediction(7, "1", "not_linked", "no"), latency_s=0.1)
    assert found.model is None


def test_default_output_comes_with_reason_and_explanation():
    answer = json.loads(format_prediction(8, "-1.0", "model_error", 'it said "no"\n'))
    assert answer == {
        "query_id": 8,
        "output": -1.0,
        "default": True,
        "default_explanation": 'it said "no"\n',
        "default_reason": "model_error",
    }


@examples(300)
@given(st.text() | json_values.map(json.dumps), st.none() | st.text())
def test_every_answer_is_json(output, explanation):
    reason = None if explanation is None else "model_too_slow"
    reply = format_prediction(1, output, reason, explanation)
    answer = json.loads(reply)
    assert answer["default"] == (reason is not None)
    assert answer.get("default_explanation") == explanation
    try:
        expected = json.loads(output)
    except ValueError:
        expected = output
    shown = answer["output"]
    assert shown in (expected, output) or (isinstance(shown, float) and math.isclose(shown, expected))


@pytest.mark.parametrize("output", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, "1" * 5000])
def test_output_that_no_parser_accepts_passes_as_text(output):
    assert json.loads(format_prediction(1, output, None, None))["output"] == output


def test_batch_keeps_the_order_of_its_answers():
    single = [format_prediction(number, str(number * 10), None, None) for number in range(3)]
    assert [answer["output"] for answer in json.loads(format_predictions(single))["batch_predictions"]] == [0, 10, 20]
    assert json.loads(format_predictions([])) == {"batch_predictions": []}


# --- the client's side


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


@pytest.mark.parametrize("body", [b'{"input": "\xff"}', b'{"input_batch": [{"a": "\xed\xa0\x80"}]}'])
def test_json_that_is_not_utf8_is_refused(body):
    with pytest.raises(InvalidInputError, match=r"utf-8.*input type is 'json'"):
        parse_predict(body, InputType.JSON)
