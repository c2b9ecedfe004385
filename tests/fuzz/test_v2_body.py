"""Bodies of inference requests, whatever is in them, against Python's own JSON and NumPy."""

from __future__ import annotations

import json
import math
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_input
from clipper_nb.protocol.v2_body import InferRequest, V2Body
from clipper_nb.protocol.v2_tensors import ACCEPTED, BYTES
from tests.protocol.test_v2_body import bytes_tensor
from tests.protocol.test_v2_tensors import DTYPES, TARGETS

pytestmark = pytest.mark.slow

_ODD_SIZES = ["-1", "1e3", "", " 5", "5,5", "0x5", "18446744073709551616", "²", "0", "00005", "+5", "5.0"]
_KEYS = (
    "inputs",
    "name",
    "shape",
    "datatype",
    "data",
    "parameters",
    "outputs",
    "id",
    "binary_data_size",
    "binary_data",
)
_WORDS = [
    *'{}[]:," \\\n\t\0\ufeff',
    *map(json.dumps, _KEYS),
    *('"content_type":"base64"', "null", "true", "NaN", '"NaN"', "1e309", "[" * 2_000, '{"a":' * 2_000, "[[],[]]"),
    *('"\\ud800"', "-0", "18446744073709551616"),
]
_ALL_DATATYPES = [*DTYPES, BYTES, "BOOL", "BF16", "fp64", ""]

sizes = st.integers(0, 4) | st.sampled_from([-1, 2**31, 2**62, 2**64, 1.0, None, "1", True])
shapes = st.lists(sizes, max_size=4) | st.lists(st.integers(0, 4), max_size=4)
scalars = (
    st.integers(-3, 300)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from([None, True, "NaN", "Infinity", "YQ==", 2**53 + 1, 3.5e38])
)
datas = st.recursive(scalars, lambda children: st.lists(children, max_size=4), max_leaves=10)
datatypes = st.sampled_from(_ALL_DATATYPES)
input_types = st.sampled_from(list(InputType))
pieces = st.lists(st.sampled_from(_WORDS) | st.text(max_size=4) | st.integers().map(str), max_size=30).map("".join)


def parse(body: bytes, json_size: bytes | None, input_type: InputType) -> InferRequest | None:
    """Return the request, or ``None`` for one that is refused; nothing else may be raised, soon and at a low cost."""
    tracemalloc.start()
    began_s = time.monotonic()
    try:
        parsing = V2Body(body, json_size, input_type)
        for _ in parsing.steps():
            assert parsing.payloads_size_bytes <= 8 * len(body)
    except InvalidInputError:
        return None
    finally:
        took_s = time.monotonic() - began_s
        _, peak_size_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert took_s < 30.0
        assert peak_size_bytes < 100 * len(body) + 2_000_000
    request = parsing.request
    assert request is not None
    assert len(request.payloads) == parsing.num_inputs
    for payload in request.payloads:
        assert type(payload) is bytes
        if input_type is not InputType.JSON:  # which the endpoint reads
            decode_input(input_type, payload)
    return request


def flat(data: Any) -> list[Any]:
    """Return the elements of nested lists."""
    return [element for part in data for element in flat(part)] if isinstance(data, list) else [data]


def dimensions(data: Any) -> list[int]:
    """Return the dimensions of nested lists, by their first elements."""
    return [len(data), *dimensions(data[0] if data else None)] if isinstance(data, list) else []


def assert_is_the_tensor(
    request: InferRequest, input_type: InputType, datatype: str, shape: list[int], elements: list[Any]
) -> None:
    """See that the payloads are the rows of the tensor."""
    assert len(elements) == math.prod(shape)
    if datatype == BYTES:
        assert request.payloads == elements
        return
    numbers = [math.nan if x in (None, "NaN") else float(x) if isinstance(x, str) else x for x in elements]
    with np.errstate(over="ignore"):
        tensor = np.array(numbers, DTYPES[datatype]).astype(
            DTYPES[datatype] if input_type is InputType.BYTES else TARGETS[input_type]
        )
        got = np.frombuffer(b"".join(request.payloads), tensor.dtype)
    np.testing.assert_array_equal(got, tensor)
    rows = 1 if len(shape) == 1 else shape[0]
    assert {len(payload) for payload in request.payloads} <= {tensor.nbytes // max(rows, 1)}


@settings(max_examples=300, deadline=None)
@given(datatypes, shapes, datas, input_types, st.sampled_from([None, 0, 3]))
@example("FP64", [2, 2], [[1, 2], [3, 4]], InputType.DOUBLES, None)
@example("FP64", [2, 2], [[1, 2, 3], [4]], InputType.DOUBLES, None)
@example("FP64", [1, 2**62, 0], [[]], InputType.DOUBLES, None)
@example("BYTES", [2, 1], [["a"], ["b"]], InputType.STRINGS, None)
def test_any_json_tensor_is_as_numpy_has_it_or_is_refused(
    datatype: str, shape: list[Any], data: Any, input_type: InputType, indent: int | None
) -> None:
    tensor = {"name": "x", "data": data, "shape": shape, "datatype": datatype}
    request = parse(json.dumps({"inputs": [tensor]}, indent=indent).encode(), None, input_type)
    if request is None:
        return
    assert datatype in ACCEPTED[input_type]
    elements = flat(data)
    if elements:
        assert dimensions(data) in ([len(elements)], shape)
    assert not any(type(element) is bool for element in elements)
    expected = [element.encode() for element in elements] if datatype == BYTES else elements
    assert_is_the_tensor(request, input_type, datatype, shape, expected)


@settings(max_examples=300, deadline=None)
@given(datatypes, shapes, st.binary(max_size=64), st.integers(-3, 3), input_types)
@example("BYTES", [2], bytes_tensor([b"a", b"bc"]), 0, InputType.STRINGS)
@example("BYTES", [1], b"\xff\xff\xff\xff", 0, InputType.BYTES)
@example("BYTES", [2**62], b"", 0, InputType.BYTES)
@example("UINT8", [2**62, 2**62, 0], b"", 0, InputType.BYTES)
def test_any_binary_tensor_is_as_numpy_has_it_or_is_refused(
    datatype: str, shape: list[Any], raw: bytes, off_by: int, input_type: InputType
) -> None:
    tensor = {"name": "x", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": len(raw) + off_by}}
    head = json.dumps({"inputs": [tensor]}).encode()
    request = parse(head + raw, str(len(head)).encode(), input_type)
    if request is None:
        return
    assert off_by == 0
    if datatype == BYTES:
        assert bytes_tensor(request.payloads) == raw
    else:
        elements = np.frombuffer(raw, DTYPES[datatype])
        assert_is_the_tensor(request, input_type, datatype, shape, elements.tolist())


@settings(max_examples=300, deadline=None)
@given(
    pieces | st.binary(max_size=80),
    st.none() | st.sampled_from(_ODD_SIZES) | st.integers(0, 100).map(str),
    input_types,
    st.booleans(),
)
def test_any_body_and_header_are_parsed_or_refused(
    text: str | bytes, json_size: str | None, input_type: InputType, is_wrapped: bool
) -> None:
    body = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if is_wrapped:
        body = (
            b'{"inputs":[{"name":"x","datatype":"%b","shape":[1],"data":' % ACCEPTED[input_type][0].encode()
            + body
            + b"}]}"
        )
    request = parse(body, None if json_size is None else json_size.encode("latin-1"), input_type)
    if request is not None and json_size is None:
        assert len(json.loads(body)["inputs"]) == 1


@settings(max_examples=20, deadline=None)
@given(
    pieces,
    st.integers(0, 200_000),
    st.sampled_from(["1,", "[1],", '"a",', '"\\"",', " "]),
    input_types,
)
def test_any_large_body_is_parsed_or_refused(piece: str, at: int, filling: str, input_type: InputType) -> None:
    """Beyond the size above which the data is looked for first."""
    filled = filling * (200_000 // len(filling))
    data = (filled[:at] + piece + filled[at:]).encode("utf-8", "surrogatepass")
    datatype = ACCEPTED[input_type][0].encode()
    count = str(filling.count(",") * (200_000 // len(filling)) + 1).encode()
    body = b'{"inputs":[{"name":"x","datatype":"%b","shape":[%b],"data":[%b1]}]}' % (datatype, count, data)
    request = parse(body, None, input_type)
    if request is not None:
        [tensor] = json.loads(body)["inputs"]
        elements = flat(tensor["data"])
        expected = [element.encode() for element in elements] if datatype == b"BYTES" else elements
        assert_is_the_tensor(request, input_type, datatype.decode(), tensor["shape"], expected)
