"""A predict body that is wrong is refused, with the fault and its position."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.predict_body import parse_predict
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from tests.support.examples import examples
from tests.support.input_values import INT32, NUMBERS

GOOD_JSON = (b'{"input": null}', b'{"input": {}}', b'{"input": 1}', b'{"input_batch": [null]}')
"""Bodies that are good where any JSON value is an input, and bad for other types."""


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


@pytest.mark.parametrize("body", [b'{"input": "\xff"}', b'{"input_batch": [{"a": "\xed\xa0\x80"}]}'])
def test_json_that_is_not_utf8_is_refused(body):
    with pytest.raises(InvalidInputError, match=r"utf-8.*input type is 'json'"):
        parse_predict(body, InputType.JSON)
