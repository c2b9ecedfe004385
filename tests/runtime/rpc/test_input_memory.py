"""Memory that a query frontend and a replica have together: what one writes is what the other reads."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.rpc_memory import InputsInMemory
from clipper_nb.runtime.model_container.input_memory import InputMemory as ReplicaMemory
from clipper_nb.runtime.rpc.input_memory import InputMemory

NUM_PARTS = 2


@pytest.fixture(scope="module")
def both():
    """The frontend's side, and the replica's."""
    memory = InputMemory(NUM_PARTS)
    with contextlib.closing(memory), contextlib.closing(ReplicaMemory(memory.offer)) as theirs:
        yield memory, theirs


def written(memory, payloads, number=1):
    start = memory.put(payloads)
    assert start is not None
    return InputsInMemory(number, InputType.BYTES, [len(each) for each in payloads], start, b"origins")


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_replica_reads_what_the_frontend_wrote(both, payloads):
    memory, theirs = both
    request = theirs.read(written(memory, payloads, number=7))
    assert list(request.payloads) == payloads
    assert (request.message_id, request.input_type, request.origins) == (7, InputType.BYTES, b"origins")


def test_batches_in_flight_leave_each_other_alone(both):
    memory, theirs = both
    batches = [[bytes([number]) * 100_000, bytes([number + 100]) * 3] for number in range(NUM_PARTS)]
    messages = [written(memory, each) for each in batches]
    assert [list(theirs.read(each).payloads) for each in messages] == batches


def test_inputs_that_were_read_stay_as_they_were(both):
    memory, theirs = both
    before = theirs.read(written(memory, [b"a" * 50_000])).payloads[0]
    for _ in range(NUM_PARTS):
        written(memory, [b"b" * 50_000])
    assert bytes(before) == b"a" * 50_000


def test_a_batch_that_is_too_large_is_not_written(both):
    memory, theirs = both
    assert memory.put([bytes(9 << 20), bytes(9 << 20)]) is None
    assert list(theirs.read(written(memory, [b"next"])).payloads) == [b"next"]


@pytest.mark.parametrize("change", [{"mark": bytes(32)}, {"size_bytes": 4096}, {"path": os.devnull}, {"path": "/none"}])
def test_another_file_under_the_path_is_refused(both, change):
    with pytest.raises(OSError, match=r"another file|No such file"):
        ReplicaMemory(replace(both[0].offer, **change))


def test_inputs_beyond_the_memory_are_refused(both):
    memory, theirs = both
    message = written(memory, [b"x"])
    with pytest.raises(ProtocolError, match="ends after"):
        theirs.read(message._replace(sizes=[memory.offer.size_bytes]))


def test_nobody_can_shorten_the_memory(both):
    offer = both[0].offer
    fd = os.open(offer.path, os.O_RDWR)
    try:
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 1)
    finally:
        os.close(fd)
    assert list(both[1].read(written(both[0], [b"still there"])).payloads) == [b"still there"]
