"""Each admin call is cut once at each of its steps, the faults in turn; ``make cuts`` makes every cut.

``CUTS_SEED`` decides which fault comes where. One test makes all cuts, for the calls take turns too: a process that is
killed again and again is brought back later each time.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.end_to_end.cuts.cutting import local_cutter
from tests.end_to_end.cuts.operations import OPERATIONS
from tests.end_to_end.cuts.schedule import FAULTS, NUM_CLUSTERS, cut_all
from tests.end_to_end.cuts.steps import Cut, cuts_in_turn

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SEED = int(os.environ.get("CUTS_SEED", "1"))


@pytest.mark.timeout(600)
def test_a_call_that_is_cut_leaves_nothing_wrong() -> None:
    print(f"CUTS_SEED={SEED}")
    chance = random.Random(SEED)
    cuts: list[Cut] = []
    with local_cutter() as cutter:
        for operation in OPERATIONS.values():
            cuts += cuts_in_turn(operation.name, cutter.record(operation), FAULTS, chance)
    chance.shuffle(cuts)
    results = cut_all(cuts, local_cutter, num_clusters=NUM_CLUSTERS["local"])
    wrong = [str(result) for result in results if result.problems]
    assert not wrong, "\n".join([f"CUTS_SEED={SEED}", *wrong])
    assert sum(result.was_reached for result in results) > 0.9 * len(results)
