"""A notebook is killed, or interrupted, while it starts a cluster: what is left is all of it, or what was before."""

from __future__ import annotations

import pytest

from tests.end_to_end.cuts.lifecycle_cutting import LifecycleCutter
from tests.end_to_end.cuts.steps import BEFORE, INTERRUPTED, NOTEBOOK_KILLED, SUPERVISOR_COMMAND, Cut, Step

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(120)]

_CORE, _REPLICAS = (Step(SUPERVISOR_COMMAND, "start", number) for number in (1, 2))
_RESUMED = "start_clipper, of a kept cluster"


@pytest.mark.parametrize(
    "cut",
    [
        Cut("start_clipper, with TLS", _CORE, BEFORE, NOTEBOOK_KILLED),
        Cut(_RESUMED, _REPLICAS, BEFORE, NOTEBOOK_KILLED),
        Cut(_RESUMED, _REPLICAS, BEFORE, INTERRUPTED),
    ],
    ids=str,
)
def test_start_that_is_cut_leaves_no_half_of_a_cluster(cut: Cut) -> None:
    with LifecycleCutter() as cutter:
        result = cutter.cut(cut)
    assert result.was_reached
    assert not result.problems, str(result)
