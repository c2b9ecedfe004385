"""The data of a tensor is found in a large JSON, whatever is in its texts."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from clipper_nb.protocol.v2_large_json import find_data

odd_texts = st.lists(st.sampled_from([*'[]{}",:\\', '"data":[1]', " ", "é", "a" * 5_000]), max_size=6).map("".join)
nested_numbers = st.recursive(
    st.lists(st.integers(-9, 9) | st.floats(allow_nan=False) | st.sampled_from(["NaN", None]), max_size=3),
    lambda children: st.lists(children, min_size=1, max_size=3),
    max_leaves=4,
)


def found_in(body: bytes, *, takes_texts: bool) -> bytes:
    """Return the data that is found."""
    [*_, (start, end)] = find_data(body, len(body), takes_texts=takes_texts)
    return body[start:end]


@given(odd_texts, st.lists(odd_texts, max_size=4) | st.lists(st.lists(odd_texts, min_size=1, max_size=1), max_size=4))
def test_texts_are_found_whatever_is_in_them(name: str, data: list[Any]) -> None:
    body = json.dumps({"inputs": [{"name": name, "data": data, "shape": [1]}], "id": name}).encode()
    assert json.loads(found_in(body, takes_texts=True)) == data


@given(odd_texts, nested_numbers, st.booleans(), st.booleans())
def test_numbers_are_found_nested_or_flat(name: str, data: list[Any], is_last: bool, is_spaced: bool) -> None:
    tensor = {"name": name, "data": data} if is_last else {"data": data, "name": name, "shape": [1, 2]}
    body = json.dumps({"inputs": [tensor]}, indent=2 if is_spaced else None).encode()
    assert json.loads(found_in(body, takes_texts=False)) == data


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"inputs":[]}', "no list 'data'"),
        (b'{"data":1}', "no list 'data'"),
        (b'{"a\\"data":[1]}', "no list 'data'"),
        (b'{"data":["a", "b"', "does not end as a list"),
        (b'{"data":["a', "does not end as a list"),
        (b'{"data":["a\\', "does not end as a list"),
        (b'{"data":["a", 1]}', "does not end as a list"),
        (b'{"data":["a", {}]}', "does not end as a list"),
        (b'{"data":[1, 2', "does not end as a list"),
        (b'{"data":[' + b'"",' * MAX_BATCH_INPUTS + b'""]}', "more than 16384 texts"),
    ],
)
def test_what_cannot_be_found_is_refused(body: bytes, what: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(what)):
        found_in(body, takes_texts=True)


@pytest.mark.parametrize(
    "data",
    [
        b'["' + b"a" * 1_000_000 + b'"]',
        b'["' + b'\\"' * 500_000 + b'"]',
        b'["",' + b" " * 1_000_000 + b'""]',
        b"[" + b"1," * 500_000 + b"1]",
        b"[" + b"[1]," * 250_000 + b"[1]]",
    ],
    ids=["one text", "escapes", "blanks", "numbers", "lists"],
)
def test_steps_are_short_whatever_the_data_is(data: bytes) -> None:
    body = b'{"inputs":[{"data":' + data + b',"name":"x"}]}'
    positions = [end for _, end in find_data(body, len(body), takes_texts=True)]
    assert positions[-1] == len(body) - len(b',"name":"x"}]}')
    assert max(two - one for one, two in itertools.pairwise(positions)) <= 70_000
