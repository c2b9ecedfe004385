"""Bodies of inference requests: the same inputs from JSON, nested or flat, and from binary tensors."""

from __future__ import annotations

import base64
import json
import re
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from clipper_nb.protocol.v2_body import InferRequest, V2Body, known_requests, parse_infer, parse_known
from tests.support.examples import examples


def json_request(datatype: str, shape: list[int], data: Any, **more: Any) -> bytes:
    """Return a body whose one tensor is in JSON."""
    return json.dumps({"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data}], **more}).encode()


def binary_request(datatype: str, shape: list[int], raw: bytes, **more: Any) -> tuple[bytes, bytes]:
    """Return a body whose one tensor is binary, and the header's value."""
    parameters = {"binary_data_size": len(raw)}
    tensor = {"name": "x", "datatype": datatype, "shape": shape, "parameters": parameters}
    head = json.dumps({"inputs": [tensor], **more}).encode()
    return head + raw, str(len(head)).encode()


def bytes_tensor(elements: list[bytes]) -> bytes:
    """Return the bytes of a BYTES tensor."""
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def to_base64(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


def steps_of(body: bytes, json_size: bytes | None, input_type: InputType) -> tuple[InferRequest, int]:
    """Return the request, and how many steps it took."""
    parsing = V2Body(body, json_size, input_type)
    num_steps = sum(1 for _ in parsing.steps())
    assert parsing.request is not None
    assert parsing.num_inputs == len(parsing.request.payloads)
    assert parsing.payloads_size_bytes == sum(map(len, parsing.request.payloads))
    return parsing.request, num_steps


def refusal(body: bytes, input_type: InputType, json_size: bytes | None = None) -> str:
    """Return what is said of a wrong body."""
    with pytest.raises(InvalidInputError) as caught:
        parse_infer(body, json_size, input_type)
    return str(caught.value)


# --- tensors


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=4),
    st.sampled_from(["flat", "nested", "binary"]),
    st.randoms(use_true_random=False),
)
def test_rows_of_the_first_dimension_are_inputs(shape: list[int], form: str, chance: Any) -> None:
    values = np.array([chance.uniform(-9, 9) for _ in range(int(np.prod(shape)))]).reshape(shape)
    if form == "binary":
        body, json_size = binary_request("FP64", shape, values.tobytes())
    else:
        body, json_size = json_request("FP64", shape, (values if form == "nested" else values.ravel()).tolist()), None
    request = parse_infer(body, json_size, InputType.DOUBLES)
    rows = [values] if len(shape) == 1 else list(values)
    assert request.payloads == [row.tobytes() for row in rows]


@pytest.mark.parametrize("form", ["flat", "nested", "binary"])
def test_large_tensor_is_parsed_in_steps(form: str) -> None:
    values = np.random.default_rng(1).random((300, 400)).astype(np.float32)
    if form == "binary":
        body, json_size = binary_request("FP32", [300, 400], values.tobytes())
    else:
        data = (values if form == "nested" else values.ravel()).tolist()
        body, json_size = json_request("FP32", [300, 400], data, id="é"), None
    request, num_steps = steps_of(body, json_size, InputType.DOUBLES)
    assert num_steps > 8
    assert request.payloads == [row.tobytes() for row in values.astype(np.float64)]


def test_large_image_is_taken_in_one_step() -> None:
    image = np.arange(150_528, dtype=np.uint8)
    body, json_size = binary_request("UINT8", [1, 224, 224, 3], image.tobytes())
    request, num_steps = steps_of(body, json_size, InputType.BYTES)
    assert (num_steps, request.payloads) == (0, [image.tobytes()])


def test_known_json_gives_what_parsing_it_gives() -> None:
    body, json_size = binary_request("FP64", [1, 2], bytes(16), id="known", parameters={"binary_data_output": True})
    other = body[:-16] + np.arange(2.0).tobytes()
    known = known_requests(InputType.DOUBLES)
    assert parse_known(body, json_size, known) is None
    parse_infer(body, json_size, InputType.DOUBLES)
    payload, request = parse_known(other, json_size, known) or (b"", None)
    assert request is not None
    assert request._replace(payloads=[payload]) == parse_infer(other, json_size, InputType.DOUBLES)
    assert parse_known(other, json_size, known_requests(InputType.FLOATS)) is None
    for wrong in (other[:-1], other + b"x", b" " + other):
        assert parse_known(wrong, json_size, known) is None
    for size in (None, b"", b" 1", b"+1", b"1_0", b"9" * 30, b"\xb2", str(len(other)).encode()):
        assert parse_known(other, size, known) is None


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [("FP32", [1, 2], bytes(8)), ("FP64", [2, 1], bytes(16))],
    ids=["converted", "two inputs"],
)
def test_json_of_other_tensors_is_never_known(datatype: str, shape: list[int], raw: bytes) -> None:
    body, json_size = binary_request(datatype, shape, raw, id="unknown")
    parse_infer(body, json_size, InputType.DOUBLES)
    assert parse_known(body, json_size, known_requests(InputType.DOUBLES)) is None


@pytest.mark.parametrize("shape", [[3], [3, 1]])
@pytest.mark.parametrize("input_type", [InputType.STRINGS, InputType.BYTES])
def test_elements_of_bytes_are_inputs(shape: list[int], input_type: InputType) -> None:
    texts = ["a", "", '["é"]\\']
    payloads = [text.encode() for text in texts]
    bodies = [
        (json_request("BYTES", shape, texts), None),
        (json_request("BYTES", shape, [[text] for text in texts]), None),
        (json_request("BYTES", shape, list(map(to_base64, payloads)), parameters={"content_type": "base64"}), None),
        binary_request("BYTES", shape, bytes_tensor(payloads)),
    ]  # fmt: skip
    for body, json_size in bodies:
        assert parse_infer(body, json_size, input_type).payloads == payloads


@pytest.mark.parametrize("is_base64", [False, True])
def test_many_texts_are_parsed_in_steps(is_base64: bool) -> None:
    payloads = [f'{number} ]"\\é{{}}'.encode() * 3 for number in range(9_000)]
    data = [to_base64(p) if is_base64 else p.decode() for p in payloads]
    tensor = {"name": "x", "datatype": "BYTES", "shape": [9_000], "data": data}
    if is_base64:
        tensor["parameters"] = {"content_type": "base64"}
    body = json.dumps({"inputs": [tensor]}).encode()
    request, num_steps = steps_of(body, None, InputType.STRINGS)
    assert num_steps > 8
    assert request.payloads == payloads


def test_one_long_text_is_parsed_in_steps() -> None:
    text = 'é"\\ ' * 100_000
    request, num_steps = steps_of(json_request("BYTES", [1], [text]), None, InputType.STRINGS)
    assert num_steps > 8
    assert request.payloads == [text.encode()]


def test_body_of_raw_bytes_is_one_input() -> None:
    """`Inference-Header-Content-Length: 0`."""
    request = parse_infer(np.arange(3.0).tobytes(), b"0", InputType.DOUBLES)
    assert request.payloads == [np.arange(3.0).tobytes()]
    assert request.is_binary
    assert parse_infer(b"\xff\0", b"0", InputType.BYTES).payloads == [b"\xff\0"]
    assert "not UTF-8" in refusal(b"\xff", InputType.STRINGS, b"0")
    assert "no whole number of FP64 elements" in refusal(b"1234567", InputType.DOUBLES, b"0")


# --- the request


def test_what_the_client_asks_for_is_kept() -> None:
    outputs = [{"name": "output", "parameters": {"binary_data": False}}, {"name": "default"}]
    parameters = {"binary_data_output": True, "timeout": 1_500, "sequence_id": 3}
    body = json_request("FP64", [1], [1.0], id="a", outputs=outputs, parameters=parameters, unknown=[])
    request = parse_infer(body, None, InputType.DOUBLES)
    assert request == InferRequest(request.payloads, "a", {"output": False, "default": True}, True, 0.0015)


def test_null_counts_as_missing() -> None:
    tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0], "parameters": None}
    body = json.dumps({"id": None, "inputs": [tensor], "outputs": None, "parameters": None}).encode()
    assert parse_infer(body, None, InputType.DOUBLES).request_id is None


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "no inference request: Input data was truncated"),
        (b"[]", "no inference request: Expected `object`, got `array`"),
        (b"{}", "missing required field `inputs`"),
        (b'{"inputs":[]}', "One input tensor is expected, got: none"),
        (b"[" * 5_000, "no inference request"),
        (b"\xff{}", "no inference request"),
        (json_request("FP65", [1], [1]), "Datatype 'FP65' is not accepted"),
        (json_request("BYTES", [1], ["a"]), "Datatype 'BYTES' is not accepted"),
        (json_request("BOOL", [1], [True]), "Datatype 'BOOL' is not accepted"),
        (json_request("FP64", [], [1]), "The shape has no dimension"),
        (json_request("FP64", [-1], [1]), "Expected `int` >= 0"),
        (json_request("FP64", [2**64], [1]), "Expected `int` <="),
        (json_request("FP64", [1] * 33, [1]), "length <= 32"),
        (json_request("FP64", [2, 2], [1, 2, 3]), "Shape [2, 2] has 4 elements, and 'data' has 3."),
        (json_request("FP64", [0], [1]), "Shape [0] has no elements, and 'data' has some."),
        (json_request("FP64", [2, 3], [[1, 2], [3, 4], [5, 6]]), "neither a flat list nor nested as shape [2, 3] is"),
        (json_request("FP64", [2, 2], [[1, 2, 3], [4]]), "neither a flat list nor nested"),
        (json_request("FP64", [1], 1), "'data' is no list"),
        (json_request("FP64", [1], {"a": 1}), "'data' is no list"),
        (json_request("FP64", [1], ["a"]), "Expected `float`, got `str` - at element 0"),
        (json_request("FP16", [1], [1]), "FP16 has no form in JSON"),
        (json_request("FP64", [MAX_BATCH_INPUTS + 1, 0], []), "a request may have 16384"),
        (json_request("FP64", [2**62, 0], []), "a request may have 16384"),
        (b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1]}]}', "neither 'data' nor the parameter"),
        (json_request("FP64", [1], [1], outputs=[{"name": "y"}]), "There is no output 'y'; there are output, default"),
        (json_request("FP64", [1], [1], outputs=[{"name": "output"}] * 2), "requested twice"),
        (json_request("FP64", [1], [1], parameters={"binary_data_output": 1}), "Expected `bool | null`, got `int`"),
    ],
)  # fmt: skip
def test_wrong_body_is_named(body: bytes, what: str) -> None:
    assert what in refusal(body, InputType.DOUBLES)


def test_several_tensors_are_named() -> None:
    tensor = {"datatype": "FP64", "shape": [1], "data": [1.0]}
    body = json.dumps({"inputs": [{"name": "age", **tensor}, {"name": "fare", **tensor}]}).encode()
    assert "One input tensor is expected, got: 'age', 'fare'." in refusal(body, InputType.DOUBLES)


@pytest.mark.parametrize(
    ("shape", "data", "what"),
    [
        ([2, 2], ["a"] * 4, "Shape [2, 2] is neither [batch] nor [batch, 1]"),
        ([3], ["a"], "Shape [3] has 3 elements, and 'data' has 1."),
        ([1], [1], "Expected `str`, got `int` - at `data[0]`"),
        ([1], [["a", "b"]], "Expected `array` of length 1"),
        ([2], ["a", ["b"]], "Expected `str`, got `array` - at `data[1]`"),
    ],
)
def test_wrong_texts_are_named(shape: list[int], data: list[Any], what: str) -> None:
    assert what in refusal(json_request("BYTES", shape, data), InputType.STRINGS)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"\1\0\0\0a", "Element 1 of the BYTES tensor ends after the data"),
        (b"\1\0\0\0a\2\0\0\0b", "Element 1 of the BYTES tensor ends after the data"),
        (b"\1\0\0\0a\xff\xff\xff\xffb", "Element 1 of the BYTES tensor ends after the data"),
        (b"\1\0\0\0a\0\0", "Element 1 of the BYTES tensor ends after the data"),
        (b"\1\0\0\0a\0\0\0\0b", "has 2 elements, and 1 bytes more"),
        (b"\1\0\0\0a\1\0\0\0\xff", "Element 1 of the BYTES tensor is not UTF-8"),
    ],
)
def test_wrong_lengths_of_binary_texts_are_named(raw: bytes, what: str) -> None:
    body, json_size = binary_request("BYTES", [2], raw)
    assert what in refusal(body, InputType.STRINGS, json_size)


def test_binary_size_must_fit_header_shape_and_body() -> None:
    body, json_size = binary_request("FP64", [2, 1], bytes(16))
    assert "'binary_data_size' is 16, and 17 bytes come after" in refusal(body + b"x", InputType.DOUBLES, json_size)
    assert "'binary_data_size' is 16, and 15 bytes come after" in refusal(body[:-1], InputType.DOUBLES, json_size)
    wrong, json_size = binary_request("FP64", [2, 2], bytes(16))
    assert "of shape [2, 2] has 32 bytes, not 16" in refusal(wrong, InputType.DOUBLES, json_size)
    head = body[:-16]
    assert "no header 'Inference-Header-Content-Length'" in refusal(head, InputType.DOUBLES)
    both = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[1],"parameters":{"binary_data_size":0}}]}'
    assert "both 'data' and the parameter" in refusal(both, InputType.DOUBLES, str(len(both)).encode())
    more = json_request("FP64", [1], [1])
    assert "3 bytes come after the JSON, and no input" in refusal(
        more + b"abc", InputType.DOUBLES, str(len(more)).encode()
    )


@pytest.mark.parametrize("json_size", [b"-1", b"x", b"", b"1e1", b"4", b"99999999999999999999999999", b"1,1", b"\xb2"])
def test_header_must_be_a_size_within_the_body(json_size: bytes) -> None:
    assert "it must be the size of the JSON in bytes, and the body has 3 bytes" in refusal(
        b"abc", InputType.BYTES, json_size
    )


def test_second_data_of_a_large_body_is_refused() -> None:
    body = json_request("FP64", [2], [1.0] * 100_000).replace(b"]}]}", b'],"data":[1,2]}]}')
    assert "more than one 'data'" in refusal(body, InputType.DOUBLES)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"inputs":"' + b"a" * 200_000 + b'"}', "no list 'data'"),
        (json_request("FP64", [1], [1.0], x="a" * 200_000), "without the tensor's data is larger"),
        (json_request("FP64", [100_000], [1.0] * 100_000)[:-4], "does not end as a list"),
        (json_request("FP64", [100_001], [1.0] * 100_000), "has 100001 elements, and 'data' has 100000"),
        (json_request("FP64", [100_000], [1.0] * 99_999 + ["a"]), "got `str` - at element 99999"),
    ],
)
def test_wrong_large_body_is_named(body: bytes, what: str) -> None:
    assert what in refusal(body, InputType.DOUBLES)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (["a" * 200_000, 1], "not as the others"),
        ([["a" * 200_000]], "is nested and larger than"),
        (["a"] * 100_000, "has more than 16384 texts"),
        (["a" * 200_000, "\ud800"], "at `$[1]`"),
    ],
)
def test_wrong_large_texts_are_named(data: list[Any], what: str) -> None:
    said = refusal(json_request("BYTES", [len(data)], data), InputType.STRINGS)
    assert what in said
    assert not re.search(r"byte \d|input_batch", said)


@examples(30)
@given(st.integers(0, 300), st.sampled_from(["FP64", "INT64", "UINT8"]))
def test_large_and_small_json_are_parsed_alike(padding: int, datatype: str) -> None:
    """Blanks move the places where a large body is cut."""
    values = (np.arange(30_000) % 200).astype(np.uint8)
    text = json.dumps(values.reshape(3, 10_000).tolist()).replace(", ", "," + " " * (padding % 7))
    body = (
        f'{{"inputs":[{{"data":{" " * (padding % 90)}{text},"name":"x","datatype":"{datatype}","shape":[3,10000]}}]}}'
    )
    input_type = InputType.BYTES if datatype == "UINT8" else InputType.DOUBLES
    request = parse_infer(body.encode(), None, input_type)
    dtype = np.uint8 if datatype == "UINT8" else np.float64
    assert b"".join(request.payloads) == values.astype(dtype).tobytes()
