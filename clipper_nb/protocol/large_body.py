"""Parses large bodies of predict requests in steps, between which a caller can do other work. (pure)

One call of a JSON parser takes 20 to 100 ms for 15 MB. Here the inputs are cut into pieces of some kilobytes at the
commas between their elements, or within a text, and each piece is parsed by itself. The outline, which is the body
without its inputs, is parsed like a small body; so is a body without inputs in the expected place.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import encode_input
from clipper_nb.protocol.predict_body import (
    TEXT_TYPES,
    PredictRequest,
    doubles_of,
    encode_batch,
    expectation,
    parse_predict,
    rounded,
    too_many_inputs,
)
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from clipper_nb.protocol.predict_schema import BATCH_DECODERS, INPUT_DECODERS, describe_misfit
from clipper_nb.protocol.whole_numbers import RoundedNumberError

PIECE_SIZE_BYTES = 32 * 1024
_PIECE_INPUTS = 128
_COUNTED_SIZE_BYTES = 1024 * 1024

SPACE = rb"[ \t\n\r]*"
_BEGIN = re.compile(SPACE + rb"\{")
_KEY = re.compile(SPACE + rb'"([a-z_]{1,20})"' + SPACE + rb":" + SPACE)
_SCALAR = re.compile(rb'"(?:[^"\\]|\\.){0,1000}"|[-+.0-9a-zA-Z]{1,1000}')
_COMMA = re.compile(SPACE + rb",")
_LIST_BEGIN = re.compile(SPACE + rb"\[" + SPACE)
_AFTER_ELEMENT = re.compile(SPACE + rb"(?:(\])|," + SPACE + rb")")
# Where a text may be cut: not within an escape, nor between two escapes that make one character.
WHOLE_CHARACTERS = re.compile(
    rb'[^"\\]*(?:(?:\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4})[^"\\]*)*'
)
_POSITION = re.compile(r"`\$\[(\d+)\]")
_BYTE = re.compile(r"\(byte (\d+)\)")
_QUOTE = ord('"')
_BRACKET = ord("[")
_TRUNCATED = "Input data was truncated"

_decode_text = msgspec.json.Decoder(str).decode
_decode_base64 = msgspec.json.Decoder(bytes).decode


class LargeBody:
    """Parses one body.

    Parameters
    ----------
    body : bytes
    input_type : InputType
    piece_size_bytes : int, optional
        Roughly what one step parses; some steps parse an element or a character more.
    """

    def __init__(self, body: bytes, input_type: InputType, *, piece_size_bytes: int = PIECE_SIZE_BYTES) -> None:
        self._body = body
        self._input_type = input_type
        self._piece_size_bytes = piece_size_bytes
        self._is_text = input_type in TEXT_TYPES
        self._opening = _QUOTE if self._is_text else _BRACKET
        self._at = 0
        self._payloads: list[bytes] = []
        self.is_batch: bool | None = None
        """True if it has several inputs; ``None`` until their key was found."""
        self.payloads_size_bytes = 0
        """Size of the payloads parsed so far."""
        self.request: PredictRequest | None = None
        """The parsed request, after the last step."""
        self.num_inputs = 1
        """Number of a batch's inputs, after the last of ``count_steps``."""

    def steps(self) -> Iterator[bool]:
        """Yield ``True`` after each step until ``request`` is there.

        Raises
        ------
        InvalidInputError
            For the same bodies as ``parse_predict``.
        """
        body = self._body
        inputs: list[tuple[int, int, bytes]] = []
        found = _BEGIN.match(body)
        while found is not None:
            found = _KEY.match(body, found.end())
            if found is None:
                break
            start = found.end()
            if found[1] in (b"input", b"input_batch"):
                if not self._may_begin(is_batch=found[1] == b"input_batch", at=start):
                    break  # parsing the whole body reports what is wrong, at once
                yield from self._batch() if self.is_batch else self._one_input()
                inputs.append((start, self._at, b'""' if self._is_text and not self.is_batch else b"[]"))
            else:
                scalar = _SCALAR.match(body, start)
                if scalar is None:
                    break
                self._at = scalar.end()
            found = _COMMA.match(body, self._at)
        self._parse_outline(inputs)

    @property
    def is_countable(self) -> bool:
        """True if the inputs can be counted without parsing them, as in a batch of lists."""
        return self.is_batch is True and not self._is_text

    def count_steps(self) -> Iterator[bool]:
        """Yield ``True`` after each step until ``num_inputs`` is the number of inputs, if the body is well-formed."""
        self.num_inputs = len(self._payloads)
        for start in range(self._at, len(self._body), _COUNTED_SIZE_BYTES):
            self.num_inputs += self._body.count(b"[", start, start + _COUNTED_SIZE_BYTES)
            yield True

    def _may_begin(self, *, is_batch: bool, at: int) -> bool:
        self.is_batch = is_batch
        self._payloads = []
        self._at = at
        return self._body[at : at + 1] == b"[" if is_batch else self._begins_input(at)

    def _begins_input(self, at: int) -> bool:
        """Return whether there may be an input of the type there, so that it is parsed in pieces."""
        return self._body[at : at + 1] == (b'"' if self._is_text else b"[")

    def _parse_outline(self, inputs: list[tuple[int, int, bytes]]) -> None:
        """Parse the rest of the body with an empty value in place of the inputs: checks keys, and that it is JSON."""
        pieces = []
        stop = 0
        for start, end, nothing in inputs:
            pieces += [self._body[stop:start], nothing]
            stop = end
        outline = b"".join([*pieces, self._body[stop:]])
        try:
            request = parse_predict(outline, self._input_type)
        except InvalidInputError as exc:
            removed_size_bytes = len(self._body) - len(outline)
            raise InvalidInputError(move_byte(str(exc), inputs[0][0] if inputs else 0, removed_size_bytes)) from exc
        if inputs:
            request = request._replace(payloads=self._payloads)
        self.request = request

    # --- inputs

    def _one_input(self) -> Iterator[bool]:
        payload = io.BytesIO()
        yield from self._large_input("$.input", payload)
        self._payloads.append(payload.getvalue())

    def _large_input(self, path: str, payload: io.BytesIO) -> Iterator[bool]:
        """Parse the input at the current position, in pieces."""
        if self._is_text:
            return self._text(path, payload)
        return self._numbers(path, payload)

    def _batch(self) -> Iterator[bool]:
        body = self._body
        begin = _LIST_BEGIN.match(body, self._at)
        assert begin is not None
        self._at = begin.end()
        if body[self._at : self._at + 1] == b"]":
            self._at += 1
            return
        is_last = False
        while not is_last:
            self._check_opening()
            if self._end_of_input(self._at) < 0:
                payload = io.BytesIO()
                yield from self._large_input(f"$.input_batch[{len(self._payloads)}]", payload)
                self._payloads.append(payload.getvalue())
                is_last = self._pass_comma()
            else:
                is_last = self._several_inputs()
            if len(self._payloads) > MAX_BATCH_INPUTS:
                raise too_many_inputs(self._input_type)
            yield True

    def _several_inputs(self) -> bool:
        """Parse the small inputs that follow; return whether they include the last one."""
        start = self._at
        end = self._end_of_input(start)
        self._at = end
        is_last = self._pass_comma()
        for _ in range(_PIECE_INPUTS - 1):
            next_end = -1 if is_last else self._end_of_input(self._at)
            if next_end < 0 or end - start > self._piece_size_bytes:
                break
            self._at = end = next_end
            is_last = self._pass_comma()
        values = self._decode(
            BATCH_DECODERS[self._input_type].decode, self._body[start:end], "$.input_batch", len(self._payloads), start
        )
        payloads = encode_batch(self._input_type, values, len(self._payloads))
        self.payloads_size_bytes += sum(map(len, payloads))
        self._payloads += payloads
        return is_last

    def _end_of_input(self, at: int) -> int:
        """Return the end of the input that begins there, or -1 if it is long or not an input."""
        body = self._body
        if at >= len(body) or body[at] != self._opening:
            return -1
        stop = at + 1 + self._piece_size_bytes
        if not self._is_text:
            return body.find(b"]", at, stop) + 1 or -1
        found = WHOLE_CHARACTERS.match(body, at + 1, stop)
        assert found is not None  # it matches nothing, too
        end = found.end()
        return end + 1 if end < len(body) and body[end] == _QUOTE else -1

    def _check_opening(self) -> None:
        """Check that an input begins here."""
        at = self._at
        if self._body[at : at + 1] != (b'"' if self._is_text else b"["):
            decode = BATCH_DECODERS[self._input_type].decode
            self._decode(decode, self._body[at : at + 64], "$.input_batch", len(self._payloads), at)
            raise self._malformed(at)

    def _pass_comma(self) -> bool:
        """Move to the next input; return whether there is none."""
        found = _AFTER_ELEMENT.match(self._body, self._at)
        if found is None:
            raise self._malformed(self._at)
        self._at = found.end()
        return found[1] is not None

    # --- one long input

    def _numbers(self, path: str, payload: io.BytesIO) -> Iterator[bool]:
        body = self._body
        start = self._at + 1
        end = body.find(b"]", start)
        if end < 0:
            raise InvalidInputError(f"{_TRUNCATED}. {expectation(self._input_type)}")
        decode = INPUT_DECODERS[self._input_type].decode
        num_numbers = 0
        while True:
            comma = self._last_comma(start, end)
            piece = body[start:comma]
            numbers = doubles_of(piece) if self._input_type is InputType.DOUBLES else None
            if numbers is None:
                numbers = self._encode(self._decode(decode, piece, path, num_numbers, start), path, num_numbers)
            if not numbers and (num_numbers or comma < end):
                raise self._malformed(comma)
            payload.write(numbers)
            self.payloads_size_bytes += len(numbers)
            num_numbers += len(numbers) // self._input_type.item_size_bytes
            start = comma + 1
            if comma == end:
                break
            yield True
        self._at = start

    def _encode(self, numbers: list[Any], path: str, num_before: int) -> bytes:
        try:
            return encode_input(self._input_type, numbers)
        except RoundedNumberError as exc:
            raise rounded(exc, path, num_before, self._input_type) from exc

    def _last_comma(self, start: int, end: int) -> int:
        """Return the end of the piece that begins at *start*: at a comma, or at *end*."""
        if end - start <= self._piece_size_bytes:
            return end
        comma = self._body.rfind(b",", start, start + self._piece_size_bytes)
        if comma < 0:
            comma = self._body.find(b",", start, end)
        return comma if comma >= 0 else end

    def _text(self, path: str, payload: io.BytesIO) -> Iterator[bool]:
        body = self._body
        start = self._at + 1
        base64 = ""  # not decoded yet
        is_last = False
        while not is_last:
            found = WHOLE_CHARACTERS.match(body, start, start + self._piece_size_bytes)
            assert found is not None  # it matches nothing, too
            end = found.end()
            is_last = end < len(body) and body[end] == _QUOTE
            if not is_last:
                while start < end < len(body) and body[end] & 0xC0 == 0x80:  # inside a character
                    end -= 1
                if end == start or end == len(body):
                    self._decode_one(_decode_text, body[start : start + 16], path, start)
                    raise self._malformed(start)
            text = str(self._decode_one(_decode_text, body[start:end], path, start))
            if self._input_type is InputType.STRINGS:
                data = text.encode()
            else:
                base64 += text
                whole = len(base64) if is_last else len(base64) // 4 * 4
                if "=" in base64[:whole] and not is_last:
                    raise self._refused("Invalid base64 encoded string", path)
                data = self._decode_one(_decode_base64, base64[:whole].encode(), path, start)
                base64 = base64[whole:]
            payload.write(data)
            self.payloads_size_bytes += len(data)
            start = end
            yield True
        self._at = start + 1

    # --- pieces and what is wrong with them

    def _decode(self, decode: Callable[[bytes], Any], piece: bytes, path: str, num_before: int, at: int) -> Any:
        """Parse some elements of the list at *path*, the first of which has the number *num_before*."""
        try:
            return decode(b"[" + piece + b"]")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            text = _POSITION.sub(lambda found: f"`{path}[{num_before + int(found[1])}]", describe_misfit(exc))
            raise InvalidInputError(f"{move_byte(text, 0, at - 1)}. {expectation(self._input_type)}") from exc

    def _decode_one(self, decode: Callable[[bytes], Any], piece: bytes, path: str, at: int) -> Any:
        """Parse a part of the text at *path*, which begins there."""
        try:
            return decode(b'"' + piece + b'"')
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise self._refused(move_byte(str(exc), 0, at - 1), path) from exc

    def _refused(self, what: str, path: str) -> InvalidInputError:
        return InvalidInputError(f"{what} - at `{path}`. {expectation(self._input_type)}")

    def _malformed(self, at: int) -> InvalidInputError:
        what = _TRUNCATED if at >= len(self._body) else f"JSON is malformed: invalid character (byte {at})"
        return InvalidInputError(f"{what}. {expectation(self._input_type)}")


def move_byte(text: str, start: int, size_bytes: int) -> str:
    """Return *text* with its byte number moved by the bytes that were left out, if it is at *start* or later."""

    def move(found: re.Match[str]) -> str:
        byte = int(found[1])
        return f"(byte {byte + size_bytes if byte >= start else byte})"

    return _BYTE.sub(move, text)
