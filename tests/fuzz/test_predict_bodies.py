"""Bodies of predict requests, whatever is in them, against Python's own JSON."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_input
from clipper_nb.protocol.predict_body import parse_predict
from tests.support.input_values import assert_is_the_input

pytestmark = pytest.mark.slow

NUMERIC = [InputType.INTEGERS, InputType.FLOATS, InputType.DOUBLES]

digits = st.text("0123456789", max_size=30)
odd_numbers = [
    "NaN",
    "Infinity",
    "-Infinity",
    "-0",
    "-0.0",
    "0x1",
    "1e309",
    "-1e309",
    "1e-400",
    "true",
    "null",
    '"1"',
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "1.7976931348623159e308",
    "4.9e-324",
    "3.4028235e38",
    "3.4028235677973366e38",
    '"NaN"',
    '"Infinity"',
    '"-Infinity"',
    '"nan"',
    "2147483648",
    "[]",
    "{}",
    "01",
    "1.",
    ".5",
    "1,",
    "[1]",
]
signs, points = st.sampled_from(["", "-", "+", " -"]), st.sampled_from(["", ".", ".0", "e", "E+", "e-"])
numbers = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.builds("{}{}{}{}".format, signs, digits, points, digits),
    st.sampled_from([*odd_numbers, "1" * 310]),
)
words = [*'{}[]:," \\\n\t\0\ufeff', '"input"', '"input_batch"', '"version"', '"\\ud800"', '"\\u0000"', '"i\\u006eput"']
pieces = numbers | st.sampled_from([*words, "[" * 2000, '{"a":' * 2000, "é", "//"]) | st.text(max_size=4)
texts = st.lists(pieces, max_size=12).map("".join).map(lambda text: text.encode("utf-8", "surrogatepass"))


def _parse(body: bytes, input_type: InputType):
    """Return the request or ``None``; nothing but a refusal with a hint may be raised, and soon."""
    began_s = time.monotonic()
    request, complaint = None, ""
    try:
        request = parse_predict(body, input_type)
    except InvalidInputError as exc:
        complaint = str(exc)
    assert time.monotonic() - began_s < 30.0
    assert (request is None) == (f"This application's input type is '{input_type}'" in complaint)
    if request is not None:
        for payload in request.payloads:
            assert type(payload) is bytes
            decode_input(input_type, payload)
    return request


@settings(max_examples=300, deadline=None)
@given(st.lists(numbers, max_size=6), st.sampled_from(NUMERIC), st.sampled_from(["", " ", "\n"]))
@example(["-0"], InputType.DOUBLES, "")
@example(["18446744073709551616", "1"], InputType.DOUBLES, "")
def test_any_list_is_parsed_as_json_or_refused(elements, input_type, blank) -> None:
    text = f'{{"input":{blank}[' + ",".join(elements) + f"]{blank}}}"
    request = _parse(text.encode(), input_type)
    if request is None:
        return
    value = json.loads(text)["input"]
    assert not any(type(number) is bool for number in value)
    assert_is_the_input(input_type, request.payloads[0], value)


@settings(max_examples=300, deadline=None)
@given(texts | st.binary(max_size=80), st.sampled_from(list(InputType)), st.booleans())
@example(b"\xef\xbb\xbf" + b'{"input": []}', InputType.DOUBLES, False)
@example(b'{"input":"\\ud800"}', InputType.STRINGS, False)
@example(b'{"input":[1],"input":[2]}', InputType.DOUBLES, False)
@example(b'{"input":[],"version":' + b"1" * 4301 + b"}", InputType.DOUBLES, False)
def test_any_text_is_parsed_as_json_or_refused(body: bytes, input_type: InputType, is_wrapped: bool) -> None:
    if is_wrapped:
        body = b'{"input":' + body + b"}"
    request = _parse(body, input_type)
    if request is None:
        return
    parsed = json.loads(body)
    assert request.version == (str(parsed["version"]) if "version" in parsed else None)
    values = parsed["input_batch"] if request.is_batch else [parsed["input"]]
    for payload, value in zip(request.payloads, values, strict=True):
        assert_is_the_input(input_type, payload, value)
