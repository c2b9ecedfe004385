"""The valid JSON bodies of a predict request, for each input type. (pure)"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from clipper_nb.protocol.input_types import InputType

_Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
LARGEST_FLOAT32 = 3.4028235677973362e38
"""The largest double that rounds to a finite float32: NumPy, Java and C print FLT_MAX as 3.4028235e38."""
_NotFinite = None | Literal["NaN", "Infinity", "-Infinity"]
"""As protobuf's JSON mapping writes them; ``null`` is NaN too."""
_Float32 = Annotated[float, Meta(ge=-LARGEST_FLOAT32, le=LARGEST_FLOAT32)] | _NotFinite
_Float64 = int | float | _NotFinite
"""A whole number stays one, so that ``encode_input`` sees whether a double has it."""


MAX_KEY_LENGTH = 256
# No opening bracket, so that the lists of a body can be counted without parsing it.
KEY_PATTERN = rf"^[^\[]{{1,{MAX_KEY_LENGTH}}}$"
_Key = Annotated[str, Meta(pattern=KEY_PATTERN)] | int


class _Body(Struct, forbid_unknown_fields=True):
    version: str | int | UnsetType = UNSET
    key: _Key | UnsetType = UNSET


class _Integers(_Body):
    input: list[_Int32] | UnsetType = UNSET
    input_batch: list[list[_Int32]] | UnsetType = UNSET


class _Floats(_Body):
    input: list[_Float32] | UnsetType = UNSET
    input_batch: list[list[_Float32]] | UnsetType = UNSET


class _Doubles(_Body):
    input: list[_Float64] | UnsetType = UNSET
    input_batch: list[list[_Float64]] | UnsetType = UNSET


class _Bytes(_Body):
    input: bytes | UnsetType = UNSET
    input_batch: list[bytes] | UnsetType = UNSET


class _Strings(_Body):
    input: str | UnsetType = UNSET
    input_batch: list[str] | UnsetType = UNSET


class _Json(_Body):
    input: msgspec.Raw | UnsetType = UNSET
    input_batch: list[msgspec.Raw] | UnsetType = UNSET


DECODERS: dict[InputType, msgspec.json.Decoder[Any]] = {
    InputType.BYTES: msgspec.json.Decoder(_Bytes),
    InputType.INTEGERS: msgspec.json.Decoder(_Integers),
    InputType.FLOATS: msgspec.json.Decoder(_Floats),
    InputType.DOUBLES: msgspec.json.Decoder(_Doubles),
    InputType.STRINGS: msgspec.json.Decoder(_Strings),
    InputType.JSON: msgspec.json.Decoder(_Json),
}
"""Their results have ``input``, ``input_batch``, ``version`` and ``key``, each of which may be unset."""

INPUT_DECODERS: dict[InputType, msgspec.json.Decoder[Any]] = {
    InputType.INTEGERS: msgspec.json.Decoder(list[_Int32]),
    InputType.FLOATS: msgspec.json.Decoder(list[_Float32]),
    InputType.DOUBLES: msgspec.json.Decoder(list[_Float64]),
}
"""Decoders of one input, for types whose inputs are lists."""

BATCH_DECODERS: dict[InputType, msgspec.json.Decoder[Any]] = {
    InputType.BYTES: msgspec.json.Decoder(list[bytes]),
    InputType.INTEGERS: msgspec.json.Decoder(list[list[_Int32]]),
    InputType.FLOATS: msgspec.json.Decoder(list[list[_Float32]]),
    InputType.DOUBLES: msgspec.json.Decoder(list[list[_Float64]]),
    InputType.STRINGS: msgspec.json.Decoder(list[str]),
    InputType.JSON: msgspec.json.Decoder(list[msgspec.Raw]),
}
"""Decoders of several inputs."""


def describe_misfit(exc: Exception) -> str:
    """Return the sentence of a decoder's error; a number is what is expected, however else it may be written."""
    text = str(exc)
    if text.endswith(" - at `$.key`"):
        return f"Expected a text of 1 to {MAX_KEY_LENGTH} characters without '[', or a whole number - at `$.key`"
    if text.startswith("Invalid enum value "):  # it repeats the client's text, which may be long
        return f"Expected `float`, got `str`{text[text.rindex(' - at ') :]}"
    return text.replace("`int | float | str | null`", "`float`").replace("`float | str | null`", "`float`")
