"""Fields of RPC messages: little-endian numbers, texts, and the sizes that a content header announces. (pure)"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Union

from clipper_nb.errors import ProtocolError

Frame = Union[bytes, memoryview]

U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")


def pack_u64s(*values: int) -> bytes:
    """Return a frame of numbers."""
    return struct.pack(f"<{len(values)}Q", *values)


def read_u32(frame: Frame, what: str) -> int:
    """Return the number in a frame of at least four bytes: JVM containers send eight."""
    if len(frame) < 4:
        raise ProtocolError(f"the {what} frame has {len(frame)} bytes, expected 4")
    value: int = U32.unpack_from(frame)[0]
    return value


def read_u64(frame: Frame, what: str) -> int:
    """Return the first number in a frame."""
    if len(frame) < 8:
        raise ProtocolError(f"the {what} frame has {len(frame)} bytes, expected 8")
    value: int = U64.unpack_from(frame)[0]
    return value


def check_count(frames: Sequence[Frame], count: int, what: str) -> None:
    """Return if there are at least *count* frames."""
    if len(frames) < count:
        raise ProtocolError(f"a {what} has {len(frames)} frames, expected at least {count}")


def read_message_type(frames: Sequence[Frame], *, at: int) -> int:
    """Return the code in the frame at *at*, of a message that begins with the empty delimiter."""
    check_count(frames, at + 1, "message")
    if len(frames[0]):
        raise ProtocolError("a message does not begin with an empty frame")
    return read_u32(frames[at], "message type")


def read_text(frame: Frame, what: str, errors: str = "strict") -> str:
    """Return the UTF-8 text in a frame."""
    try:
        return str(frame, "utf-8", errors)
    except UnicodeDecodeError as exc:
        raise ProtocolError(f"the {what} frame is not UTF-8") from exc


def read_header_sizes(header: Frame, *, declared_size: int, first_fields: int) -> tuple[int, ...]:
    """Return the sizes in a content header: *first_fields* numbers, then a count, then as many sizes."""
    if declared_size != len(header):
        raise ProtocolError(f"a header has {len(header)} bytes, {declared_size} were announced")
    if len(header) % 8 or len(header) < 8 * (first_fields + 1):
        raise ProtocolError(f"a header of {len(header)} bytes is not a whole number of fields")
    numbers = struct.unpack(f"<{len(header) // 8}Q", header)
    count, sizes = numbers[first_fields], numbers[first_fields + 1 :]
    if count != len(sizes):
        raise ProtocolError(f"a header announces {count} sizes and holds {len(sizes)}")
    return sizes


def check_sizes(frames: Sequence[Frame], sizes: tuple[int, ...], what: str) -> None:
    """Return if the frames have the sizes that were announced."""
    if len(frames) != len(sizes):
        raise ProtocolError(f"{len(sizes)} {what}s were announced, {len(frames)} came")
    if tuple(map(len, frames)) != sizes:
        seen, size = next((len(frame), size) for frame, size in zip(frames, sizes, strict=True) if len(frame) != size)
        raise ProtocolError(f"an {what} has {seen} bytes, {size} were announced")
