"""Replicas become more under load, and fewer after it, without a lost query."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from clipper_nb import ClipperConnection, InvalidRequestError, Prediction
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import eventually, running_cluster
from tests.support.load import Load

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

SLO_MICROS = 2_000_000
NUM_CLIENTS = 8
"""With one replica each query waits for seven others: a third of the SLO."""


def slow(inputs: list) -> list:
    """Take 100 ms for each input: next to that even a busy machine needs little for a query itself."""
    time.sleep(0.1 * len(inputs))
    return [x.sum() for x in inputs]


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    with running_cluster(kind) as conn:
        create_endpoint(conn, "slow", "doubles", slow, slo_micros=SLO_MICROS, batch_size=1)
        yield conn


def _texts(conn: ClipperConnection) -> list[str]:
    return [event["text"] for event in conn.models["slow"]["1"].info["autoscaling"]["events"]]


@pytest.mark.also_on_docker  # the notebook starts them there
def test_replicas_follow_the_load_and_no_query_is_lost(conn: ClipperConnection) -> None:
    conn.models["slow"].set_num_replicas(min=1, max=4, target=0.15, period_s=1, stable_s=2)
    with Load(conn.get_query_addr(), "slow", num_clients=NUM_CLIENTS, max_s=120.0) as load:
        eventually(lambda: len(conn.get_all_model_replicas()) >= 3, within_s=40, what="growth")
        load.wait_for(150, within_s=60.0)
        begun, *grown = _texts(conn)
    assert " of 1-4>" in repr(conn.models["slow"]["1"])
    rest: list[tuple[float, Prediction]] = []

    def has_fallen() -> bool:
        value = -1.0 - len(rest)
        rest.append((value, conn.predict("slow", [value])))
        time.sleep(0.3)
        return len(conn.get_all_model_replicas()) == conn.get_num_replicas("slow") == 1

    eventually(has_fallen, within_s=60, what="fall")
    assert [each for each in rest if each[1].default or each[1].output != each[0]] == []
    assert [reply for reply in load.replies if reply.status != 200 or reply.body["default"]] == []
    assert all(reply.body["output"] == reply.value for reply in load.replies)
    assert begun == "autoscaling between 1 and 4 replicas begins with 1"
    assert grown[0].startswith("waiting took ")
    assert " % of the SLO for 1 s: 1 -> " in grown[0]
    assert all(text.startswith("waiting took ") for text in grown), "a steady load has no step down"
    assert [text.split(": ")[-1] for text in _texts(conn)[-2:]] == ["3 -> 2 replicas", "2 -> 1 replicas"]


def test_bounds_go_on_with_the_next_version(conn: ClipperConnection) -> None:
    conn.set_num_replicas("slow", min=2, max=4, target=0.5)
    deploy_python_closure(conn, "slow", 2, "doubles", slow, batch_size=1)
    assert conn.get_num_replicas("slow") == 2
    scaled = conn.models["slow"]["2"].info["autoscaling"]
    assert (scaled["min_replicas"], scaled["max_replicas"], scaled["target"]) == (2, 4, 0.5)
    assert " of 2-4>" in repr(conn.models["slow"]["2"])
    deploy_python_closure(conn, "slow", 3, "doubles", slow, batch_size=1, num_replicas=1)
    assert (conn.get_num_replicas("slow"), conn.models["slow"]["3"].info["autoscaling"]) == (1, None)
    conn.set_model_version("slow", 1)
    conn.stop_versioned_models({"slow": ["2", "3"]})


def test_fixed_number_ends_autoscaling(conn: ClipperConnection) -> None:
    conn.set_num_replicas("slow", min=2, max=4)
    assert conn.get_num_replicas("slow") == 2
    conn.set_num_replicas("slow", 1)
    assert conn.models["slow"]["1"].info["autoscaling"] is None
    with pytest.raises(InvalidRequestError, match=r"got num_replicas=3 and min=1\. Pass num_replicas alone"):
        conn.set_num_replicas("slow", 3, min=1)
    with pytest.raises(InvalidRequestError, match=r"got max=8\. Pass num_replicas=2 for a fixed number, or min=1"):
        conn.set_num_replicas("slow", max=8)
