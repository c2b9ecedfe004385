"""A deploy and changes of the number of replicas on Docker, cut at some of the calls that change what the engine has.

``CUTS_SEED`` decides at which, and by which fault; ``make cuts`` cuts all of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.end_to_end.cuts.cutting import Cutter, docker_cutter
from tests.end_to_end.cuts.operations import OPERATIONS
from tests.end_to_end.cuts.schedule import FAULTS, in_good_order
from tests.end_to_end.cuts.steps import changes_the_engine, cuts_in_turn

pytestmark = [pytest.mark.docker, pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(240)]

SEED = int(os.environ.get("CUTS_SEED", "1"))
_NUM_CUTS = {"deploy_python_closure": 2, "set_num_replicas, up": 1, "set_num_replicas, down": 1}


@pytest.fixture(scope="module")
def cutter() -> Iterator[Cutter]:
    """What cuts calls on a cluster of containers."""
    with docker_cutter() as cutter:
        yield cutter


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "deploy_python_closure" else pytest.mark.long) for name in _NUM_CUTS],
)
def test_a_call_that_is_cut_leaves_nothing_wrong_on_docker(cutter: Cutter, name: str) -> None:
    """In ``make test`` the deploy alone; changes of the number of replicas are cut there on the embedded cluster."""
    chance = random.Random(f"{SEED} {name}")
    steps = [step for step in cutter.record(OPERATIONS[name]) if changes_the_engine(step)]
    chosen = chance.sample(steps, min(_NUM_CUTS[name], len(steps)))
    cuts = cuts_in_turn(name, chosen, FAULTS, chance)
    print(f"CUTS_SEED={SEED}", *map(str, cuts), sep="\n")
    results = [cutter.cut(cut) for cut in in_good_order(cutter, cuts)]
    wrong = [str(result) for result in results if result.problems]
    assert not wrong, "\n".join([f"CUTS_SEED={SEED}", *wrong])
    assert any(result.was_reached for result in results)
