"""Finds the data of a tensor in a large JSON, in steps, without parsing it. (pure)"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS

_PIECE_SIZE_BYTES: Final = 32 * 1024
_OVERLAP_SIZE_BYTES: Final = 512
_MOST_BLANKS: Final = 4096
_TEXTS_A_STEP: Final = 256

_BLANKS: Final = rb"[ \t\r\n]{0,100}"
_DATA: Final = re.compile(rb'(?<!\\)"data"' + _BLANKS + rb":" + _BLANKS + rb"(?=\[)")
"""Never within a text, where a quote has a backslash before it."""
_AFTER_NUMBERS: Final = re.compile(
    rb"\](?=" + _BLANKS + rb"(?:\}|," + _BLANKS + rb'"[^"\\]{0,100}"' + _BLANKS + rb":))"
)
_BETWEEN_TEXTS: Final = re.compile(rb"[ \t\r\n,\[\]]*")
_WITHIN_TEXT: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_OPEN, _CLOSE, _QUOTE = b'[]"'


def find_data(body: bytes, json_size_bytes: int, *, takes_texts: bool) -> Iterator[tuple[int, int]]:
    """Yield where the first list called ``data`` begins and, at last, ends; before that, how far was looked.

    Parameters
    ----------
    body : bytes
    json_size_bytes : int
        How much of the body is JSON.
    takes_texts : bool
        Whether the elements may be texts, within which there may be brackets.

    Raises
    ------
    InvalidInputError
        There is none, it does not end, or has too many elements.
    """
    start = -1
    for at in range(0, json_size_bytes, _PIECE_SIZE_BYTES):
        found = _DATA.search(body, at, min(json_size_bytes, at + _PIECE_SIZE_BYTES + _OVERLAP_SIZE_BYTES))
        if found is not None:
            start = found.end()
            break
        yield at, at
    if start < 0:
        raise InvalidInputError(f"The JSON has {json_size_bytes} bytes, and no list 'data'.")
    first = _BETWEEN_TEXTS.match(body, start, min(json_size_bytes, start + _MOST_BLANKS))
    assert first is not None  # it matches nothing, too
    is_text = takes_texts and body[first.end() : first.end() + 1] == b'"'
    for end in (
        _ends_of_texts(body, start, json_size_bytes) if is_text else _ends_of_numbers(body, start, json_size_bytes)
    ):
        yield start, end


def _ends_of_numbers(body: bytes, start: int, limit: int) -> Iterator[int]:
    for at in range(start, limit, _PIECE_SIZE_BYTES):
        found = _AFTER_NUMBERS.search(body, at, min(limit, at + _PIECE_SIZE_BYTES + _OVERLAP_SIZE_BYTES))
        if found is not None:
            yield found.end()
            return
        yield at
    raise _endless()


def _ends_of_texts(body: bytes, start: int, limit: int) -> Iterator[int]:
    at = start
    num_texts = depth = 0
    while True:
        stop = min(limit, at + _MOST_BLANKS)
        found = _BETWEEN_TEXTS.match(body, at, stop)
        assert found is not None  # it matches nothing, too
        for position in range(at, found.end()):
            depth += (body[position] == _OPEN) - (body[position] == _CLOSE)
            if depth == 0:
                yield position + 1
                return
        at = found.end()
        if at == stop and stop < limit:
            yield at
            continue
        if at >= limit or body[at] != _QUOTE:
            raise _endless()
        at += 1
        while body[at : at + 1] != b'"':
            within = _WITHIN_TEXT.match(body, at, min(limit, at + _PIECE_SIZE_BYTES))
            if within is None or within.end() == at:
                raise _endless()
            at = within.end()
            if body[at : at + 1] != b'"':
                yield at
        at += 1
        num_texts += 1
        if num_texts > MAX_BATCH_INPUTS:
            raise InvalidInputError(f"'data' has more than {MAX_BATCH_INPUTS} texts.")
        if num_texts % _TEXTS_A_STEP == 0:
            yield at


def _endless() -> InvalidInputError:
    return InvalidInputError(
        "'data' does not end as a list: the JSON was truncated, or an element is not as the others."
    )
