"""Elements of a tensor become the payloads of its inputs, in steps, from binary and from JSON alike."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.v2_payloads import V2Payloads, expected_tensor
from clipper_nb.protocol.v2_schema import InputTensor
from tests.protocol.test_v2_body import bytes_tensor


def finish(payloads: V2Payloads, steps: Iterator[bool]) -> list[bytes]:
    """Return the payloads after all steps."""
    assert all(steps)
    assert payloads.size_bytes == sum(map(len, payloads.payloads))
    return payloads.payloads


def test_rows_are_inputs_from_binary_and_json_alike() -> None:
    rows = np.array([[1, 2], [3, 4], [5, 6]], "<i4")
    expected = [row.astype("<f8").tobytes() for row in rows]
    binary, text = (V2Payloads(InputType.DOUBLES, 3) for _ in range(2))
    assert finish(binary, binary.add_binary(memoryview(rows.tobytes()), "INT32")) == expected
    tensor = InputTensor("x", [3, 2], "INT32")
    content = memoryview(json.dumps(rows.tolist()).encode())
    assert finish(text, text.add_json(content, tensor, is_base64=False)) == expected


def test_texts_are_inputs_from_binary_and_json_alike() -> None:
    texts = ["a", "", "ä"]
    expected = [text.encode() for text in texts]
    binary, text = (V2Payloads(InputType.STRINGS, 3) for _ in range(2))
    assert finish(binary, binary.add_binary(memoryview(bytes_tensor(expected)), "BYTES")) == expected
    content = memoryview(json.dumps(texts).encode())
    assert finish(text, text.add_json(content, InputTensor("x", [3], "BYTES"), is_base64=False)) == expected


def test_raw_body_is_the_only_input() -> None:
    values = np.array([0.5, 1.5], "<f8").tobytes()
    numbers, texts = V2Payloads(InputType.DOUBLES, 1), V2Payloads(InputType.STRINGS, 1)
    assert finish(numbers, numbers.add_raw(values)) == [values]
    assert finish(texts, texts.add_raw("ä".encode())) == ["ä".encode()]
    with pytest.raises(InvalidInputError, match="9 bytes are no whole number of FP64 elements"):
        list(V2Payloads(InputType.DOUBLES, 1).add_raw(values[:9]))


def test_large_tensor_is_parsed_in_steps_that_tell_its_size() -> None:
    payloads = V2Payloads(InputType.DOUBLES, 1)
    sizes = [payloads.size_bytes for _ in payloads.add_binary(memoryview(bytes(4 * 10_000)), "INT32")]
    assert len(sizes) == 3
    assert sizes == sorted(sizes)
    assert payloads.payloads == [bytes(8 * 10_000)]


def test_element_that_ends_after_the_data_is_named() -> None:
    with pytest.raises(InvalidInputError, match="Element 1 of the BYTES tensor ends after the data"):
        list(V2Payloads(InputType.STRINGS, 2).add_binary(memoryview(bytes_tensor([b"a", b"bc"])[:-1]), "BYTES"))


@pytest.mark.parametrize(
    ("input_type", "words"),
    [
        (InputType.STRINGS, ["BYTES", "[batch]"]),
        (InputType.INTEGERS, ["INT32", "[batch, ...], or [n] for one input"]),
    ],
)
def test_error_says_which_tensor_is_expected(input_type: InputType, words: list[str]) -> None:
    sentence = expected_tensor(input_type)
    assert f"'{input_type}'" in sentence
    assert all(word in sentence for word in words)
