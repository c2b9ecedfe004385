"""Large bodies give what small ones give, a piece at a time."""

from __future__ import annotations

import base64
import itertools
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.large_body import LargeBody
from clipper_nb.protocol.large_json import LargeJsonBody
from clipper_nb.protocol.predict_body import parse_predict
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from tests.support.examples import examples

numbers = st.sampled_from(["0", "-1", "7", "123456"]) | st.integers(-(2**31), 2**31 - 1).map(str)
odd_numbers = st.sampled_from(
    [
        "2.5",
        "1e3",
        "-0.0",
        "1E-7",
        "3.4028235e38",
        "1e39",
        "99999999999999999999",
        "9007199254740993",
        "1700000000000000",
        "null",
        '"NaN"',
        '"-Infinity"',
        '"NaN,"',
        '"]"',
    ]
)
nonsense = st.sampled_from(["null", "true", '"NaN"', '"a,b"', "[1]", "", "]", "1 2", "{}"])
characters = st.sampled_from(["a", "é", "€", "😀", "\\n", '\\"', "\\\\", "\\u00e9", "\\ud83d\\ude00", "\\/", "]", ","])
broken = st.sampled_from(["\\ud800", "\\x", "\x01", '"'])
blanks = st.sampled_from(["", " ", "\n  "])


json_texts = st.recursive(
    st.sampled_from(["1", "-2.5e3", "99999999999999999999", "true", "null", '""', '"]"', '"{"'])
    | st.lists(characters, max_size=40).map(lambda some: '"' + "".join(some) + '"'),
    lambda parts: (
        st.lists(parts, max_size=6).map(lambda some: "[" + " , ".join(some) + "]")
        | st.lists(parts, max_size=6).map(
            lambda some: "{ " + ",".join(f'"k{n}" : {p}' for n, p in enumerate(some)) + "}"
        )
    ),
)


def elements_of(input_type: InputType) -> st.SearchStrategy[str]:
    """Return a strategy of the JSON texts of one input, most of them good."""
    if input_type is InputType.STRINGS:
        return st.lists(characters, max_size=40).map(lambda some: '"' + "".join(some) + '"')
    if input_type is InputType.JSON:
        return json_texts
    if input_type is InputType.BYTES:
        good = st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode())
        return (good | good.map(lambda text: text.replace("/", "\\/"))).map('"{}"'.format)
    element = numbers if input_type is InputType.INTEGERS else numbers | odd_numbers
    return st.lists(element, max_size=30).map(lambda some: "[" + ", ".join(some) + "]")


@st.composite
def bodies(draw: st.DrawFn, input_type: InputType) -> bytes:
    """Return a body that is good, or has one fault."""
    one, blank = elements_of(input_type), draw(blanks)
    some = draw(st.lists(one, max_size=12))
    batch = "[" + blank + f"{blank},{blank}".join(some) + blank + "]"
    members = [draw(st.sampled_from([f'"input":{blank}{draw(one)}', f'"input_batch"{blank}:{blank}{batch}']))]
    members += draw(
        st.sampled_from(
            [
                [],
                ['"version":"1"'],
                ['"version" : 2'],
                ['"key":"a"'],
                ['"key" : 7', '"version":"1"'],
                ['"key":"["'],
                ['"x":[1]'],
                ['"input":[1]'],
            ]
        )
    )
    body = ("{" + f"{blank},{blank}".join(draw(st.permutations(members))) + blank + "}").encode()
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(body)))
        fault = draw((nonsense | broken).map(str.encode) | st.binary(max_size=2))
        body = body[:at] + fault + body[at + draw(st.integers(0, 2)) :]
    return body


def parse_in_steps(body: bytes, input_type: InputType, piece_size_bytes: int) -> object:
    if input_type is InputType.JSON:
        large: LargeBody = LargeJsonBody(body, piece_size_bytes=piece_size_bytes)
    else:
        large = LargeBody(body, input_type, piece_size_bytes=piece_size_bytes)
    for _ in large.steps():
        pass
    return large.request


@pytest.mark.slow
@examples(300)
@given(st.data(), st.sampled_from(list(InputType)), st.sampled_from([16, 21, 33, 64, 1000]))
def test_a_body_in_pieces_is_what_it_is_as_a_whole(data, input_type, piece_size_bytes):
    body = data.draw(bodies(input_type))
    try:
        expected = parse_predict(body, input_type)
    except InvalidInputError:
        with pytest.raises(InvalidInputError, match=f"input type is '{input_type}'"):
            parse_in_steps(body, input_type, piece_size_bytes)
    else:
        assert parse_in_steps(body, input_type, piece_size_bytes) == expected


@examples(200)
@given(
    st.binary(max_size=80), st.sampled_from(list(InputType)), st.sampled_from([b"", b'{"input":', b'{"input_batch":['])
)
@example(b"", InputType.DOUBLES, b'{"input_batch":[')
@example(b"[1,2", InputType.DOUBLES, b'{"input":')
@example(b'"\\', InputType.STRINGS, b'{"input":')
@example(b'"\xc3', InputType.STRINGS, b'{"input":')
@example(b'{"i\\u006eput":[1]}', InputType.DOUBLES, b"")
def test_any_bytes_in_pieces_are_what_they_are_as_a_whole(rest, input_type, beginning):
    test_a_body = beginning + rest
    try:
        expected = parse_predict(test_a_body, input_type)
    except InvalidInputError:
        with pytest.raises(InvalidInputError):
            parse_in_steps(test_a_body, input_type, 16)
    else:
        assert parse_in_steps(test_a_body, input_type, 16) == expected


@pytest.mark.parametrize("num_inputs", [127, 128, 129, 256, 1000, MAX_BATCH_INPUTS])
@pytest.mark.parametrize("one", ["[]", "[1]", "[1, 2, 3]"])
def test_many_inputs_all_come_once_and_in_order(num_inputs, one):
    body = b'{"input_batch":[' + b",".join([one.encode()] * (num_inputs - 1) + [b"[9]"]) + b"]}"
    request = parse_in_steps(body, InputType.DOUBLES, 1000)
    assert request == parse_predict(body, InputType.DOUBLES)
    assert len(request.payloads) == num_inputs


def test_too_many_inputs_are_refused_at_the_first_excess_input():
    body = b'{"input_batch":[' + b"[]," * (2 * MAX_BATCH_INPUTS) + b"[]]}"
    with pytest.raises(InvalidInputError, match=f"More than {MAX_BATCH_INPUTS} inputs"):
        parse_in_steps(body, InputType.INTEGERS, 1000)


@pytest.mark.parametrize(
    ("body", "input_type", "position"),
    [
        (b'{"input":[' + b"1," * 5000 + b"true]}", InputType.DOUBLES, r"`\$\.input\[5000\]`"),
        (b'{"input":[' + b"1," * 5000 + b"x,1]}", InputType.FLOATS, r"\(byte 10010\)"),
        (b'{"input":[' + b"1," * 5000 + b"1]x}", InputType.INTEGERS, r"\(byte 10012\)"),
        (b'{"input_batch":[' + b"[1]," * 5000 + b"[1,null]]}", InputType.INTEGERS, r"`\$\.input_batch\[5000\]\[1\]`"),
        (b'{"input_batch":[' + b"[1]," * 5000 + b"7]}", InputType.DOUBLES, r"`\$\.input_batch\[5000\]`"),
        (b'{"input_batch":[[1],[' + b"1," * 5000 + b'"x"]]}', InputType.DOUBLES, r"`\$\.input_batch\[1\]\[5000\]`"),
        (b'{"input":[' + b"null," * 5000 + b"null]}", InputType.INTEGERS, r"got `null` - at `\$\.input\[0\]`"),
        (b'{"input_batch":[' + b'"a",' * 5000 + b"7]}", InputType.STRINGS, r"`\$\.input_batch\[5000\]`"),
        (b'{"input":"' + b"a" * 5000 + b'\x01"}', InputType.STRINGS, r"\(byte 5010\)"),
        (b'{"input":"' + b"QUFB" * 5000 + b'*QUF"}', InputType.BYTES, r"`\$\.input`"),
        (b'{"input":[' + b"1," * 5000 + b'1],"y":1}', InputType.DOUBLES, "unknown field `y`"),
        (b'{"input":[' + b"1," * 5000 + b'1],"input_batch":[]}', InputType.DOUBLES, "has both 'input' and"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value),
)  # fmt: skip
def test_errors_name_the_position_in_the_whole_body(body, input_type, position):
    for parse in (parse_predict, lambda body, input_type: parse_in_steps(body, input_type, 1000)):
        with pytest.raises(InvalidInputError, match=position):
            parse(body, input_type)


@pytest.mark.parametrize(
    ("body", "input_type"),
    [
        (json.dumps({"input": list(range(200_000))}), InputType.DOUBLES),
        (json.dumps({"input_batch": [list(range(100))] * 2000}), InputType.FLOATS),
        (json.dumps({"input_batch": [[], list(range(200_000)), [1]]}), InputType.INTEGERS),
        (json.dumps({"input": [1.5, None, "NaN", "-Infinity"] * 40_000}), InputType.DOUBLES),
        (json.dumps({"input_batch": [["Infinity", 1.5, None] * 9] * 2000}), InputType.FLOATS),
        (json.dumps({"input": "a\n€😀" * 100_000}), InputType.STRINGS),
        (json.dumps({"input_batch": ["é" * 100, "€" * 300_000]}, ensure_ascii=False), InputType.STRINGS),
        (json.dumps({"input": base64.b64encode(bytes(1_000_000)).decode()}), InputType.BYTES),
    ],
    ids=[
        "numbers",
        "batch",
        "long in batch",
        "missing numbers",
        "missing in batch",
        "escaped text",
        "long text in batch",
        "bytes",
    ],
)
def test_no_step_parses_more_than_about_a_piece(body, input_type):
    large = LargeBody(body.encode(), input_type)
    sizes = [0]
    for _ in large.steps():
        sizes.append(large.payloads_size_bytes)
    assert large.request == parse_predict(body.encode(), input_type)
    assert large.payloads_size_bytes == sum(map(len, large.request.payloads))
    steps = [after - before for before, after in itertools.pairwise(sizes)]
    assert max(steps) <= 4 * 32 * 1024  # of the body; one of its bytes may be four of a payload, as in "1,"


@pytest.mark.parametrize("key", ["input", "input_batch"])
def test_kind_of_request_is_known_after_the_first_step(key):
    values = [[1.5] * 20_000] * 5
    large = LargeBody(json.dumps({key: values if key == "input_batch" else values[0] * 5}).encode(), InputType.DOUBLES)
    assert large.is_batch is None
    next(large.steps())
    assert large.is_batch == (key == "input_batch")
    assert large.is_countable == (key == "input_batch")
    assert large.request is None
    if large.is_countable:
        assert all(large.count_steps())
        assert large.num_inputs == 5


def test_a_refusal_says_what_the_application_expects():
    with pytest.raises(InvalidInputError) as refusal:
        parse_in_steps(b'{"input":["a"]}', InputType.DOUBLES, 16)
    assert re.search(r"Expected `float`, got `str` - at `\$\.input\[0\]`\. This application's", str(refusal.value))
