"""The valid JSON bodies of a predict request, for each input type. (pure)"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from clipper_nb.protocol.input_types import InputType

_Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
_Float32 = Annotated[float, Meta(ge=-3.4028234663852886e38, le=3.4028234663852886e38)]


class _Body(Struct, forbid_unknown_fields=True):
    version: str | int | UnsetType = UNSET


class _Integers(_Body):
    input: list[_Int32] | UnsetType = UNSET
    input_batch: list[list[_Int32]] | UnsetType = UNSET


class _Floats(_Body):
    input: list[_Float32] | UnsetType = UNSET
    input_batch: list[list[_Float32]] | UnsetType = UNSET


class _Doubles(_Body):
    input: list[float] | UnsetType = UNSET
    input_batch: list[list[float]] | UnsetType = UNSET


class _Bytes(_Body):
    input: bytes | UnsetType = UNSET
    input_batch: list[bytes] | UnsetType = UNSET


class _Strings(_Body):
    input: str | UnsetType = UNSET
    input_batch: list[str] | UnsetType = UNSET


DECODERS: dict[InputType, msgspec.json.Decoder[Any]] = {
    InputType.BYTES: msgspec.json.Decoder(_Bytes),
    InputType.INTEGERS: msgspec.json.Decoder(_Integers),
    InputType.FLOATS: msgspec.json.Decoder(_Floats),
    InputType.DOUBLES: msgspec.json.Decoder(_Doubles),
    InputType.STRINGS: msgspec.json.Decoder(_Strings),
}
"""Their results have ``input``, ``input_batch`` and ``version``, each of which may be unset."""

INPUT_DECODERS: dict[InputType, msgspec.json.Decoder[Any]] = {
    InputType.INTEGERS: msgspec.json.Decoder(list[_Int32]),
    InputType.FLOATS: msgspec.json.Decoder(list[_Float32]),
    InputType.DOUBLES: msgspec.json.Decoder(list[float]),
}
"""Decoders of one input, for types whose inputs are lists."""

BATCH_DECODERS: dict[InputType, msgspec.json.Decoder[Any]] = {
    InputType.BYTES: msgspec.json.Decoder(list[bytes]),
    InputType.INTEGERS: msgspec.json.Decoder(list[list[_Int32]]),
    InputType.FLOATS: msgspec.json.Decoder(list[list[_Float32]]),
    InputType.DOUBLES: msgspec.json.Decoder(list[list[float]]),
    InputType.STRINGS: msgspec.json.Decoder(list[str]),
}
"""Decoders of several inputs."""
