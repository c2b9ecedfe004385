"""When a cluster has room for a version."""

from __future__ import annotations

import pytest

from clipper_nb.cluster.deploy_room import find_room
from clipper_nb.cluster.new_version import make_new_version
from clipper_nb.errors import IncompatibleClusterError, InputTypeConflictError, VersionExistsError
from clipper_nb.protocol.autoscaling import ScalingRule
from clipper_nb.protocol.rest import DeployState
from clipper_nb.version import __version__


class Cluster:
    """A manager and a management client in one."""

    cluster_name = "here"

    def __init__(self, **facts):
        usual = {
            "release": __version__, "query_frontend_releases": [__version__], "is_registered": False,
            "current_version": "1", "has_application": True, "linked_input_types": {"app": "doubles"},
            "next_version": "4",
        }  # fmt: skip
        self.state = DeployState(**{**usual, **facts})

    def get_deploy_state(self, model_id):
        return self.state


def find(**facts):
    cluster = Cluster(**facts)
    return find_room(cluster, cluster, make_new_version("net", 2, "doubles"))


def test_a_version_with_room_has_what_was_there_before():
    before = find().before
    assert (before.current_version, before.has_application) == ("1", True)


def test_a_version_that_is_not_named_gets_the_next_number():
    cluster = Cluster()
    assert find_room(cluster, cluster, make_new_version("net", None, "doubles")).model_id == ("net", "4")
    assert find_room(cluster, cluster, make_new_version("net", "rc", "doubles")).model_id == ("net", "rc")


@pytest.mark.parametrize(
    ("given", "number", "is_scaled", "title"),
    [(None, 5, True, "Deploy net:2, autoscaled (2-8 replicas)"),
     (1, 1, False, "Deploy net:2; autoscaling (2-8 replicas) ends with net:1")],
)  # fmt: skip
def test_bounds_of_the_current_version_go_on(given, number, is_scaled, title):
    rule = ScalingRule(2, 8, 0.5)
    cluster = Cluster(num_replicas=5, autoscaling=rule)
    found = find_room(cluster, cluster, make_new_version("net", 2, "doubles", num_replicas=given))
    assert (found.num_replicas, found.autoscaling, found.progress_title) == (number, rule if is_scaled else None, title)
    assert found.registration().autoscaling == found.autoscaling


@pytest.mark.parametrize(
    ("facts", "error", "words"),
    [
        ({"is_registered": True}, VersionExistsError, "immutable. Version '4' is free"),
        ({"linked_input_types": {"app": "doubles", "other": "strings"}}, InputTypeConflictError, "'other'"),
        ({"release": "0.0.9"}, IncompatibleClusterError, r"0\.0\.9"),
        ({"query_frontend_releases": [__version__, "before 0.1.0"]}, IncompatibleClusterError, r"before 0\.1\.0"),
    ],
)
def test_obstacle_to_the_deploy_is_reported(facts, error, words):
    with pytest.raises(error, match=words):
        find(**facts)
