"""RPC messages by which large inputs reach a replica of the same machine in memory that both have. (pure)

A socket copies each input twice, from and to memory of the kernel. These messages extend those of ``rpc.py``, which
decodes them; ``docs/protocol.md`` has the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.rpc_fields import (
    U32,
    U64,
    Frame,
    check_count,
    pack_u64s,
    read_header_sizes,
    read_text,
    read_u32,
    read_u64,
)

MEMORY = 9
INPUTS_IN_MEMORY = 10
MARK_SIZE_BYTES = 32
"""Of the random bytes with which the memory begins."""

_PREDICT = 0
_DELIMITER = b""
_PREDICT_FRAME = U32.pack(_PREDICT)
_MEMORY_FRAME = U32.pack(MEMORY)
_INPUTS_FRAME = U32.pack(INPUTS_IN_MEMORY)
_VERSION_FRAME = U32.pack(3)


@dataclass(frozen=True)
class MemoryOffer:
    """The frontend has memory for this replica's inputs."""

    path: str
    """Where a process of this machine opens it."""
    size_bytes: int
    mark: bytes = field(repr=False)
    """What the memory begins with: under the same path another process of the machine may find something else."""


@dataclass(frozen=True)
class MemoryTaken:
    """The replica reads that memory from now on."""


class InputsInMemory(NamedTuple):
    """One batch of inputs, one after the other in the memory."""

    message_id: int
    input_type: InputType
    sizes: Sequence[int]
    """In bytes."""
    start: int
    """Where the first begins, in bytes."""
    origins: Frame = b""
    """As that of ``rpc.PredictRequest``."""


def encode_memory_offer(message: MemoryOffer) -> list[Frame]:
    """Return the frames of :class:`MemoryOffer`."""
    return [
        _DELIMITER, _VERSION_FRAME, _MEMORY_FRAME, message.path.encode(), U64.pack(message.size_bytes), message.mark
    ]  # fmt: skip


def decode_memory_offer(frames: Sequence[Frame]) -> MemoryOffer:
    """Return the message in *frames*."""
    check_count(frames, 6, "memory")
    if len(frames[5]) != MARK_SIZE_BYTES:
        raise ProtocolError(f"the mark of a memory has {len(frames[5])} bytes, expected {MARK_SIZE_BYTES}")
    return MemoryOffer(read_text(frames[3], "path of a memory"), read_u64(frames[4], "size"), bytes(frames[5]))


def encode_memory_taken() -> list[Frame]:
    """Return the frames of :class:`MemoryTaken`."""
    return [_DELIMITER, _MEMORY_FRAME]


def encode_inputs_in_memory(message: InputsInMemory) -> list[Frame]:
    """Return the frames of :class:`InputsInMemory`."""
    header = pack_u64s(message.input_type.code, len(message.sizes), *message.sizes)
    frames: list[Frame] = [
        _DELIMITER, _VERSION_FRAME, _INPUTS_FRAME, U32.pack(message.message_id), _PREDICT_FRAME,
        U64.pack(len(header)), header, U64.pack(message.start),
    ]  # fmt: skip
    if message.origins:
        frames.append(message.origins)
    return frames


def decode_inputs_in_memory(frames: Sequence[Frame]) -> InputsInMemory:
    """Return the message in *frames*."""
    check_count(frames, 8, "predict request")
    input_type, sizes = read_inputs_header(frames)
    origins = frames[8] if len(frames) > 8 else b""
    return InputsInMemory(
        read_u32(frames[3], "message id"), input_type, sizes, read_u64(frames[7], "start of the inputs"), origins
    )


def read_inputs_header(frames: Sequence[Frame]) -> tuple[InputType, tuple[int, ...]]:
    """Return the type of a batch's inputs and their sizes, from a message with at least seven frames."""
    request_type = read_u32(frames[4], "request type")
    if request_type != _PREDICT:
        raise ProtocolError(f"unknown request type {request_type}")
    sizes = read_header_sizes(frames[6], declared_size=read_u64(frames[5], "header size"), first_fields=1)
    try:
        return InputType.from_code(read_u64(frames[6], "input type")), sizes
    except ValueError as exc:
        raise ProtocolError(str(exc)) from exc
