"""A frame is read only if it is what it must be; the error says what came."""

from __future__ import annotations

import struct

import pytest

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol.rpc_fields import (
    check_count,
    check_sizes,
    pack_u64s,
    read_header_sizes,
    read_message_type,
    read_text,
    read_u32,
    read_u64,
)


def test_numbers_are_little_endian_and_longer_frames_are_taken() -> None:
    assert read_u32(b"\x01\x02\0\0", "kind") == 0x201
    assert read_u32(b"\x05\0\0\0\xff\xff\xff\xff", "kind") == 5  # as JVM containers send it
    assert read_u64(struct.pack("<QQ", 7, 8), "size") == 7


def test_short_frames_are_named() -> None:
    with pytest.raises(ProtocolError, match="the kind frame has 3 bytes, expected 4"):
        read_u32(b"\0" * 3, "kind")
    with pytest.raises(ProtocolError, match="the size frame has 4 bytes, expected 8"):
        read_u64(b"\0" * 4, "size")
    with pytest.raises(ProtocolError, match="a message has 1 frames, expected at least 2"):
        check_count([b""], 2, "message")


def test_message_begins_with_an_empty_frame() -> None:
    assert read_message_type([b"", b"\x02\0\0\0"], at=1) == 2
    with pytest.raises(ProtocolError, match="does not begin with an empty frame"):
        read_message_type([b"x", b"\x02\0\0\0"], at=1)


def test_text_is_utf_8_unless_it_may_be_replaced() -> None:
    assert read_text(memoryview("ä".encode()), "name") == "ä"
    assert read_text(b"\xff", "name", "replace") == "\ufffd"
    with pytest.raises(ProtocolError, match="the name frame is not UTF-8"):
        read_text(b"\xff", "name")


def test_header_tells_as_many_sizes_as_it_announces() -> None:
    header = pack_u64s(9, 2, 10, 20)
    assert read_header_sizes(header, declared_size=len(header), first_fields=1) == (10, 20)
    for wrong, declared_size, what in (
        (header, 8, "has 32 bytes, 8 were announced"),
        (b"123", 3, "3 bytes is not a whole number of fields"),
        (pack_u64s(9), 8, "8 bytes is not a whole number of fields"),
        (pack_u64s(9, 3, 10), 24, "announces 3 sizes and holds 1"),
    ):
        with pytest.raises(ProtocolError, match=what):
            read_header_sizes(wrong, declared_size=declared_size, first_fields=1)


def test_frames_have_the_sizes_that_were_announced() -> None:
    check_sizes([b"a", b"bc"], (1, 2), "input")
    with pytest.raises(ProtocolError, match="2 inputs were announced, 1 came"):
        check_sizes([b"a"], (1, 2), "input")
    with pytest.raises(ProtocolError, match="an input has 1 bytes, 2 were announced"):
        check_sizes([b"a", b"b"], (1, 2), "input")
