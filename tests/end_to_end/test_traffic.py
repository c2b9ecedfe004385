"""One application, several versions: who answers, while weights change and versions come and go."""

from __future__ import annotations

import http.client
import json
import math
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from clipper_nb import ClipperConnection, ExistsError, InvalidInputError
from clipper_nb.deployers.python import deploy_python_closure
from tests.support.clusters import http_request, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

SLO_MICROS = 5_000_000
NEARLY_ALWAYS = 5.0
"""Standard deviations beyond which a binomial number is in fewer than one of a million cases."""


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    """Two query frontends, and an application that is linked to a model of two versions."""
    with running_cluster(kind, num_frontend_replicas=2) as conn:
        conn.register_application("app", "doubles", "default", SLO_MICROS)
        for version in (1, 2):
            _deploy(conn, "m", version)
        conn.link_model_to_app("app", "m")
        yield conn


def _deploy(conn: ClipperConnection, name: str, version: int) -> None:
    answer = f"{name}:{version}"
    deploy_python_closure(conn, name, version, "doubles", lambda xs: [f"{answer} {x.sum():g}" for x in xs])


class Client:
    """A connection that stays open, so that it goes on asking one of the query frontends."""

    def __init__(self, conn: ClipperConnection) -> None:
        host, port = conn.get_query_addr().split(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=30)

    def ask(self, *, number: float = 1.0, headers: dict[str, str] | None = None, **more: Any) -> str:
        """Return the version that answered; its output must be its own."""
        self._connection.request("POST", "/app/predict", json.dumps({"input": [number], **more}), headers or {})
        reply = json.loads(self._connection.getresponse().read())
        assert reply["output"] == f"{reply['model']} {number:g}", reply
        return str(reply["model"])

    def infer(self, key: str) -> str:
        """Return the version that answered over V2."""
        tensor = {"name": "input", "shape": [1, 1], "datatype": "FP64", "data": [1.0]}
        body = json.dumps({"inputs": [tensor]})
        self._connection.request("POST", "/v2/models/app/infer", body, {"X-Clipper-Key": key})
        return f"m:{json.loads(self._connection.getresponse().read())['model_version']}"

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def clients(conn: ClipperConnection) -> Iterator[list[Client]]:
    """Clients of both frontends, in all likelihood."""
    clients = [Client(conn) for _ in range(10)]
    yield clients
    for client in clients:
        client.close()


@pytest.mark.also_on_kubernetes
def test_queries_are_split_by_weight(conn: ClipperConnection, clients: list[Client]) -> None:
    """They all have the same input, so most answers come from the cache, and each is its version's."""
    traffic = conn.set_traffic("app", {"m:1": 75, "m:2": 25})
    assert traffic == conn.get_traffic("app") == conn.apps["app"].traffic
    assert repr(traffic) == "<Traffic of 'app': m:1 75 %, m:2 25 %>"
    assert repr(conn.apps["app"]).endswith("traffic m:1 75 %, m:2 25 %>")
    counts = Counter(clients[n % len(clients)].ask() for n in range(1000))
    assert abs(counts["m:2"] - 250) < NEARLY_ALWAYS * math.sqrt(1000 * 0.25 * 0.75)


@pytest.mark.also_on_kubernetes
def test_key_has_one_target_at_each_frontend_and_door(conn: ClipperConnection, clients: list[Client]) -> None:
    conn.set_traffic("app", {"m:1": 1, "m:2": 1})
    found = {key: clients[0].ask(key=key) for key in map(str, range(60))}
    assert set(found.values()) == {"m:1", "m:2"}
    for number, (key, target) in enumerate(found.items()):
        client = clients[number % len(clients)]
        assert client.ask(key=int(key)) == client.ask(headers={"X-Clipper-Key": key}) == client.infer(key) == target
        assert conn.predict("app", [2.0], key=key).model == target


@pytest.mark.also_on_kubernetes
def test_answers_are_counted_by_version_at_every_door(conn: ClipperConnection, clients: list[Client]) -> None:
    conn.set_traffic("app", {"m:1": 1})  # the counts of its targets begin when there are two
    conn.set_traffic("app", {"m:1": 3, "m:2": 1})
    found = Counter(client.ask(key=f"{number}") for number, client in enumerate(clients))
    found.update(client.infer(f"{number}") for number, client in enumerate(clients))
    for size in (7, 600):  # at once, and in steps
        found.update(prediction.model for prediction in conn.predict_batch("app", [[float(size)]] * size))
    metrics = conn.inspect_instance()
    counted = {
        f"{series['labels']['model']}:{series['labels']['version']}": series["value"]
        for series in metrics["clipper_target_queries_total"]
    }
    assert counted == {"m:1": found["m:1"], "m:2": found["m:2"]}
    assert {series["count"] for series in metrics["clipper_target_latency_seconds"]} == {*found.values()}


def test_deploy_beside_pinned_traffic_changes_nothing(conn: ClipperConnection, clients: list[Client]) -> None:
    """A canary from the pin to its promotion."""
    conn.set_traffic("app", {"m:2": 1})
    _deploy(conn, "m", 3)
    assert conn.get_current_model_version("m") == "3"
    assert {client.ask(number=3.0) for client in clients} == {"m:2"}
    conn.set_traffic("app", {"m:2": 5, "m:3": 5})
    assert {client.ask(key=f"key-{number}") for number, client in enumerate(clients * 2)} == {"m:2", "m:3"}
    conn.set_traffic("app", {"m": 1})
    assert {client.ask(number=4.0) for client in clients} == {"m:3"}
    conn.set_model_version("m", 2)
    assert {client.ask(number=5.0) for client in clients} == {"m:2"}
    conn.stop_versioned_models({"m": [3]})


def test_version_in_a_request_wins_over_traffic(conn: ClipperConnection, clients: list[Client]) -> None:
    conn.set_traffic("app", {"m:1": 1})
    assert clients[0].ask(version=2, key="any") == "m:2"
    assert {found.model for found in conn.predict_batch("app", [[1.0]] * 3, version="m:2")} == {"m:2"}
    with pytest.raises(InvalidInputError, match="Requested version: 9 does not exist for model: m"):
        conn.predict("app", [1.0], version=9)


@pytest.mark.also_on_kubernetes
def test_weights_change_under_load_without_a_lost_query(conn: ClipperConnection, clients: list[Client]) -> None:
    """A query that is sent after ``set_traffic`` has returned is answered by what was set."""
    stop, found, allowed = threading.Event(), [], {"m:1", "m:2"}

    def ask(client: Client) -> None:
        number = 0.0
        while not stop.is_set():
            number += 1
            expected = allowed
            found.append((client.ask(number=number), expected | allowed))

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients[:4]]
    for thread in threads:
        thread.start()
    for weights in [{"m:1": 90, "m:2": 10}, {"m:2": 1}, {"m:1": 1}, {"m": 1}, {"m:1": 5, "m:2": 5}, {"m:1": 1}] * 3:
        allowed = {"m:1", "m:2"}
        conn.set_traffic("app", weights)
        allowed = {"m:2" if target == "m" else target for target in weights}
        answered = len(found)
        while len(found) < answered + 40 and any(thread.is_alive() for thread in threads):
            stop.wait(0.002)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(found) > 500
    assert [model for model, expected in found if model not in expected] == []


def test_target_without_a_replica_is_answered_by_the_others(conn: ClipperConnection, clients: list[Client]) -> None:
    conn.set_traffic("app", {"m:1": 1, "m:2": 1})
    conn.set_num_replicas("m", 0, 2)
    try:
        assert repr(conn.get_traffic("app")) == "<Traffic of 'app': m:1 50 %, m:2 50 % without a replica>"
        client = clients[0]
        assert {client.ask(number=number, key=f"key-{number}") for number in range(50)} == {"m:1"}
        assert {client.ask(number=number) for number in range(50)} == {"m:1"}
    finally:
        conn.set_num_replicas("m", 1, 2)
    assert {client.ask(number=number) for number in range(50)} == {"m:1", "m:2"}


def test_stopped_version_leaves_its_share_to_the_others(conn: ClipperConnection, clients: list[Client]) -> None:
    _deploy(conn, "other", 1)
    conn.set_traffic("app", {"m:1": 60, "other": 40})
    conn.stop_inactive_model_versions(["m"])  # m:1 is not current, and has traffic
    with pytest.raises(ExistsError, match="has its traffic set: m:1 60 %, other 40 %"):
        conn.link_model_to_app("app", "other")
    assert conn.get_linked_models("app") == ["m", "other"]
    assert {clients[0].ask(version=version) for version in ("m:1", "m:2", "other:1")} == {"m:1", "m:2", "other:1"}
    address = conn.get_query_addr()
    _, metadata = http_request(address, "GET", "/v2/models/app")
    assert metadata["versions"] == ["m:1", "m:2", "other:1"]
    _, index = http_request(address, "POST", "/v2/repository/index")
    assert [(row["version"], row["state"]) for row in index] == [(found, "READY") for found in metadata["versions"]]
    with pytest.raises(InvalidInputError, match=r"1 exists for each of the models: m, other\. Ask for 'm:1'"):
        conn.predict("app", [1.0], version=1)
    conn.stop_versioned_models({"other": [1]})
    assert repr(conn.get_traffic("app")) == "<Traffic of 'app': m:1 60 %, other 40 % without a replica>"
    assert {clients[0].ask(number=number) for number in range(50)} == {"m:1"}
    conn.unlink_model_from_app("app", "other")
    assert conn.get_traffic("app").shares == {"m:1": 1.0}
