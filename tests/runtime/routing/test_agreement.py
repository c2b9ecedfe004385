"""Which outputs are the same answer."""

from __future__ import annotations

import pytest

from clipper_nb.runtime.routing.agreement import MAX_COMPARED_SIZE, agree


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("7", "7.0"), ("0.1", "0.1000000001"), ("0", "1e-10"), ("[1,2]", "[1.0, 2.0]"), ("cat", "cat"), ("nan", "NaN"),
        ('{"a": 1, "b": [0.5]}', '{"b": [0.5000000001], "a": 1}'), ("null", "null"), ("true", "true"), ("", ""),
        ("12345678901", "12345678901.0"), ("1234567.0", "1234567.1"), ("3", "3.0000000001"), ("007", "7"),
        ("1" + "0" * 400, "1" + "0" * 400),
    ],
)  # fmt: skip
def test_same_answers_agree(one, other):
    assert agree(one, other)
    assert agree(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("7", "8"), ("1", "true"), ("0", "false"), ("7", '"7"'), ("cat", "dog"), ("[1]", "[1,2]"), ("[1]", "1"),
        ("1", "nan"),
        ('{"a": 1}', '{"a": 1, "b": 2}'), ("", "0"), ("[" * 5000, "[" * 5001), ("0.1", "0.1001"), ("cat", "7"),
        ("12345678901", "12345678902"), ("12345678901", "12345678902.0"), ("[1000000001]", "[1000000002]"),
        ("0100000001", "0100000002"), ("1" + "0" * 400, "1"), ("1" + "0" * 400, "0.5"), ("1" + "0" * 400, "1" * 401),
    ],
)  # fmt: skip
def test_different_answers_do_not_agree(one, other):
    assert not agree(one, other)
    assert not agree(other, one)


def test_long_outputs_agree_only_as_texts():
    long = "[" + "1," * MAX_COMPARED_SIZE + "1]"
    assert agree(long, long)
    assert not agree(long, long.replace("1]", "1.0]"))
