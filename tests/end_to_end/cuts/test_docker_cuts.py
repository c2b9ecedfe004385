"""A deploy and changes of the number of replicas on Docker, cut at some of the calls that change what the engine has.

``CUTS_SEED`` decides at which, and by which fault.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.end_to_end.cuts.cutting import Cutter
from tests.end_to_end.cuts.operations import OPERATIONS
from tests.end_to_end.cuts.schedule import LOCAL_FAULTS, in_good_order
from tests.end_to_end.cuts.steps import ENGINE_CALL, Step, cuts_in_turn
from tests.support.clusters import running_cluster

pytestmark = [pytest.mark.docker, pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(240)]

SEED = int(os.environ.get("CUTS_SEED", "1"))
_NUM_CUTS = {"deploy_python_closure": 2, "set_num_replicas, up": 1, "set_num_replicas, down": 1}


@pytest.fixture(scope="module")
def docker_cutter() -> Iterator[Cutter]:
    """What cuts calls on a cluster of containers."""
    with running_cluster("docker") as conn, Cutter(conn, "docker") as cutter:
        yield cutter


@pytest.mark.parametrize("name", _NUM_CUTS)
def test_a_call_that_is_cut_leaves_nothing_wrong_on_docker(docker_cutter: Cutter, name: str) -> None:
    chance = random.Random(f"{SEED} {name}")
    steps = [step for step in docker_cutter.record(OPERATIONS[name]) if _changes_the_engine(step)]
    chosen = chance.sample(steps, min(_NUM_CUTS[name], len(steps)))
    cuts = cuts_in_turn(name, chosen, LOCAL_FAULTS, chance)
    print(f"CUTS_SEED={SEED}", *map(str, cuts), sep="\n")
    results = [docker_cutter.cut(cut) for cut in in_good_order(docker_cutter, cuts)]
    wrong = [str(result) for result in results if result.problems]
    assert not wrong, "\n".join([f"CUTS_SEED={SEED}", *wrong])
    assert any(result.was_reached for result in results)


def _changes_the_engine(step: Step) -> bool:
    """Return whether the engine makes or ends something: what its other calls tell, the embedded cluster's do too."""
    return step.kind == ENGINE_CALL and not step.label.startswith("GET ")
