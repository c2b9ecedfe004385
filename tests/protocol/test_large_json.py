"""Large values of type ``json`` are checked in pieces; ``test_large_body.py`` compares them with small bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.large_json import LargeJsonBody

PIECE = 200


def parse(body: bytes) -> tuple[Any, int]:
    """Return the request, and how many steps it took."""
    large = LargeJsonBody(body, piece_size_bytes=PIECE)
    num_steps = sum(1 for _ in large.steps())
    return large.request, num_steps


VALUES = [
    {"rows": [{"a": n, "b": "text " * 3} for n in range(300)]},
    {"text": 'é\U0001f600 \\ " \n' * 500},
    [["[{", "}]", None, True, -1.5e-7, 2**70]] * 50,
    {f"key {n}": {"deep": [[{"x": "y" * 30}] * 20]} for n in range(20)},
    "long " * 1000,
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("is_ascii", [True, False])
def test_large_value_arrives_whole_in_several_steps(value: Any, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    one, num_steps = parse(f'{{"input": {text} }}'.encode())
    assert one.payloads == [text.encode()]
    assert num_steps >= len(text) / PIECE / 10
    batch, _ = parse(f'{{"version": "2", "input_batch": [1, {text}, {text} , null]}}'.encode())
    assert batch.payloads == [b"1", text.encode(), text.encode(), b"null"]
    assert batch.version == "2"


@pytest.mark.parametrize(
    "fault",
    [b"x", b"[1,]", b"{,}", b'{"a" 1}', b"1e999", b'"\\ud800"', b'"\xff"', b"[1}", b"[" * 120 + b"]" * 120],
)
@pytest.mark.parametrize("around", [b"%b", b'{"a": [%b]}', b'["%b"]'])
def test_fault_in_a_large_value_is_refused(fault: bytes, around: bytes) -> None:
    inside_text = around.startswith(b'["')
    if inside_text and b"\\" not in fault and b"\xff" not in fault and b'"' not in fault:
        return
    value = b"[" + b"[1, 2]," * 100 + around.replace(b"%b", fault) + b"," + b"[3]," * 100 + b"4]"
    with pytest.raises(InvalidInputError, match="input type is 'json'"):
        parse(b'{"input": ' + value + b"}")


def test_byte_of_the_fault_is_that_of_the_body() -> None:
    before = b'{"input": [' + b"[1, 2]," * 1000
    with pytest.raises(InvalidInputError, match=rf"byte {len(before)}\)"):
        parse(before + b"x, 1]}")


def test_too_deep_value_is_refused_without_recursion() -> None:
    body = b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(InvalidInputError, match="nested more than 100 levels"):
        parse(body)
