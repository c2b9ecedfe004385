"""Which containers come back when somebody removes them, and what they are then."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.container_managers.docker.again import SeenContainers, equal_container
from clipper_nb.protocol import environment

ID = "5311d9a0c4b1" + "0" * 52


def _attributes(policy: str = "always", labels: dict[str, str] | None = None, container_id: str = ID) -> dict[str, Any]:
    return {
        "Id": container_id,
        "Name": "/c-query_frontend-0",
        "Config": {
            "Hostname": container_id[:12],
            "Image": "clipper_nb-frontend:1",
            "Labels": {environment.LABEL_ROLE: "query_frontend"} if labels is None else labels,
        },
        "HostConfig": {"RestartPolicy": {"Name": policy}, "NetworkMode": "c-private", "Binds": ["c-redis:/data:rw"]},
        "NetworkSettings": {
            "Networks": {
                "c-private": {"Aliases": ["query_frontend-0", container_id[:12]], "IPAddress": "172.18.0.2"},
                "c-models": {"Aliases": ["query_frontend-0"], "DriverOpts": None, "IPAddress": "172.19.0.2"},
            }
        },
    }


@pytest.fixture
def seen() -> SeenContainers:
    seen = SeenContainers()
    seen.see_all([_attributes()])
    return seen


def test_container_removed_by_hand_is_recreated_once(seen):
    assert seen.take_removed(ID) == _attributes()
    assert seen.take_removed(ID) is None


def test_container_stopped_before_removal_is_not_recreated(seen):
    seen.see(ID, _attributes(policy="no"))
    assert seen.take_removed(ID) is None


def test_container_removed_right_after_a_change_is_not_recreated(seen):
    """Stopping takes the restart policy away, stops and removes, perhaps before the watch has looked."""
    seen.see(ID, None)
    assert seen.take_removed(ID) is None


def test_container_removed_while_unwatched_is_not_recreated(seen):
    seen.see_all([])
    assert seen.take_removed(ID) is None


def test_container_is_recreated_as_last_seen(seen):
    changed = _attributes()
    changed["HostConfig"]["Memory"] = 1 << 30
    seen.see(ID, changed)
    assert seen.take_removed(ID) == changed


def test_user_container_of_a_cluster_image_is_not_recreated(seen):
    """Labels of an image are labels of what a user runs from it."""
    users = _attributes(labels={environment.LABEL_CLUSTER: "c"}, container_id="f" * 64)
    seen.see(users["Id"], users)
    assert seen.take_removed(users["Id"]) is None
    assert seen.take_removed("unknown") is None


def test_equal_container_has_all_but_the_id():
    equal = equal_container(_attributes())
    assert equal.name == "c-query_frontend-0"
    assert equal.config == {
        "Image": "clipper_nb-frontend:1",
        "Labels": {environment.LABEL_ROLE: "query_frontend"},
        "HostConfig": _attributes()["HostConfig"],
        "NetworkingConfig": {"EndpointsConfig": {"c-private": {"Aliases": ["query_frontend-0"]}}},
    }
    assert equal.networks == {"c-models": {"Aliases": ["query_frontend-0"]}}


def test_host_name_that_the_user_chose_is_kept():
    attributes = _attributes()
    attributes["Config"]["Hostname"] = "mine"
    assert equal_container(attributes).config["Hostname"] == "mine"


def test_recreated_container_rejoins_the_network_it_lost():
    attributes = _attributes()
    del attributes["NetworkSettings"]["Networks"]["c-private"]
    assert equal_container(attributes).config["NetworkingConfig"] == {"EndpointsConfig": {"c-private": {}}}
