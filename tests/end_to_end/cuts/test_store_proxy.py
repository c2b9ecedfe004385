"""What a client of Redis writes is understood, in whatever pieces it comes."""

from __future__ import annotations

import pytest

from tests.support.store_proxy import keys_written, take_commands

_SENT = (
    b"*1\r\n$5\r\nMULTI\r\n"
    b"*4\r\n$4\r\nHSET\r\n$16\r\nclipper:versions\r\n$3\r\nm:1\r\n$6\r\n{\r\n\r\n}\r\n"
    b"*1\r\n$4\r\nEXEC\r\n"
)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_commands_are_parsed_from_pieces_of_any_size(size: int) -> None:
    buffer, commands = bytearray(), []
    for start in range(0, len(_SENT), size):
        buffer += _SENT[start : start + size]
        commands += take_commands(buffer)
    assert commands == [["MULTI"], ["HSET", "clipper:versions", "m:1", "{\r\n\r\n}"], ["EXEC"]]
    assert not buffer


def test_reads_and_publishes_are_not_writes() -> None:
    reads = [["GET", "clipper:revision"], ["HGETALL", "clipper:links"], ["PUBLISH", "clipper:configuration", "7"]]
    assert keys_written(reads) == []


def test_random_part_of_a_key_is_masked() -> None:
    assert keys_written([["SET", "clipper:change:0123456789abcdef", "done"]]) == ["change:<id>"]


def test_a_script_writes_its_keys() -> None:
    assert keys_written([["EVALSHA", "5f3a", "2", "clipper:links", "clipper:claims", "x"]]) == ["links", "claims"]
