"""The JSON of the Open Inference Protocol (V2), as requests have it. (pure)

Unknown keys and parameters are ignored, as the protocol asks; ``null`` counts as missing, because clients write it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

_Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Name = Annotated[str, Meta(min_length=1)]
MAX_DIMENSIONS: Final = 32


class InputParameters(Struct):
    """Parameters of an input tensor."""

    binary_data_size: _Size | None = None
    """Size in bytes of its data, which comes after the JSON."""
    content_type: str | None = None


class OutputParameters(Struct):
    """Parameters of a requested output."""

    binary_data: bool | None = None


class RequestParameters(Struct):
    """Parameters of a request."""

    binary_data_output: bool | None = None
    """Whether outputs are binary that do not say otherwise."""
    content_type: str | None = None
    timeout: Annotated[int, Meta(gt=0, le=2**63 - 1)] | None = None
    """In microseconds."""


class InputTensor(Struct):
    """One input tensor."""

    name: str
    shape: Annotated[list[_Size], Meta(max_length=MAX_DIMENSIONS)]
    datatype: str
    data: Raw | UnsetType = UNSET
    parameters: InputParameters | None = None


class RequestedOutput(Struct):
    """One output that the client names."""

    name: _Name
    parameters: OutputParameters | None = None


class InferBody(Struct):
    """The JSON of ``POST /v2/models/<m>/infer``."""

    inputs: list[InputTensor]
    id: str | None = None
    outputs: list[RequestedOutput] | None = None
    parameters: RequestParameters | None = None


class IndexBody(Struct):
    """The JSON of ``POST /v2/repository/index``."""

    ready: bool | None = None


decode_infer_body: Final = msgspec.json.Decoder(InferBody).decode
decode_index_body: Final = msgspec.json.Decoder(IndexBody).decode
