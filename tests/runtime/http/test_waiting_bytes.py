"""How much may wait, and who is told to come again."""

from __future__ import annotations

from clipper_nb.runtime.http.waiting_bytes import LARGE_BODY_SIZE_BYTES, WaitingBytes

MIB = 2**20


def test_a_body_that_is_alone_always_has_room():
    waiting = WaitingBytes(1)
    assert waiting.has_room_for(100 * MIB)
    waiting.add(100 * MIB, is_unfinished=True)
    assert waiting.is_over
    assert not waiting.must_make_room(100 * MIB)


def test_only_small_bodies_have_room_beyond_the_limit():
    waiting = WaitingBytes(10 * MIB)
    waiting.add(9 * MIB)
    assert waiting.has_room_for(MIB)
    assert not waiting.has_room_for(MIB + 1)
    waiting.add(5 * MIB)
    assert not waiting.has_room_for(LARGE_BODY_SIZE_BYTES + 1)
    assert waiting.has_room_for(LARGE_BODY_SIZE_BYTES)
    waiting.remove(14 * MIB)
    assert waiting.has_room_for(MIB + 1)


def test_small_pieces_make_room_only_beyond_their_own_limit():
    waiting = WaitingBytes(MIB)
    waiting.add(2 * MIB)
    waiting.add(1000, is_unfinished=True)
    assert not waiting.must_make_room(1000)
    assert waiting.must_make_room(LARGE_BODY_SIZE_BYTES + 1)
    waiting.add(MIB, is_unfinished=True)
    assert waiting.must_make_room(1000)
    waiting.remove(MIB + 1000, is_unfinished=True)
    assert (waiting.size_bytes, waiting.unfinished_size_bytes) == (2 * MIB, 0)
