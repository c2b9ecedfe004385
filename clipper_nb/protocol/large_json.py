"""Parses large bodies whose inputs are of type ``json`` in steps: each value is checked in pieces. (pure)"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import msgspec

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.json_values import MAX_DEPTH
from clipper_nb.protocol.large_body import PIECE_SIZE_BYTES, SPACE, WHOLE_CHARACTERS, LargeBody, move_byte
from clipper_nb.protocol.predict_body import expectation

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TEXT = re.compile(_STRING, re.DOTALL)
_MARK = re.compile(_STRING + rb'|["\[\]{}]', re.DOTALL)
"""What decides where a list or an object ends; a quote alone begins a text whose end is not in sight."""
_KEY = re.compile(_STRING + SPACE + rb":" + SPACE, re.DOTALL)
_WORD = re.compile(rb'[^ \t\n\r,:\[\]{}"]{1,1000}')
"""A number, ``true``, ``false`` or ``null``; a longer number is too large for any float."""
_AFTER = re.compile(SPACE + rb"(?:([\]}])|," + SPACE + rb")")
_BEGIN = re.compile(rb"[\[{]" + SPACE)
_LONGEST_KEY_BYTES = 64 * 1024
_CLOSING = {b"[": b"]", b"{": b"}"}

_decode = msgspec.json.Decoder().decode


class LargeJsonBody(LargeBody):
    """Parses one body, like :class:`LargeBody`; payloads are the text of each input, which is JSON for certain."""

    def __init__(self, body: bytes, *, piece_size_bytes: int = PIECE_SIZE_BYTES) -> None:
        super().__init__(body, InputType.JSON, piece_size_bytes=piece_size_bytes)
        self._depth = 0
        """How many lists and objects of the input are around the current position."""

    @property
    def is_countable(self) -> bool:
        """False: only parsing shows where a value ends."""
        return False

    def _begins_input(self, at: int) -> bool:
        return True

    def _check_opening(self) -> None:
        pass

    def _end_of_input(self, at: int) -> int:
        """Return the end of the value that begins there, or -1 if it is long or not a value."""
        body = self._body
        stop = at + self._piece_size_bytes
        first = body[at : at + 1]
        if first == b'"':
            text = _TEXT.match(body, at, stop)
            return text.end() if text else -1
        if first not in _CLOSING:
            word = _WORD.match(body, at)
            return word.end() if word else -1
        depth = 0
        for mark in _MARK.finditer(body, at, stop):
            character = mark[0]
            if len(character) > 1:  # a text
                continue
            if character == b'"':
                return -1
            depth += 1 if character in _CLOSING else -1
            if depth == 0:
                return mark.end()
            if self._depth + depth > MAX_DEPTH:
                raise self._refused(f"JSON is nested more than {MAX_DEPTH} levels deep", "$")
        return -1

    def _large_input(self, path: str, payload: io.BytesIO) -> Iterator[bool]:
        start = self._at
        end = self._end_of_input(start)
        if end >= 0:
            self._check(self._body[start:end], start)
            self._at = end
        else:
            yield from self._value()
        payload.write(self._body[start : self._at])
        self.payloads_size_bytes += self._at - start

    def _value(self) -> Iterator[bool]:
        """Check the long value at the current position, and move to its end."""
        first = self._body[self._at : self._at + 1]
        if first == b'"':
            yield from self._long_text()
        elif first not in _CLOSING:
            raise self._malformed(self._at)
        else:
            self._depth += 1
            yield from self._container(first)
            self._depth -= 1

    def _container(self, opening: bytes) -> Iterator[bool]:
        """Check a list or an object: small elements together, long ones each in pieces."""
        begin = _BEGIN.match(self._body, self._at)
        assert begin is not None
        self._at = begin.end()
        if self._body[self._at : self._at + 1] == _CLOSING[opening]:
            self._at += 1
            return
        is_last = False
        while not is_last:
            start = stop = self._at
            while not is_last and stop - start < self._piece_size_bytes:
                value_at = self._after_key(self._at) if opening == b"{" else self._at
                end = self._end_of_input(value_at)
                if end < 0:
                    break
                self._at = stop = end
                is_last = self._pass(_CLOSING[opening])
            if stop > start:
                self._check(opening + self._body[start:stop] + _CLOSING[opening], start - 1)
            else:
                if opening == b"{":
                    value_at = self._after_key(start)
                    self._check(b"{" + self._body[start:value_at] + b"0}", start - 1)
                    self._at = value_at
                yield from self._value()
                is_last = self._pass(_CLOSING[opening])
            yield True

    def _after_key(self, at: int) -> int:
        key = _KEY.match(self._body, at, at + _LONGEST_KEY_BYTES)
        if key is None:
            raise self._malformed(at)
        return key.end()

    def _pass(self, closing: bytes) -> bool:
        """Move to the next element; return whether there is none."""
        found = _AFTER.match(self._body, self._at)
        if found is None or (found[1] is not None and found[1] != closing):
            raise self._malformed(self._at)
        self._at = found.end()
        return found[1] is not None

    def _long_text(self) -> Iterator[bool]:
        body = self._body
        start = self._at + 1
        while True:
            found = WHOLE_CHARACTERS.match(body, start, start + self._piece_size_bytes)
            assert found is not None  # it matches nothing, too
            end = found.end()
            is_last = end < len(body) and body[end : end + 1] == b'"'
            while not is_last and start < end < len(body) and body[end] & 0xC0 == 0x80:  # inside a character
                end -= 1
            if not is_last and (end == start or end == len(body)):
                raise self._malformed(end)
            self._check(b'"' + body[start:end] + b'"', start - 1)
            start = end
            if is_last:
                break
            yield True
        self._at = start + 1

    def _check(self, text: bytes, at: int) -> None:
        """Check that *text*, which is in the body from *at* on, is JSON."""
        try:
            _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            reason = move_byte(str(exc).partition(" - at `")[0], 0, at)
            raise InvalidInputError(f"{reason}. {expectation(self._input_type)}") from exc
