"""Each admin call is cut once at each of its steps, the faults in turn; ``make cuts`` makes every cut.

``CUTS_SEED`` decides which fault comes where.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.end_to_end.cuts.cutting import Cutter
from tests.end_to_end.cuts.operations import OPERATIONS
from tests.end_to_end.cuts.schedule import LOCAL_FAULTS, in_good_order
from tests.end_to_end.cuts.steps import cuts_in_turn

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(240)]

SEED = int(os.environ.get("CUTS_SEED", "1"))


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_call_that_is_cut_leaves_nothing_wrong(cutter: Cutter, name: str) -> None:
    steps = cutter.record(OPERATIONS[name])
    chance = random.Random(f"{SEED} {name}")
    cuts = cuts_in_turn(name, steps, LOCAL_FAULTS, chance)
    results = [cutter.cut(cut) for cut in in_good_order(cutter, cuts)]
    print(f"CUTS_SEED={SEED}", *(f"{cut}" for cut in cuts), sep="\n")
    wrong = [str(result) for result in results if result.problems]
    assert not wrong, "\n".join([f"CUTS_SEED={SEED}", *wrong])
    assert any(result.was_reached for result in results)
