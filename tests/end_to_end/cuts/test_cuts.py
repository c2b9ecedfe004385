"""Each admin call is cut at some of its steps, the faults in turn; ``make cuts`` makes every cut.

``CUTS_SEED`` decides at which steps, and which fault comes where. One test makes all cuts, for calls take turns too:
a process that is killed again and again is brought back later each time.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence

import pytest

from clipper_nb.runtime.management_frontend.handlers import _CHANGES, _TRAFFIC_CHANGES
from tests.end_to_end.cuts.cutting import Cutter, local_cutter
from tests.end_to_end.cuts.operations import OPERATIONS, operations_on
from tests.end_to_end.cuts.schedule import FAULTS, NUM_CLUSTERS, in_good_order, side_by_side
from tests.end_to_end.cuts.steps import REQUEST, Cut, Step, cuts_in_turn

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SEED = int(os.environ.get("CUTS_SEED", "1"))
_NUM_STEPS = 3
"""Of each call: about two cuts are made in a second."""


@pytest.mark.timeout(600)
def test_a_call_that_is_cut_leaves_nothing_wrong() -> None:
    print(f"CUTS_SEED={SEED}")
    seen: list[Step] = []

    def choose(cutter: Cutter, names: Sequence[str]) -> Iterator[Cut]:
        chance = random.Random(f"{SEED} {names[0]}")
        cuts: list[Cut] = []
        for name in names:
            steps = cutter.record(OPERATIONS[name])
            seen.extend(steps)
            few = sorted(chance.sample(range(len(steps)), min(_NUM_STEPS, len(steps))))
            cuts += cuts_in_turn(name, [steps[position] for position in few], FAULTS, chance)
        chance.shuffle(cuts)
        return in_good_order(cutter, cuts)

    results = side_by_side(operations_on("local"), local_cutter, choose, num_clusters=NUM_CLUSTERS["local"])
    wrong = [str(result) for result in results if result.problems]
    assert not wrong, "\n".join([f"CUTS_SEED={SEED}", *wrong])
    assert sum(result.was_reached for result in results) > 0.9 * len(results)
    requested = {step.label.removeprefix("POST /admin/") for step in seen if step.kind == REQUEST}
    assert {*_CHANGES, *_TRAFFIC_CHANGES} - requested == set(), "no call of operations.py makes these changes"
