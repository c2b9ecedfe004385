"""When replicas have arrived, with query frontends that do not agree."""

from __future__ import annotations

import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import FrontendPresence, Replica
from clipper_nb.protocol.rest import AwaitedReplicas
from clipper_nb.runtime.management_frontend.arrival import are_connected, find_other_input_type

NET = ModelId("net", "1")
OTHER = Replica("other", "1", 0, InputType.BYTES)


def frontends(*counts, input_type=InputType.DOUBLES):
    """Return one query frontend for each number of replicas."""
    replicas = [tuple(Replica("net", "1", number, input_type) for number in range(count)) for count in counts]
    return [FrontendPresence(str(index), 1, 1.0, (OTHER, *each)) for index, each in enumerate(replicas)]


@pytest.mark.parametrize(
    ("num_replicas", "counts", "expected"),
    [
        (1, [1], True),
        (1, [0], False),
        (1, [2], False),  # fewer than before
        (2, [2, 2], True),
        (2, [2, 1], False),
        (0, [0, 0], True),
        (0, [0, 1], False),
        (1, [], False),
        (0, [], True),
    ],
)
def test_each_frontend_must_have_exactly_as_many(num_replicas, counts, expected):
    assert are_connected(frontends(*counts), NET, AwaitedReplicas(num_replicas, InputType.DOUBLES)) is expected


def test_another_input_type_is_found_whichever_frontend_saw_it():
    awaited = AwaitedReplicas(1, InputType.DOUBLES)
    assert find_other_input_type(frontends(0, 1, input_type=InputType.INTEGERS), NET, awaited) == "integers"
    assert find_other_input_type(frontends(0, 1), NET, awaited) is None
