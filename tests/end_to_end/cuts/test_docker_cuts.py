"""A deploy and changes of the number of replicas on Docker, cut at some of the steps that they have there.

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
from tests.end_to_end.cuts.steps import cuts_in_turn
from tests.support.clusters import running_cluster

pytestmark = [pytest.mark.docker, pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(240)]

SEED = int(os.environ.get("CUTS_SEED", "1"))
_NUM_CUTS = {"deploy_python_closure": 3, "set_num_replicas, up": 2, "set_num_replicas, down": 1}


@pytest.fixture(scope="module")
def docker_cutter() -> Iterator[Cutter]:
    """What cuts calls on a cluster of containers."""
    with running_cluster("docker") as conn, Cutter(conn, "docker") as cutter:
        yield cutter


@pytest.mark.parametrize("name", _NUM_CUTS)
def test_a_call_that_is_cut_leaves_nothing_wrong_on_docker(docker_cutter: Cutter, name: str) -> None:
    steps = docker_cutter.record(OPERATIONS[name])
    chance = random.Random(f"{SEED} {name}")
    chosen = chance.sample(steps, min(_NUM_CUTS[name], len(steps)))
    cuts = cuts_in_turn(name, chosen, LOCAL_FAULTS, chance)
    print(f"CUTS_SEED={SEED}", f"all steps: {', '.join(map(str, steps))}", *map(str, cuts), sep="\n")
    wrong = [str(result) for result in map(docker_cutter.cut, in_good_order(docker_cutter, cuts)) if result.problems]
    assert not wrong, "\n".join([f"CUTS_SEED={SEED}", *wrong])
