"""What waits for a shadow is chosen by its share, bounded, and dropped first."""

from __future__ import annotations

import random

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.routing.shadow_queue import (
    MAX_IN_FLIGHT,
    MAX_WAITING,
    MAX_WAITING_SIZE_BYTES,
    Mirrored,
    ShadowQueue,
)


def mirrored(payload=b"x"):
    return Mirrored(payload, ModelId("m", "1"), "1", None, 0.0, 0.001)


def test_share_is_of_the_queries():
    queue = ShadowQueue(0.25, random.Random(1).random)
    assert abs(sum(queue.wants() for _ in range(10_000)) - 2500) < 150
    assert all(ShadowQueue(1.0).wants() for _ in range(100))


def test_too_many_are_dropped_and_counted():
    queue = ShadowQueue(1.0)
    for _ in range(MAX_WAITING + 7):
        queue.put(mirrored())
    assert (len(queue), queue.num_asked, queue.num_dropped) == (MAX_WAITING, MAX_WAITING + 7, 7)


def test_large_inputs_are_bounded_by_their_size():
    queue = ShadowQueue(1.0)
    for _ in range(3):
        queue.put(mirrored(b"x" * (MAX_WAITING_SIZE_BYTES // 2)))
    assert (len(queue), queue.num_dropped) == (2, 1)
    queue.take()
    queue.put(mirrored(b"x" * (MAX_WAITING_SIZE_BYTES // 2)))
    assert (len(queue), queue.num_dropped) == (2, 1)


def test_hanging_shadow_gets_no_more_than_a_few():
    queue = ShadowQueue(1.0)
    for _ in range(MAX_IN_FLIGHT + 1):
        queue.put(mirrored())
    assert all(queue.take() for _ in range(MAX_IN_FLIGHT))
    assert queue.take() is None
    queue.num_in_flight -= 1
    assert queue.take() is not None
    assert queue.take() is None


def test_what_waits_is_dropped_with_the_shadow():
    queue = ShadowQueue(1.0)
    queue.put(mirrored())
    queue.drop_waiting()
    assert (len(queue), queue.num_dropped) == (0, 1)
